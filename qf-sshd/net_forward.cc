// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_forward.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/address.h"
#include "libqf/log.h"
#include "qf-sshd/library_values.h"
#include "qf-sshd/x11_cookie.h"

namespace qf {

namespace {

constexpr size_t kMostAddressBytes = 255;
constexpr size_t kMostListeners = 128;                 // a connection
constexpr int kMostAccepted = 16;                      // a turn
constexpr auto kSetupTime = std::chrono::seconds(30);  // for an X11 program to say its cookie

}  // namespace

// ---- connections that the client wants --------------------------------------------------------------------

// The library knows one reason for a refusal, SSH_OPEN_ADMINISTRATIVELY_PROHIBITED without words; the words
// go beside it.
void NetForward::connect(SshMessage request) {
  std::string host = text_of(::ssh_message_channel_request_open_destination(request.get()));
  uint32_t port = number_of(::ssh_message_channel_request_open_destination_port(request.get()));
  bool full = streams() >= plan_.most_streams;
  if (full || host.empty() || host.size() > kMostAddressBytes) {
    tell_refused(false, host, port, full ? "too many channels on this connection" : "no address");
    ::ssh_message_reply_default(request.get());
    return;
  }
  uint32_t id = next_id_++;
  connecting_[id] = std::move(request);
  plan_.monitor.tell(ConnectRequest{id, host, port});
}

void NetForward::tell_refused(bool listen, const std::string& address, uint32_t port, const char* reason) {
  plan_.notice(reason);
  if (refusals_told_ >= kMostForwardRefusals) return;
  ++refusals_told_;
  plan_.monitor.tell(ForwardRefused{listen, address.substr(0, kMostAddressBytes), port, reason});
}

void NetForward::connected(const ConnectReply& reply, Fd socket) {
  auto found = connecting_.find(reply.id);
  if (found == connecting_.end()) std::_Exit(kExitBug);
  SshMessage request = std::move(found->second);
  connecting_.erase(found);
  if (!reply.error.empty()) {
    plan_.notice(reply.error);
    ::ssh_message_reply_default(request.get());
    return;
  }
  ssh_channel channel = ::ssh_message_channel_request_open_reply_accept(request.get());
  if (channel == nullptr) return plan_.monitor.tell(ConnectEnd{reply.id});
  streams_.push_back({std::make_unique<NetStream>(plan_.loop, channel), reply.id, true});
  streams_.back().stream->attach(std::move(socket));
}

std::list<NetForward::Carried>::iterator NetForward::end(std::list<Carried>::iterator carried) {
  ended_in_ += carried->stream->bytes_in();
  ended_out_ += carried->stream->bytes_out();
  if (carried->asked) plan_.monitor.tell(ConnectEnd{carried->forward});
  return streams_.erase(carried);
}

void NetForward::withdraw(uint32_t id) {
  auto of_it = [id](const auto& what) { return what.forward == id; };
  auto listens = [id](const Listener& listener) {
    return listener.kind == Kind::kForward && listener.id == id;
  };
  if (std::erase_if(listeners_, listens) > 0) cancelled_.insert(id);
  std::erase_if(opening_, [&](const Opening& it) { return of_it(it) && it.stream == nullptr; });
  for (auto& opening : opening_) {
    if (!of_it(opening)) continue;
    opening.forward = 0;
    opening.socket.reset();
  }
  for (auto it = streams_.begin(); it != streams_.end();) it = of_it(*it) ? end(it) : std::next(it);
  tell_cancelled();
}

void NetForward::tell_cancelled() {
  std::erase_if(cancelled_, [this](uint32_t id) {
    auto of_it = [id](const auto& what) { return what.forward == id; };
    bool carries = std::any_of(streams_.begin(), streams_.end(), of_it) ||
                   std::any_of(opening_.begin(), opening_.end(), of_it);
    if (!carries) plan_.monitor.tell(ListenCancel{id});
    return !carries;
  });
}

// ---- sockets that are listened on -------------------------------------------------------------------------

void NetForward::global_request(SshMessage request) {
  if (::ssh_message_subtype(request.get()) == SSH_GLOBAL_REQUEST_TCPIP_FORWARD)
    return listen(std::move(request));
  bool done = ::ssh_message_subtype(request.get()) == SSH_GLOBAL_REQUEST_CANCEL_TCPIP_FORWARD &&
              cancel(text_of(::ssh_message_global_request_address(request.get())),
                     number_of(::ssh_message_global_request_port(request.get())));
  if (done) {
    ::ssh_message_global_request_reply_success(request.get(), 0);
  } else {
    ::ssh_message_reply_default(request.get());
  }
}

// Answers to global requests have no number, so they must come in order: the question waits for its answer.
void NetForward::listen(SshMessage request) {
  Listener listener;
  listener.address = text_of(::ssh_message_global_request_address(request.get()));
  listener.asked_port = number_of(::ssh_message_global_request_port(request.get()));
  bool taken = std::any_of(listeners_.begin(), listeners_.end(), [&](const Listener& other) {
    return other.kind == Kind::kForward && other.address == listener.address && listener.asked_port != 0 &&
           other.port == listener.asked_port;
  });
  bool full = listeners_.size() >= kMostListeners;
  if (taken || full || listener.address.size() > kMostAddressBytes) {
    tell_refused(true, listener.address, listener.asked_port,
                 full    ? "too many forwards on this connection"
                 : taken ? "this connection has that forward already"
                         : "no address");
    ::ssh_message_reply_default(request.get());
    return;
  }
  listener.id = next_id_++;
  auto [reply, fds] =
      plan_.monitor.ask<ListenReply>(ListenRequest{listener.id, listener.address, listener.asked_port});
  if (reply.sockets == 0) {
    plan_.notice(reply.error);
    ::ssh_message_reply_default(request.get());
    return;
  }
  for (uint32_t i = 0; i < reply.sockets && i < fds.size(); ++i) {
    listener.sockets.push_back(std::make_unique<Watched>(plan_.loop.event, std::move(fds[i])));
  }
  listener.port = reply.port;
  ::ssh_message_global_request_reply_success(request.get(), static_cast<uint16_t>(reply.port));
  listeners_.push_back(std::move(listener));
}

// By the port that it became, or by the one that was asked for (0) when that names one forward alone.
bool NetForward::cancel(const std::string& address, uint32_t port) {
  auto matches = [&](const Listener& listener) {
    return listener.kind == Kind::kForward && listener.address == address &&
           (listener.port == port || listener.asked_port == port);
  };
  auto found = std::find_if(listeners_.begin(), listeners_.end(), matches);
  if (found == listeners_.end()) return false;
  if (found->port != port && std::count_if(listeners_.begin(), listeners_.end(), matches) > 1) return false;
  cancelled_.insert(found->id);
  // at once, so that the client may ask for the same place again
  listeners_.erase(found);
  tell_cancelled();
  return true;
}

void NetForward::add_agent(uint32_t session, Fd socket) {
  Listener& listener = listeners_.emplace_back();
  listener.kind = Kind::kAgent;
  listener.id = session;
  listener.sockets.push_back(std::make_unique<Watched>(plan_.loop.event, std::move(socket)));
}

void NetForward::add_display(uint32_t session, std::vector<Fd> sockets, X11 x11) {
  Listener& listener = listeners_.emplace_back();
  listener.kind = Kind::kX11;
  listener.id = session;
  listener.x11 = std::move(x11);
  for (auto& socket : sockets) {
    listener.sockets.push_back(std::make_unique<Watched>(plan_.loop.event, std::move(socket)));
  }
}

void NetForward::session_ended(uint32_t session) {
  for (auto& listener : listeners_) {
    if (listener.kind != Kind::kForward && listener.id == session) listener.closing = true;
  }
}

void NetForward::accept_from(Listener& listener, Watched& socket) {
  for (int i = 0; i < kMostAccepted && streams() < plan_.most_streams && !listener.closing; ++i) {
    SocketAddress source;
    source.length = sizeof source.storage;
    Fd fd(::accept4(socket.fd(), reinterpret_cast<sockaddr*>(&source.storage), &source.length,
                    SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    Opening& opening = opening_.emplace_back();
    opening.kind = listener.kind;
    opening.forward = listener.kind == Kind::kForward ? listener.id : 0;
    opening.address = listener.address;
    opening.port = listener.port;
    opening.source_address = source.address();
    opening.source_port = source.port();
    opening.x11 = listener.x11;
    opening.checked = listener.kind != Kind::kX11;
    opening.deadline = opening.checked ? Deadline::max() : Clock::now() + kSetupTime;
    opening.socket = std::make_unique<Watched>(plan_.loop.event, std::move(fd));
    if (!opening.checked) opening.socket->want(POLLIN);
    // RFC 4254 section 6.3.1: only the first connection is forwarded
    if (listener.kind == Kind::kX11 && listener.x11.single_connection) listener.closing = true;
  }
}

// ---- their channels ---------------------------------------------------------------------------------------

// True when the program has shown the cookie; it is dropped (its socket) when it shows another one.
bool NetForward::check_setup(Opening& opening) {
  if (opening.checked) return true;
  if (!opening.socket->take_ready()) return false;
  char bytes[512];
  ssize_t n =
      ::read(opening.socket->fd(), bytes, sizeof bytes - std::min(opening.first.size(), sizeof bytes));
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  X11Setup setup = X11Setup::kBad;
  if (n > 0) {
    opening.first.append(bytes, static_cast<size_t>(n));
    setup = check_x11_setup(opening.first, opening.x11.protocol, opening.x11.cookie);
  }
  opening.checked = setup == X11Setup::kGood;
  if (setup == X11Setup::kBad) opening.deadline = Deadline::min();
  return opening.checked;
}

NetForward::Progress NetForward::open_channel(Opening& opening) {
  if (opening.stream == nullptr) {
    ssh_channel channel = ::ssh_channel_new(plan_.loop.session);
    if (channel == nullptr) return Progress::kFailed;
    opening.socket->want(0);
    opening.stream = std::make_unique<NetStream>(plan_.loop, channel);
  }
  ssh_channel channel = opening.stream->channel();
  int code = SSH_ERROR;
  switch (opening.kind) {
    case Kind::kForward:
      code = ::ssh_channel_open_reverse_forward(
          channel, opening.address.c_str(), static_cast<int>(opening.port), opening.source_address.c_str(),
          static_cast<int>(opening.source_port));
      break;
    case Kind::kAgent:
      code = ::ssh_channel_open_auth_agent(channel);
      break;
    case Kind::kX11:
      code = ::ssh_channel_open_x11(channel, opening.source_address.c_str(),
                                    static_cast<int>(opening.source_port));
      break;
  }
  if (code == SSH_AGAIN) return Progress::kWait;
  return code == SSH_OK ? Progress::kOpen : Progress::kFailed;
}

void NetForward::advance_openings() {
  for (auto it = opening_.begin(); it != opening_.end();) {
    Progress progress = Progress::kWait;
    if (check_setup(*it)) progress = open_channel(*it);
    bool withdrawn = it->socket == nullptr;  // the channel is closed as soon as it is open
    if (progress == Progress::kOpen && !withdrawn) {
      it->stream->attach(it->socket->take(), std::move(it->first));
      streams_.push_back({std::move(it->stream), it->forward, false});
    }
    bool late = !it->checked && Clock::now() >= it->deadline;
    it = progress != Progress::kWait || late ? opening_.erase(it) : std::next(it);
  }
}

void NetForward::turn(bool shared) {
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    for (auto& socket : it->sockets) {
      if (socket->take_ready()) accept_from(*it, *socket);
    }
    it = it->closing ? listeners_.erase(it) : std::next(it);
  }
  advance_openings();
  for (auto it = streams_.begin(); it != streams_.end();) {
    it->stream->turn(shared);
    it = it->stream->finished() ? end(it) : std::next(it);
  }
  if (!cancelled_.empty()) tell_cancelled();
  bool room = streams() < plan_.most_streams;
  for (auto& listener : listeners_) {
    for (auto& socket : listener.sockets) socket->want(room ? POLLIN : 0);
  }
}

int NetForward::patience() const {
  Deadline first = Deadline::max();
  for (const auto& opening : opening_) {
    if (!opening.checked) first = std::min(first, opening.deadline);
  }
  return first == Deadline::max() ? -1 : std::max(poll_timeout(first), 1);
}

bool NetForward::overrun() const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [](const auto& carried) { return carried.stream->overrun(); });
}

uint64_t NetForward::bytes_in() const {
  uint64_t sum = ended_in_;
  for (const auto& carried : streams_) sum += carried.stream->bytes_in();
  return sum;
}

uint64_t NetForward::bytes_out() const {
  uint64_t sum = ended_out_;
  for (const auto& carried : streams_) sum += carried.stream->bytes_out();
  return sum;
}

}  // namespace qf
