// SPDX-License-Identifier: Apache-2.0
// Local users, from NSS (files, LDAP, SSSD, …).
#pragma once

#include <sys/types.h>

#include <string>

#include "libqf/result.h"

namespace qf {

struct Account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string home;
  std::string shell;  // absolute path; /bin/sh when the entry has none, as login(1) does
};

// kNotFound when there is no such user; kSystem when NSS could not say.
[[nodiscard]] Result<Account> find_account(const std::string& name);
// The account that the server itself runs under.
[[nodiscard]] Result<Account> own_account();
// Whether the login shell exists and can be executed; the text says what is wrong.
[[nodiscard]] Status check_shell(const Account& account);

// Whether the account is open now: it has not expired (shadow(5)), and no nologin(5) file keeps everybody but
// root out, whose content is the reason then. Needs to be root to see the expiry.
[[nodiscard]] Status check_open(const Account& account, const std::string& nologin = "/etc/nologin");

}  // namespace qf
