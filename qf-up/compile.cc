// SPDX-License-Identifier: Apache-2.0
#include "qf-up/compile.h"

#include <algorithm>
#include <functional>
#include <string_view>

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

// Many keys, each with a number, to be sorted by their bytes.
class KeyList {
 public:
  void add(std::string_view key, size_t number) {
    keys_.push_back({text_.size(), static_cast<uint32_t>(key.size()), static_cast<uint32_t>(number)});
    text_ += key;
  }
  // Sorts, and calls each(key, number) in order until it fails.
  Status for_each(const std::function<Status(std::string_view key, size_t number)>& each) {
    std::sort(keys_.begin(), keys_.end(), [&](const Key& a, const Key& b) { return text(a) < text(b); });
    for (const auto& key : keys_) {
      if (auto done = each(text(key), key.number); !done) return done;
    }
    return Done{};
  }

 private:
  struct Key {
    size_t at;
    uint32_t length, number;
  };
  [[nodiscard]] std::string_view text(const Key& key) const {
    return std::string_view(text_).substr(key.at, key.length);
  }
  std::string text_;  // of all keys
  std::vector<Key> keys_;
};

KeyList peers_by_name(const Document& document) {
  KeyList names;
  for (size_t i = 0; i < document.peers.size(); ++i) names.add(document.peers[i].record.name, i);
  return names;
}

// Calls each(issuer) in the order of their names until it fails.
Status issuers_by_name(const Document& document, const std::function<Status(const IssuerEntry&)>& each) {
  std::map<std::string_view, const IssuerEntry*> sorted;
  for (const auto& issuer : document.issuers) sorted[issuer.rules.name] = &issuer;
  for (const auto& [name, issuer] : sorted) {
    if (auto done = each(*issuer); !done) return done;
  }
  return Done{};
}

std::string joined(const char* prefix, std::string_view name) {
  return std::string(prefix).append(name);
}

// ---- peers.mdb -------------------------------------------------------------------------------------------

// nobody can log in at an issuer without a client, so qf-tokend need not know it
Status put_logins(const Document& document, const RecordSink& sink) {
  return issuers_by_name(document, [&](const IssuerEntry& issuer) -> Status {
    if (!issuer.has_client) return Done{};
    return sink("i:" + issuer.rules.name, encode(login_record(issuer)));
  });
}

Status put_expiry(const Document& document, const RecordSink& sink) {
  return document.expires == 0 ? Status(Done{}) : sink("expires", std::to_string(document.expires));
}

PeersMeta peers_meta(const Document& document, const LocalFacts& local) {
  PeersMeta meta;
  meta.serial = document.serial;
  meta.domain = document.domain;
  meta.document_hash = document.hash;
  meta.self = local.self;
  meta.jwt_cache_ttl = local.jwt_cache_ttl;
  meta.peers = document.peers.size();
  for (const auto& issuer : document.issuers) {
    if (issuer.has_client) meta.issuers.push_back(issuer.rules.name);
  }
  return meta;
}

Status put_reachable(const Document& document, const RecordSink& sink) {
  KeyList names;
  for (size_t i = 0; i < document.peers.size(); ++i) {
    for (const auto& name : reachable_names(document.peers[i].record, document.domain)) names.add(name, i);
  }
  return names.for_each([&](std::string_view name, size_t peer) {
    return sink(joined("n:", name), document.peers[peer].record.name);
  });
}

Status put_peers(const Document& document, const RecordSink& sink) {
  return peers_by_name(document).for_each([&](std::string_view name, size_t peer) {
    return sink(joined("p:", name), encode(document.peers[peer].record));
  });
}

// ---- policy.mdb ------------------------------------------------------------------------------------------

Status put_addresses(const Document& document, const RecordSink& sink) {
  KeyList addresses;
  for (size_t i = 0; i < document.peers.size(); ++i) {
    for (const auto& address : document.peers[i].record.addresses) addresses.add(address, i);
  }
  return addresses.for_each([&](std::string_view address, size_t peer) {
    return sink(joined("addr:", address), document.peers[peer].record.name);
  });
}

// The policies that name a peer or a peer group on one side.
Status put_ends(const Document& document, const std::string& side, std::vector<PolicyEnd> PolicyEntry::*list,
                const RecordSink& sink) {
  std::map<std::string, IdList> ends;
  for (size_t id = 0; id < document.policies.size(); ++id) {
    for (const auto& end : document.policies[id].*list)
      ends[side + (end.is_group ? "g:" : "p:") + end.name].items.push_back(static_cast<uint32_t>(id));
  }
  for (const auto& [key, ids] : ends) {
    if (auto put = sink(key, encode(ids)); !put) return put;
  }
  return Done{};
}

