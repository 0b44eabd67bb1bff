// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/account.h"

#include <paths.h>
#include <pwd.h>
#include <shadow.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <functional>

#include "libqf/fd.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostNologinBytes = 4096;
constexpr size_t kMostEntryBytes = 1 << 20;  // NSS modules may need room for long entries

Account account_of(const passwd& entry) {
  Account account{entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell};
  if (account.shell.empty()) account.shell = _PATH_BSHELL;
  return account;
}

Result<Account> look_up(const std::string& what,
                        const std::function<int(passwd*, char*, size_t, passwd**)>& call) {
  std::string buffer(16384, '\0');
  for (;;) {
    passwd entry = {};
    passwd* found = nullptr;
    int code = call(&entry, buffer.data(), buffer.size(), &found);
    if (found != nullptr) return account_of(entry);
    if (code == ERANGE && buffer.size() < kMostEntryBytes) {
      buffer.resize(buffer.size() * 2);
      continue;
    }
    if (code == EINTR) continue;
    // getpwnam_r(3): these codes, too, mean that there is no such entry
    if (code == 0 || code == ENOENT || code == ESRCH || code == EBADF || code == EPERM) {
      return not_found(what + " does not exist");
    }
    errno = code;
    return system_error("cannot look up " + what);
  }
}

}  // namespace

Result<Account> find_account(const std::string& name) {
  if (name.empty() || name.find('\0') != std::string::npos) return not_found("OS user \"\" does not exist");
  return look_up("OS user \"" + name + "\"", [&](passwd* entry, char* buffer, size_t size, passwd** found) {
    return ::getpwnam_r(name.c_str(), entry, buffer, size, found);
  });
}

Result<Account> own_account() {
  return look_up("uid " + std::to_string(::geteuid()),
                 [](passwd* entry, char* buffer, size_t size, passwd** found) {
                   return ::getpwuid_r(::geteuid(), entry, buffer, size, found);
                 });
}

Status check_shell(const Account& account) {
  struct stat st = {};
  std::string what = "login shell \"" + account.shell + "\" of OS user \"" + account.name + "\"";
  if (::stat(account.shell.c_str(), &st) != 0) return input_error(what + " does not exist");
  if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0) return input_error(what + " cannot be executed");
  return Done{};
}

Status check_open(const Account& account, const std::string& nologin) {
  if (account.uid != 0) {
    auto reason = read_file(nologin, kMostNologinBytes);
    if (reason) return refused("logins are closed on this peer: " + std::string(trim(*reason)));
    if (reason.error().sys != ENOENT) return refused("logins are closed on this peer");
  }
  spwd entry = {};
  spwd* found = nullptr;
  std::string buffer(16384, '\0');
  int code = ::getspnam_r(account.name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  // accounts of LDAP and the like have no entry here; a database that cannot be read is no reason to let
  // somebody in
  if (found == nullptr && code != 0 && code != ENOENT) {
    errno = code;
    return system_error("cannot look up the expiry of OS user \"" + account.name + "\"");
  }
  constexpr int64_t kDay = 24 * 3600;
  if (found != nullptr && found->sp_expire >= 0 && std::time(nullptr) / kDay > found->sp_expire) {
    return refused("the account of OS user \"" + account.name + "\" has expired");
  }
  return Done{};
}

}  // namespace qf
