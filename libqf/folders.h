// SPDX-License-Identifier: Apache-2.0
// The three folders of an instance: --config-dir (QF_CONFIG_DIR, /etc/qufabric), --state-dir (QF_STATE_DIR,
// /var/lib/qufabric) and --runtime-dir (QF_RUNTIME_DIR; /run/qufabric for system services; per user
// otherwise).
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "libqf/result.h"

namespace qf {

struct Folders {
  std::string config;
  std::string state;
  std::string runtime;  // empty: the default of the program that asks (system_runtime or user_runtime)
  // Whether the runtime folder was named by flag or environment. Then the generated ssh_config and qf-tokend
  // use its absolute path and leave the symlink ~/.qufabric/ssh alone, so that a scratch instance never
  // disturbs a real one.
  [[nodiscard]] bool runtime_named() const { return !runtime.empty(); }

  [[nodiscard]] std::string fabric_json() const { return config + "/fabric.json"; }
  [[nodiscard]] std::string peers_mdb() const { return state + "/peers.mdb"; }
  [[nodiscard]] std::string policy_mdb() const { return state + "/policy.mdb"; }
  [[nodiscard]] std::string known_hosts() const { return state + "/known_hosts"; }
  // the ssh_config file of the document in force, wherever it has a second place (/etc/ssh/ssh_config.d)
  [[nodiscard]] std::string ssh_config() const { return state + "/ssh_config"; }
  [[nodiscard]] std::string host_key() const { return state + "/ssh_host_ed25519_key"; }
  // made by qf-up rotate-host-key, and in use once the document lists it and not the other any more
  [[nodiscard]] std::string next_host_key() const { return host_key() + ".next"; }
  [[nodiscard]] std::string audit_log() const { return state + "/audit.log"; }
};

// Flag values may be empty; then the environment, then the default counts. Relative paths are made absolute.
[[nodiscard]] Folders find_folders(const std::string& config_flag, const std::string& state_flag,
                                   const std::string& runtime_flag);
// "--config-dir X --state-dir Y [--runtime-dir Z]" as separate words, to hand this instance on to another
// program.
[[nodiscard]] std::vector<std::string> folder_arguments(const Folders& folders);

// The folder of system services: `runtime` when named, else /run/qufabric. Not created.
[[nodiscard]] std::string system_runtime(const Folders& folders);

// Where qf-sshd has its sockets, for itself and for qf-up: as root system_runtime(), which only root may be
// able to change; otherwise user_runtime().
[[nodiscard]] Result<std::string> server_runtime(const Folders& folders, bool create);

// The folder of this user: `runtime` when named, else /run/user/UID/qufabric when /run/user/UID exists and is
// ours, else home_runtime() below the home folder of the passwd entry, never of HOME. Created when `create`;
// refused unless it is a folder (no symlink) with mode 0700 that belongs to the effective uid. Above a named
// one every folder and symlink must belong to root or to us, and no folder be writable by others, sticky ones
// such as /tmp aside.
[[nodiscard]] Result<std::string> user_runtime(const Folders& folders, bool create);

// HOME/.qufabric/run/HOSTNAME. `.qufabric` and `run` must be folders (no symlinks) of the effective uid that
// nobody else may write to.
[[nodiscard]] Result<std::string> home_runtime(const std::string& home, bool create);

// The home folder of the effective uid, from passwd.
[[nodiscard]] Result<std::string> home_folder();

// Absolute path of the folder that the running program was started from, for finding its siblings. Programs
// of ours lie in one folder (bin), helpers in ../libexec/qufabric beside it or, in a build tree, in the same
// folder.
[[nodiscard]] std::string program_folder();
[[nodiscard]] std::string sibling_program(
    const std::string& name);  // absolute path; libexec is looked at too

}  // namespace qf
