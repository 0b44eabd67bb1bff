// SPDX-License-Identifier: Apache-2.0
#include "qf-up/compile.h"

#include "libqf/crypto.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/up_tools.h"

namespace qf {
namespace {

using test::good_document;
using test::sample_document;

std::vector<std::string> keys_of(const Records& records) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : records) keys.push_back(key);
  return keys;
}

template <class T>
T record(const Records& records, const std::string& key) {
  auto value = decode<T>(records.at(key));
  EXPECT_TRUE(value) << key;
  return value ? *value : T{};
}

TEST(UpCompile, PeersDatabase) {
  Records records = compile_peers(good_document(sample_document()), {"db1", 3600});
  EXPECT_EQ(keys_of(records),
            (std::vector<std::string>{"i:corp", "i:hosts", "meta", "n:100.119.230.104", "n:100.119.4.2",
                                      "n:ann-laptop", "n:ann-laptop.fabric.example", "n:db1",
                                      "n:db1.fabric.example", "n:fd00::68", "p:Ann-Laptop", "p:db1"}));
  EXPECT_EQ(records.at("n:ann-laptop.fabric.example"), "Ann-Laptop");
  auto meta = record<PeersMeta>(records, "meta");
  EXPECT_EQ(meta.serial, 42U);
  EXPECT_EQ(meta.self, "db1");
  EXPECT_EQ(meta.jwt_cache_ttl, 3600U);
  EXPECT_EQ(meta.peers, 2U);
  EXPECT_EQ(meta.document_hash, hex(sha256(sample_document())));
  EXPECT_EQ(meta.issuers, (std::vector<std::string>{"corp", "hosts"}));
  auto peer = record<PeerRecord>(records, "p:db1");
  EXPECT_TRUE(peer.ssh);
  EXPECT_EQ(peer.ssh_host_keys, std::vector<std::string>{test::kHostKey});
  EXPECT_EQ(peer.issuers, std::vector<std::string>{"corp"});
  auto login = record<LoginRecord>(records, "i:corp");
  EXPECT_EQ(login.client_id, "qufabric-cli");
  EXPECT_EQ(login.max_token_age, 700U);
  EXPECT_EQ(login.flow, LoginFlow::kDevice);
  EXPECT_EQ(record<LoginRecord>(records, "i:hosts").jwks, test::kJwks);
}

// Everything that "client" says reaches qf-tokend, with what the rest of the entry says of the issuer.
TEST(UpCompile, LoginRecord) {
  auto login_of = [](const std::string& members) {
    return record<LoginRecord>(
        compile_peers(good_document(test::sample_with(R"("flow": "device")", members)), {}), "i:corp");
  };
  auto login = login_of(R"("flow": "browser", "client_secret": "s", "redirect_port": 8080,
                           "resource": "https://fabric.example")");
  EXPECT_EQ(login.name, "corp");
  EXPECT_EQ(login.issuer, "https://idp.example/");
  EXPECT_EQ(login.audiences, std::vector<std::string>{"qufabric-cli"});
  EXPECT_EQ(login.jwks_uri, "https://idp.example/jwks");
  EXPECT_EQ(login.clock_skew, 30U);
  EXPECT_EQ(login.scopes, (std::vector<std::string>{"openid", "groups"}));
  EXPECT_EQ(login.flow, LoginFlow::kBrowser);
  EXPECT_EQ(login.client_secret, "s");
  EXPECT_EQ(login.redirect_port, 8080U);
  EXPECT_EQ(login.resource, "https://fabric.example");
  EXPECT_FALSE(login.access_token);
  EXPECT_EQ(login_of(R"("flow": "file", "file": "~/t")").file, "~/t");
  EXPECT_EQ(login_of(R"("flow": "command", "command": ["/c", "-a"])").command,
            (std::vector<std::string>{"/c", "-a"}));
  auto text = test::sample_with(R"("token": "id_token")", R"("token": "access_token")");
  EXPECT_TRUE(record<LoginRecord>(compile_peers(good_document(text), {}), "i:corp").access_token);
}

// Golden bytes: another program of another version reads these.
TEST(UpCompile, PeerRecordBytes) {
  Records records = compile_peers(good_document(R"({"format":1,"serial":1,"domain":"f.example","peers":[
        {"name":"b","addresses":["10.0.0.1"],"ssh":true,"version":"1.2.3"}]})"),
                                  {});
  EXPECT_EQ(hex(records.at("p:b")),
            "0000000162"  // name
            "00000001"
            "0000000831302e302e302e31"  // addresses
            "01"                        // ssh
            "00000005312e322e33"        // version
            "00000000"
            "00000000");  // host keys, issuers
}

