// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/peer.h"

#include "libqf/address.h"
#include "libqf/log.h"

namespace qf {

namespace {

// ssh's own ConnectTimeout is usually shorter and ends us first.
constexpr auto kConnectDeadline = std::chrono::seconds(30);
constexpr auto kIdentificationDeadline = std::chrono::seconds(15);

Trouble unreachable(const PeerRecord& peer, const Error& error) {
  std::string hint = "is " + peer.name + " up, and does the network between let port 22022 through?";
  if (error.sys == ECONNREFUSED) {
    hint = peer.name + " is up, but its QuFabric SSH server is not; there, run: qf-up --allow-server-ssh";
  } else if (peer.addresses.empty()) {
    hint = "give " + peer.name + " an address in the fabric document and run: qf-up apply";
  }
  return {kExitNegative, "peer " + peer.name + " cannot be reached: " + error.text(), hint};
}

Trouble no_identification(const PeerRecord& peer, const std::string& place, const Error& error) {
  switch (error.kind) {
    case ErrorKind::kRefused:
      return {
          kExitNegative,
          place +
              " closed the connection without a word: this source is not allowed to reach it, or the "
              "server has too many connections",
          "a policy must allow this machine to reach " + peer.name +
              ", and its limits another connection; its audit log has the reason and the source that it saw"};
    case ErrorKind::kPeer:
      return {kExitNegative, place + " is no SSH server: " + error.text(),
              "find out what listens on port 22022 of " + peer.name};
    case ErrorKind::kTimeout:
      return {kExitNegative, place + " accepted the connection, but " + error.text() + " in 15 s",
              "is the machine overloaded, or does something else listen on port 22022?"};
    case ErrorKind::kSystem:
    case ErrorKind::kInput:
    case ErrorKind::kNotFound:
      break;
  }
  return {kExitNegative, place + ": " + error.text(), "try again"};
}

}  // namespace

Result<PeerRecord, Trouble> find_target(const Folders& folders, const std::string& host) {
  auto db = PeersDb::open(folders.peers_mdb());
  if (!db) return Trouble{kExitConfig, db.error().text(), "apply a fabric document first: qf-up apply"};
  auto peer = db->find_peer(host);
  if (!peer) {
    return Trouble{kExitNegative, "\"" + host + "\" is not a peer of this fabric",
                   "connect without qf-proxy: ssh -o ProxyCommand=none"};
  }
  if (!peer->ssh) {
    return Trouble{kExitNegative, "peer " + peer->name + " has \"ssh\": false in the fabric document",
                   "set it to true and run: qf-up apply"};
  }
  if (peer->ssh_host_keys.empty()) {
    return Trouble{kExitNegative, "peer " + peer->name + " has no host key in the fabric document",
                   "run qf-up host-key there and put the line into \"ssh_host_keys\""};
  }
  return std::move(*peer);
}

Result<Fd, Trouble> dial_peer(const PeerRecord& peer) {
  auto fd = dial(peer.addresses, kFabricPort, Clock::now() + kConnectDeadline);
  if (!fd) return unreachable(peer, fd.error());
  return std::move(*fd);
}

Result<PeerConnection, Trouble> connect_peer(const PeerRecord& peer) {
  auto fd = dial_peer(peer);
  if (!fd) return fd.error();
  return take_connection(peer, std::move(*fd));
}

Result<PeerConnection, Trouble> take_connection(const PeerRecord& peer, Fd fd) {
  PeerConnection connection;
  auto address = peer_address(fd.get());
  connection.place = peer.name + " (" + (address ? address->address() + " " : "") + "port " +
                     std::to_string(kFabricPort) + ")";
  auto found = peek_identification(fd.get(), Clock::now() + kIdentificationDeadline);
  if (!found) return no_identification(peer, connection.place, found.error());
  connection.identification = std::move(*found);
  connection.fd = std::move(fd);
  return connection;
}

Trouble wrong_host_key(const std::string& place, const std::string& key) {
  return {kExitNegative, place + " shows a host key that is not in the fabric document: " + key,
          "nothing was sent to it; if its key was renewed, put the new one into the fabric document and run: "
          "qf-up apply"};
}

}  // namespace qf
