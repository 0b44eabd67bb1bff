// SPDX-License-Identifier: Apache-2.0
// A fabric document over https or out of etcd, by a qf-keyfetch of our own. One process a fetch.
#pragma once

#include <functional>
#include <string>

#include "libqf/result.h"
#include "qf-sshd/listener_messages.h"
#include "qf-up/choices.h"
#include "qf-up/source_record.h"

namespace qf {

struct DocumentAnswer {
  DocumentReply reply;
  KeptDocument document;  // one that has changed
};

// Asks; the validators are those of the answer before.
using FetchDocument =
    std::function<Result<DocumentAnswer>(const std::string& etag, const std::string& last_modified)>;

// At most 64 MiB, 30 s. An Error is one of this machine; etcd's are too, for it has no answer without one.
[[nodiscard]] Result<DocumentAnswer> fetch_document(const Choices& choices, const std::string& etag,
                                                    const std::string& last_modified);

// What etcd holds, as an answer. kNotFound: no document.
[[nodiscard]] Result<DocumentAnswer> etcd_answer(EtcdSnapshot snapshot, const Choices& choices);

}  // namespace qf
