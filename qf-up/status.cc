// SPDX-License-Identifier: Apache-2.0
// qf-up status: what runs, what is in force, who is logged in, with -d what lives on the SSH server, with
// --peers what answers at the peers, and with --watch all of it again and again.
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "libqf/text.h"
#include "qf-up/apply.h"
#include "qf-up/commands.h"
#include "qf-up/instance.h"
#include "qf-up/live_status.h"
#include "qf-up/redirect.h"
#include "qf-up/server_note.h"
#include "qf-up/source.h"
#include "qf-up/status_peers.h"
#include "qf-up/status_tokens.h"
#include "qf-up/text_table.h"
#include "qf-up/watch.h"

namespace qf {

namespace {

std::string on_off(bool on) {
  return on ? "on" : "off";
}

// Whether one runs is something that only the owner of the state folder can find out.
using Running = Result<std::optional<pid_t>>;

std::string running_text(const Running& running) {
  if (!running && running.error().sys == EACCES) return "unknown (it is another user's)";
  if (!running) return "unknown";
  return *running ? "yes, pid " + std::to_string(**running) : "no";
}

struct State {
  Running running;
  std::optional<PeersMeta> meta;
  Choices choices;
  std::string config;   // the ssh_config file
  int64_t expires = 0;  // of the document in force; 0: never
  SourceRecord source;
  int64_t now = 0;
  // none: switched off
  std::optional<Status> redirect;
  // what the server says; none: it was not asked
  std::optional<Result<JsonPtr>> live;
  Result<JsonPtr> tokend;  // of this user
  // of the server that runs; none: none does, or it cannot be known
  std::optional<ServerNote> note{};
};

std::string redirect_text(const State& state) {
  if (!state.redirect) return "off";
  std::string from = "from " + state.choices.redirect_port_22 + ", ";
  if (*state.redirect) return from + "in place";
  const Error& error = state.redirect->error();
  bool missing = error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kInput;
  return from + (missing ? "not in place: " : "unknown: ") + error.text();
}

// Null: nobody can say it.
JsonPtr redirect_json(const State& state) {
  if (!state.redirect || *state.redirect) return JsonPtr(::cJSON_CreateBool(state.redirect ? 1 : 0));
  const Error& error = state.redirect->error();
  bool missing = error.kind == ErrorKind::kNotFound || error.kind == ErrorKind::kInput;
  return JsonPtr(missing ? ::cJSON_CreateFalse() : ::cJSON_CreateNull());
}

std::string ago(int64_t now, int64_t then) {
  constexpr int64_t kMinute = 60, kHour = 3600, kDay = 86'400;
  int64_t age = std::max<int64_t>(0, now - then);
  if (age < 2 * kMinute) return std::to_string(age) + " s ago";
  if (age < 2 * kHour) return std::to_string(age / kMinute) + " min ago";
  if (age < 2 * kDay) return std::to_string(age / kHour) + " h ago";
  return std::to_string(age / kDay) + " days ago";
}

using Lines = std::vector<LabelledLine>;

Colour redirect_colour(const State& state) {
  return !state.redirect ? Colour::kNone : *state.redirect ? Colour::kGood : Colour::kDoubtful;
}

std::string interval_text(std::chrono::milliseconds interval) {
  constexpr int64_t kMillisecond = 1000;
  int64_t whole = interval.count() / kMillisecond, part = interval.count() % kMillisecond;
  return std::to_string(whole) + (part == 0 ? "" : "." + std::to_string(part / 100)) + " s";
}

// Where the document comes from and how that goes; an alarm for what must not stay so.
void add_source_lines(Lines& lines, const State& state) {
  const SourceRecord& source = state.source;
  if (!has_source(state.choices)) {
    lines.push_back({"document", "fabric.json"});
  } else {
    lines.push_back({"document", state.choices.document + ", signed by " +
                                     (source.signer.empty() ? "nobody yet" : source.signer)});
    lines.push_back({"last good answer", source.last_success == 0
                                             ? "none yet"
                                             : ago(state.now, source.last_success) + ", serial " +
                                                   std::to_string(source.serial)});
    if (!source.error.empty()) {
      lines.push_back({"",
                       "ALARM: since " + moment_text(source.error_since) + " (" +
                           ago(state.now, source.error_since) + "): " + source.error,
                       Colour::kBad});
      if (!source.hint.empty()) lines.push_back({"", "hint: " + source.hint});
    }
  }
  if (state.expires == 0) return;
  if (state.now < state.expires) {
    lines.push_back({"document expires", moment_text(state.expires)});
  } else {
    lines.push_back({"", "ALARM: document has expired: " + moment_text(state.expires), Colour::kBad});
  }
}

void add_source(JsonWriter& writer, const State& state) {
  if (state.expires != 0) {
    writer.set("expires", state.expires).set("expired", state.now >= state.expires);
  }
  if (!has_source(state.choices)) return;
  const SourceRecord& source = state.source;
  JsonWriter entry;
  entry.set("url", state.choices.document).set("serial", source.serial).set("signer", source.signer);
  entry.set("last_attempt", source.last_attempt).set("last_success", source.last_success);
  if (source.last_success != 0) entry.set("age", std::max<int64_t>(0, state.now - source.last_success));
  if (!source.error.empty()) {
    entry.set("error", source.error).set("hint", source.hint).set("error_since", source.error_since);
    entry.set("failures", source.failures);
  }
  writer.set("source", entry.take());
}

void add_session_line(Lines& lines, const State& state) {
  if (!state.live) return;
  const auto& live = *state.live;
  if (!live) return lines.push_back({"connections", "unknown, " + live.error().text(), Colour::kDoubtful});
  auto count = count_live((*live).get());
  lines.push_back({"connections", std::to_string(count.connections) + ", " + std::to_string(count.logged_in) +
                                      " logged in"});
  lines.push_back({"sessions", std::to_string(count.sessions)});
}

std::string status_text(const State& state, bool detail, bool colours) {
  const auto& [running, meta, choices, config, expires, source, now, redirect, live, tokend, note] = state;
  Lines lines;
  lines.push_back({"running", running_text(running),
                   !running   ? Colour::kNone
                   : *running ? Colour::kGood
                              : Colour::kDoubtful});
  if (meta) {
    lines.push_back({"serial", std::to_string(meta->serial)});
    lines.push_back({"domain", meta->domain});
    lines.push_back({"peers", std::to_string(meta->peers)});
  } else {
    lines.push_back({"serial", "none applied", Colour::kDoubtful});
  }
  add_source_lines(lines, state);
  lines.push_back({"self", meta && !meta->self.empty() ? meta->self : "none"});
  lines.push_back({"ssh server", on_off(choices.allow_server_ssh) + " (sftp " +
                                     on_off(choices.enable_ssh_sftp) + ", root " +
                                     on_off(choices.enable_ssh_root) + ", user identity " +
                                     on_off(!choices.disable_ssh_auth) + ")"});
  auto options = server_flags(choices);
  lines.push_back({"server options", options.empty() ? "none" : join(options, " ")});
  if (note && (!choices.allow_server_ssh || note->flags != options)) {
    std::string flags = note->flags.empty() ? "none" : join(note->flags, " ");
    lines.push_back({"", "the qf-sshd that runs was started with: " + flags, Colour::kDoubtful});
    lines.push_back({"", "hint: run: systemctl restart qufabric, or end qf-up and start it again"});
  }
  lines.push_back({"redirect of port 22", redirect_text(state), redirect_colour(state)});
  lines.push_back({"token cache", std::to_string(choices.ssh_jwt_cache_ttl) + " s"});
  lines.push_back({"ssh_config", config + (::access(config.c_str(), F_OK) == 0 ? "" : " (not there)")});
  auto tokens = token_lines(tokend);
  lines.insert(lines.end(), tokens.begin(), tokens.end());
  add_session_line(lines, state);
  if (!detail || !live || !*live) return labelled_text(lines, colours);
  const cJSON* status = (**live).get();
  auto listening = json_strings(status, "listening").value_or(std::vector<std::string>{});
  lines.push_back({"listening", join(listening, " ")});
  return labelled_text(lines, colours) + "\n" + live_table(status, colours);
}

// Members of the server's answer, or null for each when there is none.
void add_live(JsonWriter& writer, const Result<JsonPtr>& live) {
  for (const char* key : {"listening", "connections"}) {
    const cJSON* value = live ? json_member((*live).get(), key) : nullptr;
    writer.set(key, JsonPtr(value == nullptr ? ::cJSON_CreateNull() : ::cJSON_Duplicate(value, 1)));
  }
  if (!live) writer.set("connections_error", live.error().text());
}

std::string status_json(const State& state, bool detail, JsonPtr peers) {
  const auto& [running, meta, choices, config, expires, source, now, redirect, live, tokend, note] = state;
  JsonWriter writer;
  if (running) {
    writer.set("running", running->has_value());
    if (*running) writer.set("pid", static_cast<int64_t>(**running));
  } else {
    writer.set("running", JsonPtr(::cJSON_CreateNull()));
  }
  if (meta) {
    writer.set("serial", static_cast<int64_t>(meta->serial)).set("domain", meta->domain);
    writer.set("peers", static_cast<int64_t>(meta->peers)).set("self", meta->self);
  }
  for (const auto& choice : bool_choices()) writer.set(choice.flag, choices.*choice.member);
  for (const auto& choice : value_choices()) {
    if (!(choices.*choice.member).empty()) writer.set(choice.flag, choices.*choice.member);
  }
  writer.set("ssh-jwt-cache-ttl", static_cast<int64_t>(choices.ssh_jwt_cache_ttl));
  writer.set("ssh-config-file", config).set("redirect-in-place", redirect_json(state));
  if (redirect && !*redirect) writer.set("redirect-fault", redirect->error().text());
  if (note) writer.set("running-server-options", note->flags);
  add_source(writer, state);
  writer.set("tokend", token_json(tokend));
  if (detail && live) add_live(writer, *live);
  if (peers) writer.set("peer_answers", std::move(peers));
  return writer.text() + "\n";
}

State gather(const Invocation& invocation, const Choices& choices) {
  State state{running_instance(invocation.folders),
              std::nullopt,
              choices,
              ssh_config_path(invocation.folders, choices),
              0,
              load_source_record(invocation.folders, choices.document),
              std::time(nullptr),
              std::nullopt,
              std::nullopt,
              ask_tokend(invocation.folders)};
  if (auto db = PeersDb::open(invocation.folders.peers_mdb())) {
    if (auto found = db->meta()) state.meta = *found;
    state.expires = db->expires();
  }
  if (state.running && *state.running) state.note = read_server_note(invocation.folders, **state.running);
  if (redirect_wanted(choices)) {
    auto plan = plan_in_force(invocation.folders, choices);
    state.redirect = plan ? look_at_redirect(*plan) : Status(plan.error());
  }
  // a person wants to know how many there are wherever a server is meant to run, and may be asked
  bool worth_it = choices.allow_server_ssh && !invocation.json && state.running;
  if (invocation.detail || worth_it) state.live.emplace(ask_server(invocation.folders));
  return state;
}

Result<std::vector<PeerAnswer>> gather_peers(const Invocation& invocation) {
  auto db = PeersDb::open(invocation.folders.peers_mdb());
  return db ? ask_peers(*db, invocation.words) : Result<std::vector<PeerAnswer>>(db.error());
}

// In a turn of --watch what cannot be found out is shown, and may be better in the next.
std::string turn_text(const Invocation& invocation, const std::string& peers, bool colours) {
  auto choices = choose(invocation);
  if (!choices && invocation.json) return JsonWriter().set("error", choices.error().text()).text() + "\n";
  if (!choices) return painted(printable(choices.error().text()), Colour::kBad, colours) + "\n";
  State state = gather(invocation, *choices);
  if (!invocation.json) return status_text(state, invocation.detail, colours);
  auto answers = parse_json(peers);
  return status_json(state, invocation.detail, answers ? std::move(*answers) : nullptr);
}

int watch_status(const Invocation& invocation) {
  // each peer writes into its audit log who comes
  constexpr auto kPeersEvery = std::chrono::milliseconds(30'000);
  bool colours = colours_wanted();
  std::string peers = "null";
  WatchPlan plan;
  plan.title = "qf-up status, every " + interval_text(*invocation.watch);
  plan.lines = invocation.json;
  plan.parts.push_back({*invocation.watch, [&] { return turn_text(invocation, peers, colours); }});
  if (invocation.peers) {
    auto make = [&]() -> std::string {
      auto answers = gather_peers(invocation);
      if (invocation.json) return answers ? json_text(peers_json(*answers).get()) : "null";
      return "\n" + (answers ? peers_table(*answers, colours) : printable(answers.error().text()) + "\n");
    };
    WatchPart part{std::max(kPeersEvery, *invocation.watch), make};
    if (invocation.json) part.take = [&](std::string text) { peers = std::move(text); };
    plan.parts.push_back(std::move(part));
  }
  return watch(plan);
}

}  // namespace

int command_status(const Invocation& invocation) {
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  std::optional<std::vector<PeerAnswer>> peers;
  if (invocation.watch) return watch_status(invocation);
  State state = gather(invocation, *choices);
  if (invocation.peers) {
    auto answers = gather_peers(invocation);
    if (!answers) return fail(answers.error());
    peers = std::move(*answers);
  }
  bool colours = colours_wanted();
  std::string text = invocation.json
                         ? status_json(state, invocation.detail, peers ? peers_json(*peers) : nullptr)
                         : status_text(state, invocation.detail, colours);
  if (peers && !invocation.json) text += "\n" + peers_table(*peers, colours);
  if (auto written = write_all(STDOUT_FILENO, text); !written)
    return fail(with_hint(written.error(), "where standard output leads must take it"));
  // what others cannot see is no failure of theirs
  if (!state.running && state.running.error().sys == EACCES) {
    say("whether a qf-up runs is for the owner of " + invocation.folders.state + " to see",
        "run: sudo qf-up status");
    return kExitNegative;
  }
  if (!state.running) return fail(state.running.error(), "ask as the user whose qf-up it is");
  return *state.running ? kExitOk : kExitNegative;
}

}  // namespace qf
