// SPDX-License-Identifier: Apache-2.0
// qf-up status: what runs, what is in force, and with -d what lives on the SSH server.
#include <unistd.h>

#include <cstdio>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "libqf/text.h"
#include "qf-up/apply.h"
#include "qf-up/commands.h"
#include "qf-up/instance.h"
#include "qf-up/live_status.h"
#include "qf-up/redirect.h"

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
  std::string config;  // the ssh_config file
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

void print_status(const State& state) {
  const auto& [running, meta, choices, config, redirect, live] = state;
  std::printf("running: %s\n", running_text(running).c_str());
  if (meta) {
    std::printf("serial: %llu\ndomain: %s\npeers: %llu\n", static_cast<unsigned long long>(meta->serial),
                meta->domain.c_str(), static_cast<unsigned long long>(meta->peers));
  } else {
    std::printf("serial: none applied\n");
  }
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
  const auto& [running, meta, choices, config, redirect, live] = state;
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
  if (live) add_live(writer, *live);
  std::printf("%s\n", writer.text().c_str());
}

}  // namespace

int command_status(const Invocation& invocation) {
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  State state{running_instance(invocation.folders),          std::nullopt, *choices,
              ssh_config_path(invocation.folders, *choices), std::nullopt, std::nullopt};
  if (auto db = PeersDb::open(invocation.folders.peers_mdb())) {
    if (auto found = db->meta()) state.meta = *found;
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
