// SPDX-License-Identifier: Apache-2.0
#include "qf-up/apply.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libqf/lmdb.h"
#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "libqf/policy_db.h"
#include "libqf/text.h"
#include "qf-up/compile.h"
#include "qf-up/ssh_config.h"
#include "qf-up/staged_file.h"

namespace qf {

namespace {

constexpr const char* kDefaultState = "/var/lib/qufabric";
constexpr mode_t kPublicMode = 0644;
constexpr mode_t kPrivateMode = 0600;

template <class Db>
std::optional<InForce> in_force(const std::string& path) {
  auto db = Db::open(path);
  if (!db) return std::nullopt;  // none yet, or a damaged one, which an apply mends
  auto meta = db->meta();
  if (!meta) return std::nullopt;
  return InForce{meta->serial, meta->document_hash};
}

SshConfigSettings config_settings(const Folders& folders, const Choices& choices) {
  SshConfigSettings settings;
  settings.folders = folders;
  settings.detect_program = sibling_program("qf-detect");
  settings.proxy_program = sibling_program("qf-proxy");
  // what root writes is for all users, and each has a runtime folder of their own
  settings.own_runtime = folders.runtime_named() && ::geteuid() != 0;
  settings.no_pq_warning = choices.no_pq_warning;
  settings.ssh = installed_ssh_version();
  return settings;
}

bool lacks_include(const std::string& config) {
  if (!config.starts_with(std::string(kSystemSshConfigFolder) + "/")) return false;
  constexpr size_t kMostSshConfig = size_t{1} << 20;
  auto text = read_file(kSystemSshConfig, kMostSshConfig);
  return !text || !includes_file(*text, config);
}

bool belongs_to_root(const char* path) {
  struct stat st = {};
  return ::stat(path, &st) == 0 && st.st_uid == 0;
}

constexpr std::string_view kOurs = "# Written by qf-up";

// All new files, in the order in which they come into force.
Result<std::vector<StagedFile>> stage(const Document& document, const Folders& folders,
                                      const Choices& choices, const std::string& config_path) {
  if (auto ours = check_ours(config_path); !ours) return ours.error();
  auto settings = config_settings(folders, choices);
  auto config = render_ssh_config(document, settings);
  if (!config) return config.error();
  std::vector<StagedFile> files;
  Error problem;
  auto add = [&](Result<StagedFile> file) {
    if (!file) {
      problem = file.error();
      return false;
    }
    files.push_back(std::move(*file));
    return true;
  };
  bool good =
      add(stage_database(folders.policy_mdb(), policy_records(document), kPrivateMode)) &&
      add(stage_database(folders.peers_mdb(),
                         peers_records(document, {choices.self, choices.ssh_jwt_cache_ttl}), kPublicMode)) &&
      add(stage_text(folders.known_hosts(), render_known_hosts(document, settings), kPublicMode)) &&
      add(stage_text(choices_path(folders), choices_text(choices), kPublicMode)) &&
      add(stage_text(config_path, *config, kPublicMode));
  if (!good) return problem;
  return files;
}

}  // namespace

Result<Fd> lock_state(const Folders& folders) {
  if (auto made = make_folder(folders.state, 0755); !made) return made.error();
  auto fd = open_lock_file(folders.state + "/apply.lock");
  if (!fd) return fd.error();
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) == 0) return std::move(*fd);
  if (errno != EWOULDBLOCK) return system_error("cannot lock " + folders.state);
  say("waiting for another qf-up that is applying a document");
  while (::flock(fd->get(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error("cannot lock " + folders.state);
  }
  return std::move(*fd);
}

Status check_serial(const Folders& folders, const Document& document) {
  // Both: a kill between the two renames of an apply leaves one of them behind.
  for (const auto& now : {in_force<PolicyDb>(folders.policy_mdb()), in_force<PeersDb>(folders.peers_mdb())}) {
    if (!now) continue;
    if (document.serial < now->serial)
      return refused("serial " + std::to_string(document.serial) + " is older than " +
                     std::to_string(now->serial) + ", which is in force");
    if (document.serial == now->serial && document.hash != now->hash)
      return refused("another document with serial " + std::to_string(document.serial) + " is in force");
  }
  return Done{};
}

Status check_ours(const std::string& path) {
  constexpr size_t kMostSshConfig = size_t{64} << 20;
  auto text = read_file(path, kMostSshConfig);
  if (!text && text.error().sys == ENOENT) return Done{};
  if (!text) return text.error();
  if (text->empty() || text->starts_with(kOurs)) return Done{};
  return with_hint(input_error(path + " was not written by qf-up; it stays as it is"),
                   "move it away, or have a file of its own written: --ssh-config-file " +
                       std::string(kSystemSshConfigFolder) + "/" + kSshConfigName);
}

std::string ssh_config_path(const Folders& folders, const Choices& choices) {
  if (!choices.ssh_config_file.empty()) return choices.ssh_config_file;
  // whoever asks: what is in the system's state folder is root's
  bool system_wide = folders.state == kDefaultState && (::geteuid() == 0 || belongs_to_root(kDefaultState));
  return (system_wide ? std::string(kSystemSshConfigFolder) : folders.state) + "/" + kSshConfigName;
}

Result<Applied> apply_document(const Document& document, const Folders& folders, const Choices& choices) {
  Applied applied;
  applied.ssh_config = ssh_config_path(folders, choices);
  auto files = stage(document, folders, choices, applied.ssh_config);
  if (!files) return files.error();
  for (auto& file : *files) {
    if (auto done = file.commit(); !done) return done.error();
  }
  applied.include_missing = lacks_include(applied.ssh_config);
  return applied;
}

Result<std::string> find_self(const Document& document, const std::string& name) {
  for (const auto& peer : document.peers) {
    if (lower(peer.record.name) == lower(name)) return peer.record.name;
  }
  return input_error("the fabric document has no peer \"" + name + "\"");
}

}  // namespace qf
