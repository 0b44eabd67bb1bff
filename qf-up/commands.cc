// SPDX-License-Identifier: Apache-2.0
#include "qf-up/commands.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>

#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "libqf/policy_db.h"
#include "libqf/text.h"
#include "qf-up/apply.h"
#include "qf-up/document.h"
#include "qf-up/fabric_tests.h"
#include "qf-up/held_sockets.h"
#include "qf-up/instance.h"
#include "qf-up/machine.h"
#include "qf-up/metrics.h"
#include "qf-up/network.h"
#include "qf-up/redirect.h"
#include "qf-up/server_note.h"
#include "qf-up/source.h"
#include "qf-up/source_clock.h"
#include "qf-up/ssh_include.h"
#include "qf-up/supervise.h"

namespace qf {

namespace {

constexpr auto kStopTime = std::chrono::seconds(20);  // more than qf-sshd gets from its supervisor

std::string document_path(const Invocation& invocation) {
  return invocation.file.empty() ? invocation.folders.fabric_json() : invocation.file;
}

std::string count_of(size_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

// What the person gives up or still has to do; never a reason to stop.
void say_consequences(const Document& document, const Choices& choices) {
  if (choices.disable_ssh_auth) {
    say("--disable-ssh-auth: every peer that a network policy lets in may log in as any local user but root; "
        "no user identity is asked for, authorized_groups do not count, and the audit log knows machines "
        "only",
        "to ask for identities again run: qf-up apply --disable-ssh-auth=false; and restart the server");
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
  say("serial " + std::to_string(document.serial) +
      " is in force: " + count_of(document.peers.size(), "peer", "peers") + ", " +
      count_of(document.policies.size(), "policy", "policies") + "; ssh reads " + applied.ssh_config);
  if (applied.include_missing) {
    say(std::string(kSystemSshConfig) + " does not include " + kSystemSshConfigFolder +
            ", so ssh ignores the file",
        "add this line at its top: Include " + std::string(kSystemSshConfigFolder) + "/*.conf");
  }
  if (applied.system_closed) {
    say(std::string(kSystemSshConfigFolder) +
            " is not there or cannot be written, so plain ssh does not know the peers",
        "use qufabric ssh, or: qufabric ssh-config >> ~/.ssh/config");
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

// The error with this hint, unless it knows one of its own.
Error hinted(const Error& error, const char* hint) {
  return error.hint.empty() ? with_hint(error, hint) : error;
}

}  // namespace

std::optional<PeersMeta> document_in_force(const Folders& folders) {
  auto peers = PeersDb::open(folders.peers_mdb());
  auto policy = PolicyDb::open(folders.policy_mdb());
  if (!peers || !policy) return std::nullopt;
  auto meta = peers->meta();
  auto policy_meta = policy->meta();
  if (!meta || !policy_meta || meta->serial != policy_meta->serial) return std::nullopt;
  return *meta;
}

namespace {

// Whether it may follow the one in force at all; the caller holds the lock.
Status check_successor(const Document& document, const Invocation& invocation, const Choices& choices) {
  if (invocation.force) return Done{};
  if (auto good = check_serial(invocation.folders, document); !good)
    return with_hint(good.error(), "raise the serial in the document, or run: qf-up apply --force");
  auto now = document_in_force(invocation.folders);
  bool from_source = has_source(choices) && invocation.file.empty();
  if (now && now->domain != document.domain)
    return with_hint(
        refused("the document is of the fabric " + document.domain + ", and " + now->domain + " is in force"),
        std::string("is ") + (from_source ? "--document" : "the file") +
            " the right one? if it is, run: qf-up apply --force");
  return check_expiry(document, std::time(nullptr));
}

}  // namespace

Status put_into_force(const Document& document, const Invocation& invocation, Choices& choices) {
  if (auto settled = settle_self(document, choices); !settled)
    return hinted(settled.error(), "name one of its peers with --self, or correct the document");
  auto lock = lock_state(invocation.folders);
  if (!lock) return hinted(lock.error(), "is this the right --state-dir, and may you write there?");
  if (auto good = check_successor(document, invocation, choices); !good) return good;
  if (auto possible = check_network(document, invocation, choices); !possible)
    return hinted(possible.error(), "nothing was changed");
  auto applied = apply_document(document, invocation.folders, choices);
  if (!applied) {
    // LMDB says EIO when a write comes out short
    int code = applied.error().sys;
    bool full = code == ENOSPC || code == EDQUOT || code == EIO;
    return hinted(applied.error(), full ? "nothing was changed; is the disk full?" : "nothing was changed");
  }
  say_applied(document, *applied);
  say_consequences(document, choices);
  return Done{};
}

namespace {

int apply_loaded(const std::optional<Document>& document, const Invocation& invocation, Choices& choices) {
  if (!document) return kExitConfig;
  auto done = put_into_force(*document, invocation, choices);
  return done ? kExitOk : fail(done.error());
}

// A turn for a person: the document comes into force whatever is in force now, with these choices.
Status apply_from_source(const Invocation& invocation, Choices& choices) {
  if (auto own = own_state_folder(invocation.folders); !own) return own;
  SourceTurn turn;
  turn.anyway = true;
  return source_turn(invocation.folders, choices, turn,
                     [&](const Document& document) { return put_into_force(document, invocation, choices); });
}

// Exit code; `choices` gets what is in force afterwards.
int apply_with(const Invocation& invocation, Choices& choices) {
  if (has_source(choices) && invocation.file.empty()) {
    auto done = apply_from_source(invocation, choices);
    return done ? kExitOk : fail(done.error());
  }
  return apply_loaded(load_document(document_path(invocation)), invocation, choices);
}

// Before anything comes into force: a server that does not know who it is cannot start.
Status check_self(const Invocation& invocation, const Choices& choices) {
  if (!choices.allow_server_ssh && asks_for_redirect(invocation))
    return with_hint(
        input_error("--redirect-port-22 needs --allow-server-ssh: there is no SSH server to redirect to"),
        "nothing was changed; give --allow-server-ssh too, it is remembered");
  if (!choices.allow_server_ssh || !choices.self.empty()) return Done{};
  return with_hint(
      input_error("--allow-server-ssh needs --self NAME: which peer of the document is this machine?"),
      "nothing was changed; give --self too, it is remembered");
}

// At the start, without waiting for a server when the document in force is at hand: then the first turn comes
// in a moment. `asked`: whether it was asked. Exit code; kExitConfig when there is no document.
int start_from_source(const Invocation& invocation, Choices& choices, bool& asked) {
  const Folders& folders = invocation.folders;
  auto now = document_in_force(folders);
  auto kept = kept_document(folders, choices);
  bool current = kept && now && kept->hash == now->document_hash && check_expiry(*kept, std::time(nullptr));
  if (current && !invocation.force) return apply_loaded(std::move(*kept), invocation, choices);
  asked = true;
  auto done = apply_from_source(invocation, choices);
  if (done) return kExitOk;
  int code = fail(done.error());
  // the databases are gone or damaged, and the server too
  if (!now && kept) return apply_loaded(std::move(*kept), invocation, choices);
  if (!now) return code;
  say("going on with serial " + std::to_string(now->serial) + ", which is in force");
  return kExitOk;
}

// At the start: an error in the document changes nothing, so the one in force stays in force, after a reboot
// too. Exit code; kExitConfig when there is none.
int apply_at_start(const Invocation& invocation, Choices& choices) {
  auto document = load_document(document_path(invocation));
  auto now = document_in_force(invocation.folders);
  // an older document than the one in force must not keep a machine from being reached after a reboot either
  auto newer = document && now ? check_successor(*document, invocation, choices) : Done{};
  if (document && newer) {
    int code = apply_loaded(document, invocation, choices);
    // a full disk must not keep a machine from being reached either, unless something else was asked for
    auto remembered = load_choices(invocation.folders);
    bool same = remembered && choices_text(*remembered) == choices_text(choices);
    if (code != kExitSystem || !now || !same) return code;
    say("going on with serial " + std::to_string(now->serial) + ", which is in force");
    return kExitOk;
  }
  if (!now) return kExitConfig;
  if (!newer) say(document_path(invocation) + ": " + newer.error().text());
  say("going on with serial " + std::to_string(now->serial) + ", which is in force",
      newer ? "correct the document, then run: qf-up apply"
            : (newer.error().hint.starts_with("raise the serial")
                   ? "raise the serial in the document, then run: qf-up apply"
                   : newer.error().hint));
  return kExitOk;
}

// A document from elsewhere is in force until the next start alone, or that start will not have it.
void say_other_document(const Invocation& invocation) {
  std::string usual = invocation.folders.fabric_json();
  if (invocation.file.empty()) return;
  auto applied = read_file(invocation.file, kMostDocumentBytes);
  auto there = read_file(usual, kMostDocumentBytes);
  if (!applied || !there || *applied == *there) return;
  say(usual + " is another document, and the next start of qf-up reads that one",
      "run: install -m 644 " + for_shell(invocation.file) + " " + for_shell(usual));
}

// The host key must be the pinned one, or no client will talk to this server.
void check_pinned(const Folders& folders, const Choices& choices, const std::vector<std::string>& host_keys) {
  auto db = PeersDb::open(folders.peers_mdb());
  if (!db) return;
  auto self = db->find_peer(choices.self);
  if (!self) return;
  const auto& pinned = self->ssh_host_keys;
  // the next one is used when it alone is pinned
  if (std::find_first_of(pinned.begin(), pinned.end(), host_keys.begin(), host_keys.end()) != pinned.end())
    return;
  say("the fabric document does not pin this machine's host key, so clients refuse to connect to it",
      "put it into \"ssh_host_keys\" of the peer \"" + choices.self + "\": " + host_keys.front());
}

// The command of qf-sshd, everything that it needs made; empty when no server is to run.
Result<std::vector<std::string>> prepare_server(const Folders& folders, const Choices& choices) {
  if (!choices.allow_server_ssh) return std::vector<std::string>{};
  std::string program = sibling_program("qf-sshd");
  if (::access(program.c_str(), X_OK) != 0)
    return with_hint(
        input_error("there is no " + program + ", and the SSH server is to run here"),
        "install it (Debian package qufabric-ssh-server), or run: qf-up --allow-server-ssh=false");
  auto keys = host_key_lines(folders);
  if (!keys) return keys.error();
  check_pinned(folders, choices, *keys);
  if (::geteuid() == 0) {
    if (auto made = ensure_system_users(); !made) return made.error();
  }
  std::vector<std::string> command = {std::move(program)};
  auto append = [&](const std::vector<std::string>& words) {
    command.insert(command.end(), words.begin(), words.end());
  };
  append(folder_arguments(folders));
  append({"--self", choices.self});
  append(server_flags(choices));
  return command;
}

}  // namespace

int fail(const Error& error, std::string_view hint) {
  // what only root may do goes wrong for others in the system's own folders
  if (::geteuid() != 0 && (error.sys == EACCES || error.sys == EPERM || error.sys == EROFS)) {
    hint = "run it as root (sudo), or with folders of your own: --config-dir, --state-dir, --runtime-dir";
  } else if (!error.hint.empty()) {
    hint = error.hint;
  }
  say(error.text(), hint);
  return error.kind == ErrorKind::kSystem || error.kind == ErrorKind::kTimeout ? kExitSystem : kExitConfig;
}

std::optional<Document> load_document(const std::string& path, bool with_tests) {
  auto text = read_file(path, kMostDocumentBytes);
  if (!text) {
    say(text.error().text(), "write a fabric document there, see fabric.json(5), or name another file");
    return std::nullopt;
  }
  auto document = read_document(*text);
  if (!document) {
    const auto& faults = document.error();
    for (const auto& fault : faults) say(printable(fault.text_in(path)));
    std::string more = faults.size() >= Faults::kMostFaults ? " (there may be more faults)" : "";
    bool comment = faults.front().what.starts_with("a comment");
    say(path + " is not a valid fabric document" + more,
        (comment ? "a member with a name that starts with \"x-\" may hold a note; " : "") +
            std::string("correct it and run: qf-up check ") + path);
    return std::nullopt;
  }
  if (!with_tests) return std::move(*document);
  text = std::string();  // the tests may take memory of their own
  auto failed = failed_tests(*document);
  if (failed.empty()) return std::move(*document);
  for (size_t i = 0; i < failed.size() && i < Faults::kMostFaults; ++i)
    say(printable(failed[i].text()), "run: " + printable(explain_command(failed[i].test->question, path)));
  say(path + ": " + count_of(failed.size(), "test", "tests") + " of " +
          std::to_string(document->tests.size()) + " failed",
      "correct the policies or the tests, then run: qf-up check " + path);
  return std::nullopt;
}

Result<Choices> choose(const Invocation& invocation) {
  auto loaded = load_choices(invocation.folders);
  if (!loaded) return loaded.error();
  Choices choices = *loaded;
  if (invocation.self) choices.self = *invocation.self;
  if (invocation.ssh_config_file) choices.ssh_config_file = *invocation.ssh_config_file;
  if (invocation.ssh_jwt_cache_ttl) choices.ssh_jwt_cache_ttl = *invocation.ssh_jwt_cache_ttl;
  for (const auto& [choice, on] : invocation.switches) choices.*choice->member = on;
  for (const auto& [choice, value] : invocation.limits) choices.*choice->member = value;
  return choices;
}

namespace {

void say_good(const std::string& name, const Document& document) {
  std::printf("%s: good; serial %llu, %s, %s, %s\n", name.c_str(),
              static_cast<unsigned long long>(document.serial),
              count_of(document.issuers.size(), "issuer", "issuers").c_str(),
              count_of(document.peers.size(), "peer", "peers").c_str(),
              count_of(document.policies.size(), "policy", "policies").c_str());
  if (auto valid = check_expiry(document, std::time(nullptr)); !valid)
    say(name + ": " + valid.error().text(), valid.error().hint);
}

int check_remote(const Folders& folders, const Choices& choices) {
  SourceRecord record;
  SourceTurn turn;
  turn.anyway = true;
  auto news = ask_source(folders, choices, record, turn);
  if (news) return say_good(choices.document, news->document), kExitOk;
  int code = fail(news.error());
  ErrorKind kind = news.error().kind;
  bool judged = kind == ErrorKind::kRefused || kind == ErrorKind::kInput;
  return judged ? kExitNegative : code;
}

// What counts for the server from its next start alone, for people.
void say_not_yet(const Choices& before, const Choices& now, pid_t running) {
  const char* what = "the running qf-sshd takes its changed options when it starts again; sessions live on";
  if (before.allow_server_ssh != now.allow_server_ssh) {
    what = before.allow_server_ssh ? "the running qf-sshd stays until qf-up starts again"
                                   : "no qf-sshd runs until qf-up starts again";
  } else if (server_flags(before) == server_flags(now)) {
    return;
  }
  say(what, "run: systemctl restart qufabric, or end qf-up (pid " + std::to_string(running) +
                ") and start it again");
}

}  // namespace

int command_check(const Invocation& invocation) {
  if (invocation.file.empty()) {
    auto choices = load_choices(invocation.folders);
    if (!choices) return fail(choices.error());
    if (has_source(*choices)) return check_remote(invocation.folders, *choices);
  }
  std::string path = document_path(invocation);
  auto document = load_document(path);
  // a name that was mistyped is no judgement of a document
  bool there = ::access(path.c_str(), R_OK) == 0 && !std::filesystem::is_directory(path);
  if (!document) return there ? kExitNegative : kExitConfig;
  say_good(path, *document);
  return kExitOk;
}

int command_apply(const Invocation& invocation) {
  auto before = load_choices(invocation.folders);
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  if (auto good = check_self(invocation, *choices); !good) return fail(good.error());
  if (auto good = check_source(*choices); !good) return fail(good.error());
  int code = apply_with(invocation, *choices);
  if (code == kExitOk && !has_source(*choices)) {
    say_other_document(invocation);
    forget_source(invocation.folders);
  }
  auto running = running_instance(invocation.folders);
  bool runs = running && *running;
  if (code == kExitOk)
    code = redirect_after(invocation.folders, *choices, runs && before && before->allow_server_ssh);
  if (code != kExitOk || !runs || !before) return code;
  say_not_yet(*before, *choices, **running);
  // it looks at its source by itself, and has to know of another one
  bool other = !same_source(*before, *choices) || before->metrics_dir != choices->metrics_dir;
  if (other) static_cast<void>(reload_instance(invocation.folders));
  return code;
}

int command_up(const Invocation& invocation) {
  auto handed = handed_descriptors();
  if (!handed) return fail(handed.error());
  // what else its starter left open would stay so for as long as it runs
  unsigned beyond = static_cast<unsigned>(kFirstHandedFd) + static_cast<unsigned>(handed->size());
  if (::close_range(beyond, ~0U, 0) != 0) return fail(system_error("cannot close descriptors"));
  if (auto own = own_state_folder(invocation.folders); !own) return fail(own.error());
  auto instance = become_instance(invocation.folders);
  if (!instance)
    return fail(
        instance.error(),
        "stop it with: qf-up down; remember other options for its next start with: qf-up apply; or have it "
        "read the document again with SIGHUP");
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  // the one that was applied before may know
  if (choices->allow_server_ssh && choices->self.empty() && !invocation.self) {
    if (auto now = document_in_force(invocation.folders)) choices->self = now->self;
  }
  if (auto good = check_self(invocation, *choices); !good) return fail(good.error());
  if (auto good = check_source(*choices); !good) return fail(good.error());
  bool asked = false;
  SourceClock source(invocation, *choices);
  int started = has_source(*choices) ? start_from_source(invocation, *choices, asked)
                                     : apply_at_start(invocation, *choices);
  if (started != kExitOk) return started;
  source.asked(asked);
  if (!has_source(*choices)) forget_source(invocation.folders);
  // what the document of a large fabric took: the supervisor lives on for months
  ::malloc_trim(0);
  auto server = prepare_server(invocation.folders, *choices);
  if (!server) return fail(server.error());
  say(server->empty() ? "up; no SSH server runs here (--allow-server-ssh)" : "up; starting qf-sshd");
  auto notifier = Notifier::take();
  ServerSockets sockets(*handed, notifier);
  if (server->empty() && sockets.from_unit())
    say("systemd has handed in sockets for an SSH server, and none runs here: clients will wait in vain",
        "run: systemctl disable --now qufabric.socket");
  Invocation again = invocation;
  again.force = false;
  again.limits.clear();  // remembered since, and a reason to refuse nothing any more
  auto reload = [&] {
    say("SIGHUP: reading the fabric document again");
    // as apply has remembered them since; what was given at the start was remembered then
    auto now = load_choices(again.folders);
    // what is in force stays when this goes wrong; the reason has been said
    if (!now) return static_cast<void>(fail(now.error()));
    // a source is asked by a process of its own, at once
    if (has_source(*now)) return;
    static_cast<void>(apply_with(again, *now));
    static_cast<void>(redirect_after(again.folders, *now, !server->empty()));
    ::malloc_trim(0);
  };
  auto to_hand_on = [&] {
    return sockets.follow(server->empty() ? std::vector<std::string>{}
                                          : own_addresses(invocation.folders, *choices));
  };
  // before the redirect: whoever comes by it waits
  static_cast<void>(to_hand_on());
  int redirected = redirect_after(invocation.folders, *choices, !server->empty());
  if (redirected != kExitOk && asks_for_redirect(invocation)) return redirected;
  Refresh refresh{[&] { return source.command(); }, [&] { return source.delay(); },
                  [&] { return source.follows(); }};
  UpMetrics metrics(invocation.folders);
  Watchers watchers{[&](std::optional<bool> runs, uint64_t restarts) { return metrics.turn(runs, restarts); },
                    [&, flags = server_flags(*choices)](uint64_t restarts) {
                      write_server_note(invocation.folders, {restarts, flags});
                    },
                    [&] { metrics.server_ended(); },
                    [&] {
                      remove_server_note(invocation.folders);
                      metrics.end();
                    }};
  ExpiryWatch expiry(invocation.folders);
  int code =
      supervise({*server, reload, to_hand_on, notifier, invocation.folders, refresh, watchers, &expiry});
  if (code != kExitOk && !server->empty()) give_back_port_22(invocation.folders);
  return code;
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
  remove_metrics(*choices);
  // what stands in the way of one of them must not keep the other
  Status redirect = redirect_noted(invocation.folders) ? remove_redirect(invocation.folders) : Done{};
  if (auto removed = remove_ssh_config(invocation.folders, *choices); !removed) return fail(removed.error());
  if (!redirect) return fail(redirect.error(), "the redirect of port 22 is still there");
  say(*stopped ? "down" : "down; no qf-up was running");
  return kExitOk;
}

int command_machine_jwks(const Invocation& invocation) {
  std::string program = sibling_program("qf-tokend");
  std::vector<std::string> words = {program, "--machine-issuer", "--print-jwks"};
  for (auto& word : folder_arguments(invocation.folders)) words.push_back(std::move(word));
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execv(program.c_str(), arguments.data());
  return fail(system_error("cannot execute " + program), "is it installed?");
}

}  // namespace qf
