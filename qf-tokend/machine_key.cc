// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/machine_key.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libqf/fd.h"

namespace qf {

namespace {

constexpr size_t kMostKeyFile = 16 * 1024;  // bytes

Error unusable(const std::string& path, const std::string& why, const std::string& hint) {
  return with_hint(input_error("the machine issuer's key " + path + " " + why), hint);
}

// From the descriptor that was looked at: another file may have the name by now.
Result<Secret> read_all(int fd, const std::string& path) {
  std::string content(kMostKeyFile + 1, '\0');
  size_t length = 0;
  while (length < content.size()) {
    ssize_t n = ::read(fd, content.data() + length, content.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read " + path);
    if (n == 0) break;
    length += static_cast<size_t>(n);
  }
  Secret secret(std::string_view(content).substr(0, length));
  wipe(content);
  if (length > kMostKeyFile) {
    return input_error("longer than " + std::to_string(kMostKeyFile) + " bytes");
  }
  return secret;
}

Result<SigningKey> load(const std::string& path) {
  const std::string put_back = "move it away and put the key that the fabric document names into its place";
  // not waiting for the other side of a FIFO
  auto file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!file && file.error().sys == ELOOP) return unusable(path, "is a symlink", put_back);
  if (!file) return file.error();
  struct stat st = {};
  if (::fstat(file->get(), &st) != 0) return system_error("cannot stat " + path);
  if (!S_ISREG(st.st_mode)) return unusable(path, "is not a file", put_back);
  if (st.st_uid != ::geteuid()) {
    return unusable(path,
                    "belongs to uid " + std::to_string(st.st_uid) + ", not to uid " +
                        std::to_string(::geteuid()) + ", which runs this",
                    put_back);
  }
  // somebody may have read it, and would be anybody on this machine
  if ((st.st_mode & 077) != 0) {
    return unusable(path, "may be used by others; it must have mode 0600",
                    "if nobody has, run: chmod 600 " + path +
                        "; otherwise remove it, and put the key set of the new one into the fabric document");
  }
  auto pem = read_all(file->get(), path);
  if (!pem && pem.error().kind == ErrorKind::kInput) {
    return unusable(path, "is " + pem.error().text(), put_back);
  }
  if (!pem) return pem.error();
  auto key = SigningKey::from_pem(*pem);
  if (!key) return unusable(path, "is of no use: " + key.error().text(), put_back);
  return key;
}

Status make(const std::string& path) {
  auto fresh = SigningKey::generate(KeyType::kEd25519);
  if (!fresh) return fresh.error();
  return write_file_atomically(path, fresh->private_pem().reveal(), 0600);
}

}  // namespace

Result<SigningKey> load_or_make_machine_key(const std::string& path) {
  auto key = load(path);
  if (key || key.error().sys != ENOENT) return key;
  std::string folder = path.substr(0, path.rfind('/'));
  if (auto made = make_folder(folder, ::geteuid() == 0 ? 0755 : 0700); !made) return made.error();
  // of two that start at once, one makes it; held for as long as that takes
  auto lock = open_lock_file(path + ".lock");
  if (!lock) return lock.error();
  while (::flock(lock->get(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error("cannot lock " + path);
  }
  key = load(path);
  if (key || key.error().sys != ENOENT) return key;
  if (auto made = make(path); !made) return made.error();
  return load(path);
}

}  // namespace qf
