// SPDX-License-Identifier: Apache-2.0
// qf-up doctor: the peers. All are asked at the same time, with a deadline; their host keys by
// ssh-keyscan(1), which needs no login. Then what the policies of the document let this user do there.
#include <unistd.h>

#include <algorithm>
#include <set>

#include "libqf/address.h"
#include "libqf/child.h"
#include "libqf/crypto.h"
#include "libqf/json.h"
#include "libqf/text.h"
#include "qf-up/doctor_checks.h"
#include "qf-up/names.h"
#include "qf-up/peer_probe.h"
#include "qf-up/reach.h"

namespace qf {

namespace {

constexpr auto kProbeTime = std::chrono::seconds(3);
constexpr auto kAllProbesTime = std::chrono::seconds(30);
constexpr auto kScanTime = std::chrono::seconds(8);
constexpr const char* kScanWait = "3";  // seconds, of ssh-keyscan for each
constexpr size_t kMostScanBytes = 1 << 20;
constexpr auto kVersionTime = std::chrono::seconds(2);
constexpr size_t kMostNamed = 8;  // OS users in a line

bool is_ours(Detection detection) {
  return detection == Detection::kJwt || detection == Detection::kNoJwt;
}

// What each address offers: lines "[ADDRESS]:22022 TYPE KEY".
void scan_host_keys(std::vector<PeerFound>& peers) {
  std::vector<std::string> words = {"/usr/bin/ssh-keyscan",      "-T", kScanWait, "-p",
                                    std::to_string(kFabricPort), "-t", "ed25519"};
  size_t options = words.size();
  for (const auto& peer : peers) {
    if (is_ours(peer.probe.detection)) words.push_back(peer.probe.address);
  }
  if (words.size() == options) return;
  auto output = run_program(words, Clock::now() + kScanTime, kMostScanBytes);
  if (!output) return;
  for (const auto& line : split(output->out, '\n')) {
    size_t space = line.find(' ');
    if (line.starts_with('#') || space == std::string::npos) continue;
    std::string place = line.substr(0, space);
    for (auto& peer : peers) {
      if (place != "[" + peer.probe.address + "]:" + std::to_string(kFabricPort)) continue;
      if (auto key = parse_host_key(line.substr(space + 1))) peer.host_key = key->line;
    }
  }
}

void judge_host_key(const PeerFound& peer, Findings& findings) {
  const auto& pinned = peer.record.ssh_host_keys;
  const std::string& name = peer.record.name;
  if (pinned.empty())
    return findings.wrong("host-key", name,
                          "the document pins no host key, so ssh goes there without QuFabric",
                          "run there: qf-up host-key; and put the line into \"ssh_host_keys\" of its peer");
  if (!peer.host_key)
    return findings.note("host-key", name, "not compared: ssh-keyscan got none",
                         "run: ssh-keyscan -p 22022 " + peer.probe.address);
  if (std::find(pinned.begin(), pinned.end(), *peer.host_key) != pinned.end())
    return findings.ok("host-key", name, "is a pinned one");
  findings.wrong("host-key", name,
                 "is none that the document pins, so ssh refuses to connect: " + *peer.host_key,
                 "somebody else may answer at " + peer.probe.address +
                     "; if the key was changed: put what qf-up host-key prints there into \"ssh_host_keys\", "
                     "and apply the document everywhere");
}

void judge_peer(const PeerFound& peer, Findings& findings) {
  const std::string& name = peer.record.name;
  const auto& probe = peer.probe;
  if (!peer.record.ssh)
    return findings.note("peer", name, "the document has no \"ssh\": true for it, so ssh goes there as ever",
                         "where it is to be reached: set that, and run qf-up --allow-server-ssh there");
  switch (probe.detection) {
    case Detection::kJwt:
    case Detection::kNoJwt:
      findings.ok("peer", name,
                  probe.address + " port 22022: " + probe.identification.software +
                      (probe.detection == Detection::kJwt ? ", wants a login" : ", wants no login"));
      return judge_host_key(peer, findings);
    case Detection::kClosed:
      return findings.note("peer", name,
                           probe.address + " port 22022 takes no connection from " + probe.source + " here",
                           "see the line about policy");
    case Detection::kOther:
      return findings.wrong("peer", name,
                            "another SSH server is on port 22022: " + probe.identification.software,
                            "run there: qf-up --allow-server-ssh; and see what has the port: ss -ltnp");
    case Detection::kNone:
      return findings.wrong(
          "peer", name, "no SSH server answers: " + probe.reason,
          "is it up (ping " + peer.record.addresses.front() +
              ")? does qf-up --allow-server-ssh run there (qf-up status)? does a firewall drop "
              "port 22022?");
  }
}

// Whether the people of a row are this one, or may be.
enum class Meant { kNo, kYes, kByTokenGroup };
Meant meant(const ReachPeople& who, const IssuerLogin& login) {
  auto has = [&](const std::vector<std::string>& names) {
    return std::find(names.begin(), names.end(), login.subject) != names.end();
  };
  if (who.kind == PeopleKind::kUnasked) return Meant::kYes;
  if (who.issuer != login.issuer) return Meant::kNo;
  if (who.kind == PeopleKind::kListed) return has(who.names) ? Meant::kYes : Meant::kNo;
  if (who.kind == PeopleKind::kTokenGroup) return Meant::kByTokenGroup;
  return has(who.but_names) ? Meant::kNo : Meant::kYes;
}

struct Allowed {
  std::set<std::string> logins, policies, token_groups;
};

Allowed collect_allowed(const std::vector<ReachRow>& rows, const IssuerLogin& login) {
  Allowed allowed;
  for (const auto& row : rows) {
    if (!row.grant[kAfter]) continue;
    Meant who = meant(row.who, login);
    if (who == Meant::kByTokenGroup) allowed.token_groups.insert(row.who.names.begin(), row.who.names.end());
    if (who != Meant::kYes) continue;
    allowed.logins.insert(row.login == kAnyOsUser ? "any OS user" : row.login);
    allowed.policies.insert(row.grant[kAfter]->policy);
  }
  return allowed;
}

std::string few(const std::set<std::string>& names) {
  std::vector<std::string> some;
  for (const auto& name : names) {
    if (some.size() < kMostNamed) some.push_back(name);
  }
  std::string text = join(some, ", ");
  if (names.size() > some.size()) text += " and " + std::to_string(names.size() - some.size()) + " more";
  return text;
}

// One identity at one peer; `from` is a peer. Empty issuer: none is asked for.
void judge_identity(const Patient& patient, const PeerFound& peer, const std::string& from,
                    const IssuerLogin& login, Findings& findings) {
  const std::string& name = peer.record.name;
  bool unasked = peer.probe.detection == Detection::kNoJwt;
  ReachQuestion question;
  question.from = from;
  question.to = name;
  question.without_identity = unasked;
  bool here = patient.choices.self == name;
  question.root_enabled = !here || patient.choices.enable_ssh_root;
  auto rows = reach({nullptr, &*patient.fabric}, question);
  if (!rows) return findings.wrong("policy", name, rows.error().text(), "run: sudo qf-up apply");
  auto allowed = collect_allowed(*rows, login);
  std::string who =
      (unasked ? std::string("whoever it is") : login.issuer + ":" + login.subject) + " from " + from;
  if (!allowed.logins.empty())
    return findings.ok("policy", name,
                       who + " may be " + few(allowed.logins) + " (policy " + few(allowed.policies) + ")");
  if (!allowed.token_groups.empty())
    return findings.note(
        "policy", name,
        who + " may be somebody there with one of these groups in the token: " + few(allowed.token_groups),
        "run: qf-token show, for what is in yours");
  findings.wrong("policy", name, who + " may be no OS user there",
                 "ask the admin for a policy that names you and this peer; why: sudo qf-up explain --user " +
                     for_shell(login.issuer + ":" + login.subject) + " --from " + from + " --to " + name +
                     " --login OSUSER");
}

void judge_policy(const Patient& patient, const PeerFound& peer, const TokendFound& tokend,
                  Findings& findings) {
  const std::string& name = peer.record.name;
  std::string from = patient.meta.self;
  if (!peer.probe.source.empty()) {
    auto source = patient.peers.find_peer(peer.probe.source);
    if (!source)
      return findings.wrong(
          "policy", name,
          "this machine comes there from " + peer.probe.source + ", which is no peer's address",
          "put the address into \"addresses\" of this machine's peer in the fabric document");
    from = source->name;
  }
  if (peer.probe.detection == Detection::kClosed)
    return findings.wrong("policy", name, "no policy lets " + from + " reach it",
                          "a policy of protocol qufabric-ssh must name " + from +
                              " among its sources and the peer among its destinations");
  if (from.empty())
    return findings.note("policy", name, "not judged: which peer this machine is is not known",
                         "run: sudo qf-up apply --self NAME");
  if (!patient.fabric)
    return findings.note("policy", name, "not known: only root may read the policies", kAsRoot);
  if (peer.probe.detection == Detection::kNoJwt) return judge_identity(patient, peer, from, {}, findings);
  std::vector<IssuerLogin> usable;
  for (const auto& login : tokend.logins) {
    const auto& taken = peer.record.issuers;
    if (taken.empty() || std::find(taken.begin(), taken.end(), login.issuer) != taken.end())
      usable.push_back(login);
  }
  if (usable.empty())
    return findings.note("policy", name, "not judged, since you are not logged in at an issuer that it takes",
                         "run: qf-token login");
  for (const auto& login : usable) judge_identity(patient, peer, from, login, findings);
}

// "0.61.0" of what `PROGRAM --version` prints.
std::string program_version(const std::string& name) {
  auto output = run_program({sibling_program(name), "--version"}, Clock::now() + kVersionTime);
  if (!output) return "";
  std::string line(trim(output->out));
  return line.starts_with(name + " ") ? line.substr(name.size() + 1) : "";
}

}  // namespace

std::vector<PeerFound> look_at_peers(const std::vector<PeerRecord>& records) {
  auto probes = probe_peers(records, {kProbeTime, kAllProbesTime});
  std::vector<PeerFound> peers;
  for (size_t i = 0; i < records.size(); ++i) {
    ProbeResult unasked;
    unasked.reason = "it was not asked: the others took all the time";
    peers.push_back({records[i], probes[i].value_or(unasked), std::nullopt});
  }
  scan_host_keys(peers);
  return peers;
}

void check_peers(const Patient&, const std::vector<PeerFound>& peers, Findings& findings) {
  for (const auto& peer : peers) judge_peer(peer, findings);
}

void check_policy(const Patient& patient, const std::vector<PeerFound>& peers, const TokendFound& tokend,
                  Findings& findings) {
  for (const auto& peer : peers) {
    if (peer.record.ssh) judge_policy(patient, peer, tokend, findings);
  }
}

std::vector<std::string> permitted_peers(const Fabric& fabric, const std::string& self, size_t most) {
  ReachQuestion question;
  question.from = self;
  auto rows = reach({nullptr, &fabric}, question);
  std::set<std::string> names;
  if (rows) {
    for (const auto& row : *rows) names.insert(row.to.names.begin(), row.to.names.end());
  }
  std::vector<std::string> some;
  for (const auto& name : names) {
    if (some.size() < most) some.push_back(name);
  }
  return some;
}

void check_versions(const Patient& patient, const std::vector<PeerFound>& peers, const TokendFound& tokend,
                    Findings& findings) {
  const std::string own = QF_VERSION;
  bool all_equal = true;
  for (const char* name : {"qf-detect", "qf-proxy", "qf-tokend", "qf-token", "qf-sshd"}) {
    // the server is a package of its own
    std::string path = sibling_program(name);
    if (name == std::string("qf-sshd") && !patient.choices.allow_server_ssh &&
        ::access(path.c_str(), F_OK) != 0)
      continue;
    std::string version = program_version(name);
    if (version == own) continue;
    all_equal = false;
    findings.wrong("version", name,
                   version.empty() ? path + " does not run" : path + " is " + version + ", and qf-up " + own,
                   "install all of QuFabric SSH in one version");
  }
  if (tokend.pid > 0 && tokend.release != own) {
    all_equal = false;
    findings.note("version", "qf-tokend",
                  "the one that runs is " + (tokend.release.empty() ? "older" : tokend.release) +
                      ", and what is installed " + own,
                  "run: qf-token stop; the next ssh starts the other one");
  }
  if (all_equal) findings.ok("version", "", own + ", all programs here");
  for (const auto& peer : peers) {
    if (!is_ours(peer.probe.detection)) continue;
    std::string runs = peer.probe.identification.software;
    if (runs.starts_with(kServerSoftware)) runs.erase(0, kServerSoftware.size());
    if (runs == peer.record.version && runs == own) continue;
    findings.note("version", peer.record.name,
                  "runs " + runs + "; the document says " + peer.record.version + ", and here is " + own,
                  runs == peer.record.version
                      ? "update the older of the two machines, servers first"
                      : "put " + runs + " into \"version\" of its peer in the document");
  }
}

}  // namespace qf
