// SPDX-License-Identifier: Apache-2.0
// qf-up doctor: a machine where people log in (--allow-server-ssh): is the server there, on its addresses,
// with its key, its users, and files that nobody else can change? Most of it is for root to see.
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "libqf/interface.h"
#include "libqf/json.h"
#include "libqf/system_users.h"
#include "libqf/text.h"
#include "qf-up/doctor_checks.h"
#include "qf-up/instance.h"
#include "qf-up/live_status.h"
#include "qf-up/machine.h"
#include "qf-up/reach.h"
#include "qf-up/redirect.h"

namespace qf {

namespace {

constexpr const char* kPamService = "/etc/pam.d/qf-sshd";
constexpr size_t kMostMissing = 16;  // named in a line

// Result errors that mean "not for you to see".
bool not_permitted(const Error& error) {
  return error.sys == EACCES || error.sys == EPERM || error.kind == ErrorKind::kRefused;
}

// Whose machine instance it is: what belongs to it belongs to its state folder's owner.
uid_t owner_of(const Folders& folders) {
  struct stat st = {};
  return ::stat(folders.state.c_str(), &st) == 0 ? st.st_uid : 0;
}

void check_runs(const Patient& patient, Findings& findings) {
  auto live = ask_server(patient.folders);
  const std::string start = "run: sudo systemctl start qufabric, or: sudo qf-up; what stops it is in its log";
  if (!live && live.error().kind == ErrorKind::kNotFound)
    return findings.wrong("server", "", live.error().text() + ", and --allow-server-ssh is chosen", start);
  if (!live)
    return findings.wrong("server", "", "does not answer: " + live.error().text(),
                          "run: sudo systemctl restart qufabric; live sessions go on");
  auto self = patient.peers.find_peer(patient.choices.self);
  if (!self)
    return findings.wrong("server", "", "the document has no peer " + patient.choices.self,
                          "run: sudo qf-up apply --self NAME");
  auto own = addresses_on(self->addresses, patient.choices.interface);
  if (!own)
    return findings.wrong("server", "", own.error().text(),
                          own.error().hint.empty() ? "bring the interface up" : own.error().hint);
  auto listening = json_strings(live->get(), "listening").value_or(std::vector<std::string>{});
  for (const auto& address : *own) {
    if (std::find(listening.begin(), listening.end(), address) == listening.end())
      return findings.wrong("server", "", "runs, and does not listen on " + address,
                            "see what has the port: sudo ss -ltnp 'sport = :22022'");
  }
  findings.ok("server", "", "runs and listens on " + join(*own, ", "));
}

void check_redirect(const Patient& patient, Findings& findings) {
  if (!redirect_wanted(patient.choices)) return;
  auto plan = plan_in_force(patient.folders, patient.choices);
  Status there = plan ? look_at_redirect(*plan) : Status(plan.error());
  if (there && !plan->interface.empty()) {
    auto addresses = interface_addresses(plan->interface);
    if (!addresses && addresses.error().kind == ErrorKind::kNotFound)
      return findings.wrong(
          "redirect", "", "there is no interface " + plan->interface + " now, so nobody comes by it",
          "is it up? see: ip link; another one: sudo qf-up apply --redirect-port-22 IFACE|CIDR");
  }
  if (there) return findings.ok("redirect", "", "port 22 leads to 22022 for peers");
  findings.wrong("redirect", "", "not in place: " + there.error().text(),
                 there.error().kind == ErrorKind::kSystem && !there.error().hint.empty()
                     ? there.error().hint
                     : "run: sudo qf-up apply");
}

void check_own_key(const Patient& patient, Findings& findings) {
  auto self = patient.peers.find_peer(patient.choices.self);
  if (!self) return;
  // to ask for the lines would make it
  if (::access(patient.folders.host_key().c_str(), F_OK) != 0)
    return findings.wrong("own-key", "", patient.folders.host_key() + " is not there",
                          "run: sudo qf-up host-key; and put the line into the document");
  auto held = host_key_lines(patient.folders);
  if (!held)
    return findings.wrong(
        "own-key", "", held.error().text(),
        held.error().hint.empty() ? "restore it, or make another: see qf-up(8)" : held.error().hint);
  const auto& pinned = self->ssh_host_keys;
  if (std::find_first_of(pinned.begin(), pinned.end(), held->begin(), held->end()) != pinned.end())
    return findings.ok("own-key", "", "is one that the document pins");
  findings.wrong(
      "own-key", "", "the document does not pin this machine's host key, so clients refuse to connect",
      "put it into \"ssh_host_keys\" of the peer \"" + patient.choices.self + "\": " + held->front());
}

void check_users(Findings& findings) {
  std::vector<std::string> missing;
  for (const char* name : {kNetUser, kFetchUser}) {
    if (::getpwnam(name) == nullptr) missing.emplace_back(name);
  }
  if (missing.empty()) return findings.ok("users", "", std::string(kNetUser) + ", " + kFetchUser);
  findings.wrong("users", "", "there is no OS user " + join(missing, ", "),
                 "run: sudo systemctl restart qufabric, which makes them");
}

// What is wrong with owner and mode of a file or folder; empty: nothing.
std::string fault_of(const std::string& path, uid_t owner, mode_t forbidden) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return errno == ENOENT ? "" : system_error(path).text();
  if (st.st_uid != owner && st.st_uid != 0) return path + " belongs to uid " + std::to_string(st.st_uid);
  if ((st.st_mode & forbidden) == 0) return "";
  return path +
         ((st.st_mode & forbidden & 022) != 0 ? " can be changed by others" : " can be read by others");
}

void check_folders(const Patient& patient, Findings& findings) {
  const Folders& folders = patient.folders;
  uid_t owner = owner_of(folders);
  struct Place {
    std::string path;
    mode_t forbidden;
  };
  const Place places[] = {{folders.config, 022},         {folders.fabric_json(), 022},
                          {folders.state, 022},          {folders.peers_mdb(), 022},
                          {folders.policy_mdb(), 077},   {folders.audit_log(), 077},
                          {system_runtime(folders), 022}};
  for (const auto& [path, forbidden] : places) {
    std::string fault = fault_of(path, owner, forbidden);
    if (fault.empty()) continue;
    std::string mend = (forbidden & 044) != 0 ? "go-rwx" : "go-w";
    return findings.wrong(
        "folders", "", fault,
        "run: sudo chmod " + mend + " " + for_shell(path) + "; and see who owns it: ls -ld");
  }
  findings.ok("folders", "", "owners and modes are as they must be");
}

void check_pam(const Patient& patient, Findings& findings) {
#ifdef QF_PAM
  if (patient.choices.disable_ssh_pam || ::geteuid() != 0) return;
  if (::access(kPamService, R_OK) == 0) return findings.ok("pam", "", kPamService);
  findings.note(
      "pam", "", std::string(kPamService) + " is not there, so PAM is not asked about accounts and sessions",
      "install it (conf/pam/qf-sshd), or say that none is wanted: sudo qf-up apply --disable-ssh-pam");
#else
  static_cast<void>(patient), static_cast<void>(findings), static_cast<void>(kPamService);
#endif
}

// What a user is refused with "not available" is a choice here.
void check_features(const Patient& patient, Findings& findings) {
  struct Feature {
    bool Choices::*on;
    const char* name;
    const char* flag;
  };
  const Feature features[] = {
      {&Choices::enable_ssh_sftp, "SFTP", "--enable-ssh-sftp"},
      {&Choices::enable_ssh_local_port_forwarding, "local port forwarding",
       "--enable-ssh-local-port-forwarding"},
      {&Choices::enable_ssh_remote_port_forwarding, "remote port forwarding",
       "--enable-ssh-remote-port-forwarding"},
  };
  std::vector<std::string> off, flags;
  for (const auto& feature : features) {
    if (patient.choices.*feature.on) continue;
    off.emplace_back(feature.name);
    flags.emplace_back(feature.flag);
  }
  if (off.empty()) return findings.ok("features", "", "SFTP and port forwarding are on");
  findings.note("features", "", "switched off here: " + join(off, ", "),
                "where it is wanted: sudo qf-up apply " + join(flags, " ") + "; and restart the server");
}

// OS users whom a policy lets in and who are not there.
void check_os_users(const Patient& patient, Findings& findings) {
  if (!patient.fabric) return;
  ReachQuestion question;
  question.to = patient.choices.self;
  auto rows = reach({nullptr, &*patient.fabric}, question);
  if (!rows) return;
  std::set<std::string> named, missing;
  for (const auto& row : *rows) {
    if (row.login != kAnyOsUser) named.insert(row.login);
  }
  for (const auto& name : named) {
    if (missing.size() < kMostMissing && ::getpwnam(name.c_str()) == nullptr) missing.insert(name);
  }
  if (missing.empty()) return findings.ok("os-users", "", "those that policies name are here");
  std::vector<std::string> names(missing.begin(), missing.end());
  findings.note("os-users", "",
                "policies name OS users that this machine does not have: " + join(names, ", "),
                "make them (useradd), or take them out of the policies");
}

}  // namespace

void check_server(const Patient& patient, Findings& findings) {
  if (!patient.choices.allow_server_ssh) return;
  auto running = running_instance(patient.folders);
  if (::geteuid() != owner_of(patient.folders) || (!running && not_permitted(running.error())))
    return findings.note("server", "", "not known: it is another user's to see", kAsRoot);
  check_runs(patient, findings);
  check_redirect(patient, findings);
  check_own_key(patient, findings);
  if (::geteuid() == 0) check_users(findings);
  check_folders(patient, findings);
  check_pam(patient, findings);
  check_features(patient, findings);
  check_os_users(patient, findings);
}

}  // namespace qf
