// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/proxy.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "libqf/log.h"
#include "libqf/parent.h"
#include "libqf/text.h"
#include "libqf/tokend_client.h"
#include "qf-proxy/farewell.h"
#include "qf-proxy/hostkey_guard.h"
#include "qf-proxy/peer.h"
#include "qf-proxy/relay.h"

namespace qf {

namespace {

constexpr auto kDaemonDeadline = std::chrono::seconds(2);
constexpr auto kGreetingDeadline = std::chrono::seconds(1);
// After the key exchange a client that is about to log in asks for the service and for the method "none"; one
// that shows a credential sends that as well, and the smallest with its token is larger than this.
constexpr uint64_t kLeastAsked = 100, kLeastCredential = 600;  // bytes

// Whether this very ssh has loaded a certificate that is still good; in doubt not, the tunnel always works.
bool has_certificate(const Folders& folders, const std::string& peer) {
  auto parent = parent_ssh();
  if (!parent) return false;
  auto client = TokendClient::connect(folders);
  if (!client) return false;
  JsonWriter request;
  request.set("version", kTokendProtocolVersion).set("op", "confirm").set("peer", peer);
  request.set("pid", parent->pid).set("start", parent->start);
  if (!client->send(request.text())) return false;
  auto answer = client->receive(Clock::now() + kDaemonDeadline);
  return answer && json_bool(answer->get(), "ok") == true && json_bool(answer->get(), "direct") == true;
}

bool tunnel_wished() {
  const char* wish = ::secure_getenv("QF_SSH");
  return wish != nullptr && std::string_view(wish) == "tunnel";
}

// The client's identification string, sent on before the server's has come: a round trip less. Only where the
// connection is the client's own in any case; a tunnel starts with ours.
Status forward_greeting(int peer, HostKeyGuard& guard) {
  pollfd polled[] = {{STDIN_FILENO, POLLIN, 0}, {peer, POLLIN, 0}};
  if (::poll(polled, 2, poll_timeout(Clock::now() + kGreetingDeadline)) <= 0 || polled[0].revents == 0)
    return Done{};
  char bytes[4096];
  ssize_t n = ::read(STDIN_FILENO, bytes, sizeof bytes);
  if (n <= 0) return Done{};  // the relay sees the end again
  std::string_view greeting(bytes, static_cast<size_t>(n));
  if (auto fine = guard.from_client(greeting); !fine) return fine;
  auto sent = write_all(peer, greeting, Clock::now() + kGreetingDeadline);
  // A peer that has hung up meanwhile: looking for its identification line tells why in better words.
  if (!sent && sent.error().kind == ErrorKind::kSystem) return Done{};
  return sent;
}

// Hands the connection on; returns only when there is no qf-tunnel to run.
Trouble become_tunnel(const Folders& folders, const std::string& host, const std::string& port, Fd fd) {
  std::vector<std::string> words = {sibling_program("qf-tunnel")};
  for (auto& word : folder_arguments(folders)) words.push_back(std::move(word));
  words.insert(words.end(), {"--fd", std::to_string(fd.get()), host, port});
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  if (::fcntl(fd.get(), F_SETFD, 0) == 0) ::execv(arguments[0], arguments.data());
  return {kExitSystem, system_error("cannot run " + words[0]).text(), "is QuFabric installed completely?"};
}

Trouble direct_trouble(const std::string& place, const Error& error) {
  if (error.kind == ErrorKind::kRefused) return wrong_host_key(place, error.what);
  if (error.kind == ErrorKind::kPeer)
    return {kExitNegative, place + " broke the SSH protocol: " + error.text(),
            "nothing was sent to it; is it a QuFabric SSH server?"};
  if (error.kind == ErrorKind::kTimeout)
    return {kExitNegative,
            place + " did not finish the key exchange in " + std::to_string(kKeyExchangeTime.count()) + " s",
            "nothing was sent to it; is the network very slow, or the server not ours?"};
  return {kExitSystem, place + ": " + error.text(), ""};
}

// Where the peer wants a certificate the client has loaded one. When it gives up without having offered it,
// the peer has nobody any more to tell what to do: BatchMode leaves no method, for example.
bool showed_nothing(const PeerConnection& connection, const Departure& departure) {
  return connection.identification.kind == ServerKind::kQufabricJwt && departure.by_itself &&
         departure.sent >= kLeastAsked && departure.sent < kLeastCredential;
}

Trouble no_certificate(const std::string& place) {
  return {kExitNegative, "your ssh left " + place + " without having offered its certificate",
          "if your configuration forbids public keys (PubkeyAuthentication no), run QF_SSH=tunnel ssh ..."};
}

int run_direct(HostKeyGuard& guard, const PeerConnection& connection) {
  // The client's last words must reach the peer after ssh has sent us its SIGHUP; the relay ends by itself.
  ::signal(SIGHUP, SIG_IGN);
  Departure departure;
  auto done = relay({STDIN_FILENO, STDOUT_FILENO, connection.fd.get()}, &guard, kKeyExchangeTime, &departure);
  if (done && showed_nothing(connection, departure))
    return give_up(no_certificate(connection.place), ClientHas::kEncryption);
  if (done) return kExitOk;
  // the guard passes on whole packets only, so one of ours may follow
  bool guarded = !guard.done() && done.error().kind != ErrorKind::kSystem;
  return give_up(direct_trouble(connection.place, done.error()),
                 guarded ? ClientHas::kLine : ClientHas::kEncryption);
}

// So that the next ssh asks the peer itself: what qf-tokend remembers is a minute old at most, and wrong by
// now.
void tell_gone(const Folders& folders, const std::string& peer) {
  auto client = TokendClient::connect(folders);
  if (!client) return;
  JsonWriter request;
  request.set("version", kTokendProtocolVersion).set("op", "detected").set("peer", peer).set("host", peer);
  request.set("detection", "none");
  // the next ssh may find out by itself just as well
  if (client->send(request.text())) (void)client->receive(Clock::now() + kDaemonDeadline);
}

}  // namespace

int run_proxy(const Folders& folders, const std::string& host, const std::string& port) {
  auto peer = find_target(folders, host);
  if (!peer) return give_up(peer.error(), ClientHas::kNothing);
  auto fd = dial_peer(*peer);
  if (!fd) {
    tell_gone(folders, peer->name);
    return give_up(fd.error(), ClientHas::kNothing);
  }
  HostKeyGuard guard(host_key_blobs(peer->ssh_host_keys));
  bool direct = !tunnel_wished() && has_certificate(folders, peer->name);
  if (direct) {
    auto sent = forward_greeting(fd->get(), guard);
    if (!sent)
      return give_up({kExitSystem, "peer " + peer->name + ": " + sent.error().text(), "try again"},
                     ClientHas::kNothing);
  }
  auto connection = take_connection(*peer, std::move(*fd));
  if (!connection) return give_up(connection.error(), ClientHas::kNothing);
  if (!direct && connection->identification.kind == ServerKind::kQufabricJwt)
    return give_up(become_tunnel(folders, lower(host), port, std::move(connection->fd)), ClientHas::kNothing);
  return run_direct(guard, *connection);
}

}  // namespace qf
