// SPDX-License-Identifier: Apache-2.0
#include "qf-up/commands.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "qf-up/apply.h"
#include "qf-up/document.h"
#include "qf-up/instance.h"
#include "qf-up/machine.h"
#include "qf-up/ssh_config.h"
#include "qf-up/supervise.h"

namespace qf {

namespace {

constexpr auto kStopTime = std::chrono::seconds(20);  // more than qf-sshd gets from its supervisor

int fail(const Error& error, std::string_view hint = {}) {
  say(error.text(), hint);
  return error.kind == ErrorKind::kSystem || error.kind == ErrorKind::kTimeout ? kExitSystem : kExitConfig;
}

std::string document_path(const Invocation& invocation) {
  return invocation.file.empty() ? invocation.folders.fabric_json() : invocation.file;
}

// The document, or nothing after all its faults were said.
std::optional<Document> load_document(const std::string& path) {
  auto text = read_file(path, kMostDocumentBytes);
  if (!text) {
    say(text.error().text(), "write a fabric document there, see fabric.json(5), or name another file");
    return std::nullopt;
  }
  auto document = read_document(*text);
  if (document) return std::move(*document);
  const auto& faults = document.error();
  for (const auto& fault : faults) say(printable(fault.text()));
  std::string more = faults.size() >= Faults::kMostFaults ? " (there may be more faults)" : "";
  say(path + " is not a valid fabric document" + more, "correct it and run: qf-up check " + path);
  return std::nullopt;
}

// What the person gives up or still has to do; never a reason to stop.
void say_consequences(const Document& document, const Choices& choices) {
  if (choices.disable_ssh_auth) {
    say("--disable-ssh-auth: every peer that a network policy lets in may log in as any local user but root; "
        "no user identity is asked for, authorized_groups do not count, and the audit log knows machines "
        "only",
        "to ask for identities again run: qf-up --disable-ssh-auth=false");
  }
  if (choices.self.empty() || !choices.allow_server_ssh) return;
  auto self = std::find_if(document.peers.begin(), document.peers.end(),
                           [&](const PeerEntry& peer) { return peer.record.name == choices.self; });
  if (self != document.peers.end() && !self->record.ssh)
    say("the fabric document has no \"ssh\": true for " + choices.self +
            ", so clients do not look for qf-sshd here",
        "set it in the document");
}

void say_applied(const Document& document, const Applied& applied) {
  say("serial " + std::to_string(document.serial) + " is in force: " + std::to_string(document.peers.size()) +
      " peers, " + std::to_string(document.policies.size()) + " policies; ssh reads " + applied.ssh_config);
  if (applied.include_missing) {
    say(std::string(kSystemSshConfig) + " does not include " + kSystemSshConfigFolder +
            ", so ssh ignores the file",
        "add this line at its top: Include " + std::string(kSystemSshConfigFolder) + "/*.conf");
  }
}

// The two names of this machine's own record, in the spelling of the document.
Status settle_self(const Document& document, Choices& choices) {
  if (choices.self.empty()) return Done{};
  auto self = find_self(document, choices.self);
  if (!self) return self.error();
  choices.self = *self;
  return Done{};
}

// Exit code; `choices` gets what is in force afterwards.
int apply_with(const Invocation& invocation, Choices& choices) {
  auto document = load_document(document_path(invocation));
  if (!document) return kExitConfig;
  if (auto settled = settle_self(*document, choices); !settled)
    return fail(settled.error(), "name one of its peers with --self, or correct the document");
  auto lock = lock_state(invocation.folders);
  if (!lock) return fail(lock.error(), "is this the right --state-dir, and may you write there?");
  if (!invocation.force) {
    if (auto good = check_serial(invocation.folders, *document); !good)
      return fail(good.error(), "raise the serial in the document, or run: qf-up apply --force");
  }
  auto applied = apply_document(*document, invocation.folders, choices);
  if (!applied) {
    // LMDB says EIO when a write comes out short
    int code = applied.error().sys;
    bool full = code == ENOSPC || code == EDQUOT || code == EIO;
    return fail(applied.error(), full ? "nothing was changed; is the disk full?" : "nothing was changed");
  }
  say_applied(*document, *applied);
  say_consequences(*document, choices);
  return kExitOk;
}

// The host key must be the pinned one, or no client will talk to this server.
void check_pinned(const Folders& folders, const Choices& choices, const std::string& host_key) {
  auto db = PeersDb::open(folders.peers_mdb());
  if (!db) return;
  auto self = db->find_peer(choices.self);
  if (!self) return;
  const auto& pinned = self->ssh_host_keys;
  if (std::find(pinned.begin(), pinned.end(), host_key) != pinned.end()) return;
  say("the fabric document does not pin this machine's host key, so clients refuse to connect to it",
      "put it into \"ssh_host_keys\" of the peer \"" + choices.self + "\": " + host_key);
}

// The command of qf-sshd, everything that it needs made; empty when no server is to run.
Result<std::vector<std::string>> prepare_server(const Folders& folders, const Choices& choices) {
  if (!choices.allow_server_ssh) return std::vector<std::string>{};
  if (choices.self.empty())
    return input_error("--allow-server-ssh needs --self NAME: which peer is this machine?");
  auto key = ensure_host_key(folders);
  if (!key) return key.error();
  check_pinned(folders, choices, *key);
  if (::geteuid() == 0) {
    if (auto made = ensure_system_users(); !made) return made.error();
  }
  std::vector<std::string> command = {sibling_program("qf-sshd")};
  auto append = [&](const std::vector<std::string>& words) {
    command.insert(command.end(), words.begin(), words.end());
  };
  append(folder_arguments(folders));
  append({"--self", choices.self});
  append(server_flags(choices));
  return command;
}

// Removes the ssh_config file, but never one that we did not write.
Status remove_ssh_config(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) return Done{};
  if (auto ours = check_ours(path); !ours) return ours.error();
  if (::unlink(path.c_str()) != 0) return system_error("cannot remove " + path);
  return Done{};
}

std::string on_off(bool on) {
  return on ? "on" : "off";
}

// Whether one runs is something that only the owner of the state folder can find out.
using Running = Result<std::optional<pid_t>>;

std::string running_text(const Running& running) {
  if (!running) return "unknown";
  return *running ? "yes, pid " + std::to_string(**running) : "no";
}

void print_status(const Running& running, const std::optional<PeersMeta>& meta, const Choices& choices,
                  const std::string& config) {
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
  std::printf("token cache: %u s\nssh_config: %s%s\n", choices.ssh_jwt_cache_ttl, config.c_str(),
              ::access(config.c_str(), F_OK) == 0 ? "" : " (not there)");
}

void print_status_json(const Running& running, const std::optional<PeersMeta>& meta, const Choices& choices,
                       const std::string& config) {
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
  writer.set("ssh-jwt-cache-ttl", static_cast<int64_t>(choices.ssh_jwt_cache_ttl));
  writer.set("ssh-config-file", config);
  std::printf("%s\n", writer.text().c_str());
}

}  // namespace

