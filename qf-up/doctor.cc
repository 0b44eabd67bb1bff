// SPDX-License-Identifier: Apache-2.0
#include "qf-up/doctor.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <set>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/text.h"
#include "qf-up/commands.h"
#include "qf-up/doctor_checks.h"
#include "qf-up/document.h"
#include "qf-up/fabric_tests.h"
#include "qf-up/source.h"
#include "qf-up/text_table.h"

namespace po = boost::program_options;

namespace qf {

namespace {

constexpr const char* kDoctorProgram = "qf-up doctor";
constexpr size_t kMostPeersAsked = 16;  // where none is named

struct DoctorOptions {
  FolderOptions folders;
  std::vector<std::string> peers;
  bool json = false;
};

DoctorOptions read_doctor_options(int argc, char** argv) {
  DoctorOptions options;
  po::options_description visible("options");
  visible.add_options()("json", po::bool_switch(&options.json), "print JSON");
  add_folder_options(visible, options.folders);
  static_cast<void>(parse_options(
      argc, argv,
      {kDoctorProgram,
       "usage: qf-up doctor [--json] [PEER...] [options]\nLooks at this machine, at the identity providers "
       "and "
       "at the peers, says what is wrong and what to do\nabout it, and changes nothing. Without a PEER: "
       "those "
       "that this machine may reach.\nexit status: 0 nothing is wrong, 1 something is, 64 wrong usage, 78 no "
       "such peer\n",
       visible, &options.peers}));
  return options;
}

std::string document_age(const std::string& path) {
  std::error_code error;
  auto written = std::filesystem::last_write_time(path, error);
  if (error) return "of an unknown age";
  auto age = std::filesystem::file_time_type::clock::now() - written;
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(age).count();
  return "in force for " + describe_seconds(std::max<int64_t>(0, seconds));
}

// The policies, from where this user may read them.
std::optional<Fabric> readable_fabric(const Folders& folders, const PeersMeta& meta) {
  if (auto fabric = Fabric::in_force(folders.policy_mdb())) return std::optional<Fabric>(std::move(*fabric));
  auto text = read_file(folders.fabric_json(), kMostDocumentBytes);
  if (!text) return std::nullopt;
  auto document = read_document(*text);
  if (!document || document->hash != meta.document_hash) return std::nullopt;
  auto fabric = Fabric::of(*document);
  if (!fabric) return std::nullopt;
  return std::optional<Fabric>(std::move(*fabric));
}

// Those that somebody here may log in at, and those of servers alone where they may be known.
void take_issuers(Patient& patient) {
  for (const auto& name : patient.meta.issuers) {
    if (auto issuer = patient.peers.find_issuer(name)) patient.issuers.push_back(*issuer);
  }
  if (!patient.fabric) return;
  for (const auto& name : patient.fabric->meta().issuers) {
    if (std::find(patient.meta.issuers.begin(), patient.meta.issuers.end(), name) !=
        patient.meta.issuers.end())
      continue;
    auto rules = patient.fabric->db().issuer(name);
    if (!rules) continue;
    LoginRecord record;
    record.name = rules->name;
    record.issuer = rules->issuer;
    record.jwks_uri = rules->jwks_uri;
    record.jwks = rules->jwks;
    record.ca_file = rules->ca_file;
    record.clock_skew = rules->clock_skew;
    record.flow = LoginFlow::kFile;  // nobody logs in with it
    patient.issuers.push_back(std::move(record));
  }
}

// Everything that the checks look at; what is missing is a finding, and then there is nothing more to say.
std::optional<Patient> find_patient(const Folders& folders, Findings& findings) {
  auto peers = PeersDb::open(folders.peers_mdb());
  auto meta = peers ? peers->meta() : Result<PeersMeta>(peers.error());
  if (!meta) {
    bool none = meta.error().kind == ErrorKind::kNotFound;
    findings.wrong(
        "document", "", none ? "no fabric document is in force in " + folders.state : meta.error().text(),
        none ? "run: sudo qf-up apply; or name the folder with --state-dir"
             : "is this the right --state-dir, and may you read there? else run: sudo qf-up apply");
    return std::nullopt;
  }
  auto choices = load_choices(folders);
  if (!choices) {
    findings.wrong("choices", "", choices.error().text(),
                   choices.error().hint.empty() ? "run: sudo qf-up apply" : choices.error().hint);
    return std::nullopt;
  }
  if (choices->self.empty()) choices->self = meta->self;
  Patient patient{folders, *choices, std::move(*peers), *meta, {}, {}, readable_fabric(folders, *meta)};
  take_issuers(patient);
  return patient;
}

void take_peers(Patient& patient, std::vector<std::string> names, Findings& findings) {
  bool all = names.empty();
  if (all && patient.meta.self.empty()) {
    return findings.note(
        "peers", "", "this machine is no peer of the document, so none is looked at",
        "name some: qf-up doctor PEER; or say which one this is: sudo qf-up apply --self NAME");
  }
  if (all && !patient.fabric) {
    return findings.note("peers", "", "which ones this machine may reach is not known: only root may read it",
                         std::string("name some: qf-up doctor PEER; or ") + kAsRoot);
  }
  if (all) names = permitted_peers(*patient.fabric, patient.meta.self, kMostPeersAsked);
  std::set<std::string> taken;
  for (const auto& name : names) {
    auto peer = patient.peers.find_peer(name);
    if (!peer) {
      die(kExitConfig, "the fabric has no peer " + qf::quoted(name),
          "its names are in the fabric document; see qf-up(8)");
    }
    // of those that nobody has named, the ones where ssh is meant to go through us
    if ((all && !peer->ssh) || !taken.insert(peer->name).second) continue;
    patient.asked.push_back(*peer);
  }
  if (all && patient.asked.empty())
    findings.ok("peers", "", "the policies let this machine reach none by ssh");
  if (all && names.size() == kMostPeersAsked)
    findings.note("peers", "", "only the first " + std::to_string(kMostPeersAsked) + " are looked at",
                  "name others: qf-up doctor PEER");
}

void examine(const Folders& folders, const std::vector<std::string>& names, Findings& findings) {
  auto patient = find_patient(folders, findings);
  if (!patient) return;
  check_document(*patient, findings);
  take_peers(*patient, names, findings);
  check_issuers(*patient, findings);
  auto peers = look_at_peers(patient->asked);
  check_ssh(*patient, peers, findings);
  auto tokend = check_tokend(*patient, findings);
  check_peers(*patient, peers, findings);
  check_policy(*patient, peers, tokend, findings);
  check_server(*patient, findings);
  check_versions(*patient, peers, tokend, findings);
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

}  // namespace

std::string verdict_word(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kNote:
      return "note";
    case Verdict::kWrong:
      return "wrong";
  }
  std::abort();
}

bool Findings::has_wrong() const {
  return std::any_of(all_.begin(), all_.end(), [](const auto& f) { return f.verdict == Verdict::kWrong; });
}

std::string findings_text(const std::vector<Finding>& findings, bool colours) {
  constexpr size_t kVerdictWidth = 5;
  size_t check_width = 0, subject_width = 0;
  for (const auto& finding : findings) {
    check_width = std::max(check_width, finding.check.size());
    subject_width = std::max(subject_width, printable(finding.subject).size());
  }
  std::string text;
  for (const auto& finding : findings) {
    Colour colour = finding.verdict == Verdict::kOk     ? Colour::kGood
                    : finding.verdict == Verdict::kNote ? Colour::kDoubtful
                                                        : Colour::kBad;
    std::string verdict = padded(verdict_word(finding.verdict), kVerdictWidth);
    text += painted(verdict, colour, colours) + "  " + padded(finding.check, check_width) + "  " +
            padded(printable(finding.subject), subject_width) + "  " + printable(finding.text) + "\n";
    if (!finding.hint.empty())
      text += std::string(kVerdictWidth + 2, ' ') + "hint: " + printable(finding.hint) + "\n";
  }
  return text;
}

std::string findings_json(const Findings& findings) {
  JsonPtr list(::cJSON_CreateArray());
  for (const auto& finding : findings.all()) {
    JsonWriter one;
    one.set("check", finding.check).set("subject", printable(finding.subject));
    one.set("verdict", verdict_word(finding.verdict)).set("text", printable(finding.text));
    one.set("hint", printable(finding.hint));
    if (::cJSON_AddItemToArray(list.get(), one.take().release()) == 0) std::abort();
  }
  JsonWriter out;
  out.set("ok", !findings.has_wrong()).set("checks", std::move(list));
  return out.text() + "\n";
}

namespace {

// How the running qf-up fares with --document; it notes that for everybody.
void check_source_record(const Patient& patient, const std::string& in_force, Findings& findings) {
  const char* check = "document";
  auto record = load_source_record(patient.folders, patient.choices.document);
  std::string last =
      record.last_success == 0
          ? "it has given no good answer yet"
          : "its last good answer was " +
                describe_seconds(std::max<int64_t>(0, std::time(nullptr) - record.last_success)) + " ago";
  std::string place = patient.choices.document + ": ";
  if (!record.error.empty())
    return findings.wrong(check, "", place + record.error + "; " + last + "; " + in_force + " still",
                          record.hint.empty() ? "run: sudo qf-up refresh" : record.hint);
  constexpr int64_t kMostAge = 86'400;  // no interval is longer
  if (std::time(nullptr) - record.last_success > kMostAge)
    return findings.wrong(check, "", place + last + "; " + in_force + " still",
                          "does qf-up run? see: qf-up status; or run: sudo qf-up refresh");
  findings.ok(check, "", in_force + "; " + place + last);
}

}  // namespace

void check_document(const Patient& patient, Findings& findings) {
  const char* check = "document";
  std::string in_force =
      "serial " + std::to_string(patient.meta.serial) + ", " + document_age(patient.folders.peers_mdb());
  int64_t expires = patient.peers.expires(), now = std::time(nullptr);
  if (expires != 0 && now >= expires)
    return findings.wrong(check, "", "has expired, at " + moment_text(expires) + "; " + in_force + " still",
                          "publish one with a later \"expires\" and a higher serial; is the clock right?");
  if (has_source(patient.choices)) return check_source_record(patient, in_force, findings);
  std::string path = patient.folders.fabric_json();
  auto text = read_file(path, kMostDocumentBytes);
  if (!text && text.error().sys == EACCES)
    return findings.note(check, "", in_force + "; " + path + " is not yours to read", kAsRoot);
  // it may have come from elsewhere
  if (!text && text.error().sys == ENOENT) return findings.ok(check, "", in_force + "; none is at " + path);
  if (!text) return findings.wrong(check, "", text.error().text(), "restore it; " + in_force);
  auto document = read_document(*text);
  if (!document) {
    return findings.wrong(check, "", document.error().front().text_in(path) + "; " + in_force + " still",
                          "correct it and run: qf-up check " + for_shell(path));
  }
  if (document->hash == patient.meta.document_hash) return findings.ok(check, "", in_force);
  auto failed = failed_tests(*document);
  if (!failed.empty()) {
    return findings.wrong(check, "", path + ": " + failed.front().text(),
                          "run: qf-up check " + for_shell(path));
  }
  std::string other = path + " has serial " + std::to_string(document->serial) + " and is not in force; ";
  if (document->serial > patient.meta.serial)
    return findings.note(check, "", other + in_force, "run: sudo qf-up apply");
  findings.wrong(check, "", other + in_force, "raise the serial in it, then run: sudo qf-up apply");
}

int command_doctor(int argc, char** argv) {
  auto options = read_doctor_options(argc, argv);
  Findings findings;
  examine(options.folders.folders(), options.peers, findings);
  std::string text = options.json ? findings_json(findings) : findings_text(findings.all(), colours_wanted());
  std::fputs(text.c_str(), stdout);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    return fail(system_error("cannot write the answer"));
  return findings.has_wrong() ? kExitNegative : kExitOk;
}

}  // namespace qf
