// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/monitor_key_sets.h"

#include <ctime>

#include "qf-sshd/listener_messages.h"
#include "qf-sshd/memory_file.h"
#include "qf-sshd/messages.h"

namespace qf {

namespace {

constexpr auto kKeysPatience = std::chrono::seconds(12);  // for the listener to have a key set fetched

}  // namespace

const KeySet* MonitorKeySets::find(const IssuerRecord& issuer) {
  auto fresh = fresh_.find(issuer.name);
  if (fresh != fresh_.end() && same_key_source(fresh->second.issuer, issuer)) return &fresh->second.keys;
  if (const KeySet* held = store_.find(issuer, std::time(nullptr))) return held;
  auto listed = issuer.jwks ? parse_key_set(*issuer.jwks) : Result<KeySet>(not_found("no inline keys"));
  if (!listed) return nullptr;
  keep(issuer, std::move(*listed));
  return &fresh_[issuer.name].keys;
}

void MonitorKeySets::refresh(const std::vector<const IssuerRecord*>& issuers,
                             const std::function<bool(const IssuerRecord&)>& found) {
  std::map<std::string, const IssuerRecord*> wanted;
  for (const auto* issuer : issuers) {
    // keys of the document itself are all here
    if (issuer->jwks || !listener_) continue;
    KeysWanted question{issuer->name, issuer->issuer, issuer->jwks_uri, issuer->ca_file};
    if (listener_.send(question)) wanted[issuer->name] = issuer;
  }
  // an answer may also be a late one to an earlier question: its keys are as good
  for (Deadline deadline = Clock::now() + kKeysPatience; !wanted.empty();) {
    auto message = listener_.receive(deadline);
    if (message && !is_a<KeysReply>(*message)) {
      other_(*message);
      if (!listener_) return;
      continue;
    }
    auto reply = message ? open_message<KeysReply>(*message) : Result<KeysReply>(message.error());
    if (!reply) return;
    auto issuer = wanted.find(reply->issuer);
    if (issuer == wanted.end()) continue;
    const IssuerRecord& record = *issuer->second;
    wanted.erase(issuer);
    if (reply->changed && take(record, message->fds[0].get()) && found(record)) return;
  }
}

bool MonitorKeySets::take(const IssuerRecord& issuer, int fd) {
  auto json = read_memory_file(fd, kMostKeySetBytes);
  auto keys = json ? parse_key_set(*json) : Result<KeySet>(json.error());
  if (!keys) return false;
  keep(issuer, std::move(*keys));
  return true;
}

void MonitorKeySets::keep(IssuerRecord issuer, KeySet keys) {
  issuer.server_login.reset();  // nothing of keys, and it may hold a secret
  std::string name = issuer.name;
  fresh_.insert_or_assign(name, Fresh{std::move(issuer), std::move(keys)});
}

}  // namespace qf
