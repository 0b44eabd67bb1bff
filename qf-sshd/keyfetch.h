// SPDX-License-Identifier: Apache-2.0
// Role: keyfetch. Fetches key sets and runs device logins over HTTPS for the listener, so that neither a
// provider's bytes nor its silence ever reach a process that decides.
//   uid: qufabric-fetch (our own when not root); no_new_privs, seccomp (no exec, no new process, no signals
//        to others, no writing of files), Landlock against writing and executing where the kernel has it
//   fds: the socket to the listener, stderr, and its connections
// qf-up starts one too, for the fabric document. Answers are checked by whoever asked; here they are only
// carried. Many fetches run at once, each with
// kFetchTime in all, so that a hanging provider delays nobody else.
// Must never: see what peers send, or their users, but for the tokens that it gets itself; start a program.
#pragma once

#include <chrono>
#include <string>

#include "libqf/result.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/settings.h"

namespace qf {

inline constexpr std::chrono::milliseconds kFetchTime{10'000};  // discovery and key set together

// Runs in a process of its own, forked while there was one thread; takes FetchRequest and
// DeviceLoginStart, gives FetchReply, DeviceLoginPrompt and DeviceLoginEnd; and DocumentRequest,
// DocumentReply; and those of etcd (keyfetch_etcd.h).
// Returns the exit code when the listener has closed its end.
int keyfetch_role(const Settings& settings, MessageSocket listener);

// The loop alone, without giving up rights (tests).
int serve_fetches(MessageSocket listener, std::chrono::milliseconds fetch_time = kFetchTime);

// The jwks_uri in a provider's configuration, which must be about this very issuer (OpenID Connect
// Discovery 1.0 section 4.3).
[[nodiscard]] Result<std::string> read_jwks_uri(const std::string& issuer, const std::string& body);

// What only takes away, before the first byte from outside: files, programs and system calls.
[[nodiscard]] Status lock_in_keyfetch();

}  // namespace qf
