// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/user_context.h"

#include <grp.h>
#include <signal.h>
#include <unistd.h>

#include "qf-sshd/environment_file.h"

namespace qf {

namespace {

constexpr const char* kEnvironmentFile = "/etc/environment";

Result<std::vector<gid_t>> own_groups() {
  int count = ::getgroups(0, nullptr);
  if (count < 0) return system_error("cannot read groups");
  std::vector<gid_t> groups(static_cast<size_t>(count));
  count = ::getgroups(count, groups.data());
  if (count < 0) return system_error("cannot read groups");
  groups.resize(static_cast<size_t>(count));
  return groups;
}

// The process with what sessions shall have, while modules change it; at the end it has its own again.
class Borrowed {
 public:
  static Result<Borrowed> take(const Settings& settings) {
    auto limits = own_limits();
    if (!limits) return limits.error();
    auto groups = own_groups();
    if (!groups) return groups.error();
    Borrowed borrowed(*limits, std::move(*groups), settings.privileged);
    ProcessLimits start = *limits;
    // sshd(8) takes write access from others whatever it was started with
    start.mask |= 022;
    if (settings.open_files != 0) start.limits[RLIMIT_NOFILE].rlim_cur = settings.open_files;
    if (auto applied = apply_limits(start); !applied) return applied.error();
    return borrowed;
  }

  Status give_back() {
    restore_limits(limits_);
    if (privileged_ && ::setgroups(groups_.size(), groups_.data()) != 0) {
      return system_error("cannot restore groups");
    }
    return Done{};
  }

 private:
  Borrowed(const ProcessLimits& limits, std::vector<gid_t> groups, bool privileged)
      : limits_(limits), groups_(std::move(groups)), privileged_(privileged) {}
  ProcessLimits limits_;
  std::vector<gid_t> groups_;
  bool privileged_;
};

// PAM's words after those of its modules, which say more.
Error refusal(const Error& error, const std::string& said) {
  if (said.empty() || error.kind != ErrorKind::kRefused) return error;
  return refused(said.substr(0, said.find_last_not_of('\n') + 1));
}

}  // namespace

std::string connection_text(const ConnectionEnds& ends) {
  return ends.client_address + " " + std::to_string(ends.client_port) + " " + ends.server_address + " " +
         std::to_string(ends.server_port);
}

// Modules that give groups (pam_group) add them to those of NSS.
Status UserLogin::take_groups(const Account& account) {
  if (::initgroups(account.name.c_str(), account.gid) != 0) return system_error("cannot set groups");
  if (pam_) pam_->establish_credentials();
  auto groups = own_groups();
  if (!groups) return groups.error();
  context_.groups = std::move(*groups);
  return Done{};
}

Status UserLogin::open_pam(const Account& account, const ConnectionEnds& ends) {
  auto started = PamLogin::start(account.name, ends.client_address, connection_text(ends));
  if (!started) return started.error();
  pam_ = std::move(*started);
  context_.pam = true;
  auto judged = pam_->judge_account();
  notice_ = pam_->take_text();
  if (!judged) return refusal(judged.error(), notice_);
  if (auto taken = take_groups(account); !taken) return taken;
  auto opened = pam_->open_session();
  context_.greeting = pam_->take_text();
  if (!opened) return refusal(opened.error(), context_.greeting);
  context_.environment = pam_->environment();
  return Done{};
}

Result<UserLogin> UserLogin::open(const Settings& settings, const Account& account,
                                  const ConnectionEnds& ends, unsigned patience) {
  auto borrowed = Borrowed::take(settings);
  if (!borrowed) return borrowed.error();
  UserLogin login;
  Status opened = Done{};
  if (settings.pam) {
    ::signal(SIGALRM, SIG_DFL);
    ::alarm(patience);
    opened = login.open_pam(account, ends);
    ::alarm(0);
  } else {
    login.context_.environment = read_environment_file(kEnvironmentFile);
    if (settings.privileged) opened = login.take_groups(account);
  }
  auto limits = own_limits();
  auto returned = borrowed->give_back();
  if (opened && !limits) opened = limits.error();
  if (opened && !returned) opened = returned;
  if (!opened) {
    login.close();
    return opened.error();
  }
  login.context_.limits = *limits;
  return login;
}

void UserLogin::close() {
  if (pam_) pam_->close();
  pam_.reset();
}

Status become_user(const Settings& settings, const Account& account, const UserContext& context) {
  if (context.limits) {
    if (auto applied = apply_limits(*context.limits); !applied) return applied;
  }
  if (!settings.privileged) return Done{};
  if (::setgroups(context.groups.size(), context.groups.data()) != 0)
    return system_error("cannot set groups");
  if (::setresgid(account.gid, account.gid, account.gid) != 0) return system_error("cannot set the group");
  if (::setresuid(account.uid, account.uid, account.uid) != 0) return system_error("cannot set the user");
  if (account.uid != 0 && (::setuid(0) == 0 || ::seteuid(0) == 0)) return refused("root could be taken back");
  return Done{};
}

}  // namespace qf
