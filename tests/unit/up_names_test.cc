// SPDX-License-Identifier: Apache-2.0
#include "qf-up/names.h"

#include "libqf/base64.h"
#include "libqf/wire.h"
#include "tests/unit/up_tools.h"

namespace qf {
namespace {

TEST(UpNames, PeerNames) {
  for (const char* good : {"db1", "Ann-Laptop", "a_b", "web.prod", "0x"})
    EXPECT_FALSE(peer_name_fault(good)) << good;
  for (const char* bad : {"", "-x", ".x", "a b", "a\"b", "a,b", "a*", "a..b", "a.", "1.2.3.4", "12", "10.1",
                          "fd00::1", "a%h", "a/b", "a\nb", "\xc3\xa4", "!a"})
    EXPECT_TRUE(peer_name_fault(bad)) << bad;
}

TEST(UpNames, OsUsers) {
  for (const char* good : {"root", "*", "{email.local}", "DOM\\ann", "a.b@c", "web-1"})
    EXPECT_FALSE(os_user_fault(good)) << good;
  for (const char* bad :
       {"-x", "a b", "a:b", "a/b", "{email}", "a*", "$(x)", "qufabric-tunnel", "a\nb", " a"})
    EXPECT_TRUE(os_user_fault(bad)) << bad;
}

TEST(UpNames, GroupNames) {
  EXPECT_FALSE(group_name_fault("Platform Engineering"));
  EXPECT_FALSE(group_name_fault("acme:admins"));
  for (const char* bad : {"", "*", " a", "a\n", "a\x1b[0m", "\xff"})
    EXPECT_TRUE(group_name_fault(bad)) << bad;
  EXPECT_TRUE(group_name_fault(std::string(201, 'a')));
}

TEST(UpNames, Versions) {
  for (const char* good : {"0.61.0", "1.2.3-rc1", "1.2.3+deb12"}) EXPECT_FALSE(version_fault(good)) << good;
  for (const char* bad :
       {"", "1", "0.61", "v0.61.0", "0.61.0.1", "0.61.0-", "0.61.x", "0.61.0 x", "99999999.1.1"})
    EXPECT_TRUE(version_fault(bad)) << bad;
}

TEST(UpNames, Urls) {
  for (const char* good : {"https://a.example", "https://a.example:8443/x", "http://127.0.0.1:1",
                           "http://localhost/x", "http://[::1]:80/", "https://[fd00::1]/"})
    EXPECT_FALSE(issuer_url_fault(good)) << good;
  for (const char* bad :
       {"", "x", "http://a.example", "https://", "https://a b", "https://a?b", "https://a#b", "https://u@a",
        "https://u:p@a", "https://a:x", "https://a:70000", "http://127.0.0.1.evil.example",
        "http://localhost@evil.example", "https://[::1", "https://[a]/", "HTTPS://a"})
    EXPECT_TRUE(issuer_url_fault(bad)) << bad;
  EXPECT_FALSE(endpoint_url_fault("https://a.example/jwks?v=1"));
  EXPECT_TRUE(endpoint_url_fault("https://a.example/jwks#v"));
}

TEST(UpNames, Uris) {
  EXPECT_FALSE(uri_fault("qufabric-machine:host"));
  for (const char* bad : {"", "host", ":x", "a:", "1a:b", "a b:c", "a:b c"})
    EXPECT_TRUE(uri_fault(bad)) << bad;
}

std::string key_line(const std::string& type, const WireWriter& blob) {
  return type + " " + base64(blob.bytes());
}

TEST(UpNames, HostKeys) {
  auto key = parse_host_key(std::string(test::kHostKey) + "   root@db1 and more \n");
  ASSERT_TRUE(key);
  EXPECT_EQ(key->line, test::kHostKey);
  EXPECT_TRUE(key->fingerprint.starts_with("SHA256:"));
  std::string point = "\x04" + std::string(64, 'x');
  EXPECT_TRUE(parse_host_key(key_line(
      "ecdsa-sha2-nistp256", WireWriter().string("ecdsa-sha2-nistp256").string("nistp256").string(point))));
  std::string modulus = std::string(1, '\0') + std::string(256, '\xff');
  EXPECT_TRUE(
      parse_host_key(key_line("ssh-rsa", WireWriter().string("ssh-rsa").string("\x01").string(modulus))));
}

TEST(UpNames, BadHostKeys) {
  std::string ed = "ssh-ed25519";
  std::string x(32, 'x');
  for (const auto& bad : std::vector<std::string>{
           "", "ssh-ed25519", "ssh-ed25519 !", "ssh-dss AAAA", "no-pty ssh-ed25519 AAAA",
           key_line(ed, WireWriter().string(ed).string(x + "x")),
           key_line(ed, WireWriter().string(ed).string(x).byte(0)), key_line(ed, WireWriter().string(ed)),
           key_line("ssh-rsa", WireWriter().string(ed).string(x)),
           key_line("ssh-rsa", WireWriter().string("ssh-rsa").string("\x01").string(std::string(128, 'x'))),
           key_line("ecdsa-sha2-nistp256",
                    WireWriter().string("ecdsa-sha2-nistp256").string("nistp384").string("\x04" + x + x))}) {
    EXPECT_FALSE(parse_host_key(bad)) << bad;
  }
  for (const char* placeholder :
       {"ssh-ed25519 AAAA...", "ssh-ed25519 <KEY>", "ssh-ed25519 AAAA\xe2\x80\xa6 root@db1"}) {
    auto key = parse_host_key(placeholder);
    ASSERT_FALSE(key) << placeholder;
    EXPECT_EQ(key.error().what, "a placeholder is in the key's place");
  }
  EXPECT_TRUE(parse_host_key(std::string(test::kHostKey) + " root <root@db1> ..."))
      << "a comment may be anything";
  std::string good = test::kHostKey;
  for (size_t i = 12; i + 1 < good.size(); ++i) EXPECT_FALSE(parse_host_key(good.substr(0, i))) << i;
}

}  // namespace
}  // namespace qf