Status put_user_groups(const Document& document, const RecordSink& sink) {
  for (const auto& [group, members] : document.user_groups) {
    if (auto put = sink(group_key(group), encode(StringList{})); !put) return put;
  }
  return Done{};
}

Status put_issuers(const Document& document, const RecordSink& sink) {
  return issuers_by_name(document, [&](const IssuerEntry& issuer) {
    return sink("issuer:" + issuer.rules.name, encode(issuer.rules));
  });
}

PolicyMeta policy_meta(const Document& document) {
  PolicyMeta meta;
  meta.serial = document.serial;
  meta.domain = document.domain;
  meta.document_hash = document.hash;
  for (const auto& issuer : document.issuers) meta.issuers.push_back(issuer.rules.name);
  return meta;
}

PeerPolicyRecord policy_record(const PeerEntry& peer, std::vector<std::string> groups) {
  PeerPolicyRecord record;
  record.name = peer.record.name;
  record.addresses = peer.record.addresses;
  record.ssh = peer.record.ssh;
  record.version = peer.record.version;
  record.groups = std::move(groups);
  record.host_key_fingerprints = peer.fingerprints;
  record.issuers = peer.record.issuers;
  return record;
}

Status put_policy_peers(const Document& document, const RecordSink& sink) {
  // who is in which group, in the order of the peers: both lists are walked side by side
  std::vector<std::pair<std::string_view, const std::string*>> members;
  for (const auto& [group, names] : document.peer_groups) {
    for (const auto& name : names) members.emplace_back(name, &group);
  }
  std::stable_sort(members.begin(), members.end(), [](auto& a, auto& b) { return a.first < b.first; });
  auto member = members.begin();
  return peers_by_name(document).for_each([&](std::string_view name, size_t peer) {
    std::vector<std::string> groups;
    for (; member != members.end() && member->first == name; ++member) groups.push_back(*member->second);
    return sink(joined("peer:", name), encode(policy_record(document.peers[peer], std::move(groups))));
  });
}

Status put_policies(const Document& document, const RecordSink& sink) {
  uint32_t id = 0;
  for (const auto& policy : document.policies) {
    if (auto put = sink(policy_key(id++), encode(policy.record)); !put) return put;
  }
  return Done{};
}

Status put_users(const Document& document, const RecordSink& sink) {
  std::map<std::string, StringList> users;
  for (const auto& [group, members] : document.user_groups) {
    for (const auto& member : members) users[user_key(member.issuer, member.subject)].items.push_back(group);
  }
  for (const auto& [key, groups] : users) {
    if (auto put = sink(key, encode(groups)); !put) return put;
  }
  return Done{};
}

Records collect(const RecordSource& source) {
  Records records;
  auto all = source([&](std::string_view key, std::string_view value) -> Status {
    records.emplace(key, value);
    return Done{};
  });
  if (!all) std::abort();  // only a sink fails
  return records;
}

// One part of a database after the other.
using Part = std::function<Status(const RecordSink& sink)>;
RecordSource in_order(std::vector<Part> parts) {
  return [parts = std::move(parts)](const RecordSink& sink) -> Status {
    for (const auto& part : parts) {
      if (auto done = part(sink); !done) return done;
    }
    return Done{};
  };
}

}  // namespace

std::vector<std::string> reachable_names(const PeerRecord& peer, const std::string& domain) {
  std::string name = lower(peer.name);
  std::vector<std::string> all = {name, name + "." + domain};
  all.insert(all.end(), peer.addresses.begin(), peer.addresses.end());
  return all;
}

RecordSource peers_records(const Document& document, const LocalFacts& local) {
  auto of = [&document](auto part) -> Part {
    return [&document, part](const RecordSink& sink) { return part(document, sink); };
  };
  auto meta = [&document, local](const RecordSink& sink) {
    return sink("meta", encode(peers_meta(document, local)));
  };
  return in_order({of(put_expiry), of(put_logins), meta, of(put_reachable), of(put_peers)});
}

RecordSource policy_records(const Document& document) {
  auto of = [&document](auto part) -> Part {
    return [&document, part](const RecordSink& sink) { return part(document, sink); };
  };
  auto ends = [&document](const char* side, std::vector<PolicyEnd> PolicyEntry::*list) -> Part {
    return [&document, side, list](const RecordSink& sink) { return put_ends(document, side, list, sink); };
  };
  auto meta = [&document](const RecordSink& sink) { return sink("meta", encode(policy_meta(document))); };
  return in_order({of(put_addresses), ends("dst:", &PolicyEntry::destinations), of(put_user_groups),
                   of(put_issuers), meta, of(put_policy_peers), of(put_policies),
                   ends("src:", &PolicyEntry::sources), of(put_users)});
}

Records compile_peers(const Document& document, const LocalFacts& local) {
  return collect(peers_records(document, local));
}

Records compile_policy(const Document& document) {
  return collect(policy_records(document));
}

}  // namespace qf
