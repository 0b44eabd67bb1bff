// SPDX-License-Identifier: Apache-2.0
#include "qf-up/audit.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/text.h"
#include "qf-up/audit_files.h"
#include "qf-up/audit_show.h"
#include "qf-up/audit_verify.h"

namespace qf {

namespace {

constexpr const char* kProgram = "qf-up audit";
constexpr size_t kWrittenAtOnce = 65536;

struct AuditCommand {
  FolderOptions folders;
  std::string last;  // verify
  AuditFilter filter;
  std::string since, until;
  bool json = false;
  std::vector<std::string> words;
};

int64_t milliseconds_now() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

Result<AuditFiles> open_wanted(const AuditCommand& command) {
  if (command.words.empty()) return open_audit_log(command.folders.folders().audit_log());
  return open_audit_files(command.words);
}

[[noreturn]] void cannot_read(const AuditCommand& command, const Error& error) {
  bool missing = error.kind == ErrorKind::kNotFound || error.sys == ENOENT;
  die(kExitSystem, error.text(),
      error.sys == EACCES ? "the log is its server's alone: run as root"
      : missing && command.words.empty()
          ? "qf-sshd makes the log when it starts; give --state-dir or the files"
          : "");
}

// Standard output, which a reader may close at any time (| head).
void put(const std::string& text) {
  if (!write_all(STDOUT_FILENO, text)) std::exit(kExitSystem);
}

std::string count_lines(uint64_t count) {
  return std::to_string(count) + (count == 1 ? " line" : " lines");
}

std::string verified_text(const AuditSummary& summary, const AuditFiles& files, const std::string& anchor) {
  std::string text;
  if (summary.lines == 0) {
    text = "no line\n";
  } else {
    text = count_lines(summary.lines) + ", number " + std::to_string(summary.first) + " to " +
           std::to_string(summary.last) + ", from " + printable(summary.since) + " to " +
           printable(summary.until) + ": none was changed, removed or inserted\nlast line: " + summary.hash +
           "\n";
  }
  if (summary.first > 1)
    text += "note: " + count_lines(summary.first - 1) + " before these are not in these files\n";
  if (summary.cut > 0)
    text += "note: " + count_lines(summary.cut) +
            " never written to the end, after a crash; the last: " + printable(summary.cut_place) + "\n";
  if (summary.tail_behind)
    text += "note: the last line is not yet in " + printable(files.tail_path) +
            ": its writer ended in that moment, or somebody else added it\n";
  if (!files.tail)
    text += "note: without " + printable(files.tail_path) +
            (anchor.empty()
                 ? " lines that are missing at the end are not noticed; compare the hash, or give --last\n"
                 : " lines that are missing behind that of --last are not noticed\n");
  return text;
}

int verify(const AuditCommand& command) {
  auto files = open_wanted(command);
  if (!files) cannot_read(command, files.error());
  AuditVerifier verifier(files->tail, files->readers.back().path(), lower(command.last));
  bool wanted = true;
  for (auto& reader : files->readers) {
    while (wanted) {
      auto line = reader.next();
      if (!line) cannot_read(command, line.error());
      if (!*line) break;
      wanted = verifier.add(reader.path(), reader.lines(), **line);
    }
  }
  verifier.finish();
  if (const auto& fault = verifier.fault()) {
    put(printable(fault->file) + ":" + std::to_string(fault->line) + ": " + fault->what + "\n");
    return kExitNegative;
  }
  // a server that ended before its first line has left an empty one
  if (files->tail_damaged && verifier.summary().lines > 1) {
    put(printable(files->tail_path) +
        ": this is not what qf-sshd writes: it was changed, or a disk has failed\n");
    return kExitNegative;
  }
  put(verified_text(verifier.summary(), *files, command.last));
  return kExitOk;
}

// One line of the file, as it is shown; empty: it is not wanted.
std::string shown(const AuditCommand& command, const std::string& text, Result<JsonPtr>& json) {
  if (!command.filter.takes(json->get())) return "";
  return (command.json ? printable(text) : audit_columns(json->get())) + "\n";
}

// Whether it is like one that the server writes, changed as it may be.
bool is_audit_line(const Result<JsonPtr>& json) {
  return json && json_string(json->get(), "event");
}

// A file that was named, has something in it, and no line of it is one of an audit log: it is another file.
void check_files(const AuditCommand& command) {
  for (const auto& path : command.words) {
    auto reader = AuditReader::open(path);
    bool any = false, ours = !reader;  // what cannot be read is said by who reads it
    while (!ours) {
      auto line = reader->next();
      ours = !line || (*line && is_audit_line(parse_json((*line)->text)));
      if (!line || !*line) break;
      any = true;
    }
    if (any && !ours)
      die(kExitConfig, path + " is no audit log: no line of it is one",
          "the log of this machine is " + command.folders.folders().audit_log() +
              ", read when no file is given");
  }
}

int show(const AuditCommand& command) {
  auto files = open_wanted(command);
  if (!files) cannot_read(command, files.error());
  std::string out = command.json ? "" : audit_columns_head() + "\n";
  uint64_t seen = 0, taken = 0;
  for (auto& reader : files->readers) {
    for (;;) {
      auto line = reader.next();
      if (!line) {
        put(out);
        cannot_read(command, line.error());
      }
      if (!*line) break;
      auto json = parse_json((*line)->text);
      bool whole = (*line)->complete && !(*line)->too_long;
      if (whole && json && cJSON_IsObject(json->get())) {
        std::string row = shown(command, (*line)->text, json);
        ++seen;
        taken += row.empty() ? 0 : 1;
        out += row;
      } else {
        log_warning(reader.path() + ":" + std::to_string(reader.lines()) + ": no line of an audit log");
      }
      if (out.size() < kWrittenAtOnce) continue;
      put(out);
      out.clear();
    }
  }
  put(out);
  if (taken == 0 && seen > 0) say("none of " + count_lines(seen) + " is such");
  return kExitOk;
}

void take_moment(const char* option, const std::string& given, std::string& moment) {
  if (given.empty()) return;
  auto read = audit_moment(given, milliseconds_now());
  if (!read)
    wrong_usage(kProgram, std::string("--") + option +
                              " must be a time as 2024-05-01T12:34:56Z, a day as 2024-05-01, " +
                              "or how long ago, as 2h or 3d, not " + quoted(given));
  moment = *read;
}

void check_event(const std::string& event) {
  std::vector<std::string> known(kAuditEvents.begin(), kAuditEvents.end());
  if (event.empty() || std::find(known.begin(), known.end(), event) != known.end()) return;
  wrong_usage(kProgram, "--event must be one of " + join(known, ", ") + ", not " + quoted(event));
}

bool is_hash_text(const std::string& text) {
  return text.size() == kNoAuditLine.size() && lower(text).find_first_not_of("0123456789abcdef") == text.npos;
}

}  // namespace

int audit_main(int argc, char** argv) {
  AuditCommand command;
  boost::program_options::options_description options("options");
  auto add = options.add_options();
  auto text = [](std::string& value, const char* name) {
    return boost::program_options::value(&value)->value_name(name);
  };
  add("last", text(command.last, "HASH"),
      "verify: a line with this hash must be there, the last one of an earlier verify");
  add("user", text(command.filter.user, "NAME"), "show: of this identity, with or without its issuer");
  add("login", text(command.filter.login, "NAME"), "show: as this OS user");
  add("from", text(command.filter.from, "PEER"), "show: from this peer or address");
  add("event", text(command.filter.event, "NAME"), "show: of this kind, login for example");
  add("connection", text(command.filter.connection, "ID"), "show: of this connection, as CONN has it");
  add("refused", boost::program_options::bool_switch(&command.filter.refused),
      "show: what was refused, and not what failed");
  add("since", text(command.since, "TIME"),
      "show: from then on; 2024-05-01T12:34:56Z, 2024-05-01, 2h or 3d ago");
  add("until", text(command.until, "TIME"), "show: before then");
  add("json", boost::program_options::bool_switch(&command.json), "show: the lines as they are");
  add_folder_options(options, command.folders);
  auto given = parse_options(argc, argv,
                             {kProgram,
                              "usage: qf-up audit verify [--last HASH] [FILE...]  say whether lines were "
                              "changed, removed or inserted\n"
                              "       qf-up audit show [options] [FILE...]        say who did what\n"
                              "files are read in this order, the oldest first; without any, the server's log "
                              "and what was rotated of it\n"
                              "exit status: 0 printed, 1 a line was changed, removed or inserted, 71 the "
                              "system failed, 78 a file is no audit log, 64 wrong usage\n",
                              options, &command.words});
  std::string name = command.words.empty() ? "" : command.words[0];
  if (name != "verify" && name != "show") {
    std::string near = nearest_spelling(name, {"verify", "show"});
    wrong_usage(kProgram, name.empty() ? "verify or show?"
                                       : "no command " + quoted(name) +
                                             (near.empty() ? "" : "; did you mean " + quoted(near) + "?"));
  }
  command.words.erase(command.words.begin());
  for (const char* option : {"last", "user", "login", "from", "event", "connection", "since", "until"}) {
    bool of_verify = std::string_view(option) == "last";
    if (given.count(option) != 0 && of_verify != (name == "verify"))
      wrong_usage(kProgram, std::string("--") + option + " does not belong to " + name);
  }
  check_event(command.filter.event);
  for (auto [on, option] :
       {std::pair(command.json, "--json"), std::pair(command.filter.refused, "--refused")}) {
    if (on && name == "verify") wrong_usage(kProgram, std::string(option) + " does not belong to verify");
  }
  if (given.count("last") != 0 && !is_hash_text(command.last))
    wrong_usage(kProgram, "--last must be the 64 hex digits that verify prints, not " + quoted(command.last));
  take_moment("since", command.since, command.filter.since);
  take_moment("until", command.until, command.filter.until);
  if (!command.filter.until.empty() && command.filter.since >= command.filter.until)
    wrong_usage(kProgram, "--since is not before --until");
  check_files(command);
  return name == "verify" ? verify(command) : show(command);
}

}  // namespace qf
