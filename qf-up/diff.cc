// SPDX-License-Identifier: Apache-2.0
// qf-up diff: which logins a document gives and takes, before it is applied. Changes nothing. What it
// compares is who may log in where (qf-up/reach.h), not who can get a token that is good: where the issuers'
// demands differ, a note says so.
#include <cstdio>

#include "libqf/codec.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/text.h"
#include "qf-up/commands.h"
#include "qf-up/reach_text.h"

namespace po = boost::program_options;

namespace qf {

namespace {

constexpr const char* kDiffProgram = "qf-up diff";

struct DiffOptions {
  std::string file, from_file;
  FolderOptions folders;
  bool json = false, exit_code = false;
};

DiffOptions read_diff_options(int argc, char** argv) {
  DiffOptions options;
  std::vector<std::string> words;
  po::options_description visible("options");
  auto add = visible.add_options();
  add("from-file", po::value(&options.from_file)->value_name("FILE"),
      "compare with this document in place of the one in force");
  add("exit-code", po::bool_switch(&options.exit_code), "exit 1 when a login differs");
  add("json", po::bool_switch(&options.json), "print JSON");
  add_folder_options(visible, options.folders);
  auto values = parse_options(argc, argv,
                              {kDiffProgram,
                               "usage: qf-up diff FILE [options]\n"
                               "exit status: 0 printed, 1 with --exit-code: a login differs, 78 a "
                               "document is wrong, 64 wrong usage\n",
                               visible, &words});
  if (words.empty() || words[0].empty()) wrong_usage(kDiffProgram, "which document? FILE is missing");
  if (words.size() > 1) wrong_usage(kDiffProgram, "unexpected word " + quoted(words[1]));
  if (values.contains("from-file") && options.from_file.empty())
    wrong_usage(kDiffProgram, "--from-file is empty");
  options.file = words[0];
  return options;
}

// What apply would say to it.
void note_serial(const PolicyMeta& before, const PolicyMeta& after, std::vector<std::string>& notes) {
  std::string serial = "serial " + std::to_string(after.serial);
  std::string refused = ": qf-up apply refuses it without --force";
  if (after.serial < before.serial) {
    notes.push_back(serial + " is older than " + std::to_string(before.serial) + refused);
  } else if (after.serial == before.serial && after.document_hash != before.document_hash) {
    notes.push_back(serial + " is that of the other document" + refused);
  }
}

// Whose token is good is another matter than what it is good for.
void note_issuers(const Fabric& before, const Fabric& after, std::vector<std::string>& notes) {
  std::vector<std::string> other;
  for (const auto& name : after.meta().issuers) {
    auto old = before.db().issuer(name), now = after.db().issuer(name);
    if (!old || !now) continue;
    old->group_map = now->group_map;  // is compared
    old->members_all = now->members_all;
    if (encode(*old) != encode(*now)) other.push_back(name);
  }
  if (other.empty()) return;
  notes.push_back("other tokens are good of the " + std::string(other.size() == 1 ? "issuer " : "issuers ") +
                  few_of(other) + ": that is not compared");
}

void note_addresses(const Fabric& before, const Fabric& after, std::vector<std::string>& notes) {
  std::vector<std::string> moved;
  auto old = before.peers().begin();
  for (const auto& peer : after.peers()) {
    while (old != before.peers().end() && old->name < peer.name) ++old;
    if (old == before.peers().end()) break;
    if (old->name == peer.name && old->addresses != peer.addresses) moved.push_back(peer.name);
  }
  if (moved.empty()) return;
  notes.push_back("other addresses are those of " + few_of(moved) + ": that is not compared");
}

struct Difference {
  std::vector<ReachRow> rows;
  std::vector<std::string> notes;
  uint64_t before = 0, after = 0;  // serials
};

Result<Fabric> other_fabric(const DiffOptions& options, const std::optional<Document>& document) {
  if (document) return Fabric::of(*document);
  auto fabric = Fabric::in_force(options.folders.folders().policy_mdb());
  if (!fabric && fabric.error().hint.empty())
    return with_hint(fabric.error(),
                     "put a document into force with qf-up apply, or name one with --from-file");
  return fabric;
}

// `in_force`: the first one is what apply would compare with.
Result<Difference> find_difference(const Fabric& before, const Fabric& after, bool in_force) {
  Difference found;
  found.before = before.meta().serial;
  found.after = after.meta().serial;
  auto rows = reach({&before, &after}, {});
  if (!rows) return rows.error();
  found.rows = std::move(*rows);
  if (in_force) note_serial(before.meta(), after.meta(), found.notes);
  note_issuers(before, after, found.notes);
  note_addresses(before, after, found.notes);
  return found;
}

void print_difference(const Difference& found) {
  auto counts = count_logins(found.rows);
  std::fputs(diff_lines(found.rows).c_str(), stdout);
  std::string end;
  for (const auto& note : found.notes) end += "note: " + note + "\n";
  if (counts.none()) {
    end += "no login is gained or lost\n";
  } else {
    end += std::to_string(counts.gained) + (counts.gained == 1 ? " login" : " logins") + " gained, " +
           std::to_string(counts.lost) + " lost, " + std::to_string(counts.changed) + " changed\n";
  }
  std::fputs(end.c_str(), stdout);
}

void print_difference_json(const Difference& found) {
  auto counts = count_logins(found.rows);
  JsonWriter out, serial;
  serial.set("before", static_cast<int64_t>(found.before)).set("after", static_cast<int64_t>(found.after));
  out.set("serial", serial.take()).set("gained", static_cast<int64_t>(counts.gained));
  out.set("lost", static_cast<int64_t>(counts.lost)).set("changed", static_cast<int64_t>(counts.changed));
  out.set("notes", found.notes).set("changes", rows_json(found.rows));
  std::printf("%s\n", out.text().c_str());
}

}  // namespace

int command_diff(int argc, char** argv) {
  auto options = read_diff_options(argc, argv);
  auto document = load_document(options.file);
  if (!document) return kExitConfig;
  auto after = Fabric::of(*document);
  if (!after) return fail(after.error());
  document.reset();  // a large one takes as much again
  if (!options.from_file.empty()) {
    document = load_document(options.from_file, false);
    if (!document) return kExitConfig;
  }
  auto before = other_fabric(options, document);
  if (!before) return fail(before.error());
  document.reset();
  auto found = find_difference(*before, *after, options.from_file.empty());
  if (!found) return fail(found.error());
  if (options.json) {
    print_difference_json(*found);
  } else {
    print_difference(*found);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    return fail(system_error("cannot write the difference"));
  return options.exit_code && !found->rows.empty() ? kExitNegative : kExitOk;
}

}  // namespace qf
