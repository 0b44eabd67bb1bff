// SPDX-License-Identifier: Apache-2.0
#include "libqf/folders.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "libqf/fd.h"

namespace qf {

namespace {

std::string choose(const std::string& flag, const char* variable, const std::string& fallback) {
  std::string value = flag;
  if (value.empty()) {
    const char* set = ::secure_getenv(variable);
    value = set == nullptr ? "" : set;
  }
  if (value.empty()) return fallback;
  std::error_code error;
  std::string absolute = std::filesystem::absolute(value, error).lexically_normal().string();
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return error ? value : absolute;
}

Error belongs_to(const std::string& path, uid_t owner, const std::string& wanted) {
  return input_error(path + " belongs to uid " + std::to_string(owner) + ", not to " + wanted);
}

// A folder that only its owner can enter: the secrets inside rely on it.
Status check_private(const std::string& path) {
  struct stat st = {};
  if (::lstat(path.c_str(), &st) != 0) return system_error("cannot use the runtime folder " + path);
  if (!S_ISDIR(st.st_mode)) return input_error("the runtime folder " + path + " is not a folder");
  if (st.st_uid != ::geteuid())
    return belongs_to("the runtime folder " + path, st.st_uid, "uid " + std::to_string(::geteuid()));
  if ((st.st_mode & 07777) != 0700) {
    return with_hint(input_error("the runtime folder " + path + " must have mode 0700"),
                     "run: chmod 0700 " + path);
  }
  return Done{};
}

// What is above the folder that check_private() looks at, below the home folder: made by us, for us alone to
// change, or somebody could put another in its place.
Status own_folder(const std::string& path, bool create) {
  if (create) {
    if (auto made = make_folder(path, 0700); !made) return made;
  }
  struct stat st = {};
  if (::lstat(path.c_str(), &st) != 0) return system_error("cannot use the folder " + path);
  if (!S_ISDIR(st.st_mode)) return input_error(path + " is not a folder");
  if (st.st_uid != ::geteuid()) return belongs_to(path, st.st_uid, "uid " + std::to_string(::geteuid()));
  if ((st.st_mode & 022) != 0)
    return with_hint(input_error("others may write to " + path), "run: chmod go-w " + path);
  return Done{};
}

// One step of check_above(): a folder, or a symlink, of root or ours. In a sticky folder, others may write,
// but change nothing of ours or root's.
Status check_step(const std::string& path, const struct stat& st) {
  if (st.st_uid != 0 && st.st_uid != ::geteuid()) {
    return belongs_to(path, st.st_uid, "root or uid " + std::to_string(::geteuid()));
  }
  if (S_ISLNK(st.st_mode)) return Done{};
  if (!S_ISDIR(st.st_mode)) return input_error(path + " is not a folder");
  if ((st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0)
    return with_hint(input_error("others may write to " + path + ", which is above the runtime folder"),
                     "run: chmod go-w " + path);
  return Done{};
}

// What is above a runtime folder that somebody has named, up to the root, as sshd looks at the path of an
// authorized_keys file. Symlinks are followed here, each step of theirs looked at too: realpath(3) would hide
// one in a folder that others may write to.
Status check_above(const std::string& path) {
  namespace fs = std::filesystem;
  constexpr int kMostSymlinks = 40;  // as the kernel
  std::string left = fs::path(path).parent_path();
  fs::path at = "/";
  struct stat st = {};
  if (::lstat("/", &st) != 0) return system_error("cannot use the folder /");
  if (auto checked = check_step("/", st); !checked) return checked;
  for (int symlinks = 0; !left.empty();) {
    size_t slash = left.find('/');
    std::string word = left.substr(0, slash);
    left.erase(0, slash == std::string::npos ? slash : slash + 1);
    if (word.empty() || word == ".") continue;
    fs::path next = word == ".." ? at.parent_path() : at / word;
    if (::lstat(next.c_str(), &st) != 0) return system_error("cannot use the folder " + next.string());
    if (auto checked = check_step(next.string(), st); !checked) return checked;
    if (!S_ISLNK(st.st_mode)) {
      at = next;
      continue;
    }
    std::error_code error;
    fs::path target = fs::read_symlink(next, error);
    if (error || ++symlinks > kMostSymlinks) return input_error("cannot follow the symlink " + next.string());
    if (target.is_absolute()) at = "/";
    left = target.string() + "/" + left;
  }
  return Done{};
}

Result<std::string> private_folder(const std::string& path, bool create) {
  if (create) {
    if (auto made = make_folder(path, 0700); !made) return made.error();
  }
  if (auto checked = check_private(path); !checked) return checked.error();
  return path;
}

bool has_session(const std::string& path) {
  struct stat st = {};
  return ::lstat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == ::geteuid();
}

}  // namespace

Folders find_folders(const std::string& config_flag, const std::string& state_flag,
                     const std::string& runtime_flag) {
  return {choose(config_flag, "QF_CONFIG_DIR", "/etc/qufabric"),
          choose(state_flag, "QF_STATE_DIR", "/var/lib/qufabric"),
          choose(runtime_flag, "QF_RUNTIME_DIR", "")};
}

std::vector<std::string> folder_arguments(const Folders& folders) {
  std::vector<std::string> words = {"--config-dir", folders.config, "--state-dir", folders.state};
  if (folders.runtime_named()) words.insert(words.end(), {"--runtime-dir", folders.runtime});
  return words;
}

std::string system_runtime(const Folders& folders) {
  return folders.runtime_named() ? folders.runtime : "/run/qufabric";
}

Result<std::string> server_runtime(const Folders& folders, bool create) {
  if (::geteuid() != 0) return user_runtime(folders, create);
  std::string path = system_runtime(folders);
  if (create) {
    if (auto made = make_folder(path, 0755); !made) return made.error();
  }
  struct stat st = {};
  if (::lstat(path.c_str(), &st) != 0) return system_error("cannot use the runtime folder " + path);
  if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022) != 0)
    return input_error(path + " must be a folder that only root can write");
  return path;
}

