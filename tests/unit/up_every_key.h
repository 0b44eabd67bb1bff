// SPDX-License-Identifier: Apache-2.0
// A good fabric document in which every key of the format stands (fabric.json(5);
// tests/bats/up_bad_documents.bats compares them). In each list and each object whose keys are names there is
// something.
#pragma once

namespace qf::test {

inline constexpr const char* kEveryKey = R"({
  "format": 1, "serial": 7, "domain": "fabric.example", "expires": "2999-01-31T00:00:00Z",
  "issuers": [
    { "name": "corp", "issuer": "https://idp.example/", "audiences": ["cli", "other"],
      "jwks_uri": "https://idp.example/jwks", "ca_file": "/etc/ca.pem", "max_token_age": 700, "clock_skew": 30,
      "user_id_claim": "oid", "groups_claim": "roles", "group_map": { "eng": "Developers" },
      "members": "listed", "required_claims": { "hd": "example.com" }, "email_domains": ["example.com"],
      "accept_bearer": false,
      "client": { "client_id": "cli", "scopes": ["openid", "groups"], "flow": "browser", "token": "id_token",
                  "client_secret": "s3cret", "resource": "https://idp.example/api", "redirect_port": 8400 },
      "server_login": { "client_id": "peers", "client_secret": "s3cret", "scopes": ["openid", "groups"] } },
    { "name": "hosts", "issuer": "qufabric-machine:ci", "audiences": ["fabric"],
      "jwks": {"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]},
      "client": { "flow": "machine" } },
    { "name": "pods", "issuer": "https://k8s.example/", "audiences": ["fabric"],
      "client": { "flow": "file", "file": "/run/token" } },
    { "name": "jobs", "issuer": "https://jobs.example/", "audiences": ["fabric"],
      "client": { "flow": "command", "command": ["/usr/bin/get-token", "--now"] } }
  ],
  "user_groups": { "Developers": ["corp:auth0|61", "hosts:build"], "DBAs": ["corp:auth0|7"] },
  "peer_groups": { "databases": ["db1"], "laptops": ["Laptop"] },
  "peers": [
    { "name": "db1", "addresses": ["100.119.230.104", "fd00::68"], "ssh": true, "version": "0.61.0",
      "ssh_host_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBCtqjOqdOdpMEw9Y0QVbRNiy+ruxfnzPtVm/iFuDKnh"],
      "issuers": ["corp", "hosts"] },
    { "name": "Laptop", "addresses": ["100.119.4.2"] }
  ],
  "policies": [
    { "name": "dba", "enabled": true, "action": "allow", "protocol": "qufabric-ssh",
      "sources": ["laptops", "db1"], "destinations": ["databases"], "access": "limited",
      "authorized_groups": { "DBAs": ["postgres"], "Developers": ["developer", "{email.local}"] },
      "permit_open": ["db.example:5432"], "permit_listen": ["localhost:8000-8010"], "max_session": 3600 },
    { "name": "ops", "action": "deny", "protocol": "tcp", "ports": ["20-30", "22022"],
      "sources": ["Laptop"], "destinations": ["databases"] }
  ],
  "tests": [
    { "name": "dba", "user": "corp:auth0|7", "from": "Laptop", "to": "db1", "login": "postgres", "expect": "allow",
      "policy": "dba", "groups": ["eng"], "claims": { "email": "ann@example.com" } }
  ]
})";

}  // namespace qf::test
