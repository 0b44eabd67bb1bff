// SPDX-License-Identifier: Apache-2.0
#include "qf-up/machine.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <vector>

#include "libqf/child.h"
#include "libqf/fd.h"
#include "libqf/system_users.h"
#include "libqf/text.h"
#include "qf-up/names.h"

namespace qf {

namespace {

constexpr auto kToolTime = std::chrono::seconds(60);  // useradd may wait for a lock on /etc/passwd

// stdout of a program that must succeed
Result<std::string> tool(const std::vector<std::string>& arguments) {
  auto output = run_program(arguments, Clock::now() + kToolTime);
  if (!output) return output.error();
  if (WIFEXITED(output->status) && WEXITSTATUS(output->status) == 0) return output->out;
  return Error{ErrorKind::kSystem, 0,
               arguments[0] + " " + describe_exit(output->status) + ": " + std::string(trim(output->err))};
}

std::string find_tool(const std::vector<std::string>& places) {
  for (const auto& place : places) {
    if (::access(place.c_str(), X_OK) == 0) return place;
  }
  return places.front();
}

void remove_key(const std::string& path) {
  ::unlink(path.c_str());
  ::unlink((path + ".pub").c_str());
}

Status make_host_key_at(const std::string& keygen, const std::string& path, const std::string& temporary) {
  auto made = tool({keygen, "-q", "-t", "ed25519", "-N", "", "-C", "qf-sshd", "-f", temporary});
  if (!made) return made.error();
  if (::chmod(temporary.c_str(), 0600) != 0) return system_error("cannot set the mode of " + temporary);
  // what was published must be there after a power failure too
  auto file = open_file(temporary, O_RDONLY);
  if (!file) return file.error();
  if (::fsync(file->get()) != 0) return system_error("cannot sync " + temporary);
  if (::rename((temporary + ".pub").c_str(), (path + ".pub").c_str()) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0)
    return system_error("cannot replace " + path);
  return sync_folder_of(path);
}

// Complete beside its place, then renamed: a kill leaves no half key.
Status make_host_key(const std::string& keygen, const std::string& path) {
  std::string temporary = path + ".new";
  remove_key(temporary);
  auto made = make_host_key_at(keygen, path, temporary);
  if (!made) remove_key(temporary);
  return made;
}

// Somebody else who can read or write the key could be this peer.
Status check_host_key(const std::string& path) {
  struct stat st = {};
  if (::lstat(path.c_str(), &st) != 0) return system_error("cannot stat " + path);
  if (!S_ISREG(st.st_mode)) return input_error(path + " is not a file");
  if (st.st_uid != 0 && st.st_uid != ::geteuid())
    return with_hint(input_error(path + " belongs to uid " + std::to_string(st.st_uid)),
                     "whoever that is could be this peer: move it away and run qf-up host-key, which makes "
                     "a new one");
  if ((st.st_mode & 0077) != 0)
    return with_hint(input_error(path + " can be read by others"), "run: chmod 0600 " + path);
  return Done{};
}

Status ensure_user(const std::string& name, const std::string& comment) {
  if (::getpwnam(name.c_str()) != nullptr) return Done{};
  auto made =
      tool({find_tool({"/usr/sbin/useradd", "/sbin/useradd"}), "--system", "--user-group", "--no-create-home",
            "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "--comment", comment, name});
  // another qf-up may have made it in the same moment
  if (!made && ::getpwnam(name.c_str()) == nullptr)
    return with_hint(made.error(),
                     "qf-sshd needs the system user " + name +
                         ": make it where /etc can be written, with systemd-sysusers or useradd --system");
  return Done{};
}

// The public line of a private key file.
Result<std::string> public_line(const std::string& path) {
  if (auto good = check_host_key(path); !good) return good.error();
  // from the private key: a .pub file beside it may be another's
  auto line = tool({keygen_program(), "-y", "-P", "", "-f", path});
  if (!line) return line.error();
  auto key = parse_host_key(*line);
  if (!key) return input_error(path + ": " + key.error().what);
  return key->line;
}

}  // namespace

std::string keygen_program() {
  return find_tool({"/usr/bin/ssh-keygen", "/usr/local/bin/ssh-keygen"});
}

Result<std::string> ensure_host_key(const Folders& folders) {
  std::string path = folders.host_key();
  if (::access(path.c_str(), F_OK) != 0) {
    if (auto made = make_host_key(keygen_program(), path); !made) return made.error();
  }
  return public_line(path);
}

Result<std::vector<std::string>> host_key_lines(const Folders& folders) {
  auto in_use = ensure_host_key(folders);
  if (!in_use) return in_use.error();
  std::vector<std::string> lines = {*in_use};
  if (::access(folders.next_host_key().c_str(), F_OK) != 0) return lines;
  auto next = public_line(folders.next_host_key());
  if (!next) return next.error();
  lines.push_back(*next);
  return lines;
}

Status make_next_host_key(const Folders& folders) {
  if (::access(folders.next_host_key().c_str(), F_OK) == 0) return Done{};
  return make_host_key(keygen_program(), folders.next_host_key());
}

Status take_next_host_key(const Folders& folders) {
  std::string next = folders.next_host_key(), path = folders.host_key();
  if (::rename(next.c_str(), path.c_str()) != 0)
    return errno == ENOENT ? not_found("there is no next host key") : system_error("cannot replace " + path);
  ::unlink((next + ".pub").c_str());
  return sync_folder_of(path);
}

Status write_public_half(const Folders& folders) {
  auto line = public_line(folders.host_key());
  if (!line) return line.error();
  return write_file_atomically(folders.host_key() + ".pub", *line + " qf-sshd\n", 0644);
}

Status ensure_system_users() {
  auto made = ensure_user(kNetUser, "QuFabric SSH server");
  if (!made) return made;
  return ensure_user(kFetchUser, "QuFabric SSH key fetcher");
}

}  // namespace qf
