// SPDX-License-Identifier: Apache-2.0
#include "libqf/tokend_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "libqf/child.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr auto kStartDeadline = std::chrono::seconds(10);
constexpr auto kRetry = std::chrono::milliseconds(10);
constexpr time_t kConnectSeconds = 2;  // a stopped daemon whose queue is full must not hang ssh
constexpr size_t kMostStartMessage = 4096;

Status check_owner(int fd, const std::string& path, uid_t owner) {
  struct ucred peer = {};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return system_error("SO_PEERCRED");
  if (owner != static_cast<uid_t>(-1) && peer.uid != owner) {
    return refused("the daemon at " + path + " runs under uid " + std::to_string(peer.uid) + ", not " +
                   std::to_string(owner));
  }
  return Done{};
}

// What a starting daemon said, without waiting for more: it may hold the other end for ever.
std::string read_message(int fd) {
  char text[kMostStartMessage];
  ssize_t n = ::recv(fd, text, sizeof text, MSG_DONTWAIT);
  return n <= 0 ? "" : std::string(trim(std::string_view(text, static_cast<size_t>(n))));
}

// Runs qf-tokend until it listens (then its first process ends with 0). Its words when it did not.
Status start_daemon(const Folders& folders, Deadline deadline) {
  std::vector<std::string> words = {sibling_program("qf-tokend")};
  for (auto& word : folder_arguments(folders)) words.push_back(std::move(word));
  // stdout of a ProxyCommand is the SSH connection: nothing of ours may stay open in the daemon
  auto nowhere = open_file("/dev/null", O_RDWR);
  if (!nowhere) return nowhere.error();
  auto messages = make_socketpair(SOCK_STREAM);
  if (!messages) return messages.error();
  auto child = Child::spawn(words, {nowhere->get(), nowhere->get(), messages->second.get(), 0, true});
  if (!child) return child.error();
  auto status = child->wait(deadline);
  if (!status && status.error().kind == ErrorKind::kTimeout)
    return timeout_error("qf-tokend did not start in time");
  if (!status) return status.error();
  if (*status == 0) return Done{};
  std::string said = read_message(messages->first.get());
  return Error{ErrorKind::kSystem, 0,
               "qf-tokend did not start: it " + describe_exit(*status) + (said.empty() ? "" : "\n" + said)};
}

}  // namespace

Result<Fd> connect_unix(const std::string& path, uid_t owner) {
  struct sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) {
    return input_error("the socket's path " + path + " is longer than " +
                       std::to_string(sizeof to.sun_path - 1) + " bytes");
  }
  std::copy(path.begin(), path.end(), to.sun_path);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return system_error("cannot make a socket");
  struct timeval limit = {kConnectSeconds, 0};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0)
    return system_error("cannot set SO_SNDTIMEO");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return not_found("no daemon listens at " + path);
    if (errno == EAGAIN) return timeout_error("the daemon at " + path + " does not answer");
    return system_error("cannot connect to " + path);
  }
  if (auto checked = check_owner(fd.get(), path, owner); !checked) return checked.error();
  return fd;
}

Result<TokendClient> TokendClient::connect(const Folders& folders) {
  auto runtime = user_runtime(folders, false);
  if (!runtime) {
    if (runtime.error().sys == ENOENT) return not_found(runtime.error().text());
    return runtime.error();
  }
  auto fd = connect_unix(*runtime + "/" + kTokendSocket, ::geteuid());
  if (!fd) return fd.error();
  return TokendClient(std::move(*fd));
}

Result<TokendClient> TokendClient::connect_or_start(const Folders& folders) {
  Deadline deadline = Clock::now() + kStartDeadline;
  auto client = connect(folders);
  if (client || client.error().kind != ErrorKind::kNotFound) return client;
  if (auto runtime = user_runtime(folders, true); !runtime) return runtime.error();
  auto started = start_daemon(folders, deadline);
  // When ours gave up because another caller's is about to listen, that one will do.
  Deadline until = started ? deadline : std::min(deadline, Clock::now() + std::chrono::seconds(1));
  for (;;) {
    client = connect(folders);
    if (client || client.error().kind != ErrorKind::kNotFound) return client;
    if (Clock::now() >= until) return started ? client.error() : started.error();
    std::this_thread::sleep_for(kRetry);
  }
}

Status TokendClient::send(std::string_view line) {
  std::string whole = std::string(line) + "\n";
  std::string_view rest = whole;
  while (!rest.empty()) {
    ssize_t n = ::send(fd_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return timeout_error("qf-tokend does not take requests");
    if (n < 0) return system_error("cannot write to qf-tokend");
    rest.remove_prefix(static_cast<size_t>(n));
  }
  return Done{};
}

Result<JsonPtr> TokendClient::receive(Deadline deadline) {
  size_t searched = 0;
  for (;;) {
    size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return parse_json(line);
    }
    searched = buffer_.size();
    if (searched >= kMostTokendLine) return peer_error("qf-tokend sent a line without end");
    if (auto ready = wait_for(fd_.get(), POLLIN, deadline); !ready) return ready.error();
    char chunk[16384];
    ssize_t n = ::recv(fd_.get(), chunk, sizeof chunk, MSG_DONTWAIT);
    if (n == 0) return Error{ErrorKind::kSystem, 0, "qf-tokend went away"};
    if (n < 0 && errno != EINTR && errno != EAGAIN) return system_error("cannot read from qf-tokend");
    if (n > 0) buffer_.append(chunk, static_cast<size_t>(n));
  }
}

}  // namespace qf
