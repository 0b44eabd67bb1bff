// SPDX-License-Identifier: Apache-2.0
// qf-up status: what runs, what is in force, and with -d what lives on the SSH server.
#include <unistd.h>

#include <cstdio>
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
#include "qf-up/source.h"

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
  // -d; none: not asked for
  std::optional<Result<JsonPtr>> live;
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

// Where the document comes from and how that goes; an alarm for what must not stay so.
void print_source(const State& state) {
  const SourceRecord& source = state.source;
  if (!has_source(state.choices)) {
    std::printf("document: fabric.json\n");
  } else {
    std::printf("document: %s, signed by %s\n", state.choices.document.c_str(),
                source.signer.empty() ? "nobody yet" : printable(source.signer).c_str());
    std::printf(
        "last good answer: %s\n",
        source.last_success == 0
            ? "none yet"
            : (ago(state.now, source.last_success) + ", serial " + std::to_string(source.serial)).c_str());
    if (!source.error.empty()) {
      std::printf("ALARM: since %s (%s): %s\n", moment_text(source.error_since).c_str(),
                  ago(state.now, source.error_since).c_str(), printable(source.error).c_str());
      if (!source.hint.empty()) std::printf("hint: %s\n", printable(source.hint).c_str());
    }
  }
  if (state.expires == 0) return;
  std::printf("%s: %s\n", state.now < state.expires ? "document expires" : "ALARM: document has expired",
              moment_text(state.expires).c_str());
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

void print_status(const State& state) {
  const auto& [running, meta, choices, config, expires, source, now, redirect, live] = state;
  std::printf("running: %s\n", running_text(running).c_str());
  if (meta) {
    std::printf("serial: %llu\ndomain: %s\npeers: %llu\n", static_cast<unsigned long long>(meta->serial),
                meta->domain.c_str(), static_cast<unsigned long long>(meta->peers));
  } else {
    std::printf("serial: none applied\n");
  }
  print_source(state);
  std::printf("self: %s\n", meta && !meta->self.empty() ? meta->self.c_str() : "none");
  std::printf("ssh server: %s (sftp %s, root %s, user identity %s)\n",
              on_off(choices.allow_server_ssh).c_str(), on_off(choices.enable_ssh_sftp).c_str(),
              on_off(choices.enable_ssh_root).c_str(), on_off(!choices.disable_ssh_auth).c_str());
  auto options = server_flags(choices);
  std::printf("server options: %s\n", options.empty() ? "none" : join(options, " ").c_str());
  std::printf("redirect of port 22: %s\n", printable(redirect_text(state)).c_str());
  std::printf("token cache: %u s\nssh_config: %s%s\n", choices.ssh_jwt_cache_ttl, config.c_str(),
              ::access(config.c_str(), F_OK) == 0 ? "" : " (not there)");
  if (!live) return;
  if (!*live) {
    std::printf("connections: unknown, %s\n", printable(live->error().text()).c_str());
    return;
  }
  const cJSON* status = (**live).get();
  auto listening = json_strings(status, "listening").value_or(std::vector<std::string>{});
  std::printf("listening: %s\n\n%s", printable(join(listening, " ")).c_str(), live_table(status).c_str());
}

// Members of the server's answer, or null for each when there is none.
void add_live(JsonWriter& writer, const Result<JsonPtr>& live) {
  for (const char* key : {"listening", "connections"}) {
    const cJSON* value = live ? json_member((*live).get(), key) : nullptr;
    writer.set(key, JsonPtr(value == nullptr ? ::cJSON_CreateNull() : ::cJSON_Duplicate(value, 1)));
  }
  if (!live) writer.set("connections_error", live.error().text());
}

void print_status_json(const State& state) {
  const auto& [running, meta, choices, config, expires, source, now, redirect, live] = state;
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
  add_source(writer, state);
  if (live) add_live(writer, *live);
  std::printf("%s\n", writer.text().c_str());
}

}  // namespace

int command_status(const Invocation& invocation) {
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  State state{running_instance(invocation.folders),
              std::nullopt,
              *choices,
              ssh_config_path(invocation.folders, *choices),
              0,
              load_source_record(invocation.folders, choices->document),
              std::time(nullptr),
              std::nullopt,
              std::nullopt};
  if (auto db = PeersDb::open(invocation.folders.peers_mdb())) {
    if (auto found = db->meta()) state.meta = *found;
    state.expires = db->expires();
  }
  if (redirect_wanted(*choices)) {
    auto plan = plan_in_force(invocation.folders, *choices);
    state.redirect = plan ? look_at_redirect(*plan) : Status(plan.error());
  }
  if (invocation.detail) state.live.emplace(ask_server(invocation.folders));
  (invocation.json ? print_status_json : print_status)(state);
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
