// SPDX-License-Identifier: Apache-2.0
// Carries bytes between the client's two descriptors and the peer's socket. With splice(2) and pipes of 1 MiB
// where the descriptors allow it (pipes and stream sockets), else through a buffer. One thread, one poll(2),
// no descriptor is ever waited on without reason, so that nothing spins; between short messages that are
// answered at once it stays awake (qf-proxy/busy_poll.h).
#pragma once

#include <chrono>
#include <cstdint>

#include "libqf/result.h"
#include "qf-proxy/hostkey_guard.h"

namespace qf {

// Borrowed. `in` and `out` are the client's (stdin and stdout; the same socket twice for some clients), two
// pipes, sockets, terminals or files; `peer` is a connected, non-blocking stream socket.
struct RelayEnds {
  int in = -1, out = -1, peer = -1;
};

// How long the guarded part may take: a peer that drips bytes must not keep the client waiting for ever. What
// takes a person's time, a question about the host key or a password, comes after it.
inline constexpr std::chrono::seconds kKeyExchangeTime(60);

// How a client has left.
struct Departure {
  bool by_itself = false;  // before the peer had ended the connection
  uint64_t sent = 0;       // bytes since the guard was done
};

// Until the peer has closed and all of its bytes are with the client, or the client is gone: Done. An end of
// `in` is passed on as a half-close, and the other direction goes on. Errors: kSystem when the connection
// broke; kRefused and kPeer from the guard (null: none), whose connection must be dropped at once; kTimeout
// when the guard is not done after `key_exchange_time`.
[[nodiscard]] Status relay(const RelayEnds& ends, HostKeyGuard* guard,
                           std::chrono::milliseconds key_exchange_time = kKeyExchangeTime,
                           Departure* departure = nullptr);

}  // namespace qf
