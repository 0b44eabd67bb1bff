// SPDX-License-Identifier: Apache-2.0
// What sshd(8) does between the login and the user's shell or command, inside the session's process and with
// the user's rights: the messages of a login shell with a terminal, and the rc files.
#pragma once

#include <string>
#include <vector>

#include "qf-sshd/account.h"

namespace qf {

inline constexpr const char* kMotdFile = "/etc/motd";
inline constexpr const char* kSystemRc = "/etc/ssh/sshrc";
inline constexpr const char* kUserRc = ".ssh/rc";  // in the home folder, the working folder

// Whether ~/.hushlogin is there.
[[nodiscard]] bool wants_silence(const Account& account);
// The message of the day; nothing when there is none.
[[nodiscard]] std::string motd_text(const std::string& path = kMotdFile);

struct RcRun {
  const Account& account;
  bool subsystem = false;    // the user's own file is not for those
  const std::string& input;  // its standard input: "protocol cookie" of X11 and a newline, or nothing
  const std::vector<char*>& environment;  // ends with a null pointer
  std::string system_rc = kSystemRc;
};
// Runs ~/.ssh/rc through the user's shell or, without one, /etc/ssh/sshrc, and waits for it. Whatever it does
// is no reason to refuse the session. False: there is neither, so what the file would do with `input` is not
// done.
bool run_rc_file(const RcRun& run);

}  // namespace qf
