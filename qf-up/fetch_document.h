// SPDX-License-Identifier: Apache-2.0
// A fabric document over https, by a qf-keyfetch of our own (user qufabric-fetch when we are root, seccomp,
// nothing writable): what the server and the network do to libcurl happens there. One process a fetch.
#pragma once

#include <string>

#include "libqf/result.h"
#include "qf-sshd/listener_messages.h"
#include "qf-up/choices.h"

namespace qf {

struct DocumentAnswer {
  DocumentReply reply;
  std::string text, signature;  // of one that has changed
};

// At most 64 MiB, 30 s. An Error is one of this machine. The validators are those of the answer before.
[[nodiscard]] Result<DocumentAnswer> fetch_document(const Choices& choices, const std::string& etag,
                                                    const std::string& last_modified);

}  // namespace qf
