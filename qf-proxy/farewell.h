// SPDX-License-Identifier: Apache-2.0
// The last way to tell a person something: OpenSSH gives a ProxyCommand /dev/null as stderr with
// ControlPersist, and without a terminal (Ansible, cron) nothing that we say is heard. The client itself is:
// an SSH_MSG_DISCONNECT in plain text (RFC 4253 section 11.1), which it prints and which ends it. Only before
// the keys are exchanged.
#pragma once

#include <string>
#include <string_view>

#include "libqf/terminal.h"

namespace qf {

// How far the connection with the client has come.
enum class ClientHas {
  kNothing,     // no byte yet: our own identification line goes first
  kLine,        // the peer's identification line, and perhaps whole plain packets
  kEncryption,  // keys are exchanged, or may be
};

// A whole packet (RFC 4253 section 6) without encryption.
[[nodiscard]] std::string disconnect_packet(std::string_view text);

// complain(), and to the client when nobody hears that. Waits a little for the client to read it. The exit
// code.
int give_up(const Trouble& trouble, ClientHas client);

}  // namespace qf
