// SPDX-License-Identifier: Apache-2.0
// qf-up explain: whether a login would be allowed, and what each policy says about it. qf-up test: the tests
// of a fabric document, one line each. Both change nothing.
#include "libqf/explain.h"

#include <cstdio>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/text.h"
#include "qf-up/commands.h"
#include "qf-up/fabric_tests.h"
#include "qf-up/server_side.h"
#include "qf-up/source.h"
#include "qf-up/who.h"

namespace po = boost::program_options;

namespace qf {

namespace {

constexpr const char* kExplainProgram = "qf-up explain";
constexpr const char* kTestProgram = "qf-up test";

struct ExplainOptions {
  LoginQuestion question;
  std::string file;
  FolderOptions folders;
  bool json = false;
};

// "level=3" and "mfa=true" as JSON has them, anything else as a string.
void put_claim(cJSON* claims, const std::string& text) {
  size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos)
    wrong_usage(kExplainProgram, "--claim " + qf::quoted(text) + " is not NAME=VALUE");
  std::string name = text.substr(0, equals), value = text.substr(equals + 1);
  auto parsed = parse_json(value);
  cJSON* item = parsed ? parsed->release() : ::cJSON_CreateString(value.c_str());
  if (json_member(claims, name.c_str()) != nullptr)
    wrong_usage(kExplainProgram, "--claim " + qf::quoted(name) + " is given twice");
  if (item == nullptr || ::cJSON_AddItemToObject(claims, name.c_str(), item) == 0) std::abort();
}

void check_printable(const po::variables_map& values) {
  for (const auto& [name, value] : values) {
    const auto* text = boost::any_cast<std::string>(&value.value());
    if (text != nullptr && printable(*text) != *text)
      wrong_usage(kExplainProgram, "--" + name + " has a control character");
  }
}

ExplainOptions read_explain_options(int argc, char** argv) {
  ExplainOptions options;
  LoginQuestion& question = options.question;
  std::string groups;
  std::vector<std::string> single_groups, claims;
  po::options_description visible("options");
  auto add = visible.add_options();
  add("user", po::value(&question.user)->value_name("USER"), "a subject, or ISSUER:SUBJECT");
  add("issuer", po::value(&question.issuer)->value_name("ISSUER"), "the name of the user's issuer");
  add("groups", po::value(&groups)->value_name("GROUP,..."), "what the groups claim of the token has");
  add("group", po::value(&single_groups)->value_name("GROUP"),
      "one of them, commas and all; may be repeated");
  add("claim", po::value(&claims)->value_name("NAME=VALUE"), "another claim of the token, may be repeated");
  add("from", po::value(&question.from)->value_name("PEER|ADDRESS"), "where the connection comes from");
  add("to", po::value(&question.to)->value_name("PEER|ADDRESS"), "where it goes");
  add("login", po::value(&question.login)->value_name("OSUSER"), "as which local user");
  add("who", po::value<std::string>()->value_name("OSUSER@PEER"),
      "in place of --user, --to and --login: who may log in there");
  add("file", po::value(&options.file)->value_name("FILE"), "a document that is not applied yet");
  add("json", po::bool_switch(&options.json), "print JSON");
  add_folder_options(visible, options.folders);
  auto values =
      parse_options(argc, argv,
                    {kExplainProgram,
                     "usage: qf-up explain --user USER --from PEER --to PEER --login OSUSER\n"
                     "exit status: 0 allowed, 1 denied, 78 no such peer or issuer, 64 wrong usage\n",
                     visible});
  for (const char* needed : {"user", "from", "to", "login"}) {
    if (!values.contains(needed) || values[needed].as<std::string>().empty())
      wrong_usage(kExplainProgram, "--" + std::string(needed) + " is missing");
  }
  check_printable(values);
  if (values.contains("groups") || !single_groups.empty()) question.groups = std::move(single_groups);
  for (const auto& group : split(groups, ',')) {
    std::string name(trim(group));
    if (!name.empty()) question.groups->push_back(name);
  }
  JsonPtr object(::cJSON_CreateObject());
  for (const auto& claim : claims) put_claim(object.get(), claim);
  question.claims = json_text(object.get());
  return options;
}

// In TAP "#" begins a directive, which a test's name must not be.
std::string tap_description(const std::string& name) {
  std::string out;
  for (char c : printable(name)) {
    if (c == '#' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

struct Answer {
  JudgeableLogin login;
  Explanation explanation;
  std::vector<std::string> notes;
};

Result<Answer> answer_from(const PolicyDb& db, const ExplainOptions& options) {
  LoginQuestion question = options.question;
  auto to = find_peer(db, question.to);
  if (!to) return to.error();
  question.to = to->name;
  auto choices = load_choices(options.folders.folders());
  if (!choices) return choices.error();
  Answer answer;
  auto server = server_side(*choices, question.to, question.login, answer.notes);
  auto login = make_login(db, question, server);
  if (!login) return login.error();
  answer.login = std::move(*login);
  answer.notes.insert(answer.notes.end(), answer.login.notes.begin(), answer.login.notes.end());
  if (answer.login.refused) {
    answer.explanation.decision = *answer.login.refused;
    return answer;
  }
  const LoginRequest& request = answer.login.request;
  auto explanation = explain_login(db, answer.login.source, answer.login.destination, request);
  if (!explanation) return explanation.error();
  answer.explanation = std::move(*explanation);
  if (request.identity && !request.identity->unknown_groups.empty())
    answer.notes.emplace_back(
        "without --groups the token says no groups: they allow nothing, and a deny of one counts");
  return answer;
}

// What the user would read.
std::string headline(const Answer& answer, const LoginQuestion& question) {
  const Decision& decision = answer.explanation.decision;
  const auto& identity = answer.login.request.identity;
  if (!decision.allowed) return "denied: " + refusal_text(decision, identity, question.login);
  return "allowed: " + (identity ? printable(identity->name()) : "anybody") + " as " + question.login +
         " from " + answer.login.source.name + " to " + answer.login.destination.name;
}

void print_text(const Answer& answer, const LoginQuestion& question) {
  const Decision& decision = answer.explanation.decision;
  std::string text = headline(answer, question) + "\n";
  text += "policy: " + (decision.policy.empty() ? "none" : qf::quoted(decision.policy)) + "\n";
  if (const auto& identity = answer.login.request.identity)
    text += "groups: " + (identity->groups.empty() ? "none" : printable(join(identity->groups, ", "))) + "\n";
  if (!decision.permit_open.empty()) text += "permit_open: " + join(decision.permit_open, " ") + "\n";
  if (!decision.permit_listen.empty()) text += "permit_listen: " + join(decision.permit_listen, " ") + "\n";
  if (decision.max_session != 0) text += "max_session: " + std::to_string(decision.max_session) + " s\n";
  for (const auto& note : answer.notes) text += "note: " + printable(note) + "\n";
  // those about this pair of peers first: there may be thousands of others
  for (bool about_pair : {true, false}) {
    for (const auto& policy : answer.explanation.policies) {
      bool other =
          policy.verdict == PolicyVerdict::kOtherSource || policy.verdict == PolicyVerdict::kOtherDestination;
      if (other != about_pair) text += "  " + qf::quoted(policy.name) + " " + policy.reason + "\n";
    }
  }
  std::fputs(text.c_str(), stdout);
}

void print_json(const Answer& answer, const LoginQuestion& question) {
  const Decision& decision = answer.explanation.decision;
  const auto& identity = answer.login.request.identity;
  JsonWriter out;
  out.set("allowed", decision.allowed).set("policy", decision.policy);
  out.set("refusal", refusal_text(decision, identity, question.login)).set("reason", decision.detail);
  out.set("identity", identity ? identity->name() : "");
  out.set("groups", identity ? identity->groups : std::vector<std::string>{});
  out.set("from", answer.login.source.name).set("to", answer.login.destination.name);
  out.set("login", question.login);
  out.set("permit_open", decision.permit_open).set("permit_listen", decision.permit_listen);
  out.set("max_session", static_cast<int64_t>(decision.max_session)).set("notes", answer.notes);
  JsonPtr policies(::cJSON_CreateArray());
  for (const auto& policy : answer.explanation.policies) {
    JsonWriter one;
    one.set("name", policy.name).set("verdict", verdict_word(policy.verdict)).set("reason", policy.reason);
    if (::cJSON_AddItemToArray(policies.get(), one.take().release()) == 0) std::abort();
  }
  out.set("policies", std::move(policies));
  std::printf("%s\n", out.text().c_str());
}

int report(const Result<Answer>& answer, const ExplainOptions& options) {
  if (!answer) return fail(answer.error(), "");
  if (options.json) {
    print_json(*answer, options.question);
  } else {
    print_text(*answer, options.question);
  }
  return answer->explanation.decision.allowed ? kExitOk : kExitNegative;
}

}  // namespace

int command_explain(int argc, char** argv) {
  if (asks_who(argc, argv)) return command_who(argc, argv);
  auto options = read_explain_options(argc, argv);
  if (options.file.empty()) {
    auto db = PolicyDb::open(options.folders.folders().policy_mdb());
    if (!db) return fail(db.error(), "put a document into force with qf-up apply, or name one with --file");
    return report(answer_from(*db, options), options);
  }
  // a document whose tests fail is the one to be explained
  auto document = load_document(options.file, false);
  if (!document) return kExitConfig;
  auto records = records_for(*document, {&options.question}, true);
  return report(answer_from(PolicyDb::over(records), options), options);
}

namespace {

// Where it comes from elsewhere, the last one that was good: there is no other here.
std::optional<Document> usual_document(const Folders& folders) {
  auto choices = load_choices(folders);
  if (!choices) return static_cast<void>(fail(choices.error())), std::nullopt;
  if (!has_source(*choices)) return load_document(folders.fabric_json(), false);
  auto kept = kept_document(folders, *choices);
  if (kept) return std::move(*kept);
  static_cast<void>(fail(kept.error(), "name a document: qf-up test FILE"));
  return std::nullopt;
}

}  // namespace

int command_test(int argc, char** argv) {
  FolderOptions folders;
  std::vector<std::string> words;
  po::options_description visible("options");
  add_folder_options(visible, folders);
  static_cast<void>(parse_options(argc, argv,
                                  {kTestProgram,
                                   "usage: qf-up test [FILE] [options]\n"
                                   "exit status: 0 all hold, 1 one fails, 78 the document cannot be "
                                   "read or is wrong, 64 wrong usage\n",
                                   visible, &words}));
  if (words.size() > 1) wrong_usage(kTestProgram, "unexpected word " + qf::quoted(words[1]));
  auto document = words.empty() ? usual_document(folders.folders()) : load_document(words[0], false);
  if (!document) return kExitConfig;
  auto results = run_tests(*document);
  std::printf("1..%zu\n", results.size());
  bool good = true;
  for (const auto& result : results) {
    good = good && result.fault.empty();
    std::string name = result.test->name;
    if (name.empty()) {
      const LoginQuestion& asked = result.test->question;
      name = asked.user + " as " + asked.login + " from " + asked.from + " to " + asked.to;
    }
    std::printf("%sok %zu - %s\n", result.fault.empty() ? "" : "not ", result.index + 1,
                tap_description(name).c_str());
    if (!result.fault.empty()) std::printf("# %s\n", printable(result.text()).c_str());
    if (result.fault.empty() && !result.before.empty())
      std::printf("# the policies were not asked: %s\n", printable(result.before).c_str());
  }
  return good ? kExitOk : kExitNegative;
}

}  // namespace qf
