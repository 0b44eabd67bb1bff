// SPDX-License-Identifier: Apache-2.0
// What the choices about the network (--interface, --redirect-port-22) mean for the commands of qf-up, and
// what they say about them.
#pragma once

#include <string>
#include <vector>

#include "qf-up/commands.h"

namespace qf {

// Whether the command line itself asks for a redirect of port 22.
[[nodiscard]] bool asks_for_redirect(const Invocation& invocation);

// Before anything is changed: what the command line asks for must be possible with this document. What is
// remembered must not keep a new policy from counting, nor the server from running.
[[nodiscard]] Status check_network(const Document& document, const Invocation& invocation,
                                   const Choices& choices);

// After a document came into force: the redirect as it is wanted now (settle_redirect()). Exit code; a
// failure leaves the one of before, and is said.
[[nodiscard]] int redirect_after(const Folders& folders, const Choices& choices, bool serving);

// When qf-sshd cannot be kept running: nothing answers behind the redirect any more, and port 22 may be the
// admin's own way in. A stop or a restart leaves it, as the ssh_config file: clients would meet another
// server there for a moment.
void give_back_port_22(const Folders& folders);

// Of the document in force, those of this peer that are to be served; none when that cannot be said: qf-sshd
// says why.
[[nodiscard]] std::vector<std::string> own_addresses(const Folders& folders, const Choices& choices);

}  // namespace qf
