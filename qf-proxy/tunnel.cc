// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/tunnel.h"

#include <optional>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-proxy/channel_relay.h"
#include "qf-proxy/farewell.h"
#include "qf-proxy/login.h"
#include "qf-proxy/outer_session.h"

namespace qf {

namespace {

constexpr auto kLineDeadline = std::chrono::seconds(30);

class Tunnel {
 public:
  Tunnel(const Folders& folders, PeerRecord peer, const std::string& host)
      : folders_(folders), peer_(std::move(peer)), host_(host) {}

  Result<Done, Trouble> run(Fd fd) {
    auto first = take_connection(peer_, std::move(fd));
    if (!first) return first.error();
    line_ = first->identification.line;
    // Before any login: the client's ConnectTimeout runs until it has this line.
    if (!write_all(STDOUT_FILENO, line_ + "\r\n", Clock::now() + kLineDeadline)) return client_left();
    client_has_ = ClientHas::kLine;
    // The peer proves itself before the person is asked for anything.
    if (auto opened = open(std::move(*first)); !opened) return opened.error();
    LoginRequest request{peer_.name, host_, [this] { outer_.reset(); }};
    auto credential = get_credential(folders_, request, terminal_, watch_);
    if (!credential) return credential.error();
    if (!outer_) {
      if (auto again = reconnect(); !again) return again.error();
    }
    if (auto entered = outer_->enter(*credential, terminal_, watch_); !entered) return entered.error();
    client_has_ = ClientHas::kEncryption;  // or part of a packet
    return carry();
  }
  [[nodiscard]] ClientHas client_has() const { return client_has_; }

 private:
  Result<Done, Trouble> open(PeerConnection connection) {
    auto outer = OuterSession::open(peer_, std::move(connection), watch_);
    if (!outer) return outer.error();
    outer_.emplace(std::move(*outer));
    return Done{};
  }

  Result<Done, Trouble> reconnect() {
    auto connection = connect_peer(peer_);
    if (!connection) return connection.error();
    if (connection->identification.line != line_) {
      return Trouble{kExitNegative, connection->place + " has another version now than when the login began",
                     "connect again"};
    }
    return open(std::move(*connection));
  }

  Result<Done, Trouble> carry() {
    auto done = relay_channel({STDIN_FILENO, STDOUT_FILENO, outer_->session(), outer_->channel()}, line_);
    if (done) return Done{};
    return Trouble{kExitSystem, outer_->place() + ": " + done.error().text(), ""};
  }

  const Folders& folders_;
  PeerRecord peer_;
  std::string host_, line_;
  Terminal terminal_ = Terminal::find();
  ClientWatch watch_{STDIN_FILENO, STDOUT_FILENO};
  std::optional<OuterSession> outer_;
  ClientHas client_has_ = ClientHas::kNothing;
};

}  // namespace

int run_tunnel(const ProxyOptions& options, Fd connection) {
  auto peer = find_target(options.folders, options.host);
  if (!peer) return give_up(peer.error(), ClientHas::kNothing);
  Tunnel tunnel(options.folders, std::move(*peer), lower(options.host));
  auto done = tunnel.run(std::move(connection));
  return done ? kExitOk : give_up(done.error(), tunnel.client_has());
}

}  // namespace qf
