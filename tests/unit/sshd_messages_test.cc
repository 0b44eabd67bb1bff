// SPDX-License-Identifier: Apache-2.0
// The wire between the roles: golden bytes of every message, and everything that is not one.
#include "qf-sshd/counts.h"
#include "qf-sshd/helper_messages.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/messages.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/libqf_tools.h"

namespace qf::test {
namespace {

// One of each, with every field set. `golden`: the body in hex, written down by hand from the format
// (libqf/codec.h): numbers big-endian, strings and lists with a 32-bit length, enums 4 bytes, booleans one.
template <class T>
struct Sample {
  T message;
  const char* golden;
};

Sample<Hello> sample(Hello) {
  return {{}, "00000001"};
}
Sample<AuthRequest> sample(AuthRequest) {
  return {{"ann", AuthMethod::kCertificate, "blob", true},
          "00000003616e6e"
          "00000002"
          "00000004626c6f62"
          "01"};
}
Sample<AuthReply> sample(AuthReply) {
  return {{AuthVerdict::kAsk, "no", true, "do", "it"},
          "0000000300000002"
          "6e6f"
          "01"
          "00000002646f"
          "000000026974"};
}
Sample<SessionRequest> sample(SessionRequest) {
  return {{7,
           SessionKind::kExec,
           "ls",
           {{"A", "1"}, {"B", ""}},
           PtyRequest{"xt", 80, 24, 640, 480},
           true,
           X11{true, "M", "0a", 1}},
          "00000007"
          "00000001"
          "000000026c73"
          "00000002"
          "0000000141"
          "0000000131"
          "0000000142"
          "00000000"
          "01"
          "000000027874"
          "00000050"
          "00000018"
          "00000280"
          "000001e0"
          "01"
          "01"
          "01"
          "000000014d"
          "000000023061"
          "00000001"};
}
Sample<SessionReply> sample(SessionReply) {
  return {{7, true, "x", true, 2},
          "00000007"
          "01"
          "0000000178"
          "01"
          "00000002"};
}
Sample<SignalRequest> sample(SignalRequest) {
  return {{7, "INT"},
          "00000007"
          "00000003494e54"};
}
Sample<SessionClose> sample(SessionClose) {
  return {{7, 258, 1ULL << 40},
          "00000007"
          "0000000000000102"
          "0000010000000000"};
}
Sample<SessionExit> sample(SessionExit) {
  return {{7, 3, "KILL", true},
          "00000007"
          "00000003"
          "000000044b494c4c"
          "01"};
}
Sample<TunnelRequest> sample(TunnelRequest) {
  return {{9}, "00000009"};
}
Sample<TunnelReply> sample(TunnelReply) {
  return {{9}, "00000009"};
}
Sample<ConnectRequest> sample(ConnectRequest) {
  return {{5, "h", 80}, "00000005000000016800000050"};
}
Sample<ConnectReply> sample(ConnectReply) {
  return {{5, "e"}, "000000050000000165"};
}
Sample<ListenRequest> sample(ListenRequest) {
  return {{5, "h", 80}, "00000005000000016800000050"};
}
Sample<ListenReply> sample(ListenReply) {
  return {{5, 2, 80, "e"}, "0000000500000002000000500000000165"};
}
Sample<ListenCancel> sample(ListenCancel) {
  return {{5}, "00000005"};
}
Sample<ConnectEnd> sample(ConnectEnd) {
  return {{5}, "00000005"};
}
Sample<ForwardRefused> sample(ForwardRefused) {
  return {{true, "h", 80, "no"},
          "0100000001680000005000000002"
          "6e6f"};
}
Sample<ForwardEnd> sample(ForwardEnd) {
  return {{5, "no"}, "00000005000000026e6f"};
}
Sample<PolicyChanged> sample(PolicyChanged) {
  return {{}, ""};
}
Sample<ProtocolError> sample(ProtocolError) {
  return {{"no"}, "000000026e6f"};
}
Sample<HelperConnect> sample(HelperConnect) {
  return {{5, "h", 80, {"a"}}, "00000005000000016800000050000000010000000161"};
}
Sample<HelperListen> sample(HelperListen) {
  return {{5, "h", true, 80}, "0000000500000001680100000050"};
}
Sample<HelperAgent> sample(HelperAgent) {
  return {{5}, "00000005"};
}
Sample<HelperDisplay> sample(HelperDisplay) {
  return {{5}, "00000005"};
}
Sample<HelperRelease> sample(HelperRelease) {
  return {{5}, "00000005"};
}
Sample<HelperConnected> sample(HelperConnected) {
  return {{5, "e"}, "000000050000000165"};
}
Sample<HelperListening> sample(HelperListening) {
  return {{5, 2, 10, "p", "e"}, "00000005000000020000000a00000001700000000165"};
}
Sample<Disconnect> sample(Disconnect) {
  return {{"bye"}, "00000003627965"};
}
Sample<KeysWanted> sample(KeysWanted) {
  return {{"corp", "u", "j", std::nullopt},
          "00000004636f7270"
          "0000000175"
          "01"
          "000000016a"
          "00"};
}
Sample<KeysReply> sample(KeysReply) {
  return {{"corp", true},
          "00000004636f7270"
          "01"};
}
Sample<LoggedIn> sample(LoggedIn) {
  return {{true}, "01"};
}
Sample<FetchRequest> sample(FetchRequest) {
  return {{"c", "u", "j", std::nullopt},
          "0000000163"
          "0000000175"
          "01"
          "000000016a"
          "00"};
}
Sample<DeviceLoginStart> sample(DeviceLoginStart) {
  return {{1, "c", "u", "f", "id", "s", {"openid"}, {"o", ""}},
          "0000000000000001"
          "0000000163"
          "0000000175"
          "010000000166"
          "000000026964"
          "00000001"
          "000000066f70656e6964"
          "00000002"
          "000000016f"
          "00000000"
          "010000000173"};
}
Sample<DeviceLoginCancel> sample(DeviceLoginCancel) {
  return {{256}, "0000000000000100"};
}
Sample<DeviceLoginPrompt> sample(DeviceLoginPrompt) {
  return {{1, "u", "c", "A", 300},
          "0000000000000001"
          "0000000175"
          "0000000163"
          "0000000141"
          "0000012c"};
}
Sample<DeviceLoginEnd> sample(DeviceLoginEnd) {
  return {{1, "t", "e", "h"},
          "0000000000000001"
          "0000000165"
          "0000000168"
          "0000000174"};
}
Sample<DocumentRequest> sample(DocumentRequest) {
  return {{"u", "f", "e", "l"},
          "0000000175"
          "010000000166"
          "0000000165"
          "000000016c"};
}
Sample<DocumentReply> sample(DocumentReply) {
  return {{"e", "h", true, "t", "l", 60},
          "0000000165"
          "0000000168"
          "01"
          "0000000174"
          "000000016c"
          "0000003c"};
}
Sample<EtcdRequest> sample(EtcdRequest) {
  return {{{"m"}, "/p", true, "f", "u", "c", "k", "w"},
          "00000001000000016d"
          "000000022f70"
          "01"
          "010000000166"
          "0000000175"
          "0000000163"
          "000000016b"
          "0000000177"};
}
Sample<EtcdReply> sample(EtcdReply) {
  return {{"e", "h"}, "00000001650000000168"};
}
Sample<EtcdNext> sample(EtcdNext) {
  return {{}, ""};
}
Sample<EtcdWrite> sample(EtcdWrite) {
  return {{7}, "0000000000000007"};
}
Sample<EtcdWritten> sample(EtcdWritten) {
  return {{"e", "h", true, false, 7}, "0000000165000000016801000000000000000007"};
}
Sample<FetchReply> sample(FetchReply) {
  return {{"c", "e", 60},
          "0000000163"
          "0000000165"
          "0000003c"};
}

Sample<StatusRequest> sample(StatusRequest) {
  return {{3}, "00000003"};
}
Sample<StatusReply> sample(StatusReply) {
  return {{3, {{7, 258, 1ULL << 40}}, 2, 1, 5},
          "00000003"
          "00000001"
          "00000007"
          "0000000000000102"
          "0000010000000000"
          "00000002"
          "0000000000000001"
          "0000000000000005"};
}
Sample<Register> sample(Register) {
  return {{1, "ab", "::1", 22, "p", 258, true},
          "00000001"
          "000000026162"
          "000000033a3a31"
          "00000016"
          "0000000170"
          "0000000000000102"
          "01"};
}
Sample<ConnectionQuery> sample(ConnectionQuery) {
  return {{3}, "00000003"};
}
Sample<ConnectionReport> sample(ConnectionReport) {
  return {{3, "c:a", "u", "m", true, false, 1, 2, 4, {{7, SessionKind::kExec, "ls", true, 9, 258, 5, 6}}, 8},
          "00000003"
          "00000003633a61"
          "0000000175"
          "000000016d"
          "01"
          "00"
          "0000000000000001"
          "0000000000000002"
          "00000004"
          "00000001"
          "00000007"
          "00000001"
          "000000026c73"
          "01"
          "00000009"
          "0000000000000102"
          "0000000000000005"
          "0000000000000006"
          "00000008"};
}

Sample<Tally> sample(Tally) {
  return {{{{7, 258}, {8, 1}}, {1, 2, 3}},
          "00000002"
          "000000070000000000000102"
          "000000080000000000000001"
          "00000001"
          "00000002"
          "00000003"};
}
Sample<ForwardTraffic> sample(ForwardTraffic) {
  return {{258, 1}, "00000000000001020000000000000001"};
}

using AllMessages = ::testing::Types<
    Hello, AuthRequest, AuthReply, SessionRequest, SessionReply, SignalRequest, SessionClose, SessionExit,
    TunnelRequest, TunnelReply, Disconnect, KeysWanted, KeysReply, LoggedIn, FetchRequest, FetchReply,
    DocumentRequest, DocumentReply, ConnectRequest, ConnectReply, ListenRequest, ListenReply, ListenCancel,
    HelperConnect, HelperListen, HelperAgent, HelperDisplay, HelperRelease, HelperConnected, HelperListening,
    ProtocolError, StatusRequest, StatusReply, Register, ConnectionQuery, ConnectionReport, ConnectEnd,
    ForwardRefused, ForwardEnd, DeviceLoginStart, DeviceLoginCancel, DeviceLoginPrompt, DeviceLoginEnd,
    PolicyChanged, Tally, ForwardTraffic, EtcdRequest, EtcdReply, EtcdNext, EtcdWrite, EtcdWritten>;

// A message of this type as it comes from a socket.
template <class T>
Message arrived(std::string body, size_t fds = T::kFds) {
  Message message;
  message.type = static_cast<uint32_t>(T::kType);
  message.body = std::move(body);
  for (size_t i = 0; i < fds; ++i) message.fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return message;
}

template <class T>
class EachMessage : public ::testing::Test {};
TYPED_TEST_SUITE(EachMessage, AllMessages);

TYPED_TEST(EachMessage, GoldenBytes) {
  auto s = sample(TypeParam{});
  EXPECT_EQ(hex(encode(s.message)), s.golden);
  auto opened = open_message<TypeParam>(arrived<TypeParam>(unhex(s.golden)));
  ASSERT_TRUE(opened) << opened.error().text();
  EXPECT_EQ(encode(*opened), unhex(s.golden)) << "round trip";
}

TYPED_TEST(EachMessage, EveryTruncation) {
  auto body = encode(sample(TypeParam{}).message);
  for (size_t n = 0; n < body.size(); ++n) {
    auto opened = open_message<TypeParam>(arrived<TypeParam>(body.substr(0, n)));
    ASSERT_FALSE(opened) << n << " of " << body.size() << " bytes";
    EXPECT_EQ(opened.error().kind, ErrorKind::kPeer);
  }
}

TYPED_TEST(EachMessage, OneByteTooMany) {
  auto body = encode(sample(TypeParam{}).message);
  for (char extra : {'\0', '\1', '\xff'}) {
    EXPECT_FALSE(open_message<TypeParam>(arrived<TypeParam>(body + extra)));
  }
}

TYPED_TEST(EachMessage, Oversize) {
  auto opened = open_message<TypeParam>(arrived<TypeParam>(std::string(TypeParam::kMostBytes + 1, '\0')));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().text(), "message too long");
  EXPECT_LE(TypeParam::kMostBytes + sizeof(uint32_t), kMostMessageBytes) << "it must fit the socket";
}

TYPED_TEST(EachMessage, WrongNumberOfDescriptors) {
  auto body = encode(sample(TypeParam{}).message);
  for (size_t fds = 0; fds <= kMostMessageFds; ++fds) {
    bool right = fds == TypeParam::kFds;
    EXPECT_EQ(static_cast<bool>(open_message<TypeParam>(arrived<TypeParam>(body, fds))), right) << fds;
  }
}

TYPED_TEST(EachMessage, AnotherType) {
  auto body = encode(sample(TypeParam{}).message);
  for (uint32_t type = 0; type < 256; ++type) {
    auto message = arrived<TypeParam>(body);
    message.type = type;
    bool right = type == static_cast<uint32_t>(TypeParam::kType);
    EXPECT_EQ(static_cast<bool>(open_message<TypeParam>(message)), right) << type;
  }
}

TYPED_TEST(EachMessage, LengthsThatLie) {
  // every 32-bit word of the body in turn becomes huge: never a crash, an endless loop or a huge allocation
  auto body = encode(sample(TypeParam{}).message);
  for (size_t at = 0; at + 4 <= body.size(); ++at) {
    for (const char* word : {"\xff\xff\xff\xff", "\x7f\xff\xff\xff", "\x00\x00\x00\x7f"}) {
      auto bad = body;
      bad.replace(at, 4, std::string(word, 4));
      auto opened = open_message<TypeParam>(arrived<TypeParam>(bad));
      if (opened) {
        EXPECT_EQ(encode(*opened).size(), bad.size());
      }
    }
  }
}

TEST(Messages, EnumsAndBooleansOutOfRange) {
  auto request = encode(sample(AuthRequest{}).message);
  auto bad = request;
  bad[10] = 7;  // one above AuthMethod::kLast
  EXPECT_FALSE(open_message<AuthRequest>(arrived<AuthRequest>(bad)));
  bad = request;
  bad.back() = 2;
  EXPECT_FALSE(open_message<AuthRequest>(arrived<AuthRequest>(bad)));
  EXPECT_FALSE(open_message<LoggedIn>(arrived<LoggedIn>("\x02")));
}

TEST(Messages, ADoubledVariableIsMalformed) {
  auto body = unhex(
      "00000007"
      "00000001"
      "000000026c73"
      "00000002"
      "0000000141"
      "0000000131"
      "0000000141"
      "00000000"
      "00");
  EXPECT_FALSE(open_message<SessionRequest>(arrived<SessionRequest>(body)));
}

TEST(Messages, TheLongestCredentialsFit) {
  AuthRequest request{std::string(1024, 'u'), AuthMethod::kCertificate, std::string(64 * 1024, 'c'), true};
  EXPECT_LE(encode(request).size(), AuthRequest::kMostBytes);
}

TEST(Messages, TheLongestReportsFit) {
  StatusReply reply{1, std::vector<ChannelTraffic>(kMostChannelsTold)};
  EXPECT_LE(encode(reply).size(), StatusReply::kMostBytes);
  SessionStatus session;
  session.command = std::string(kMostCommandName, 'c');
  std::string text(kMostStatusText, 't');
  ConnectionReport report;
  report.identity = report.os_user = report.method = text;
  report.sessions.assign(kMostSessionsTold, session);
  EXPECT_LE(encode(report).size(), ConnectionReport::kMostBytes);
  EXPECT_LE(encode(Tally{std::vector<CountDelta>(kCounts), {}}).size(), Tally::kMostBytes);
}

// ---- states -----------------------------------------------------------------------------------------------

constexpr NetState kStates[] = {NetState::kStart, NetState::kUnknown,    NetState::kSession,
                                NetState::kOuter, NetState::kTunnelling, NetState::kRefused};

// Written out once more on purpose, pair by pair: start, unknown, session, outer, tunnelling.
struct StateRow {
  MessageType type;
  const char* legal;
};
constexpr StateRow kStateTable[] = {
    {MessageType::kHello, "y...."},
    {MessageType::kAuthRequest, ".y..."},
    {MessageType::kSessionRequest, "..y.."},
    {MessageType::kSignalRequest, "..y.."},
    {MessageType::kSessionClose, "..y.."},
    {MessageType::kTunnelRequest, "...y."},
    {MessageType::kAuthReply, "....."},
    {MessageType::kSessionReply, "....."},
    {MessageType::kSessionExit, "....."},
    {MessageType::kTunnelReply, "....."},
    {MessageType::kDisconnect, "....."},
    {MessageType::kKeysWanted, "....."},
    {MessageType::kKeysReply, "....."},
    {MessageType::kLoggedIn, "....."},
    {MessageType::kFetchRequest, "....."},
    {MessageType::kFetchReply, "....."},
    {MessageType::kDocumentRequest, "....."},
    {MessageType::kDocumentReply, "....."},
    {MessageType::kEtcdRequest, "....."},
    {MessageType::kEtcdReply, "....."},
    {MessageType::kEtcdNext, "....."},
    {MessageType::kEtcdWrite, "....."},
    {MessageType::kEtcdWritten, "....."},
    {MessageType::kConnectRequest, "..y.."},
    {MessageType::kListenRequest, "..y.."},
    {MessageType::kListenCancel, "..y.."},
    {MessageType::kConnectReply, "....."},
    {MessageType::kListenReply, "....."},
    {MessageType::kHelperConnect, "....."},
    {MessageType::kStatusReply, "..y.."},
    {MessageType::kProtocolError, ".yyyyy"},
    {MessageType::kStatusRequest, "....."},
    {MessageType::kRegister, "....."},
    {MessageType::kConnectionQuery, "....."},
    {MessageType::kConnectionReport, "....."},
    {MessageType::kConnectEnd, "..y.."},
    {MessageType::kForwardEnd, "....."},
    {MessageType::kPolicyChanged, "....."},
    {MessageType::kForwardRefused, "..y.."},
    {MessageType::kForwardTraffic, "..y.."},
    {MessageType::kTally, "....."},
    {MessageType::kDeviceLoginStart, "....."},
    {MessageType::kDeviceLoginCancel, "....."},
    {MessageType::kDeviceLoginPrompt, "....."},
    {MessageType::kDeviceLoginEnd, "....."},
};

TEST(Messages, WhatNetMaySayWhen) {
  std::set<uint32_t> known;
  for (const auto& row : kStateTable) {
    known.insert(static_cast<uint32_t>(row.type));
    for (size_t i = 0; i < std::size(kStates); ++i) {
      EXPECT_EQ(net_may_say(static_cast<uint32_t>(row.type), kStates[i]), row.legal[i] == 'y')
          << "type " << static_cast<uint32_t>(row.type) << " state " << static_cast<uint32_t>(kStates[i]);
    }
  }
  for (uint32_t type = 0; type < 1024; ++type) {
    if (known.contains(type)) continue;
    for (auto state : kStates) EXPECT_FALSE(net_may_say(type, state)) << type;
  }
  EXPECT_FALSE(net_may_say(0xffffffff, NetState::kSession));
}

TEST(Messages, TypesAreDistinct) {
  std::set<MessageType> types = {Hello::kType,
                                 AuthRequest::kType,
                                 AuthReply::kType,
                                 SessionRequest::kType,
                                 SessionReply::kType,
                                 SignalRequest::kType,
                                 SessionClose::kType,
                                 SessionExit::kType,
                                 TunnelRequest::kType,
                                 TunnelReply::kType,
                                 Disconnect::kType,
                                 KeysWanted::kType,
                                 KeysReply::kType,
                                 LoggedIn::kType,
                                 FetchRequest::kType,
                                 FetchReply::kType,
                                 DocumentRequest::kType,
                                 DocumentReply::kType,
                                 EtcdRequest::kType,
                                 EtcdReply::kType,
                                 EtcdNext::kType,
                                 EtcdWrite::kType,
                                 EtcdWritten::kType,
                                 StatusRequest::kType,
                                 StatusReply::kType,
                                 Register::kType,
                                 ConnectionQuery::kType,
                                 ConnectionReport::kType,
                                 ConnectEnd::kType,
                                 ForwardEnd::kType,
                                 PolicyChanged::kType,
                                 ForwardRefused::kType,
                                 DeviceLoginStart::kType,
                                 DeviceLoginCancel::kType,
                                 DeviceLoginPrompt::kType,
                                 DeviceLoginEnd::kType,
                                 Tally::kType,
                                 ForwardTraffic::kType};
  EXPECT_EQ(types.size(), 38U);
}

}  // namespace
}  // namespace qf::test
