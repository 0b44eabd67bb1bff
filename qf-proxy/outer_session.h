// SPDX-License-Identifier: Apache-2.0
// The outer SSH connection of the tunnel: key exchange, host key, the credential, the subsystem. libssh is
// wrapped here and in channel_relay.cc alone. No configuration, known_hosts file, agent or key of the user's
// is read.
#pragma once

#include <libssh/libssh.h>

#include <memory>

#include "libqf/peers_db.h"
#include "libqf/tunnel.h"
#include "qf-proxy/client_watch.h"
#include "qf-proxy/login.h"
#include "qf-proxy/peer.h"

namespace qf {

struct FreeSsh {
  void operator()(ssh_session session) const { ::ssh_free(session); }
  void operator()(ssh_key key) const { ::ssh_key_free(key); }
  void operator()(ssh_event event) const { ::ssh_event_free(event); }
  void operator()(char* text) const { ::ssh_string_free_char(text); }
};
template <class Handle>
using SshHandle = std::unique_ptr<std::remove_pointer_t<Handle>, FreeSsh>;

// SSH_OPTIONS_HOSTKEYS: the types of the pinned keys ("ssh-ed25519 AAAA…") before all others.
[[nodiscard]] std::string host_key_algorithms(const std::vector<std::string>& host_keys);

class OuterSession {
 public:
  // Key exchange over the connection. Trouble when the host key is none of the pinned ones.
  [[nodiscard]] static Result<OuterSession, Trouble> open(const PeerRecord& peer, PeerConnection connection,
                                                          const ClientWatch& watch);
  // Logs in with the credential as kTunnelUser and opens the channel with the subsystem. The peer's banner, a
  // refusal's reason above all, goes to the terminal.
  [[nodiscard]] Result<Done, Trouble> enter(const IssuedCredential& credential, const Terminal& terminal,
                                            const ClientWatch& watch);

  [[nodiscard]] ssh_session session() const { return session_.get(); }
  [[nodiscard]] ssh_channel channel() const { return channel_; }  // owned by the session
  [[nodiscard]] const std::string& place() const { return place_; }

 private:
  OuterSession(SshHandle<ssh_session> session, std::string place)
      : session_(std::move(session)), place_(std::move(place)) {}
  template <class Step>
  Result<int, Trouble> drive(const ClientWatch& watch, int again, Step step);
  [[nodiscard]] Trouble broken(const std::string& what) const;
  Result<Done, Trouble> check_host_key(const PeerRecord& peer);
  Result<Done, Trouble> log_in(const IssuedCredential& credential, const Terminal& terminal,
                               const ClientWatch& watch);
  Result<Done, Trouble> open_channel(const ClientWatch& watch);

  SshHandle<ssh_session> session_;
  std::string place_;
  ssh_channel channel_ = nullptr;
};

}  // namespace qf
