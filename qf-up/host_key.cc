// SPDX-License-Identifier: Apache-2.0
// qf-up host-key prints the host key of qf-sshd. qf-up rotate-host-key: another one, without a moment in
// which a client meets one that it does not know.
//
//   1. rotate-host-key            a next key is made beside the one in use, and both are printed
//   2. (the admin)                the document lists both, on every peer
//   3. rotate-host-key --finish   the next one takes the place of the other, refused before 2. has come here
//   4. (the admin)                the document lists the new one alone
//
// In between qf-sshd uses the key in use, or the next one when the document lists that alone. Each step is
// one rename, so a kill leaves the step before or the step after, and a step that is done again does no harm.
#include <algorithm>
#include <cstdio>

#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/peers_db.h"
#include "qf-up/apply.h"
#include "qf-up/commands.h"
#include "qf-up/instance.h"
#include "qf-up/machine.h"

namespace po = boost::program_options;

namespace qf {

namespace {

constexpr const char* kRotateProgram = "qf-up rotate-host-key";

// Of this machine, in the document in force; kNotFound says why there are none.
Result<std::vector<std::string>> listed_host_keys(const Folders& folders, PeersMeta& meta) {
  auto db = PeersDb::open(folders.peers_mdb());
  if (!db) return db.error();
  auto found = db->meta();
  if (!found) return found.error();
  meta = *found;
  if (meta.self.empty()) return not_found("this machine is no peer of the document in force");
  auto self = db->find_peer(meta.self);
  if (!self) return self.error();
  return self->ssh_host_keys;
}

bool lists(const std::vector<std::string>& keys, const std::string& line) {
  return std::find(keys.begin(), keys.end(), line) != keys.end();
}

int begin_rotation(const Folders& folders) {
  // where there was no key yet the first one is new enough
  bool first = ::access(folders.host_key().c_str(), F_OK) != 0;
  auto lines = host_key_lines(folders);
  if (!lines) return fail(lines.error());
  if (!first && lines->size() == 1) {
    if (auto made = make_next_host_key(folders); !made) return fail(made.error());
    lines = host_key_lines(folders);
    if (!lines) return fail(lines.error());
  }
  for (const auto& line : *lines) std::printf("%s\n", line.c_str());
  if (first) {
    say("this machine had no host key; the first one was made",
        "put it into \"ssh_host_keys\" of the document");
    return kExitOk;
  }
  say("the key in use and the next one; nothing changes for clients yet",
      "list both in \"ssh_host_keys\" of this peer, and when the document is in force on every peer run: "
      "qf-up "
      "rotate-host-key --finish");
  return kExitOk;
}

int finish_rotation(const Folders& folders, Fd lock) {
  auto lines = host_key_lines(folders);
  if (!lines) return fail(lines.error());
  if (auto written = write_public_half(folders); !written) return fail(written.error());
  if (lines->size() == 1)
    return fail(with_hint(not_found("there is no next host key to change to"), "run: qf-up rotate-host-key"));
  const std::string &old = lines->front(), &next = lines->back();
  PeersMeta meta;
  auto listed = listed_host_keys(folders, meta);
  if (!listed) return fail(listed.error(), "put a document into force: qf-up apply --self NAME");
  if (!lists(*listed, next)) {
    return fail(with_hint(
        refused("the document in force (serial " + std::to_string(meta.serial) +
                ") does not list the next host key, so no client would take it"),
        "list it in \"ssh_host_keys\" of the peer \"" + meta.self + "\" besides the other: " + next));
  }
  if (auto taken = take_next_host_key(folders); !taken) return fail(taken.error());
  if (auto written = write_public_half(folders); !written) return fail(written.error());
  std::printf("%s\n", next.c_str());
  lock.reset();  // the running one applies the document
  auto reloaded = reload_instance(folders);
  if (!reloaded)
    return fail(reloaded.error(), "the key was changed; the running qf-sshd takes it at its next start");
  say(lists(*listed, old) ? "the host key was changed; the old one is gone"
                          : "the host key was changed; the document lists the old one no more",
      lists(*listed, old) ? "take the old one out of the document: " + old : "");
  return kExitOk;
}

}  // namespace

int command_rotate_host_key(int argc, char** argv) {
  bool finish = false;
  FolderOptions folder_options;
  po::options_description visible("options");
  visible.add_options()("finish", po::bool_switch(&finish), "the next key takes the place of the one in use");
  add_folder_options(visible, folder_options);
  parse_options(
      argc, argv,
      {kRotateProgram,
       "usage: qf-up rotate-host-key [--finish] [options]\nMakes another host key beside the one in use and "
       "prints both; with --finish changes to it.\n"
       "exit status: 0 done, 71 the system failed, 78 it cannot be changed to yet, 64 wrong usage\n",
       visible});
  Folders folders = folder_options.folders();
  auto lock = lock_state(folders);
  if (!lock) return fail(lock.error());
  return finish ? finish_rotation(folders, std::move(*lock)) : begin_rotation(folders);
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
