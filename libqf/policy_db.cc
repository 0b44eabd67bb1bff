// SPDX-License-Identifier: Apache-2.0
#include "libqf/policy_db.h"

#include <algorithm>
#include <cstdio>

namespace qf {

Result<PolicyDb> PolicyDb::open(const std::string& path) {
  auto reader = LmdbReader::open(path);
  if (!reader) return reader.error();
  PolicyDb db(std::move(*reader));
  auto meta = db.meta();
  if (!meta || meta->format != kPolicyFormat) {
    return input_error(path + " was written by another version; run: qf-up apply");
  }
  return db;
}

Result<IssuerRecord> PolicyDb::issuer(std::string_view name) const {
  return get<IssuerRecord>("issuer:" + std::string(name));
}

Result<PeerPolicyRecord> PolicyDb::peer(std::string_view name) const {
  return get<PeerPolicyRecord>("peer:" + std::string(name));
}

Result<PeerPolicyRecord> PolicyDb::peer_at(std::string_view address) const {
  auto name = find("addr:" + std::string(address));
  if (!name) return not_found("no peer has the address " + std::string(address));
  return peer(*name);
}

Result<std::vector<std::string>> PolicyDb::groups_of_user(std::string_view issuer,
                                                          std::string_view subject) const {
  auto list = get<StringList>(user_key(issuer, subject));
  if (list) return std::move(list->items);
  if (list.error().kind == ErrorKind::kNotFound) return std::vector<std::string>{};
  return list.error();
}

bool PolicyDb::is_user_group(std::string_view name) const {
  return find(group_key(name)).has_value();
}

bool PolicyDb::names_peer_group(std::string_view name) const {
  std::string tail = "g:" + std::string(name);
  return find("src:" + tail) || find("dst:" + tail);
}

std::optional<std::string_view> PolicyDb::find(std::string_view key) const {
  if (reader_) return reader_->find(key);
  auto found = records_->find(std::string(key));
  return found == records_->end() ? std::nullopt : std::optional<std::string_view>(found->second);
}

void PolicyDb::scan(std::string_view prefix,
                    const std::function<void(std::string_view, std::string_view)>& visit) const {
  if (reader_) return reader_->scan(prefix, visit);
  for (auto i = records_->lower_bound(std::string(prefix)); i != records_->end(); ++i) {
    if (!std::string_view(i->first).starts_with(prefix)) return;
    visit(std::string_view(i->first).substr(prefix.size()), i->second);
  }
}

Result<PolicyRecord> PolicyDb::policy(uint32_t id) const {
  return get<PolicyRecord>(policy_key(id));
}

Result<std::vector<uint32_t>> PolicyDb::ids(const std::string& side, const PeerPolicyRecord& peer) const {
  std::vector<std::string> keys = {side + "p:" + peer.name};
  for (const auto& group : peer.groups) keys.push_back(side + "g:" + group);
  std::vector<uint32_t> all;
  for (const auto& key : keys) {
    auto list = get<IdList>(key);
    if (list) {
      all.insert(all.end(), list->items.begin(), list->items.end());
    } else if (list.error().kind != ErrorKind::kNotFound) {
      // a list that cannot be read might name a deny: no decision without it
      return list.error();
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

Result<std::vector<PolicyRecord>> PolicyDb::policies_between(const PeerPolicyRecord& source,
                                                             const PeerPolicyRecord& destination) const {
  auto from = ids("src:", source);
  if (!from) return from.error();
  auto to = ids("dst:", destination);
  if (!to) return to.error();
  std::vector<uint32_t> both;
  std::set_intersection(from->begin(), from->end(), to->begin(), to->end(), std::back_inserter(both));
  std::vector<PolicyRecord> policies;
  for (uint32_t id : both) {
    auto policy = this->policy(id);
    // a policy that cannot be read might be a deny: no decision without it
    if (!policy) return policy.error();
    policies.push_back(std::move(*policy));
  }
  return policies;
}

std::string user_key(std::string_view issuer, std::string_view subject) {
  return "user:" + std::string(issuer) + '\0' + std::string(subject);
}

std::string group_key(std::string_view group) {
  return "group:" + std::string(group);
}

std::string policy_key(uint32_t id) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", id);
  return std::string("policy:") + text;
}

}  // namespace qf