Result<std::string> user_runtime(const Folders& folders, bool create) {
  std::string path = folders.runtime;
  if (path.empty()) {
    std::string session = "/run/user/" + std::to_string(::geteuid());
    if (has_session(session)) {
      path = session + "/qufabric";
    } else {
      auto home = home_folder();
      if (!home) return home.error();
      return home_runtime(*home, create);
    }
  } else if (auto checked = check_above(path); !checked) {
    return checked.error();
  }
  return private_folder(path, create);
}

Result<std::string> home_runtime(const std::string& home, bool create) {
  char host[256] = {};
  if (::gethostname(host, sizeof host - 1) != 0) return system_error("cannot read the host name");
  std::string base = home + "/.qufabric";
  std::string run = base + "/run";
  for (const auto& folder : {base, run}) {
    if (auto own = own_folder(folder, create); !own) return own.error();
  }
  return private_folder(run + "/" + host, create);
}

Result<std::string> home_folder() {
  struct passwd entry = {};
  struct passwd* found = nullptr;
  std::string buffer(16384, '\0');
  int failed = ::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    errno = failed;
    return system_error("no passwd entry for uid " + std::to_string(::geteuid()));
  }
  return std::string(found->pw_dir);
}

std::string program_folder() {
  std::error_code error;
  auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "/usr/bin" : self.parent_path().string();
}

std::string sibling_program(const std::string& name) {
  std::string here = program_folder();
  // bin -> libexec, and back from a program that lies in libexec or sbin itself
  for (const auto& folder :
       {here, here + "/../libexec/qufabric", here + "/../sbin", here + "/../bin", here + "/../../bin"}) {
    std::string path = std::filesystem::path(folder + "/" + name).lexically_normal().string();
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return here + "/" + name;
}

}  // namespace qf
