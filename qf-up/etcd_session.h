// SPDX-License-Identifier: Apache-2.0
// A fabric document in etcd, by a qf-keyfetch of our own (qf-sshd/keyfetch_etcd.h). Files with secrets are
// read here and handed over its socket.
#pragma once

#include <string>

#include "libqf/result.h"
#include "qf-sshd/listener_messages.h"
#include "qf-up/choices.h"
#include "qf-up/document_keys.h"
#include "qf-up/keyfetch_process.h"
#include "qf-up/source_record.h"

namespace qf {

inline constexpr const char* kRootKey = "fabric.json";
inline constexpr const char* kSignatureKey = "fabric.json.sig";

// What qf-keyfetch is told about etcd. kInput: a file that is missing, wrong, or not for us alone.
[[nodiscard]] Result<EtcdRequest> etcd_request(const Choices& choices, bool watch);

class EtcdSession {
 public:
  // The keys are read at once.
  [[nodiscard]] static Result<EtcdSession> open(const Choices& choices, bool watch);
  // All of them; in a watch the next time when something has changed. kTimeout after the deadline, and then
  // there may be one later; any other error is the end of the session.
  [[nodiscard]] Result<EtcdSnapshot> next(Deadline deadline);
  // The last one was taken in; in a watch no other comes before that.
  [[nodiscard]] Status took() { return process_.socket.send(EtcdNext{}); }
  [[nodiscard]] Result<EtcdWritten> write(uint64_t revision, const EtcdChanges& changes);

 private:
  explicit EtcdSession(KeyfetchProcess process) : process_(std::move(process)) {}
  KeyfetchProcess process_;
};

// For the first answer: more than qf-keyfetch gives itself.
inline constexpr std::chrono::seconds kEtcdFirstAnswer{60};

// kNotFound: a key is missing. `place`: the URL, for the text. Nothing of it is believed yet: when its
// signature is found good, drop_strange_parts().
[[nodiscard]] Result<KeptDocument> document_of(EtcdSnapshot snapshot, const std::string& place);

}  // namespace qf