Result<Choices> choose(const Invocation& invocation) {
  auto loaded = load_choices(invocation.folders);
  if (!loaded) return loaded.error();
  Choices choices = *loaded;
  if (invocation.self) choices.self = *invocation.self;
  if (invocation.ssh_config_file) choices.ssh_config_file = *invocation.ssh_config_file;
  if (invocation.ssh_jwt_cache_ttl) choices.ssh_jwt_cache_ttl = *invocation.ssh_jwt_cache_ttl;
  for (const auto& [choice, on] : invocation.switches) choices.*choice->member = on;
  if (choices.enable_ssh_local_port_forwarding || choices.enable_ssh_remote_port_forwarding)
    return input_error("port forwarding is not supported by this version yet");
  return choices;
}

int command_check(const Invocation& invocation) {
  std::string path = document_path(invocation);
  auto document = load_document(path);
  if (!document) return kExitNegative;
  std::printf("%s: good; serial %llu, %zu issuers, %zu peers, %zu policies\n", path.c_str(),
              static_cast<unsigned long long>(document->serial), document->issuers.size(),
              document->peers.size(), document->policies.size());
  return kExitOk;
}

int command_apply(const Invocation& invocation) {
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  return apply_with(invocation, *choices);
}

int command_up(const Invocation& invocation) {
  if (auto made = make_folder(invocation.folders.state, 0755); !made) return fail(made.error());
  auto instance = become_instance(invocation.folders);
  if (!instance)
    return fail(instance.error(),
                "stop it with: qf-up down; or have it read the document again: "
                "kill -HUP");
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  if (int code = apply_with(invocation, *choices); code != kExitOk) return code;
  auto server = prepare_server(invocation.folders, *choices);
  if (!server) return fail(server.error());
  say(server->empty() ? "up; no SSH server runs here (--allow-server-ssh)" : "up; starting qf-sshd");
  Invocation again = invocation;
  again.force = false;
  return supervise({*server, [&] {
                      say("SIGHUP: reading the fabric document again");
                      Choices now = *choices;
                      // what is in force stays when this goes wrong; the reason has been said
                      static_cast<void>(apply_with(again, now));
                    }});
}

int command_down(const Invocation& invocation) {
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  auto stopped = stop_instance(invocation.folders, Clock::now() + kStopTime);
  if (!stopped) return fail(stopped.error());
  if (::access(invocation.folders.state.c_str(), F_OK) != 0) {
    say("down; nothing was ever applied in " + invocation.folders.state);
    return kExitOk;
  }
  auto lock = lock_state(invocation.folders);
  if (!lock) return fail(lock.error(), "is this the right --state-dir, and may you write there?");
  std::string config = ssh_config_path(invocation.folders, *choices);
  if (auto removed = remove_ssh_config(config); !removed) return fail(removed.error());
  say(*stopped ? "down" : "down; no qf-up was running");
  return kExitOk;
}

int command_status(const Invocation& invocation) {
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  auto running = running_instance(invocation.folders);
  std::optional<PeersMeta> meta;
  if (auto db = PeersDb::open(invocation.folders.peers_mdb())) {
    if (auto found = db->meta()) meta = *found;
  }
  std::string config = ssh_config_path(invocation.folders, *choices);
  (invocation.json ? print_status_json : print_status)(running, meta, *choices, config);
  if (!running) return fail(running.error(), "ask as the user whose qf-up it is");
  return *running ? kExitOk : kExitNegative;
}

int command_host_key(const Invocation& invocation) {
  auto lock = lock_state(invocation.folders);
  if (!lock) return fail(lock.error());
  auto line = ensure_host_key(invocation.folders);
  if (!line) return fail(line.error());
  std::printf("%s\n", line->c_str());
  return kExitOk;
}

}  // namespace qf
