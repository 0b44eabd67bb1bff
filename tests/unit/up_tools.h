// SPDX-License-Identifier: Apache-2.0
// For the tests of qf-up: a good fabric document, to be made bad in one place at a time.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "qf-up/document.h"

namespace qf::test {

inline constexpr const char* kHostKey =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBCtqjOqdOdpMEw9Y0QVbRNiy+ruxfnzPtVm/iFuDKnh";
// RFC 8037 appendix A.2
inline constexpr const char* kJwks =
    R"({"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})";

inline std::string sample_document() {
  return R"({
  "format": 1, "serial": 42, "domain": "Fabric.example", "x-note": "top",
  "issuers": [
    { "name": "corp", "issuer": "https://idp.example/", "audiences": ["qufabric-cli"],
      "jwks_uri": "https://idp.example/jwks", "max_token_age": 700, "clock_skew": 30,
      "user_id_claim": "oid", "groups_claim": "roles", "group_map": { "eng": "Developers" },
      "members": "listed", "required_claims": { "hd": "example.com", "level": 3, "mfa": true },
      "email_domains": ["Example.com"], "accept_bearer": false,
      "client": { "client_id": "qufabric-cli", "scopes": ["openid", "groups"], "flow": "device",
                  "token": "id_token", "x-note": 1 } },
    { "name": "hosts", "issuer": "qufabric-machine:ci", "audiences": ["fabric"], "jwks": )" +
         std::string(kJwks) + R"(,
      "members": "all", "client": { "flow": "machine" } }
  ],
  "user_groups": { "Developers": ["corp:auth0|61", "hosts:build"], "DBAs": ["corp:auth0|7"] },
  "peer_groups": { "databases": ["db1"], "laptops": ["Ann-Laptop"] },
  "peers": [
    { "name": "db1", "addresses": ["100.119.230.104", "FD00:0::68"], "ssh": true, "version": "0.61.0",
      "ssh_host_keys": [")" +
         std::string(kHostKey) + R"( a comment"], "issuers": ["corp"] },
    { "name": "Ann-Laptop", "addresses": ["::ffff:100.119.4.2"], "ssh": false, "version": "0.61.0-rc1",
      "ssh_host_keys": [] }
  ],
  "policies": [
    { "name": "dba", "enabled": true, "action": "allow", "protocol": "qufabric-ssh",
      "sources": ["laptops"], "destinations": ["databases"], "access": "limited",
      "authorized_groups": { "DBAs": ["postgres"], "Developers": ["developer", "{email.local}"] } },
    { "name": "ops", "enabled": false, "action": "deny", "protocol": "tcp", "ports": ["20-30", "22022"],
      "sources": ["laptops", "db1"], "destinations": ["databases"] }
  ]
})";
}

// The sample with its one `from` replaced.
inline std::string sample_with(const std::string& from, const std::string& to) {
  std::string text = sample_document();
  size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  EXPECT_EQ(text.find(from, at + 1), std::string::npos) << from << " stands there twice";
  return text.replace(at, from.size(), to);
}

// `$.path: what`; where each lies is in up_json_place_test.cc
inline std::vector<std::string> faults_of(const std::string& text) {
  std::vector<std::string> faults;
  auto document = read_document(text);
  if (document) return faults;
  for (const auto& fault : document.error()) faults.push_back(fault.path + ": " + fault.what);
  return faults;
}

inline Document good_document(const std::string& text) {
  auto document = read_document(text);
  if (document) return std::move(*document);
  for (const auto& fault : document.error()) ADD_FAILURE() << fault.text();
  return {};
}

// `count` peers with ssh, a name and two addresses each.
inline std::string large_document(size_t count) {
  std::string text = R"({"format":1,"serial":1,"domain":"fabric.example","peers":[)";
  for (size_t i = 0; i < count; ++i) {
    std::string low = std::to_string(i & 255), middle = std::to_string((i >> 8) & 255);
    text += std::string(i == 0 ? "" : ",") + R"({"name":"host-)" + std::to_string(i) +
            R"(","addresses":["100.)" + std::to_string(64 + (i >> 16)) + "." + middle + "." + low +
            R"(","fd00::)" + std::to_string(i / 10000) + ":" + std::to_string(i % 10000) +
            R"("],"ssh":true,"ssh_host_keys":[")" + kHostKey + R"("]})";
  }
  return text + "]}";
}

}  // namespace qf::test
