// SPDX-License-Identifier: Apache-2.0
// What clients do with our last words differs, and their identification strings (RFC 4253 section 4.2) say
// who they are; as OpenSSH's compat.c goes by them.
#pragma once

#include <string_view>

namespace qf {

struct ClientQuirks {
  // libssh waits for ever for the answer to a login request when a disconnect message comes in its place, and
  // also when it finds the connection closed as it asks (0.10: ssh_auth_response_termination() looks
  // at nothing but the request).
  bool waits_for_answers = false;
  // PuTTY's programs show no banner when they run a command; the text of a disconnect message they do.
  bool hides_banners = false;
  // OpenSSH shows both, so that the message need not repeat all of the banner.
  bool shows_banners = false;
};

[[nodiscard]] ClientQuirks quirks_of(std::string_view identification);

}  // namespace qf
