// SPDX-License-Identifier: Apache-2.0
// The qf-up that runs in the foreground for a state folder. It holds a record lock (fcntl(2)) on
// STATE/qf-up.lock; the kernel itself says who holds it, so a stale file or a recycled pid deceives nobody.
// Only its owner may open the file, and a holder of another user's is believed in nothing.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "libqf/fd.h"
#include "libqf/folders.h"

namespace qf {

// Held until the Fd closes. A record lock also goes when the process closes *any* descriptor of the file:
// nothing else in the foreground qf-up may open it. kRefused with the pid when another one holds it.
[[nodiscard]] Result<Fd> become_instance(const Folders& folders);

// The pid of the running one, nothing when none runs. kRefused when a process that is not all ours (real,
// effective and saved uid) holds the lock; kSystem with EACCES when the state folder is somebody else's.
[[nodiscard]] Result<std::optional<pid_t>> running_instance(const Folders& folders);

// SIGHUP to the running one: it reads the document again, and qf-sshd its host key. False when none runs;
// errors of running_instance().
[[nodiscard]] Result<bool> reload_instance(const Folders& folders);

// SIGTERM to the running one, and waits for its end. False when none runs; kTimeout when it does not end;
// errors of running_instance(), and then nobody got a signal.
[[nodiscard]] Result<bool> stop_instance(const Folders& folders, Deadline deadline);

}  // namespace qf
