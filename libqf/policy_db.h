// SPDX-License-Identifier: Apache-2.0
// policy.mdb: who may do what (0600): issuers, users, groups and policies, indexed so that a decision never
// scans. Written by qf-up, read by qf-sshd (and by qf-up itself, to explain).
//
//   key                     value
//   meta                    PolicyMeta
//   issuer:NAME             IssuerRecord
//   user:ISSUER\0SUBJECT    StringList: the document's user groups that name this identity
//   group:NAME              StringList, empty: NAME is a key of the document's user_groups
//   addr:ADDRESS            the name of the peer that has this canonical address
//   peer:NAME               PeerPolicyRecord
//   dst:p:PEER dst:g:GROUP  IdList: policies with this peer or peer group among their destinations, ascending
//   src:p:PEER src:g:GROUP  IdList: the same for sources
//   policy:ID               PolicyRecord; ID is its index in the document, 8 hex digits
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libqf/lmdb.h"
#include "libqf/secret.h"

namespace qf {

inline constexpr uint32_t kPolicyFormat = 2;

// What a policy may list in place of an OS user.
inline constexpr const char* kAnyOsUser = "*";
inline constexpr const char* kEmailLocal = "{email.local}";  // the local part of the verified email

struct StringList {
  std::vector<std::string> items;
  static void fields(auto& self, auto& visit) { visit(self.items); }
};
struct IdList {
  std::vector<uint32_t> items;
  static void fields(auto& self, auto& visit) { visit(self.items); }
};

struct PolicyMeta {
  uint32_t format = kPolicyFormat;
  uint64_t serial = 0;
  std::string domain;
  std::string document_hash;         // SHA-256 of the fabric document, hex
  std::vector<std::string> issuers;  // names

  static void fields(auto& self, auto& visit) {
    visit(self.format, self.serial, self.domain, self.document_hash, self.issuers);
  }
};

// The client as which this fabric's servers log in people who have none of our programs. Its tokens are bound
// to no key, so they are taken from the server itself alone.
struct ServerLogin {
  std::string client_id;
  std::optional<std::string> client_secret;
  std::vector<std::string> scopes;
  // a process that talks to clients is a fork of one that has read this
  ~ServerLogin() {
    if (client_secret) wipe(*client_secret);
  }
  static void fields(auto& self, auto& visit) { visit(self.client_id, self.client_secret, self.scopes); }
};

struct IssuerRecord {
  std::string name;
  std::string issuer;
  std::vector<std::string> audiences;
  std::optional<std::string> jwks_uri;  // none and no jwks: discovered
  std::optional<std::string> jwks;      // inline, JSON text
  std::optional<std::string> ca_file;
  uint32_t max_token_age = 600;  // seconds
  uint32_t clock_skew = 60;      // seconds
  std::string user_id_claim = "sub";
  std::string groups_claim = "groups";
  std::map<std::string, std::string> group_map;  // token group -> user group; "*" -> "*": every name as it is
  bool members_all = false;                      // "members": "all"
  std::map<std::string, std::string> required_claims;  // claim -> its value as JSON text
  std::vector<std::string> email_domains;
  bool accept_bearer = false;
  bool access_token = false;  // tokens are RFC 9068 access tokens, not id_tokens
  std::optional<ServerLogin> server_login;

  static void fields(auto& self, auto& visit) {
    visit(self.name, self.issuer, self.audiences, self.jwks_uri, self.jwks, self.ca_file, self.max_token_age,
          self.clock_skew, self.user_id_claim, self.groups_claim, self.group_map, self.members_all,
          self.required_claims, self.email_domains, self.accept_bearer, self.access_token, self.server_login);
  }
};

struct PeerPolicyRecord {
  std::string name;
  std::vector<std::string> addresses;
  bool ssh = false;
  std::string version;
  std::vector<std::string> groups;                 // the peer groups it is in
  std::vector<std::string> host_key_fingerprints;  // "SHA256:…" of each pinned key, sorted
  std::vector<std::string> issuers;                // names of the issuers that it takes; empty: all