TEST(UpCompile, AnIssuerWithoutAClientIsForServersOnly) {
  Document document = good_document(test::sample_with(R"(, "client": { "flow": "machine" })", ""));
  EXPECT_FALSE(compile_peers(document, {}).contains("i:hosts"));
  EXPECT_TRUE(compile_policy(document).contains("issuer:hosts"));
}

TEST(UpCompile, PolicyDatabase) {
  Records records = compile_policy(good_document(sample_document()));
  using std::string_literals::operator""s;
  EXPECT_EQ(keys_of(records),
            (std::vector<std::string>{"addr:100.119.230.104", "addr:100.119.4.2", "addr:fd00::68",
                                      "dst:g:databases", "group:DBAs", "group:Developers", "issuer:corp",
                                      "issuer:hosts", "meta", "peer:Ann-Laptop", "peer:db1",
                                      "policy:00000000", "policy:00000001", "src:g:laptops", "src:p:db1",
                                      "user:corp\0auth0|61"s, "user:corp\0auth0|7"s, "user:hosts\0build"s}));
  EXPECT_EQ(record<IdList>(records, "src:g:laptops").items, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(record<IdList>(records, "src:p:db1").items, (std::vector<uint32_t>{1}));
  EXPECT_EQ(record<StringList>(records, user_key("hosts", "build")).items,
            std::vector<std::string>{"Developers"});
  auto peer = record<PeerPolicyRecord>(records, "peer:db1");
  EXPECT_EQ(peer.groups, std::vector<std::string>{"databases"});
  ASSERT_EQ(peer.host_key_fingerprints.size(), 1U);
  EXPECT_TRUE(peer.host_key_fingerprints[0].starts_with("SHA256:"));
  auto policy = record<PolicyRecord>(records, "policy:00000000");
  EXPECT_EQ(policy.name, "dba");
  EXPECT_EQ(policy.authorized_groups.at("Developers"),
            (std::vector<std::string>{"developer", "{email.local}"}));
  EXPECT_FALSE(record<PolicyRecord>(records, "policy:00000001").enabled);
}

// LMDB takes them in this order only; names that sort otherwise in lower case, or with what follows them.
TEST(UpCompile, RecordsComeInTheOrderOfTheirKeys) {
  std::string text = R"({"format":1,"serial":1,"domain":"f.example","peers":[)";
  for (const char* name : {"b", "B-2", "a.f", "A", "a-1", "z9", "Z10", "a.f.examples"})
    text += std::string(R"({"name":")") + name + R"(","addresses":["10.0.0.)" +
            std::to_string(text.size() % 251) + R"("]},)";
  text.back() = ']';
  Document plain = good_document(text + R"(,"peer_groups":{"x":["b","A"],"e":["b"]}})");
  Document sample = good_document(sample_document());
  for (const Document* document : {&plain, &sample}) {
    for (const auto& source : {peers_records(*document, {}), policy_records(*document)}) {
      std::string last;
      EXPECT_TRUE(source([&](std::string_view key, std::string_view) -> Status {
        EXPECT_LT(last, key);
        last = key;
        return Done{};
      }));
    }
  }
  EXPECT_EQ(record<PeerPolicyRecord>(compile_policy(plain), "peer:b").groups,
            (std::vector<std::string>{"e", "x"}));
  EXPECT_TRUE(record<PeerPolicyRecord>(compile_policy(plain), "peer:B-2").groups.empty());
}

TEST(UpCompile, IsReadBackThroughTheDatabases) {
  test::Scratch scratch;
  Document document = good_document(sample_document());
  ASSERT_TRUE(write_lmdb(scratch.path("peers.mdb"), compile_peers(document, {"db1", 0}), 0644));
  ASSERT_TRUE(write_lmdb(scratch.path("policy.mdb"), compile_policy(document), 0600));
  auto peers = PeersDb::open(scratch.path("peers.mdb"));
  ASSERT_TRUE(peers);
  for (const char* name :
       {"DB1", "db1.FABRIC.example", "100.119.230.104", "fd00:0:0::68", "::ffff:100.119.230.104"})
    EXPECT_TRUE(peers->find_peer(name)) << name;
  EXPECT_FALSE(peers->find_peer("db2"));
  auto policy = PolicyDb::open(scratch.path("policy.mdb"));
  ASSERT_TRUE(policy);
  auto source = policy->peer_at("100.119.4.2");
  auto self = policy->peer("db1");
  ASSERT_TRUE(source);
  ASSERT_TRUE(self);
  auto between = policy->policies_between(*source, *self);
  ASSERT_TRUE(between);
  EXPECT_EQ(between->size(), 2U);
  EXPECT_TRUE(policy->is_user_group("DBAs"));
}

}  // namespace
}  // namespace qf
