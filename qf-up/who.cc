// SPDX-License-Identifier: Apache-2.0
#include "qf-up/who.h"

#include <cstdio>

#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/tunnel.h"
#include "qf-up/commands.h"
#include "qf-up/fabric_tests.h"
#include "qf-up/reach_text.h"
#include "qf-up/server_side.h"

namespace po = boost::program_options;

namespace qf {

namespace {

constexpr const char* kWhoProgram = "qf-up explain";

struct WhoOptions {
  LoginQuestion asked;  // to, login and from
  std::string file;
  FolderOptions folders;
  bool json = false;
};

// Whether the word is this option, with or without its value.
bool is_option(std::string_view word, std::string_view option) {
  return word == option || (word.starts_with(option) && word[option.size()] == '=');
}

void split_who(const std::string& who, LoginQuestion& asked) {
  // a peer's name has no @
  size_t at = who.rfind('@');
  if (at == std::string::npos || at == 0 || at + 1 == who.size())
    wrong_usage(kWhoProgram, "--who " + quoted(who) + " is not OSUSER@PEER");
  asked.login = who.substr(0, at);
  asked.to = who.substr(at + 1);
}

WhoOptions read_who_options(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    for (const char* other : {"--user", "--issuer", "--group", "--groups", "--claim", "--to", "--login"}) {
      if (is_option(argv[i], other)) wrong_usage(kWhoProgram, std::string(other) + " does not go with --who");
    }
  }
  WhoOptions options;
  std::string who;
  po::options_description visible("options");
  auto add = visible.add_options();
  add("who", po::value(&who)->value_name("OSUSER@PEER"), "as which local user of which peer");
  add("from", po::value(&options.asked.from)->value_name("PEER|ADDRESS"), "from there only");
  add("file", po::value(&options.file)->value_name("FILE"), "a document that is not applied yet");
  add("json", po::bool_switch(&options.json), "print JSON");
  add_folder_options(visible, options.folders);
  auto values =
      parse_options(argc, argv,
                    {kWhoProgram,
                     "usage: qf-up explain --who OSUSER@PEER [options]\n"
                     "exit status: 0 somebody may log in, 1 nobody, 78 no such peer, 64 wrong usage\n",
                     visible});
  for (const std::string& text : {who, options.asked.from}) {
    if (printable(text) != text) wrong_usage(kWhoProgram, quoted(text) + " has a control character");
  }
  if (values.contains("from") && options.asked.from.empty()) wrong_usage(kWhoProgram, "--from is empty");
  split_who(who, options.asked);
  return options;
}

struct WhoAnswer {
  std::vector<ReachRow> rows;
  std::vector<std::string> notes;
};

// `names` has the peers that the question may mean.
Result<WhoAnswer> find_who(const Fabric& fabric, const PolicyDb& names, const WhoOptions& options) {
  auto choices = load_choices(options.folders.folders());
  if (!choices) return choices.error();
  WhoAnswer answer;
  auto destination = find_peer(names, options.asked.to);
  if (!destination) return destination.error();
  ReachQuestion question;
  if (!options.asked.from.empty()) {
    auto source = find_peer(names, options.asked.from);
    if (!source) return source.error();
    question.from = source->name;
  }
  if (options.asked.login == kTunnelUser) {
    answer.notes.push_back("the OS user " + quoted(options.asked.login) + " is reserved");
    return answer;
  }
  auto server = server_side(*choices, destination->name, options.asked.login, answer.notes);
  question.to = destination->name;
  question.login = options.asked.login;
  question.login_is_root = server.login_is_root;
  question.root_enabled = server.root_enabled;
  question.without_identity = server.without_identity;
  auto rows = reach({nullptr, &fabric}, question);
  if (!rows) return rows.error();
  answer.rows = std::move(*rows);
  return answer;
}

Result<WhoAnswer> who_of_file(const Document& document, const WhoOptions& options) {
  auto fabric = Fabric::of(document);
  if (!fabric) return fabric.error();
  auto records = records_for(document, {&options.asked}, true);
  return find_who(*fabric, PolicyDb::over(records), options);
}

void print_who(const WhoAnswer& answer, const LoginQuestion& asked) {
  std::string text;
  if (answer.rows.empty()) {
    text = "nobody may log in as " + asked.login + " at " + asked.to +
           (asked.from.empty() ? "" : " from " + asked.from) + "\n";
  } else {
    text = who_table(answer.rows);
  }
  for (const auto& note : answer.notes) text += "note: " + printable(note) + "\n";
  std::fputs(text.c_str(), stdout);
}

void print_who_json(const WhoAnswer& answer, const LoginQuestion& asked) {
  JsonWriter out;
  out.set("allowed", !answer.rows.empty()).set("login", asked.login).set("to", asked.to);
  out.set("from", asked.from).set("notes", answer.notes).set("who", rows_json(answer.rows));
  std::printf("%s\n", out.text().c_str());
}

int report_who(const Result<WhoAnswer>& answer, const WhoOptions& options) {
  if (!answer) return fail(answer.error());
  if (options.json) {
    print_who_json(*answer, options.asked);
  } else {
    print_who(*answer, options.asked);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    return fail(system_error("cannot write the answer"));
  return answer->rows.empty() ? kExitNegative : kExitOk;
}

}  // namespace

bool asks_who(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (is_option(argv[i], "--who")) return true;
  }
  return false;
}

int command_who(int argc, char** argv) {
  auto options = read_who_options(argc, argv);
  if (!options.file.empty()) {
    // a document whose tests fail may be asked too
    auto document = load_document(options.file, false);
    return document ? report_who(who_of_file(*document, options), options) : kExitConfig;
  }
  auto fabric = Fabric::in_force(options.folders.folders().policy_mdb());
  if (!fabric)
    return fail(fabric.error(), "put a document into force with qf-up apply, or name one with --file");
  return report_who(find_who(*fabric, fabric->db(), options), options);
}

}  // namespace qf
