// SPDX-License-Identifier: Apache-2.0
#include "qf-up/compile.h"

#include "libqf/codec.h"
#include "libqf/text.h"

namespace qf {

namespace {

LoginRecord login_record(const IssuerEntry& issuer) {
  const IssuerRecord& rules = issuer.rules;
  LoginRecord record = issuer.client;
  record.name = rules.name;
  record.issuer = rules.issuer;
  record.audiences = rules.audiences;
  record.jwks_uri = rules.jwks_uri;
  record.jwks = rules.jwks;
  record.ca_file = rules.ca_file;
  record.max_token_age = rules.max_token_age;
  record.clock_skew = rules.clock_skew;
  record.access_token = rules.access_token;
  return record;
}

using Groups = std::map<std::string, std::vector<std::string>>;  // peer -> its groups

void add_peers(Records& records, const Document& document, const Groups& groups) {
  for (const auto& peer : document.peers) {
    PeerPolicyRecord record;
    record.name = peer.record.name;
    record.addresses = peer.record.addresses;
    record.ssh = peer.record.ssh;
    record.version = peer.record.version;
    if (auto found = groups.find(record.name); found != groups.end()) record.groups = found->second;
    record.host_key_fingerprints = peer.fingerprints;
    record.issuers = peer.record.issuers;
    records["peer:" + record.name] = encode(record);
    for (const auto& address : record.addresses) records["addr:" + address] = record.name;
  }
}

void add_users(Records& records, const Document& document) {
  std::map<std::string, StringList> users;
  for (const auto& [group, members] : document.user_groups) {
    records[group_key(group)] = encode(StringList{});
    for (const auto& member : members) users[user_key(member.issuer, member.subject)].items.push_back(group);
  }
  for (const auto& [key, list] : users) records[key] = encode(list);
}

void add_policies(Records& records, const Document& document) {
  std::map<std::string, IdList> ends;
  auto note = [&](const std::string& side, const std::vector<PolicyEnd>& list, uint32_t id) {
    for (const auto& end : list) ends[side + (end.is_group ? "g:" : "p:") + end.name].items.push_back(id);
  };
  uint32_t id = 0;
  for (const auto& policy : document.policies) {
    records[policy_key(id)] = encode(policy.record);
    note("src:", policy.sources, id);
    note("dst:", policy.destinations, id);
    ++id;
  }
  for (const auto& [key, list] : ends) records[key] = encode(list);
}

}  // namespace

std::vector<std::string> reachable_names(const PeerRecord& peer, const std::string& domain) {
  std::string name = lower(peer.name);
  std::vector<std::string> all = {name, name + "." + domain};
  all.insert(all.end(), peer.addresses.begin(), peer.addresses.end());
  return all;
}

Records compile_peers(const Document& document, const LocalFacts& local) {
  Records records;
  PeersMeta meta;
  meta.serial = document.serial;
  meta.domain = document.domain;
  meta.document_hash = document.hash;
  meta.self = local.self;
  meta.jwt_cache_ttl = local.jwt_cache_ttl;
  meta.peers = document.peers.size();
  for (const auto& issuer : document.issuers) {
    // nobody can log in at an issuer without a client, so qf-tokend need not know it
    if (!issuer.has_client) continue;
    meta.issuers.push_back(issuer.rules.name);
    records["i:" + issuer.rules.name] = encode(login_record(issuer));
  }
  for (const auto& peer : document.peers) {
    records["p:" + peer.record.name] = encode(peer.record);
    for (const auto& name : reachable_names(peer.record, document.domain))
      records["n:" + name] = peer.record.name;
  }
  records["meta"] = encode(meta);
  return records;
}

Records compile_policy(const Document& document) {
  Records records;
  PolicyMeta meta;
  meta.serial = document.serial;
  meta.domain = document.domain;
  meta.document_hash = document.hash;
  Groups groups;
  for (const auto& [group, members] : document.peer_groups) {
    for (const auto& member : members) groups[member].push_back(group);
  }
  for (const auto& issuer : document.issuers) {
    meta.issuers.push_back(issuer.rules.name);
    records["issuer:" + issuer.rules.name] = encode(issuer.rules);
  }
  add_peers(records, document, groups);
  add_users(records, document);
  add_policies(records, document);
  records["meta"] = encode(meta);
  return records;
}

}  // namespace qf
