// SPDX-License-Identifier: Apache-2.0
#include "qf-up/ssh_config.h"

#include <algorithm>
#include <set>

#include "libqf/text.h"
#include "qf-up/host_patterns.h"
#include "tests/unit/up_tools.h"

namespace qf {
namespace {

using test::good_document;
using test::large_document;
using test::sample_document;

SshConfigSettings settings() {
  SshConfigSettings settings;
  settings.folders = {"/etc/q", "/var/q", "/run/user/7/q"};
  settings.detect_program = "/usr/bin/qf-detect";
  settings.proxy_program = "/usr/bin/qf-proxy";
  settings.ssh = {9, 2};
  return settings;
}

std::string config(const std::string& document, const SshConfigSettings& with = settings()) {
  auto text = render_ssh_config(good_document(document), with);
  EXPECT_TRUE(text);
  return text ? *text : "";
}

size_t longest_line(const std::string& text) {
  size_t most = 0;
  for (const auto& line : split(text, '\n')) most = std::max(most, line.size());
  return most;
}

TEST(UpSshConfig, OneBlock) {
  EXPECT_EQ(config(sample_document()),
            R"(# Written by qf-up from serial 42 of the fabric document; changes made here are lost.
Match host "db1,db1.fabric.example,100.119.230.104,fd00::68" exec "exec /usr/bin/qf-detect --config-dir /etc/q --state-dir /var/q --match '%h' '%p'"
  Port 22022
  ProxyCommand /usr/bin/qf-proxy --config-dir /etc/q --state-dir /var/q '%h' '%p'
  IdentityFile ~/.qufabric/ssh/subject
  CertificateFile ~/.qufabric/ssh/%h-cert.pub
  GlobalKnownHostsFile /var/q/known_hosts
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  AddKeysToAgent no
Match all
)");
}

TEST(UpSshConfig, OwnRuntimeFolder) {
  auto with = settings();
  with.own_runtime = true;
  std::string text = config(sample_document(), with);
  EXPECT_NE(text.find("IdentityFile /run/user/7/q/ssh/subject\n"), std::string::npos);
  EXPECT_NE(text.find("CertificateFile /run/user/7/q/ssh/%h-cert.pub\n"), std::string::npos);
  EXPECT_NE(text.find("--runtime-dir /run/user/7/q --match"), std::string::npos);
  EXPECT_NE(text.find("--runtime-dir /run/user/7/q '%h' '%p'"), std::string::npos);
}

TEST(UpSshConfig, NoPeersIsACommentOnly) {
  for (const auto& line : split(config(R"({"format":1,"serial":1,"domain":"f.example"})"), '\n'))
    EXPECT_TRUE(line.empty() || line[0] == '#') << line;
}

TEST(UpSshConfig, OnlyPeersWithSshAndAKey) {
  std::string text = config(
      R"({"format":1,"serial":1,"domain":"f.example","peers":[
        {"name":"nokey","addresses":["10.0.0.1"],"ssh":true},
        {"name":"nossh","addresses":["10.0.0.2"],"ssh_host_keys":[")" +
      std::string(test::kHostKey) + "\"]}]}");
  EXPECT_EQ(text.find("nokey"), std::string::npos);
  EXPECT_EQ(text.find("nossh"), std::string::npos);
}

// 500 peers: no line that a client built on libssh cannot read, and nothing is left out.
TEST(UpSshConfig, LinesStayShortUpTo5000Peers) {
  for (size_t count : {500U, 5000U}) {
    std::string text = config(large_document(count));
    EXPECT_LE(longest_line(text), kMostConfigLine);
    std::multiset<std::string> hosts;
    for (const auto& line : split(text, '\n')) {
      if (!line.starts_with("Match host \"")) continue;
      auto list = line.substr(12, line.find('"', 12) - 12);
      for (const auto& host : split(list, ',')) hosts.insert(host);
    }
    EXPECT_EQ(hosts.size(), 4 * count);
    EXPECT_EQ(hosts.count("host-" + std::to_string(count - 1) + ".fabric.example"), 1U);
    EXPECT_EQ(text.find("KnownHostsCommand"), std::string::npos);
  }
}

TEST(UpSshConfig, PatternsAbove5000Peers) {
  std::string text = config(large_document(5001));
  EXPECT_LT(text.size(), 4000U);
  EXPECT_NE(text.find("*.fabric.example"), std::string::npos);
  EXPECT_NE(text.find("\"*,!*.*,!*:*,!*'*\""), std::string::npos);
  EXPECT_NE(
      text.find(
          "KnownHostsCommand /usr/bin/qf-detect --config-dir /etc/q --state-dir /var/q --host-keys %H\n"),
      std::string::npos);
  EXPECT_NE(text.find("GlobalKnownHostsFile /dev/null"), std::string::npos);
  EXPECT_EQ(split(render_known_hosts(good_document(large_document(5001)), settings()), '\n').size(), 2U);
}

TEST(UpSshConfig, OldClientsGetNoKnownHostsCommand) {
  auto with = settings();
  with.ssh = {8, 4};
  EXPECT_EQ(config(large_document(5001), with).find("KnownHostsCommand"), std::string::npos);
  EXPECT_EQ(split(render_known_hosts(good_document(large_document(5001)), with), '\n').size(), 5003U);
}

TEST(UpSshConfig, PqWarningOnlyWhereSshKnowsTheWord) {
  auto with = settings();
  with.no_pq_warning = true;
  EXPECT_EQ(config(sample_document(), with).find("WarnWeakCrypto"), std::string::npos);
  with.ssh = {10, 1};
  EXPECT_NE(config(sample_document(), with).find("  WarnWeakCrypto no-pq-kex\n"), std::string::npos);
  with.no_pq_warning = false;
  EXPECT_EQ(config(sample_document(), with).find("WarnWeakCrypto"), std::string::npos);
}

TEST(UpSshConfig, FoldersThatCannotStandInTheFile) {
  for (const char* folder : {"/a b", "/a'b", "/a%h", "/a$b", "/a\"b", "/a\nb", "/a;b", "~x"}) {
    auto with = settings();
    with.folders.state = folder;
    EXPECT_FALSE(render_ssh_config(good_document(sample_document()), with)) << folder;
  }
  auto with = settings();
  with.folders.state = "/" + std::string(700, 'a');
  EXPECT_FALSE(render_ssh_config(good_document(sample_document()), with));
}

TEST(UpSshConfig, KnownHosts) {
  EXPECT_EQ(render_known_hosts(good_document(sample_document()), settings()),
            "# Written by qf-up; changes made here are lost.\n"
            "[db1]:22022,db1,[db1.fabric.example]:22022,db1.fabric.example,[100.119.230.104]:22022,"
            "100.119.230.104,[fd00::68]:22022,fd00::68 " +
                std::string(test::kHostKey) + "\n");
}

TEST(UpSshConfig, SshVersions) {
  EXPECT_EQ(parse_ssh_version("OpenSSH_9.2p1 Debian-2+deb12u7, OpenSSL 3.0.17"), (SshVersion{9, 2}));
  EXPECT_EQ(parse_ssh_version("OpenSSH_10.1p1, x"), (SshVersion{10, 1}));
  EXPECT_EQ(parse_ssh_version("OpenSSH_for_Windows_9.5p1"), (SshVersion{0, 0}));
  EXPECT_EQ(parse_ssh_version(""), (SshVersion{0, 0}));
  EXPECT_TRUE((SshVersion{10, 1}).at_least({9, 9}));
  EXPECT_TRUE((SshVersion{10, 1}).at_least({10, 1}));
  EXPECT_FALSE((SshVersion{9, 9}).at_least({10, 1}));
}

std::vector<std::vector<std::string>> host_patterns(const std::vector<std::string>& hosts,
                                                    const std::string& domain) {
  HostPatterns patterns(domain);
  for (const auto& host : hosts) patterns.add(host);
  return patterns.lists();
}

TEST(UpHostPatterns, CoverEveryKindOfName) {
  auto lists = host_patterns({"db1", "db1.f.example", "web.prod", "10.1.2.3", "10.1.9.9", "fd00::1", "::1"},
                             "f.example");
  ASSERT_EQ(lists.size(), 2U);
  EXPECT_EQ(lists[0], (std::vector<std::string>{"*", "!*.*", "!*:*", "!*'*"}));
  EXPECT_EQ(lists[1], (std::vector<std::string>{"*.f.example", "*.prod", "10.1.2.*", "10.1.9.*", ":*",
                                                "fd00:*", "!*'*"}));
}

TEST(UpHostPatterns, StayFew) {
  std::vector<std::string> hosts;
  for (int i = 0; i < 200; ++i) {
    hosts.push_back("10." + std::to_string(i) + ".0.1");
    hosts.push_back("x.tld" + std::to_string(i));
    hosts.push_back(std::to_string(1000 + i) + "::1");
  }
  auto lists = host_patterns(hosts, "f.example");
  ASSERT_EQ(lists.size(), 1U);
  EXPECT_EQ(lists[0], (std::vector<std::string>{"*.*", "10.*", "*:*", "!*'*"}));
}

}  // namespace
}  // namespace qf
