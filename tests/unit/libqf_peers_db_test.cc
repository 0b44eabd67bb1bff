// SPDX-License-Identifier: Apache-2.0
#include "libqf/peers_db.h"

#include <gtest/gtest.h>

#include "libqf/crypto.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

PeerRecord db1() {
  return {"db1", {"100.119.230.104", "fd00::68"}, true, "0.61.0", {"ssh-ed25519 AAAA"}, {"corp"}};
}

std::map<std::string, std::string> records() {
  PeersMeta meta;
  meta.serial = 42;
  meta.domain = "fabric.example";
  meta.issuers = {"corp"};
  meta.peers = 1;
  LoginRecord login;
  login.name = "corp";
  login.flow = LoginFlow::kMachine;
  login.jwks = "{}";
  return {{"meta", encode(meta)},
          {"p:db1", encode(db1())},
          {"n:db1", "db1"},
          {"n:db1.fabric.example", "db1"},
          {"n:100.119.230.104", "db1"},
          {"n:fd00::68", "db1"},
          {"n:ghost", "gone"},
          {"i:corp", encode(login)}};
}

TEST(PeersDb, FindsByAnyName) {
  test::Scratch scratch;
  ASSERT_TRUE(write_lmdb(scratch.path("peers.mdb"), records(), 0644));
  auto db = PeersDb::open(scratch.path("peers.mdb"));
  ASSERT_TRUE(db) << db.error().text();
  EXPECT_EQ(db->meta()->serial, 42U);
  EXPECT_EQ(db->meta()->domain, "fabric.example");
  for (std::string_view name : {"db1", "DB1", "Db1.Fabric.EXAMPLE", "100.119.230.104", "fd00::68",
                                "FD00:0:0::68", "::ffff:100.119.230.104"}) {
    auto peer = db->find_peer(name);
    ASSERT_TRUE(peer) << name;
    EXPECT_EQ(peer->name, "db1");
    EXPECT_EQ(peer->ssh_host_keys, std::vector<std::string>{"ssh-ed25519 AAAA"});
  }
  for (std::string_view name : {"", "db2", "db1.", "db1 ", "100.119.230.105", "fabric.example"}) {
    EXPECT_EQ(db->find_peer(name).error().kind, ErrorKind::kNotFound) << name;
  }
  EXPECT_EQ(db->find_peer(std::string(1000, 'a')).error().kind, ErrorKind::kNotFound);
  EXPECT_FALSE(db->find_peer("ghost")) << "a name that leads nowhere";
}

TEST(PeersDb, FindsIssuers) {
  test::Scratch scratch;
  ASSERT_TRUE(write_lmdb(scratch.path("peers.mdb"), records(), 0644));
  auto db = PeersDb::open(scratch.path("peers.mdb"));
  ASSERT_TRUE(db);
  auto login = db->find_issuer("corp");
  ASSERT_TRUE(login);
  EXPECT_EQ(login->flow, LoginFlow::kMachine);
  EXPECT_EQ(login->jwks, "{}");
  EXPECT_EQ(login->jwks_uri, std::nullopt);
  EXPECT_EQ(db->find_issuer("Corp").error().kind, ErrorKind::kNotFound);
}

TEST(PeersDb, MissingOrOfAnotherFormat) {
  test::Scratch scratch;
  std::string path = scratch.path("peers.mdb");
  EXPECT_EQ(PeersDb::open(path).error().kind, ErrorKind::kNotFound);
  auto all = records();
  PeersMeta meta;
  meta.format = kDatabaseFormat + 1;
  for (const std::string& bad : {encode(meta), std::string("garbage"), std::string()}) {
    all["meta"] = bad;
    ASSERT_TRUE(write_lmdb(path, all, 0644));
    auto db = PeersDb::open(path);
    ASSERT_FALSE(db);
    EXPECT_EQ(db.error().text(), path + " was written by another version; run: qf-up apply");
  }
  all.erase("meta");
  ASSERT_TRUE(write_lmdb(path, all, 0644));
  EXPECT_FALSE(PeersDb::open(path));
}

// Both sides of an upgrade read this: a change of a record needs a new kDatabaseFormat.
TEST(PeersDb, RecordsAreGolden) {
  EXPECT_EQ(hex(encode(db1())),
            "00000003646231"
            "00000002"
            "0000000f3130302e3131392e3233302e313034"
            "00000008666430303a3a3638"
            "01"
            "00000006302e36312e30"
            "00000001"
            "000000107373682d656432353531392041414141"
            "00000001"
            "00000004636f7270");
  LoginRecord login;
  login.name = "corp";
  login.max_token_age = 600;
  EXPECT_EQ(hex(encode(login)),
            "00000004636f7270"
            "00000000"
            "00000000"
            "00"
            "00"
            "00"
            "00000258"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00"          // access_token
            "00"          // client_secret
            "00000000"    // redirect_port
            "00"          // resource
            "00000000"    // file
            "00000000");  // command
  login.access_token = true;
  login.client_secret = "s";
  login.redirect_port = 8080;
  login.resource = "r";
  login.file = "~/t";
  login.command = {"/c", "-a"};
  EXPECT_EQ(hex(encode(login)).substr(78),
            "01"
            "010000000173"
            "00001f90"
            "010000000172"
            "000000037e2f74"
            "00000002"
            "000000022f63"
            "000000022d61");
  PeersMeta meta;
  meta.serial = 1;
  EXPECT_EQ(hex(encode(meta)),
            "00000002"
            "0000000000000001"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "00000000"
            "0000000000000000");
}

}  // namespace
}  // namespace qf