  static void fields(auto& self, auto& visit) {
    visit(self.name, self.addresses, self.ssh, self.version, self.groups, self.host_key_fingerprints,
          self.issuers);
  }
};

enum class PolicyProtocol { kSsh, kTcp, kLast = kTcp };  // "qufabric-ssh", "tcp"

struct PortRange {
  uint16_t first = 0, last = 0;
  [[nodiscard]] bool covers(uint16_t port) const { return first <= port && port <= last; }
  static void fields(auto& self, auto& visit) { visit(self.first, self.last); }
};

struct PolicyRecord {
  std::string name;
  bool enabled = true;
  bool allow = true;  // false: "action": "deny"
  PolicyProtocol protocol = PolicyProtocol::kSsh;
  std::vector<PortRange> ports;  // tcp only
  bool full_access = false;      // qufabric-ssh only: "access": "full"
  std::map<std::string, std::vector<std::string>>
      authorized_groups;  // user group -> OS users; empty list with full
  std::vector<std::string> permit_open;
  std::vector<std::string> permit_listen;
  uint32_t max_session = 0;  // seconds, 0: no limit

  static void fields(auto& self, auto& visit) {
    visit(self.name, self.enabled, self.allow, self.protocol, self.ports, self.full_access,
          self.authorized_groups, self.permit_open, self.permit_listen, self.max_session);
  }
};

class PolicyDb {
 public:
  using Records = std::map<std::string, std::string>;
  [[nodiscard]] static Result<PolicyDb> open(const std::string& path);
  // Of records that are not in a file yet; they are borrowed.
  [[nodiscard]] static PolicyDb over(const Records& records) { return PolicyDb(records); }
  [[nodiscard]] Result<PolicyMeta> meta() const { return get<PolicyMeta>("meta"); }
  [[nodiscard]] Result<IssuerRecord> issuer(std::string_view name) const;
  [[nodiscard]] Result<PeerPolicyRecord> peer(std::string_view name) const;
  // By canonical address.
  [[nodiscard]] Result<PeerPolicyRecord> peer_at(std::string_view address) const;
  // Empty when the document names the identity nowhere; an error when its record cannot be read (it may be in
  // a group that is denied).
  [[nodiscard]] Result<std::vector<std::string>> groups_of_user(std::string_view issuer,
                                                                std::string_view subject) const;
  // Whether this is a key of the document's user_groups: a token may bring names of other groups.
  [[nodiscard]] bool is_user_group(std::string_view name) const;
  // Whether policies name a peer group of this name.
  [[nodiscard]] bool names_peer_group(std::string_view name) const;
  // The policies that name both peers, by themselves or by a group, in the document's order, disabled ones
  // too.
  [[nodiscard]] Result<std::vector<PolicyRecord>> policies_between(const PeerPolicyRecord& source,
                                                                   const PeerPolicyRecord& destination) const;
  // By its index in the document; kNotFound: it has fewer.
  [[nodiscard]] Result<PolicyRecord> policy(uint32_t id) const;
  // Ids of the policies that name the peer, by itself or by a group, among their sources or destinations.
  [[nodiscard]] Result<std::vector<uint32_t>> policies_from(const PeerPolicyRecord& source) const {
    return ids("src:", source);
  }
  [[nodiscard]] Result<std::vector<uint32_t>> policies_to(const PeerPolicyRecord& destination) const {
    return ids("dst:", destination);
  }
  // Calls visit(key without prefix, value) for every record of that prefix ("user:", "peer:", …), in the
  // order of the keys. For qf-up alone: a decision never scans.
  void scan(std::string_view prefix,
            const std::function<void(std::string_view, std::string_view)>& visit) const;

 private:
  explicit PolicyDb(LmdbReader reader) : reader_(std::move(reader)) {}
  explicit PolicyDb(const Records& records) : records_(&records) {}
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const;
  template <class T>
  [[nodiscard]] Result<T> get(std::string_view key) const {
    return read_record<T>(find(key), key);
  }
  [[nodiscard]] Result<std::vector<uint32_t>> ids(const std::string& side,
                                                  const PeerPolicyRecord& peer) const;
  std::optional<LmdbReader> reader_;
  const Records* records_ = nullptr;  // in place of a file
};

[[nodiscard]] std::string user_key(std::string_view issuer, std::string_view subject);
[[nodiscard]] std::string group_key(std::string_view group);
[[nodiscard]] std::string policy_key(uint32_t id);

}  // namespace qf
