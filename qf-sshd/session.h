// SPDX-License-Identifier: Apache-2.0
// Role: session. The user's shell, command or sftp-server.
//   uid: the OS user's (its groups from NSS), no jail: this is the user's own work
//   fds: standard input, output and error alone
// Started by the monitor, which gets the other ends and hands them to net.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libqf/fd.h"
#include "qf-sshd/account.h"
#include "qf-sshd/login_records.h"
#include "qf-sshd/messages.h"
#include "qf-sshd/settings.h"
#include "qf-sshd/user_context.h"

namespace qf {

// What sessions of one connection have in common.
struct SessionPlan {
  const Settings& settings;
  const Account& account;
  const UserContext& context;
  ConnectionEnds ends;
};

// What was forwarded for one session.
struct SessionForwards {
  std::string agent_socket;  // path; empty: none
  std::optional<uint32_t> display;
  X11 x11;  // of the display
};

struct SpawnedSession {
  pid_t pid = -1;
  Fd pidfd;             // readable when the process has ended
  std::vector<Fd> fds;  // three, as SessionReply has them
  // as it was entered in utmp: its end is to be entered too (record_logout)
  std::optional<UtmpRecord> record;
};

// The whole environment of a session: "NAME=value". What the client sent counts least, then what PAM or
// /etc/environment say; who, where and whence are ours.
[[nodiscard]] std::vector<std::string> session_environment(const SessionPlan& plan,
                                                           const SessionRequest& request,
                                                           const SessionForwards& forwards,
                                                           const std::string& tty);

[[nodiscard]] Result<SpawnedSession> spawn_session(const SessionPlan& plan, const SessionRequest& request,
                                                   const SessionForwards& forwards = {});

}  // namespace qf
