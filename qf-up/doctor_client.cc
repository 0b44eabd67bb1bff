// SPDX-License-Identifier: Apache-2.0
// qf-up doctor: what plain ssh needs on the machine of whoever types it, and qf-tokend. ssh itself is asked
// what it makes of its files (ssh -G), which runs the "Match exec" of them, as each ssh does.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "libqf/child.h"
#include "libqf/identification.h"
#include "libqf/text.h"
#include "libqf/tokend_client.h"
#include "qf-up/doctor_checks.h"
#include "qf-up/qufabric_config.h"
#include "qf-up/ssh_config.h"
#include "qf-up/ssh_include.h"

namespace qf {

namespace {

constexpr auto kSshTime = std::chrono::seconds(10);
constexpr auto kTokendTime = std::chrono::seconds(3);
constexpr SshVersion kOldestSsh = {8, 0};
constexpr size_t kMostConfigBytes = size_t{16} << 20;
constexpr const char* kCertificateType = "ssh-ed25519-cert-v01@openssh.com";

// Keywords in lower case; of several lines with one, all values.
using SshOptions = std::multimap<std::string, std::string>;
SshOptions read_options(std::string_view text) {
  SshOptions options;
  for (const auto& raw : split(text, '\n')) {
    std::string line(trim(raw));
    size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    options.emplace(lower(line.substr(0, space)), trim(line.substr(space + 1)));
  }
  return options;
}

std::string first_of(const SshOptions& options, const std::string& keyword) {
  auto found = options.lower_bound(keyword);
  return found == options.end() || found->first != keyword ? "" : found->second;
}

bool check_program(Findings& findings) {
  std::string program = installed_ssh();
  if (program.empty()) {
    findings.wrong("ssh", "", "there is no ssh on this machine", "install OpenSSH's client (openssh-client)");
    return false;
  }
  auto version = installed_ssh_version();
  std::string text =
      program + " is OpenSSH " + std::to_string(version.major) + "." + std::to_string(version.minor);
  if (!version.at_least(kOldestSsh)) {
    findings.wrong("ssh", "", text + ", and 8.0 or newer is needed", "update it, or put a newer one there");
    return false;
  }
  findings.ok("ssh", "", text);
  return true;
}

// Whether ssh reads our file.
bool check_include(const Patient& patient, Findings& findings) {
  if (auto applied = check_applied(patient.folders); !applied) {
    findings.wrong("include", "", applied.error().text(), applied.error().hint);
    return false;
  }
  std::string reader = includes_ours(patient.folders);
  if (!reader.empty()) {
    findings.ok("include", "", reader + " includes QuFabric's file");
    return true;
  }
  auto system = read_file(kSystemSshConfig, kMostConfigBytes);
  std::string place = std::string(kSystemSshConfigFolder) + "/" + kSshConfigName;
  bool line_there = system && includes_file(*system, place);
  bool file_there = ::access(place.c_str(), F_OK) == 0;
  const std::string own = "or for yourself: qufabric ssh-config >> ~/.ssh/config";
  if (line_there)
    findings.wrong(
        "include", "",
        file_there ? place + " is of another fabric or an older document" : place + " is not there",
        "run: sudo qf-up apply; " + own);
  else
    findings.wrong("include", "",
                   std::string("neither ~/.ssh/config nor ") + kSystemSshConfig +
                       " includes QuFabric's file for all hosts, so ssh ignores it",
                   std::string("add this line at the top of ") + kSystemSshConfig + ": Include " +
                       kSystemSshConfigFolder + "/*.conf; " + own);
  return false;
}

// ssh refuses to start with a file that others may write.
std::optional<SshOptions> ask_ssh(const std::string& host, Findings& findings) {
  auto output = run_program({installed_ssh(), "-G", "--", host}, Clock::now() + kSshTime);
  bool good = output && WIFEXITED(output->status) && WEXITSTATUS(output->status) == 0;
  if (good) {
    findings.ok("ssh-files", "", "ssh reads its configuration without a fault");
    return read_options(output->out);
  }
  std::string said = output ? std::string(trim(output->err)) : output.error().text();
  said = said.substr(0, said.find('\n'));
  bool mode = said.find("Bad owner or permissions") != std::string::npos;
  findings.wrong("ssh-files", "", "ssh stops at its configuration: " + said,
                 mode ? "it must be yours or root's, and others may not write to it: chmod go-w " +
                            for_shell(said.substr(said.rfind(' ') + 1))
                      : "correct that file; try: ssh -G " + for_shell(host));
  return std::nullopt;
}

// Why the block of a peer does not count, in qf-detect's words.
std::string match_reason(const Patient& patient, const std::string& host) {
  std::vector<std::string> words = {sibling_program("qf-detect"), "--match", "--verbose"};
  for (auto& word : folder_arguments(patient.folders)) words.push_back(std::move(word));
  words.insert(words.end(), {"--", host, "22"});
  auto output = run_program(words, Clock::now() + kSshTime);
  if (!output) return output.error().text();
  bool applies = WIFEXITED(output->status) && WEXITSTATUS(output->status) == 0;
  return applies ? "" : std::string(trim(output->err));
}

// What of the block another line has set before, "ProxyCommand is …".
std::vector<std::string> overridden(const SshOptions& ours, const SshOptions& now) {
  std::vector<std::string> faults;
  for (const char* keyword : {"Port", "ProxyCommand", "GlobalKnownHostsFile", "UserKnownHostsFile"}) {
    std::string wanted = first_of(ours, lower(keyword)), found = first_of(now, lower(keyword));
    if (wanted != found)
      faults.push_back(std::string(keyword) + " is " + (found.empty() ? "not set" : found));
  }
  std::string strict = first_of(now, "stricthostkeychecking");
  if (strict != "true" && strict != "yes") faults.push_back("StrictHostKeyChecking is " + strict);
  std::string publickey = first_of(now, "pubkeyauthentication");
  if (publickey == "no" || publickey == "false") faults.push_back("PubkeyAuthentication is " + publickey);
  std::string methods = first_of(now, "preferredauthentications");
  if (!methods.empty() && methods.find("publickey") == std::string::npos)
    faults.push_back("PreferredAuthentications is " + methods);
  for (const char* keyword : {"pubkeyacceptedalgorithms", "pubkeyacceptedkeytypes"}) {
    std::string algorithms = first_of(now, keyword);
    if (!algorithms.empty() && algorithms.find(kCertificateType) == std::string::npos)
      faults.push_back(std::string(keyword) + " has no " + kCertificateType);
  }
  return faults;
}

void judge_block(const Patient& patient, const PeerFound& peer, const SshOptions& now, Findings& findings) {
  const std::string& name = peer.record.name;
  const std::string look = "; see: ssh -G " + lower(name);
  auto text = read_file(patient.folders.ssh_config(), kMostConfigBytes);
  if (!text) return findings.wrong("block", name, text.error().text(), "run: sudo qf-up apply");
  if (auto reason = match_reason(patient, lower(name)); !reason.empty()) {
    return findings.wrong(
        "block", name, "does not apply: " + reason,
        "undo that (QF_SSH in the environment, ~/.qufabric/exclude), or run: sudo qf-up apply");
  }
  auto faults = overridden(read_options(*text), now);
  if (faults.empty())
    return findings.ok("block", name, "ssh takes QuFabric's Port, ProxyCommand and known hosts for it");
  findings.wrong(
      "block", name, "another line of ssh's configuration wins: " + join(faults, ", "),
      "take it out of ~/.ssh/config or /etc/ssh/ssh_config for this host, where the first value counts" +
          look);
}

std::string login_text(const cJSON* issuer) {
  return json_string(issuer, "name").value_or("") + ":" + json_string(issuer, "subject").value_or("") +
         " for " + describe_seconds(json_integer(issuer, "ttl_left").value_or(0));
}

void judge_logins(const Patient& patient, const cJSON* status, TokendFound& found, Findings& findings) {
  std::vector<std::string> logins;
  const cJSON* issuer = nullptr;
  cJSON_ArrayForEach(issuer, json_member(status, "issuers")) {
    std::string state = json_string(issuer, "state").value_or("");
    if (state != "cached" && state != "refreshable") continue;
    logins.push_back(login_text(issuer));
    found.logins.push_back(
        {json_string(issuer, "name").value_or(""), json_string(issuer, "subject").value_or("")});
  }
  if (!logins.empty()) return findings.ok("login", "", join(logins, ", "));
  if (json_integer(status, "ttl").value_or(0) == 0 && patient.meta.jwt_cache_ttl == 0)
    return findings.note("login", "", "nobody is logged in, and each ssh logs in anew (nothing is kept)",
                         "to keep logins: sudo qf-up apply --ssh-jwt-cache-ttl 3600");
  findings.note("login", "", "nobody is logged in, so the next ssh asks", "run: qf-token login");
}

}  // namespace

void check_ssh(const Patient& patient, const std::vector<PeerFound>& peers, Findings& findings) {
  if (!check_program(findings)) return;
  bool included = check_include(patient, findings);
  auto sample = std::find_if(peers.begin(), peers.end(), [](const PeerFound& peer) {
    return peer.record.ssh && !peer.record.ssh_host_keys.empty() &&
           (peer.probe.detection == Detection::kJwt || peer.probe.detection == Detection::kNoJwt);
  });
  bool found = sample != peers.end();
  auto now = ask_ssh(found ? lower(sample->record.name) : "localhost", findings);
  if (!included)
    return findings.note("block", "", "not asked, since ssh does not read QuFabric's file",
                         "see the line about include");
  if (!now)
    return findings.note("block", "", "not asked, since ssh stops at its configuration",
                         "see the line about ssh-files");
  if (!found)
    return findings.note("block", "", "not asked, since no peer answers that was looked at",
                         "run: qf-up doctor PEER, with one that is up");
  judge_block(patient, *sample, *now, findings);
}

TokendFound check_tokend(const Patient& patient, Findings& findings) {
  TokendFound found;
  auto client = TokendClient::connect(patient.folders);
  if (!client && client.error().kind == ErrorKind::kNotFound) {
    findings.note("tokend", "", "none runs; the next ssh starts it", "run: qf-token login");
    return found;
  }
  if (!client) {
    findings.wrong(
        "tokend", "", client.error().text(),
        client.error().hint.empty() ? "its folder must be yours alone, mode 0700" : client.error().hint);
    return found;
  }
  auto process = peer_credentials(client->fd());
  std::string pid = process ? std::to_string(process->pid) : "PID";
  JsonWriter request;
  request.set("version", kTokendProtocolVersion).set("op", "status");
  auto sent = client->send(request.text());
  auto answer = sent ? client->receive(Clock::now() + kTokendTime) : Result<JsonPtr>(sent.error());
  if (!answer || !json_bool(answer->get(), "ok").value_or(false)) {
    findings.wrong("tokend", "",
                   "does not answer: " +
                       (answer ? json_string(answer->get(), "message").value_or("") : answer.error().text()),
                   "end it, and log in again: kill -KILL " + pid + "; qf-token login");
    return found;
  }
  found.pid = json_integer(answer->get(), "pid").value_or(0);
  found.release = json_string(answer->get(), "release").value_or("");
  findings.ok("tokend", "", "process " + std::to_string(found.pid) + " answers");
  judge_logins(patient, answer->get(), found, findings);
  return found;
}

}  // namespace qf
