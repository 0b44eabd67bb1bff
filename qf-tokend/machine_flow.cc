// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/machine_flow.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/discovery.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/tokend_client.h"

namespace qf {

namespace {

constexpr auto kAnswerTime = std::chrono::seconds(5);
constexpr size_t kMostMachineAnswer = 64 * 1024;  // bytes

// As connect_unix() of libqf, but it never waits: this runs in the daemon's only thread. kNotFound: nobody
// listens.
Result<Fd> connect_at_once(const std::string& path) {
  sockaddr_un to = {};
  to.sun_family = AF_UNIX;
  if (path.size() >= sizeof to.sun_path) return input_error("the socket's path " + path + " is too long");
  std::copy(path.begin(), path.end(), to.sun_path);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return not_found("no machine issuer listens at " + path);
    return system_error("cannot connect to " + path);
  }
  ucred who = {};
  socklen_t length = sizeof who;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return system_error("SO_PEERCRED");
  if (who.uid != 0 && who.uid != ::geteuid()) {
    return refused("the machine issuer at " + path + " runs under uid " + std::to_string(who.uid));
  }
  return fd;
}

}  // namespace

Status MachineFlow::open() {
  Error last = not_found("there is no machine issuer on this machine");
  for (const auto& path : sockets_) {
    auto fd = connect_at_once(path);
    if (fd) {
      fd_ = std::move(*fd);
      return Done{};
    }
    if (fd.error().kind != ErrorKind::kNotFound) return fd.error();
    last = fd.error();
  }
  return last;
}

void MachineFlow::start() {
  if (auto opened = open(); !opened) {
    return fail(opened.error().text(), "start it: qf-tokend --machine-issuer");
  }
  JsonWriter request;
  request.set("version", kTokendProtocolVersion).set("op", "issue").set("issuer", record_.issuer);
  if (!record_.audiences.empty()) request.set("audience", record_.audiences.front());
  request.set("nonce", nonce_);
  out_ = request.text() + "\n";
  deadline_ = services_.now() + kAnswerTime;
}

void MachineFlow::add(std::vector<pollfd>& polled) const {
  if (fd_) polled.push_back({fd_.get(), static_cast<short>(out_.empty() ? POLLIN : POLLOUT), 0});
}

void MachineFlow::event(const std::vector<pollfd>& polled) {
  if (done_ || !fd_) return;
  auto ours = std::find_if(polled.begin(), polled.end(), [&](const pollfd& p) { return p.fd == fd_.get(); });
  bool ready = ours != polled.end() && ours->revents != 0;
  if (ready && !out_.empty()) {
    write();
  } else if (ready) {
    read();
  } else if (services_.now() >= deadline_) {
    fail("the machine issuer does not answer");
  }
}

void MachineFlow::write() {
  ssize_t n = ::send(fd_.get(), out_.data(), out_.size(), MSG_NOSIGNAL);
  if (n < 0 && errno != EINTR && errno != EAGAIN) {
    return fail(system_error("cannot write to the machine issuer").text());
  }
  if (n > 0) out_.erase(0, static_cast<size_t>(n));
}

void MachineFlow::read() {
  char buffer[16384];
  ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) return fail("the machine issuer went away");
  in_.append(buffer, static_cast<size_t>(n));
  size_t end = in_.find('\n');
  if (end == std::string::npos) {
    if (in_.size() > kMostMachineAnswer) fail("the machine issuer's answer is too long");
    return;
  }
  auto answer = parse_json(std::string_view(in_).substr(0, end));
  if (!answer) return fail("the machine issuer's answer is not JSON");
  if (!json_bool(answer->get(), "ok").value_or(false)) {
    return fail("the machine issuer refuses: " +
                    printable(json_string(answer->get(), "message").value_or("without a reason")),
                printable(json_string(answer->get(), "hint").value_or("")));
  }
  auto token = json_string(answer->get(), "token");
  wipe(in_);
  if (!token || token->empty()) return fail("\"token\" of the machine issuer's answer is missing");
  TokenGrant grant{Secret(*token)};
  wipe(*token);
  finish(std::move(grant));
}

void MachineFlow::fail(const std::string& what, const std::string& hint) {
  finish(Refusal{"provider", describe_issuer(record_) + ": " + what, hint});
}

void MachineFlow::finish(Result<TokenGrant, Refusal> result) {
  if (done_) return;
  done_ = true;
  fd_.reset();
  deadline_ = Deadline::max();
  listener_.flow_done(std::move(result));
}

}  // namespace qf
