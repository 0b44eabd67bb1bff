// SPDX-License-Identifier: Apache-2.0
// A fabric document over https, by a qf-keyfetch of our own (user qufabric-fetch when we are root, seccomp,
// nothing writable): what the server and the network do to libcurl happens there. One process a fetch.
#pragma once

#include <string>

#include "libqf/result.h"
#include "qf-up/choices.h"

namespace qf {

struct DocumentAnswer {
  bool changed = false;  // else the server has the document that we have
  std::string text, signature;
  std::string etag, last_modified;
  int64_t retry_after = 0;  // seconds; also of an answer with an error
  std::string error, hint;  // error empty: it is there
};

// At most 64 MiB, 30 s. An Error is one of this machine. The validators are those of the answer before.
[[nodiscard]] Result<DocumentAnswer> fetch_document(const Choices& choices, const std::string& etag,
                                                    const std::string& last_modified);

}  // namespace qf
