// SPDX-License-Identifier: Apache-2.0
// How a daemon of ours comes by its socket: systemd hands it in (a .socket unit), or it makes its own. What
// is handed in stays systemd's: it is checked, and neither removed nor replaced.
#pragma once

#include <string>
#include <vector>

#include "libqf/fd.h"
#include "libqf/systemd.h"

namespace qf {

class Activation {
 public:
  // In the process that systemd has started, before it splits; once. What was said to it is no longer in the
  // environment then. kInput: what was said is wrong.
  [[nodiscard]] static Result<Activation> take();

  // Whether a socket is handed in.
  [[nodiscard]] bool handed() const { return !sockets_.empty(); }
  // kInput, saying why, when what is handed in is no listening Unix stream socket at `path`.
  [[nodiscard]] Status check(const std::string& path) const;
  // After check(): a listening, non-blocking socket, the one handed in, else a new one with this mode at
  // `path`, in place of what is there. Once.
  [[nodiscard]] Result<Fd> listen(const std::string& path, mode_t mode);
  [[nodiscard]] const Notifier& notifier() const { return notifier_; }

 private:
  std::vector<Fd> sockets_;
  Notifier notifier_;
};

}  // namespace qf
