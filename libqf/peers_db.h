// SPDX-License-Identifier: Apache-2.0
// peers.mdb: what every user of this machine may know (0644): peers with their names, addresses and host
// keys, and how to log in at the issuers. Written by qf-up, read by qf-detect, qf-proxy and qf-tokend.
//
//   key                  value
//   expires              when the document does, seconds since the epoch in digits; absent: never
//   meta                 PeersMeta
//   n:NAME_OR_ADDRESS    the peer's name; short name, NAME.DOMAIN and each canonical address, in lower case
//   p:PEER               PeerRecord
//   i:ISSUER             LoginRecord
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/lmdb.h"

namespace qf {

inline constexpr uint32_t kDatabaseFormat = 2;

struct PeersMeta {
  uint32_t format = kDatabaseFormat;
  uint64_t serial = 0;  // of the fabric document
  std::string domain;
  std::string document_hash;         // SHA-256 of the fabric document, hex
  std::string self;                  // this machine's peer name, empty when it is none
  uint32_t jwt_cache_ttl = 0;        // seconds; qf-up --ssh-jwt-cache-ttl
  std::vector<std::string> issuers;  // names, in the document's order
  uint64_t peers = 0;

  static void fields(auto& self_, auto& visit) {
    visit(self_.format, self_.serial, self_.domain, self_.document_hash, self_.self, self_.jwt_cache_ttl,
          self_.issuers, self_.peers);
  }
};

struct PeerRecord {
  std::string name;
  std::vector<std::string> addresses;  // canonical
  bool ssh = false;
  std::string version;
  std::vector<std::string> ssh_host_keys;  // "ssh-ed25519 AAAA…", no comment
  std::vector<std::string> issuers;        // names of the issuers that it takes; empty: all

  static void fields(auto& self, auto& visit) {
    visit(self.name, self.addresses, self.ssh, self.version, self.ssh_host_keys, self.issuers);
  }
};

enum class LoginFlow { kAuto, kBrowser, kDevice, kFile, kCommand, kMachine, kLast = kMachine };
// Whether logging in this way takes a person; the program is then an OAuth client of the issuer.
[[nodiscard]] constexpr bool needs_person(LoginFlow flow) {
  return flow == LoginFlow::kAuto || flow == LoginFlow::kBrowser || flow == LoginFlow::kDevice;
}

// How a client logs in at an issuer: the public part of the issuer's entry and its "client".
struct LoginRecord {
  std::string name;
  std::string issuer;
  std::vector<std::string> audiences;
  std::optional<std::string> jwks_uri;
  std::optional<std::string> jwks;  // inline, JSON
  std::optional<std::string> ca_file;
  uint32_t max_token_age = 0;  // seconds
  uint32_t clock_skew = 0;     // seconds
  std::string client_id;
  std::vector<std::string> scopes;
  LoginFlow flow = LoginFlow::kAuto;
  bool access_token = false;                 // "token": "access_token"
  std::optional<std::string> client_secret;  // no secret: everybody may read this file (RFC 8252 section 8.5)
  uint32_t redirect_port = 0;                // of the loopback redirect, 0: any that is free
  std::optional<std::string> resource;       // RFC 8707
  std::string file;                          // of the flow "file"; may begin with "~/"
  std::vector<std::string> command;          // of the flow "command": its arguments, the program's path first
  // Not stored: the member of the issuer's entry that names this client, for messages.
  const char* client_entry = "client";

  static void fields(auto& self, auto& visit) {
    visit(self.name, self.issuer, self.audiences, self.jwks_uri, self.jwks, self.ca_file, self.max_token_age,
          self.clock_skew, self.client_id, self.scopes, self.flow, self.access_token, self.client_secret,
          self.redirect_port, self.resource, self.file, self.command);
  }
};

class PeersDb {
 public:
  // kNotFound: no document was applied yet (hint for the user: qf-up apply).
  [[nodiscard]] static Result<PeersDb> open(const std::string& path);
  [[nodiscard]] Result<PeersMeta> meta() const { return reader_.get<PeersMeta>("meta"); }
  // 0: never
  [[nodiscard]] int64_t expires() const;
  // By any of its names or addresses; case does not matter. kNotFound when it is no peer.
  [[nodiscard]] Result<PeerRecord> find_peer(std::string_view name_or_address) const;
  // All of them, in the order of their names (bytes).
  void each_peer(const std::function<void(PeerRecord)>& visit) const;
  [[nodiscard]] Result<LoginRecord> find_issuer(std::string_view name) const;

 private:
  explicit PeersDb(LmdbReader reader) : reader_(std::move(reader)) {}
  LmdbReader reader_;
};

}  // namespace qf
