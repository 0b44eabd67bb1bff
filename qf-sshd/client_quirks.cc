// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/client_quirks.h"

namespace qf {

ClientQuirks quirks_of(std::string_view identification) {
  ClientQuirks quirks;
  auto begins = [&](std::string_view start) { return identification.starts_with(start); };
  // libssh2 is another library
  quirks.waits_for_answers = begins("SSH-2.0-libssh_") || begins("SSH-2.0-libssh-");
  quirks.hides_banners = begins("SSH-2.0-PuTTY");
  quirks.shows_banners = begins("SSH-2.0-OpenSSH");
  return quirks;
}

}  // namespace qf
