// SPDX-License-Identifier: Apache-2.0
// A credential for a peer from qf-tokend, which may have to ask the person to log in.
#pragma once

#include <functional>
#include <string>

#include "libqf/folders.h"
#include "libqf/terminal.h"
#include "qf-proxy/client_watch.h"

namespace qf {

struct IssuedCredential {
  std::string certificate;  // "ssh-ed25519-cert-v01@openssh.com AAAA…"
  std::string key_file;     // of the subject key
};

struct LoginRequest {
  std::string peer, host;
  std::function<void()> slow;  // called once when it will take longer than a connection should be kept open
};

// Starts qf-tokend when none runs. Prompts go to the terminal; without one nothing is asked and the answer of
// qf-tokend is final. Returns early when the client leaves, which ends a login that nobody else waits for.
[[nodiscard]] Result<IssuedCredential, Trouble> get_credential(const Folders& folders,
                                                               const LoginRequest& request,
                                                               const Terminal& terminal,
                                                               const ClientWatch& watch);

}  // namespace qf
