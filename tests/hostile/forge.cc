// SPDX-License-Identifier: Apache-2.0
// Messages to the monitor that it must not take. An attack is called STATE-TYPE (a well-formed message of a
// type that is not legal in that state), STATE-TYPE-FAULT (a legal type, malformed) or STATE-FAULT (no
// message at all). What there is follows from messages.h, so that a new message is attacked as soon as it is
// in kSamples.
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <map>

#include "qf-sshd/helper_messages.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/messages.h"
#include "tests/hostile/attack.h"

namespace qf::hostile {

namespace {

constexpr int kPatienceMilliseconds = 8000;
constexpr size_t kMostControlFds = 64;

struct Sample {
  uint32_t type = 0;
  std::string body;
  size_t most_bytes = 0, fds = 0;
};

template <class T>
Sample sample(const T& message) {
  return {static_cast<uint32_t>(T::kType), encode(message), T::kMostBytes, T::kFds};
}

// Every message that there is, well formed; and types that nobody has.
std::vector<Sample> samples() {
  return {sample(Hello{}),
          sample(AuthRequest{"root", AuthMethod::kPassword, "x", true}),
          sample(SessionRequest{1, SessionKind::kExec, "id", {}, {}, false, {}}),
          sample(SignalRequest{1, "KILL"}),
          sample(SessionClose{1, 0, 0}),
          sample(TunnelRequest{1}),
          sample(ConnectRequest{1, "localhost", 22}),
          sample(ListenRequest{1, "localhost", 0}),
          sample(ListenCancel{1}),
          sample(AuthReply{AuthVerdict::kAllowed, "", false, "", ""}),
          sample(SessionReply{}),
          sample(SessionExit{}),
          sample(TunnelReply{}),
          sample(Disconnect{}),
          sample(ConnectReply{}),
          sample(ListenReply{}),
          sample(KeysWanted{"machine", "", std::nullopt, std::nullopt}),
          sample(KeysReply{}),
          sample(LoggedIn{}),
          sample(FetchRequest{}),
          sample(FetchReply{}),
          sample(DeviceLoginStart{}),
          sample(DeviceLoginCancel{}),
          sample(DeviceLoginPrompt{}),
          sample(DeviceLoginEnd{1, "token", "", ""}),
          sample(HelperConnect{}),
          sample(HelperListen{}),
          sample(HelperAgent{}),
          sample(HelperDisplay{}),
          sample(HelperRelease{}),
          sample(HelperConnected{}),
          sample(HelperListening{}),
          {0, "", 0, 0},
          {9999, "", 0, 0},
          {0xffffffff, "", 0, 0}};
}

struct StateName {
  NetState state;
  const char* name;
};
constexpr StateName kStateNames[] = {
    {NetState::kStart, "start"}, {NetState::kUnknown, "unknown"},       {NetState::kSession, "session"},
    {NetState::kOuter, "outer"}, {NetState::kTunnelling, "tunnelling"}, {NetState::kRefused, "refused"},
};

std::string packet(uint32_t type, const std::string& body) {
  std::string bytes;
  for (int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<char>(type >> shift));
  return bytes + body;
}

struct Forgery {
  std::string bytes;
  size_t fds = 0;
  std::string reason;  // that the monitor must give
};

// A legal type with a body that is not.
std::map<std::string, Forgery> malformed(const Sample& legal) {
  std::string reason = "net sent a malformed message of type " + std::to_string(legal.type);
  bool hello = legal.type == static_cast<uint32_t>(MessageType::kHello);
  std::string cut = legal.body.substr(0, legal.body.size() - 1);
  std::string over = legal.body + std::string(legal.most_bytes + 1 - legal.body.size(), '\0');
  // the first four bytes of every body are a number or the length of a text
  std::string endless = "\xff\xff\xff\xff" + legal.body.substr(4);
  std::map<std::string, Forgery> out = {{"none", {packet(legal.type, ""), 0, reason}},
                                        {"cut", {packet(legal.type, cut), 0, reason}},
                                        {"more", {packet(legal.type, legal.body + "x"), 0, reason}},
                                        {"over", {packet(legal.type, over), 0, reason}},
                                        {"fd", {packet(legal.type, legal.body), 1, reason}}};
  // of a Hello they are its version, which is well formed
  if (hello) out["endless"] = {packet(legal.type, endless), 0, "net speaks another version"};
  if (legal.type == static_cast<uint32_t>(MessageType::kAuthRequest))
    out["endless"] = {packet(legal.type, endless), 0, reason};
  return out;
}

// What is no message.
std::map<std::string, Forgery> garbage() {
  const std::string reason = "net sent a malformed message";
  return {{"empty", {"", 0, reason}},
          {"tiny", {"\1\1\1", 0, reason}},
          {"huge", {packet(1, std::string(kMostMessageBytes, 'x')), 0, reason}},
          {"fds", {packet(1, ""), kMostMessageFds + 1, reason}},
          {"many-fds", {packet(1, ""), kMostControlFds, reason}}};
}

std::map<std::string, Forgery> all_forgeries() {
  std::map<std::string, Forgery> out;
  for (const auto& [state, name] : kStateNames) {
    std::string prefix = std::string(name) + "-";
    for (const auto& one : samples()) {
      std::string type = std::to_string(one.type);
      if (!net_may_say(one.type, state)) {
        out[prefix + type] = {packet(one.type, one.body), one.fds,
                              "net sent a message of type " + type + " out of turn"};
        continue;
      }
      for (const auto& [fault, forgery] : malformed(one)) out[prefix + type + "-" + fault] = forgery;
    }
    if (state != NetState::kUnknown && state != NetState::kSession) continue;
    for (const auto& [fault, forgery] : garbage()) out[prefix + fault] = forgery;
  }
  Sample session = samples()[2];
  out["session-twice"] = {packet(session.type, session.body), 0, "net used a channel number twice"};
  return out;
}

// How a client gets there (tests/bats/hostile_net.bats).
std::string phase(const std::string& state) {
  if (state == "start") return "start";
  if (state == "session") return "after";
  return state == "outer" || state == "tunnelling" ? "outer" : "before";
}

// Brings the connection into the state, where the client alone has not.
bool reach(const Foothold& foothold, const std::string& state, const std::string& name) {
  auto ask = [&](const Sample& question) {
    return say(foothold.monitor, packet(question.type, question.body)) &&
           !hear(foothold.monitor).bytes.empty();
  };
  if (state == "tunnelling") return ask(sample(TunnelRequest{1}));
  if (state == "refused") return ask(sample(AuthRequest{"root", AuthMethod::kOther, "", true}));
  if (name == "session-twice") return ask(samples()[2]);
  return true;
}

}  // namespace

bool say(int monitor, const std::string& bytes, const std::vector<int>& fds) {
  std::string copy = bytes;
  iovec part = {copy.data(), copy.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostControlFds * sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  return ::sendmsg(monitor, &header, MSG_NOSIGNAL) >= 0;
}

Answer hear(int monitor) {
  pollfd polled = {monitor, POLLIN, 0};
  if (::poll(&polled, 1, kPatienceMilliseconds) <= 0) return {"nothing", {}};
  std::string buffer(kMostMessageBytes, '\0');
  iovec part = {buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMostControlFds * sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n = ::recvmsg(monitor, &header, 0);
  if (n <= 0) return {};
  Answer answer{buffer.substr(0, static_cast<size_t>(n)), {}};
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    answer.fds.resize((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    std::memcpy(answer.fds.data(), CMSG_DATA(c), answer.fds.size() * sizeof(int));
  }
  return answer;
}

void forge(const Foothold& foothold, const std::string& name) {
  auto forgeries = all_forgeries();
  if (name == "list") {
    for (const auto& [each, forgery] : forgeries) {
      report("list", phase(each.substr(0, each.find('-'))) + " forge-" + each + " " + forgery.reason);
    }
    return;
  }
  auto found = forgeries.find(name);
  if (found == forgeries.end()) return report(name, "UNKNOWN");
  if (!reach(foothold, name.substr(0, name.find('-')), name)) return report(name, "STATE NOT REACHED");
  const Forgery& forgery = found->second;
  if (!say(foothold.monitor, forgery.bytes, std::vector<int>(forgery.fds, STDIN_FILENO))) {
    report(name, std::string("NOT SENT ") + ::strerrorname_np(errno));
  }
  // what the monitor said before it read the forgery does not count
  for (int i = 0; i < 8; ++i) {
    auto answer = hear(foothold.monitor);
    if (answer.bytes == "nothing") break;
    if (!answer.bytes.empty()) continue;
    report(name, "ended");
    ::_exit(0);
  }
  report(name, "STANDS");
  ::_exit(0);
}

}  // namespace qf::hostile
