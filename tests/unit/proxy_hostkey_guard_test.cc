// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/hostkey_guard.h"

#include <gtest/gtest.h>

#include "libqf/base64.h"
#include "tests/unit/proxy_tools.h"

namespace qf {
namespace {

using namespace test;

const std::string kPinned = host_key('a');
const std::string kWrong = host_key('b');

struct Outcome {
  std::string forwarded;
  std::optional<ErrorKind> error;
  std::string what;
  bool done = false;
};

// Everything at once, or in pieces of `chunk` bytes.
Outcome pass(std::string_view client, std::string_view server, size_t chunk = SIZE_MAX) {
  HostKeyGuard guard({host_key('x'), kPinned});
  Outcome out;
  auto feed = [&](std::string_view bytes, auto take) {
    while (!bytes.empty() && !out.error) {
      auto piece = bytes.substr(0, chunk);
      bytes.remove_prefix(piece.size());
      if (auto status = take(piece); !status) {
        out.error = status.error().kind;
        out.what = status.error().what;
      }
    }
  };
  feed(client, [&](std::string_view piece) { return guard.from_client(piece); });
  feed(server, [&](std::string_view piece) { return guard.from_server(piece, out.forwarded); });
  out.done = guard.done();
  return out;
}

std::string client(std::string_view methods = kCurve) {
  return kClientLine + kexinit(methods);
}
std::string server(std::string_view rest, std::string_view methods = kCurve) {
  return kServerLine + kexinit(methods) + std::string(rest);
}

TEST(HostKeyGuard, PassesAPinnedKey) {
  std::string bytes = server(reply(31, kPinned) + newkeys() + "encrypted");
  auto out = pass(client(), bytes);
  EXPECT_FALSE(out.error) << out.what;
  EXPECT_TRUE(out.done);
  EXPECT_EQ(out.forwarded, bytes) << "and nothing is lost or changed";
}

TEST(HostKeyGuard, EveryChunkSizeGivesTheSame) {
  std::string bytes = server(reply(31, kPinned) + newkeys() + "encrypted");
  for (size_t chunk : {1, 2, 3, 5, 7, 8, 16, 64, 100}) {
    auto out = pass(client(), bytes, chunk);
    EXPECT_FALSE(out.error) << chunk << out.what;
    EXPECT_EQ(out.forwarded, bytes) << chunk;
  }
}

TEST(HostKeyGuard, HoldsBackTheReplyOfAWrongKey) {
  std::string before = server("");
  for (size_t chunk : {SIZE_MAX, size_t{1}, size_t{13}}) {
    auto out = pass(client(), before + reply(31, kWrong) + newkeys() + "encrypted", chunk);
    ASSERT_TRUE(out.error);
    EXPECT_EQ(*out.error, ErrorKind::kRefused);
    EXPECT_EQ(out.forwarded, before) << "not one byte of the reply";
    EXPECT_NE(out.what.find("ssh-ed25519 " + base64(kWrong)), std::string::npos) << out.what;
  }
}

TEST(HostKeyGuard, HoldsBackAReplyUntilItIsWhole) {
  std::string before = server(""), last = reply(31, kPinned);
  for (size_t cut = 0; cut < last.size(); ++cut) {
    auto out = pass(client(), before + last.substr(0, cut));
    EXPECT_FALSE(out.error) << cut;
    EXPECT_EQ(out.forwarded, before) << cut;
  }
}

TEST(HostKeyGuard, EveryTruncationForwardsAPrefixAndIsNotDone) {
  std::string bytes = server(reply(31, kPinned) + newkeys());
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    auto out = pass(client(), bytes.substr(0, cut));
    EXPECT_FALSE(out.error) << cut << out.what;
    EXPECT_FALSE(out.done) << cut;
    EXPECT_EQ(out.forwarded, bytes.substr(0, out.forwarded.size())) << cut;
  }
}

TEST(HostKeyGuard, KeysThatAreNearlyRight) {
  for (const auto& key :
       {std::string(), kPinned.substr(0, kPinned.size() - 1), kPinned + "a", std::string("\0", 1)}) {
    auto out = pass(client(), server(reply(31, key)));
    EXPECT_EQ(out.error, ErrorKind::kRefused);
  }
}

TEST(HostKeyGuard, NothingPinnedPassesNothing) {
  HostKeyGuard guard({});
  std::string forward;
  ASSERT_TRUE(guard.from_client(client()));
  EXPECT_FALSE(guard.from_server(server(reply(31, kPinned)), forward));
}

TEST(HostKeyGuard, GroupExchange) {
  std::string bytes = server(group() + reply(33, kPinned) + newkeys() + "rest", kGroupExchange);
  auto out = pass(client(kGroupExchange), bytes);
  EXPECT_FALSE(out.error) << out.what;
  EXPECT_EQ(out.forwarded, bytes);
  EXPECT_TRUE(out.done);
  std::string before = server(group(), kGroupExchange);
  out = pass(client(kGroupExchange), before + reply(33, kWrong));
  EXPECT_EQ(out.error, ErrorKind::kRefused);
  EXPECT_EQ(out.forwarded, before);
}

TEST(HostKeyGuard, GroupExchangeIsNoWayAroundIt) {
  auto refused = [](std::string_view client_methods, const std::string& server_bytes) {
    auto out = pass(client(client_methods), server_bytes);
    EXPECT_TRUE(out.error) << "passed: " << out.forwarded.size();
    EXPECT_FALSE(out.done);
  };
  refused(kGroupExchange, server(reply(33, kPinned), kGroupExchange));  // without a group
  refused(kGroupExchange, server(group() + group(), kGroupExchange));   // two groups
  refused(kGroupExchange, server(reply(31, kPinned), kGroupExchange));  // a reply that looks like a group
  refused(kGroupExchange,
          server(group() + reply(31, kPinned), kGroupExchange));  // the reply of other methods
  refused(kCurve, server(group()));                               // a group out of the blue
  refused(kCurve, server(reply(33, kPinned)));
}

TEST(HostKeyGuard, TheMethodIsTheClientsFirstThatTheServerHas) {
  std::string ours = std::string("sntrup761x25519-sha512@openssh.com,") + kCurve + "," + kGroupExchange +
                     ",ext-info-c,kex-strict-c-v00@openssh.com";
  // the server's order does not count
  EXPECT_FALSE(
      pass(client(ours), server(reply(31, kPinned), std::string(kGroupExchange) + "," + kCurve)).error);
  // markers are no methods, even when the server sends the client's
  std::string markers = std::string("ext-info-c,kex-strict-c-v00@openssh.com,") + kGroupExchange;
  EXPECT_FALSE(
      pass(client(std::string("ext-info-c,") + kGroupExchange), server(group() + reply(33, kPinned), markers))
          .error);
  EXPECT_TRUE(pass(client(kCurve), server(reply(31, kPinned), "ecdh-sha2-nistp256")).error)
      << "nothing in common";
  EXPECT_TRUE(pass(client("gss-group14-sha256-x"), server(reply(31, kPinned), "gss-group14-sha256-x")).error);
}

TEST(HostKeyGuard, ForgedNewKeys) {
  std::string before = server("");
  auto out = pass(client(), before + newkeys() + "as if it were encrypted");
  EXPECT_EQ(out.error, ErrorKind::kPeer);
  EXPECT_EQ(out.forwarded, before);
  out = pass(client(), kServerLine + newkeys());
  EXPECT_EQ(out.error, ErrorKind::kPeer);
  out = pass(client(), server(reply(31, kPinned) + packet("\x15more")));
  EXPECT_EQ(out.error, ErrorKind::kPeer);
}

TEST(HostKeyGuard, ASecondReply) {
  std::string before = server(reply(31, kPinned));
  auto out = pass(client(), before + reply(31, kWrong));
  EXPECT_EQ(out.error, ErrorKind::kPeer);
  EXPECT_EQ(out.forwarded, before);
}

TEST(HostKeyGuard, AGuessedPacketIsRefused) {
  auto out = pass(client(), kServerLine + kexinit(kCurve, true) + reply(31, kPinned) + reply(31, kWrong));
  EXPECT_EQ(out.error, ErrorKind::kPeer);
  EXPECT_EQ(out.forwarded, kServerLine);
  // the client's own guess is nothing to worry about
  std::string bytes = server(reply(31, kPinned) + newkeys());
  out = pass(kClientLine + kexinit(kCurve, true) + packet("\x1eguess"), bytes);
  EXPECT_EQ(out.forwarded, bytes);
}

TEST(HostKeyGuard, HarmlessMessagesPassAnywhere) {
  std::string ignore = packet("\2ignored"), debug = packet(std::string("\4\0\0\0\0\0\0\0\0\0", 10));
  std::string bytes =
      kServerLine + ignore + kexinit(kCurve) + debug + reply(31, kPinned) + ignore + newkeys();
  auto out = pass(client(), bytes);
  EXPECT_FALSE(out.error) << out.what;
  EXPECT_EQ(out.forwarded, bytes);
  std::string bye = server(packet(std::string("\1\0\0\0\2\0\0\0\0\0\0\0\0", 13)));
  EXPECT_EQ(pass(client(), bye).forwarded, bye);
}

TEST(HostKeyGuard, EveryOtherMessageBeforeTheReplyIsRefused) {
  for (int type = 0; type < 256; ++type) {
    if (type == 1 || type == 2 || type == 4 || type == 31) continue;
    std::string before = server("");
    auto out = pass(client(), before + packet(std::string(1, static_cast<char>(type)) + "body"));
    EXPECT_EQ(out.error, ErrorKind::kPeer) << type;
    EXPECT_EQ(out.forwarded, before) << type;
  }
}

TEST(HostKeyGuard, AnAnswerBeforeTheClientHasAsked) {
  EXPECT_EQ(pass("", server(reply(31, kPinned))).error, ErrorKind::kPeer);
  EXPECT_EQ(pass(kClientLine, server(reply(31, kPinned))).error, ErrorKind::kPeer);
}

TEST(HostKeyGuard, MalformedPackets) {
  auto kind = [](std::string_view bytes) { return pass(client(), kServerLine + std::string(bytes)).error; };
  auto header = [](uint32_t length, uint8_t padding) {
    return WireWriter().uint32(length).byte(padding).bytes();
  };
  EXPECT_EQ(kind(header(0, 0)), ErrorKind::kPeer);
  EXPECT_EQ(kind(header(11, 4)), ErrorKind::kPeer) << "not a multiple of eight";
  EXPECT_EQ(kind(header(4, 4)), ErrorKind::kPeer) << "shorter than any packet";
  EXPECT_EQ(kind(header(0xfffffffc, 4)), ErrorKind::kPeer) << "4 + length wraps in 32 bits";
  EXPECT_EQ(kind(header(kMostPlainPacket + 4, 4)), ErrorKind::kPeer) << "oversize, without waiting for it";
  EXPECT_EQ(kind(header(12, 3) + std::string(11, '\2')), ErrorKind::kPeer) << "too little padding";
  EXPECT_EQ(kind(header(12, 11) + std::string(11, '\2')), ErrorKind::kPeer) << "no payload";
  EXPECT_EQ(kind(header(12, 200) + std::string(11, '\2')), ErrorKind::kPeer) << "more padding than packet";
  EXPECT_EQ(kind(header(12, 10) + std::string(11, '\2')), std::nullopt) << "one byte of payload is enough";
}

TEST(HostKeyGuard, MalformedMessages) {
  auto kind = [](const std::string& bytes) { return pass(client(), kServerLine + bytes).error; };
  std::string init = kexinit(kCurve);
  std::string payload = init.substr(5, init.size() - 5 - static_cast<unsigned char>(init[4]));
  for (size_t cut = 1; cut < payload.size(); ++cut) EXPECT_TRUE(kind(packet(payload.substr(0, cut)))) << cut;
  EXPECT_TRUE(kind(packet(payload + "x"))) << "one byte too many";
  std::string answer = reply(31, kPinned);
  payload = answer.substr(5, answer.size() - 5 - static_cast<unsigned char>(answer[4]));
  for (size_t cut = 1; cut < payload.size(); ++cut)
    EXPECT_TRUE(kind(init + packet(payload.substr(0, cut)))) << cut;
  EXPECT_TRUE(kind(init + packet(payload + "x"))) << "one byte too many";
}

TEST(HostKeyGuard, IdentificationLines) {
  auto kind = [](const std::string& bytes) { return pass(client(), bytes).error; };
  EXPECT_EQ(kind("hello\r\nSSH-2.0-x\r\n"), ErrorKind::kPeer) << "no lines before it";
  EXPECT_EQ(kind("SSH-1.5-x\r\n"), ErrorKind::kPeer);
  EXPECT_EQ(kind("SSH-2.0-x\ry\r\n"), ErrorKind::kPeer) << "a CR that some take for the end";
  EXPECT_EQ(kind(std::string("SSH-2.0-x\0y\r\n", 13)), ErrorKind::kPeer);
  EXPECT_EQ(kind("SSH-2.0-" + std::string(300, 'x')), ErrorKind::kPeer);
  EXPECT_EQ(kind("SSH-2.0"), std::nullopt) << "not whole yet";
  EXPECT_EQ(kind("GET /"), ErrorKind::kPeer);
  EXPECT_EQ(kind("SSH-2.0-x\n" + kexinit(kCurve)), std::nullopt) << "LF alone";
}

TEST(HostKeyGuard, EndlessTalkEnds) {
  std::string ignore = packet("\2" + std::string(30'000, 'x'));
  std::string bytes = kServerLine;
  for (int i = 0; i < 20; ++i) bytes += ignore;
  auto out = pass(client(), bytes);
  EXPECT_EQ(out.error, ErrorKind::kPeer);
  EXPECT_LE(out.forwarded.size(), kMostPlainBytes);
}

TEST(HostKeyGuard, ClientsThatAreNone) {
  auto kind = [](const std::string& bytes) { return pass(bytes, "").error; };
  EXPECT_EQ(kind("GET / HTTP/1.0\r\n"), ErrorKind::kPeer);
  EXPECT_EQ(kind(kClientLine + packet("\x15")), ErrorKind::kPeer);
  EXPECT_EQ(kind(kClientLine + packet("\2x") + kexinit(kCurve) + "anything after it"), std::nullopt);
}

TEST(HostKeyGuard, BlobsOfPinnedLines) {
  auto blobs =
      host_key_blobs({"ssh-ed25519 " + base64(kPinned), "ssh-rsa AAAA comment", "broken", "ssh-rsa !!!", ""});
  ASSERT_EQ(blobs.size(), 2U);
  EXPECT_EQ(blobs[0], kPinned);
  EXPECT_EQ(blobs[1], std::string(3, '\0'));
}

}  // namespace
}  // namespace qf
