// SPDX-License-Identifier: Apache-2.0
#include "libqf/tokend_client.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "libqf/child.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr auto kStartDeadline = std::chrono::seconds(10);
constexpr auto kRetry = std::chrono::milliseconds(10);
constexpr size_t kMostStartMessage = 4096;

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
  SpawnOptions options = {nowhere->get(), nowhere->get(), messages->second.get()};
  options.detached = true;
  auto child = Child::spawn(words, options);
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

std::vector<std::string> machine_sockets(const Folders& folders, const std::string& runtime) {
  std::vector<std::string> paths = {runtime + "/" + kMachineIssuerSocket};
  std::string system = system_runtime(folders) + "/" + kMachineIssuerSocket;
  if (system != paths.front()) paths.push_back(system);
  return paths;
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
