// SPDX-License-Identifier: Apache-2.0
// For the tests of qf-detect and qf-proxy: servers that misbehave on purpose, and a qf-tokend that says what
// the test wants.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "libqf/address.h"
#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/peers_db.h"
#include "tests/unit/libqf_tools.h"

namespace qf::test {

inline Deadline in_seconds(int seconds) {
  return Clock::now() + std::chrono::seconds(seconds);
}

// An address on loopback that no other test process uses at the same time.
inline std::string own_address(int index = 0) {
  int pid = ::getpid();
  return "127." + std::to_string(128 + index * 16 + (pid >> 16 & 15)) + "." + std::to_string(pid >> 8 & 255) +
         "." + std::to_string(pid & 255);
}

// Listens, and gives each connection to `serve` in a thread of its own. serve gets the connection and a
// descriptor that becomes readable when the test is over: a server that hangs waits for that.
class Server {
 public:
  using Serve = std::function<void(int connection, int over)>;
  explicit Server(Serve serve, const std::string& address = "127.0.0.1", uint16_t port = 0)
      : serve_(std::move(serve)),
        over_(*make_pipe()),
        listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    int on = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto to = make_socket_address(address, port);
    if (::bind(listener_.get(), to->get(), to->length) != 0 || ::listen(listener_.get(), 16) != 0)
      std::abort();
    port_ = local_address(listener_.get())->port();
    thread_ = std::thread([this] { run(); });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    over_.second.reset();
    thread_.join();
    for (auto& connection : connections_) connection.join();
  }
  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] size_t accepted() const { return accepted_; }

 private:
  void run() {
    for (;;) {
      pollfd polled[2] = {{listener_.get(), POLLIN, 0}, {over_.first.get(), POLLIN, 0}};
      ::poll(polled, 2, -1);
      if (polled[1].revents != 0) return;
      int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      ++accepted_;
      connections_.emplace_back([this, fd] {
        Fd owned(fd);
        serve_(fd, over_.first.get());
      });
    }
  }
  Serve serve_;
  FdPair over_;
  Fd listener_;
  uint16_t port_ = 0;
  std::atomic<size_t> accepted_ = 0;
  std::vector<std::thread> connections_;
  std::thread thread_;
};

inline void hang(int over) {
  pollfd polled = {over, POLLIN, 0};
  ::poll(&polled, 1, 60'000);
}
// Ignores that the other side may have left.
inline void put(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}
// Sends the text and holds the connection.
inline Server::Serve says(std::string text) {
  return [text = std::move(text)](int fd, int over) {
    put(fd, text);
    hang(over);
  };
}

// A connected pair of TCP sockets; the first one non-blocking, as dial() makes it.
inline FdPair tcp_pair() {
  Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto to = make_socket_address("127.0.0.1", 0);
  if (::bind(listener.get(), to->get(), to->length) != 0 || ::listen(listener.get(), 1) != 0) std::abort();
  auto fd = dial({"127.0.0.1"}, local_address(listener.get())->port(), in_seconds(5));
  if (!fd) std::abort();
  return {std::move(*fd), Fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC))};
}

// A qf-tokend in a scratch runtime folder that answers each operation with the given line; "" hangs, and an
// operation without an answer ends the connection.
class FakeTokend {
 public:
  FakeTokend(const std::string& runtime, std::map<std::string, std::string> answers)
      : answers_(std::move(answers)),
        over_(*make_pipe()),
        listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    ::mkdir(runtime.c_str(), 0700);
    sockaddr_un to = {};
    to.sun_family = AF_UNIX;
    std::string path = runtime + "/tokend.sock";
    path.copy(to.sun_path, sizeof to.sun_path - 1);
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0 ||
        ::listen(listener_.get(), 4) != 0)
      std::abort();
    thread_ = std::thread([this] { run(); });
  }
  FakeTokend(const FakeTokend&) = delete;
  FakeTokend& operator=(const FakeTokend&) = delete;
  ~FakeTokend() {
    over_.second.reset();
    thread_.join();
  }
  [[nodiscard]] std::vector<std::string> heard() {
    std::lock_guard lock(mutex_);
    return heard_;
  }

 private:
  void run() {
    for (;;) {
      pollfd polled[2] = {{listener_.get(), POLLIN, 0}, {over_.first.get(), POLLIN, 0}};
      ::poll(polled, 2, -1);
      if (polled[1].revents != 0) return;
      Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      serve(fd.get());
    }
  }
  void serve(int fd) {
    std::string buffer;
    for (;;) {
      pollfd polled[2] = {{fd, POLLIN, 0}, {over_.first.get(), POLLIN, 0}};
      ::poll(polled, 2, -1);
      if (polled[1].revents != 0) return;
      char chunk[4096];
      ssize_t n = ::read(fd, chunk, sizeof chunk);
      if (n <= 0) return;
      buffer.append(chunk, static_cast<size_t>(n));
      size_t end = buffer.find('\n');
      if (end == std::string::npos) continue;
      std::string line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      if (!answer(fd, line)) return;
    }
  }
  bool answer(int fd, const std::string& line) {
    auto json = parse_json(line);
    std::string op = json ? json_string(json->get(), "op").value_or("") : "";
    {
      std::lock_guard lock(mutex_);
      heard_.push_back(line);
    }
    auto found = answers_.find(op);
    if (found == answers_.end()) return false;
    if (!found->second.empty()) put(fd, found->second + "\n");
    return true;
  }
  std::map<std::string, std::string> answers_;
  FdPair over_;
  Fd listener_;
  std::mutex mutex_;
  std::vector<std::string> heard_;
  std::thread thread_;
};

inline void write_peers(const std::string& path, const std::vector<PeerRecord>& peers) {
  std::map<std::string, std::string> records;
  PeersMeta meta;
  meta.domain = "fabric.example";
  records["meta"] = encode(meta);
  for (const auto& peer : peers) {
    records["n:" + peer.name] = peer.name;
    records["n:" + peer.name + "." + meta.domain] = peer.name;
    for (const auto& address : peer.addresses) records["n:" + address] = peer.name;
    records["p:" + peer.name] = encode(peer);
  }
  if (!write_lmdb(path, records, 0644)) std::abort();
}

}  // namespace qf::test
