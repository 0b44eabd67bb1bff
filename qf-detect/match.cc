// SPDX-License-Identifier: Apache-2.0
#include "qf-detect/match.h"

#include <optional>

#include "libqf/address.h"
#include "libqf/parent.h"
#include "libqf/peers_db.h"
#include "libqf/probe.h"
#include "libqf/tokend_client.h"
#include "qf-detect/exclude.h"

namespace qf {

namespace {

constexpr auto kProbeDeadline = std::chrono::seconds(1);
constexpr auto kDaemonDeadline = std::chrono::seconds(2);  // it answers from memory, or something is wrong

MatchAnswer no(std::string reason) {
  return {false, std::move(reason)};
}

// The daemon of this user, when one runs. A daemon in trouble is as good as none: the probe still tells.
class Daemon {
 public:
  Daemon(const Folders& folders, const PeerRecord& peer, std::string_view host)
      : peer_(peer.name), host_(host) {
    if (auto client = TokendClient::connect(folders)) client_.emplace(std::move(*client));
    parent_ = parent_ssh();
  }

  // What it remembers of the peer; it renews the certificate file on the way.
  std::optional<Detection> ask() {
    JsonWriter request = describe("match");
    request.set("version", kTokendProtocolVersion);
    return exchange(request);
  }

  void tell(Detection detection) {
    JsonWriter request = describe("detected");
    request.set("detection", detection_word(detection));
    exchange(request);
  }

 private:
  JsonWriter describe(const char* operation) const {
    JsonWriter request;
    request.set("op", operation).set("peer", peer_).set("host", host_);
    if (parent_) request.set("pid", parent_->pid).set("start", parent_->start);
    return request;
  }

  std::optional<Detection> exchange(const JsonWriter& request) {
    if (!client_) return std::nullopt;
    auto sent = client_->send(request.text());
    auto answer = sent ? client_->receive(Clock::now() + kDaemonDeadline) : sent.error();
    if (!answer) {
      client_.reset();
      return std::nullopt;
    }
    auto word = json_string(answer->get(), "detection");
    if (json_bool(answer->get(), "ok") != true || !word) return std::nullopt;
    return parse_detection(*word);
  }

  std::string peer_, host_;
  std::optional<Parent> parent_;
  std::optional<TokendClient> client_;
};

MatchAnswer judge(Detection detection, const std::string& source, const std::string& reason) {
  switch (detection) {
    case Detection::kJwt:
      return {true, source + ": a QuFabric SSH server that wants a JWT"};
    case Detection::kNoJwt:
      return {true, source + ": a QuFabric SSH server that wants no JWT"};
    case Detection::kClosed:
      return {true, source + ": it closes connections from here at once; qf-proxy will say so"};
    case Detection::kOther:
      return no(source + ": another SSH server answers on port 22022");
    case Detection::kNone:
      return no(source + ": no SSH server answers on port 22022" +
                (reason.empty() ? "" : " (" + reason + ")"));
  }
  std::abort();
}

}  // namespace

MatchAnswer match_host(const Folders& folders, std::string_view host, std::string_view port) {
  if (port != "22" && port != std::to_string(kFabricPort))
    return no("port " + std::string(port) + " is neither 22 nor 22022");
  const char* wish = ::secure_getenv("QF_SSH");
  if (wish != nullptr && std::string_view(wish) == "off") return no("QF_SSH=off is set");
  auto db = PeersDb::open(folders.peers_mdb());
  if (!db) return no(db.error().text());
  auto peer = db->find_peer(host);
  if (!peer) return no(peer.error().text());
  if (!peer->ssh) return no("peer " + peer->name + " has \"ssh\": false");
  if (peer->ssh_host_keys.empty()) return no("peer " + peer->name + " has no pinned host key");
  if (excluded(host)) return no("~/.qufabric/exclude lists it");
  if (ssh_jumps_without_end()) return no("ssh jumps to it through itself (ProxyJump), without end");
  Daemon daemon(folders, *peer, host);
  if (auto known = daemon.ask()) return judge(*known, "remembered by qf-tokend", "");
  ProbeResult result = probe(peer->addresses, kFabricPort, Clock::now() + kProbeDeadline);
  daemon.tell(result.detection);
  return judge(result.detection, "probed", result.reason);
}

}  // namespace qf
