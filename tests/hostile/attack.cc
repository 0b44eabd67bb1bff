// SPDX-License-Identifier: Apache-2.0
// A qf-sshd whose net does what an attacker would who has taken it over: the objects of the real server,
// linked with
// --wrap for three C functions that net calls, so that the server itself needs no hook. Never installed.
//
// The client chooses the attack by a word "attack-…": as its identification string (before net has said
// anything to its monitor), as user name of an authentication request (before the login), or as the command
// of an exec request (after it). Every other connection is an ordinary one. tests/bats/hostile_net.bats
// judges what is reported.
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "tests/hostile/attack.h"

extern "C" {
ssh_message __real_ssh_message_get(ssh_session session);
ssh_message __wrap_ssh_message_get(ssh_session session);
int __real_ssh_bind_accept_fd(ssh_bind bind, ssh_session session, socket_t fd);
int __wrap_ssh_bind_accept_fd(ssh_bind bind, ssh_session session, socket_t fd);
ssize_t __real_sendmsg(int fd, const msghdr* header, int flags);
ssize_t __wrap_sendmsg(int fd, const msghdr* header, int flags);
}

namespace qf::hostile {

namespace {

constexpr std::string_view kPrefix = "attack-";
constexpr std::string_view kIdentification = "SSH-2.0-";
constexpr int kPeekMilliseconds = 300;  // for the client's identification string, which OpenSSH sends at once

struct State {
  Foothold foothold;
  std::string at_start;  // the attack in place of the first message
};

State& state() {
  static State only;
  return only;
}

bool is_attack(const char* word) {
  return word != nullptr && std::string_view(word).substr(0, kPrefix.size()) == kPrefix;
}

void run(const std::string& when, const std::string& word) {
  std::string name = word.substr(kPrefix.size());
  auto after = [&](std::string_view start) { return name.substr(start.size()); };
  if (name == "errno") return try_harmless_calls(state().foothold, when);
  if (name.rfind("die-", 0) == 0) return try_fatal_call(state().foothold, when, after("die-"));
  if (name.rfind("forge-", 0) == 0) return forge(state().foothold, after("forge-"));
  report(when + " " + name, "UNKNOWN");
}

// "SSH-2.0-attack-…" without its end of line; empty: something else, or nothing yet.
std::string peek(int fd) {
  pollfd polled = {fd, POLLIN, 0};
  if (::poll(&polled, 1, kPeekMilliseconds) <= 0) return "";
  char bytes[256] = {};
  ssize_t n = ::recv(fd, bytes, sizeof bytes - 1, MSG_PEEK | MSG_DONTWAIT);
  std::string_view line(bytes, n > 0 ? static_cast<size_t>(n) : 0);
  line = line.substr(0, line.find_first_of("\r\n"));
  if (line.substr(0, kIdentification.size()) != kIdentification) return "";
  std::string word(line.substr(kIdentification.size()));
  return is_attack(word.c_str()) ? word : "";
}

}  // namespace

void report(const std::string& attack, const std::string& outcome) {
  std::string line = "attack " + attack + ": " + outcome + "\n";
  static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
}

}  // namespace qf::hostile

using namespace qf::hostile;  // NOLINT

// Called once by net before it locks itself in.
int __wrap_ssh_bind_accept_fd(ssh_bind bind, ssh_session session, socket_t fd) {
  state().foothold.parent = ::getppid();
  state().foothold.connection = fd;
  state().at_start = peek(fd);
  return __real_ssh_bind_accept_fd(bind, session, fd);
}

// net's first message, Hello, shows which socket is the monitor's.
ssize_t __wrap_sendmsg(int fd, const msghdr* header, int flags) {
  bool hello = header->msg_iovlen > 0 && header->msg_iov[0].iov_len == 4 &&
               std::memcmp(header->msg_iov[0].iov_base, "\0\0\0\1", 4) == 0;
  if (hello) {
    state().foothold.monitor = fd;
    std::string word = std::exchange(state().at_start, "");
    if (!word.empty()) run("start", word);
  }
  return __real_sendmsg(fd, header, flags);
}

ssh_message __wrap_ssh_message_get(ssh_session session) {
  ssh_message message = __real_ssh_message_get(session);
  if (message == nullptr) return nullptr;
  int type = ::ssh_message_type(message);
  bool exec = type == SSH_REQUEST_CHANNEL && ::ssh_message_subtype(message) == SSH_CHANNEL_REQUEST_EXEC;
  const char* word = type == SSH_REQUEST_AUTH ? ::ssh_message_auth_user(message)
                     : exec                   ? ::ssh_message_channel_request_command(message)
                                              : nullptr;
  if (is_attack(word)) run(exec ? "after" : "before", word);
  return message;
}
