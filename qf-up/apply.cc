// SPDX-License-Identifier: Apache-2.0
#include "qf-up/apply.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <thread>

#include "libqf/crypto.h"
#include "libqf/log.h"
#include "libqf/peers_db.h"
#include "libqf/policy_db.h"
#include "libqf/text.h"
#include "qf-up/applied_set.h"
#include "qf-up/compile.h"
#include "qf-up/ssh_config.h"
#include "qf-up/ssh_include.h"

namespace qf {

namespace {

constexpr const char* kDefaultState = "/var/lib/qufabric";
// Much longer than an apply takes, and less than systemd waits for a sign of life of the qf-up that waits
// here.
constexpr auto kLockTime = std::chrono::seconds(20);
constexpr auto kLockRetry = std::chrono::milliseconds(50);
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

std::string last_word(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// Whether the file belongs into /etc/ssh/ssh_config.d; whoever asks: what is in the system's state folder is
// root's.
bool system_wide(const Folders& folders, const Choices& choices) {
  return choices.ssh_config_file.empty() && folders.state == kDefaultState &&
         (::geteuid() == 0 || belongs_to_root(kDefaultState));
}

// Not access(2), which tells everybody but root that it may not.
bool system_open() {
  struct stat st = {};
  struct statvfs system = {};
  return ::stat(kSystemSshConfigFolder, &st) == 0 && S_ISDIR(st.st_mode) &&
         ::statvfs(kSystemSshConfigFolder, &system) == 0 && (system.f_flag & ST_RDONLY) == 0;
}

// A chosen place has a name of its own in the set, so that another choice takes its file away from there.
SetPlace config_place(const Folders& folders, const Choices& choices) {
  constexpr size_t kHashDigits = 16;
  std::string path = ssh_config_path(folders, choices);
  if (choices.ssh_config_file.empty()) return {path, kSshConfigName};
  return {path, std::string(kSshConfigName) + "." + hex(sha256(path)).substr(0, kHashDigits)};
}

// Where ssh_config files of ours lie that are not at the place of now: the one of before, and what applies
// left there that were killed, whose sets still tell of it. Another instance's file is none of them.
std::vector<SetPlace> left_places(const Folders& folders, const SetPlace& config) {
  std::vector<SetPlace> left;
  auto look = [&](const std::string& set, bool in_force) {
    Folders there = folders;
    there.state = set;
    auto choices = load_choices(there);
    if (!choices) return;
    SetPlace place = config_place(folders, *choices);
    if (place.path == config.path) return;
    // an older version wrote a file, no link
    struct stat st = {};
    bool file = in_force && ::lstat(place.path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
    if (is_set_link(folders.state, place) || (file && check_ours(place.path))) left.push_back(place);
  };
  look(folders.state, true);
  for (const auto& set : set_folders(folders.state)) look(set, false);
  return left;
}

Status fill(NewSet& set, const Document& document, const Folders& folders, const Choices& choices,
            const std::string& config_name) {
  auto settings = config_settings(folders, choices);
  auto config = render_ssh_config(document, settings);
  if (!config) return config.error();
  Status done = set.add_database(last_word(folders.policy_mdb()), policy_records(document), kPrivateMode);
  if (done)
    done = set.add_database(last_word(folders.peers_mdb()),
                            peers_records(document, {choices.self, choices.ssh_jwt_cache_ttl}), kPublicMode);
  if (done)
    done =
        set.add_text(last_word(folders.known_hosts()), render_known_hosts(document, settings), kPublicMode);
  if (done) done = set.add_text(last_word(choices_path(folders)), choices_text(choices), kPublicMode);
  // twice, since a place may be taken away by hand and then shows nothing until the next apply
  for (const auto& name : {config_name, last_word(folders.ssh_config())}) {
    if (done) done = set.add_text(name, *config, kPublicMode);
  }
  return done;
}

}  // namespace

Status own_state_folder(const Folders& folders) {
  const std::string& state = folders.state;
  if (auto made = make_folder(state, 0755); !made) return made;
  struct stat st = {};
  if (::stat(state.c_str(), &st) != 0) return system_error("cannot stat " + state);
  if (!S_ISDIR(st.st_mode)) return with_hint(input_error(state + " is not a folder"), "move it away");
  // whoever can rename in it decides what we write and read
  bool theirs = st.st_uid != ::geteuid();
  if (theirs && (::geteuid() == 0 || ::access(state.c_str(), W_OK) == 0))
    return with_hint(refused(state + " belongs to uid " + std::to_string(st.st_uid) + ", and this is uid " +
                             std::to_string(::geteuid())),
                     "run it as that user; or name a folder of your own: --state-dir");
  if (!theirs && (st.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH)
    return with_hint(refused(state + " can be changed by others"), "run: chmod o-w " + for_shell(state));
  return Done{};
}

Result<Fd> lock_state(const Folders& folders) {
  if (auto own = own_state_folder(folders); !own) return own.error();
  auto fd = open_lock_file(folders.state + "/apply.lock");
  if (!fd) return fd.error();
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) == 0) return std::move(*fd);
  if (errno != EWOULDBLOCK) return system_error("cannot lock " + folders.state);
  say("waiting for another qf-up that is applying a document");
  for (Deadline until = Clock::now() + kLockTime; ::flock(fd->get(), LOCK_EX | LOCK_NB) != 0;) {
    if (errno != EWOULDBLOCK && errno != EINTR) return system_error("cannot lock " + folders.state);
    if (Clock::now() >= until)
      return with_hint(timeout_error("another qf-up still holds " + folders.state + "/apply.lock"),
                       "nothing was changed; is one stopped or stuck? see: fuser -v " +
                           for_shell(folders.state + "/apply.lock"));
    std::this_thread::sleep_for(kLockRetry);
  }
  return std::move(*fd);
}

Status check_serial(const Folders& folders, const Document& document) {
  // Both: one of them may be damaged or gone.
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
  bool in_system = system_wide(folders, choices) && system_open();
  return (in_system ? std::string(kSystemSshConfigFolder) : folders.state) + "/" + kSshConfigName;
}

Result<Applied> apply_document(const Document& document, const Folders& folders, const Choices& choices) {
  SetPlace config = config_place(folders, choices);
  for (const auto& path : {config.path, folders.ssh_config()}) {
    if (auto ours = check_ours(path); !ours) return ours.error();
  }
  auto left = left_places(folders, config);
  std::vector<SetPlace> places = left;
  for (const auto& path : {folders.policy_mdb(), folders.peers_mdb(), folders.known_hosts(),
                           folders.ssh_config(), choices_path(folders)})
    places.push_back({path, last_word(path)});
  places.push_back(config);
  auto set = NewSet::begin(folders.state, std::move(places));
  if (!set) return set.error();
  if (auto filled = fill(*set, document, folders, choices, config.name); !filled) return filled.error();
  if (auto done = set->put_into_force(); !done) return done.error();
  // they lead nowhere since: ssh passes over them
  for (const auto& place : left) ::unlink(place.path.c_str());
  return Applied{config.path, lacks_include(config.path), system_wide(folders, choices) && !system_open()};
}

Status remove_ssh_config(const Folders& folders, const Choices& choices) {
  SetPlace config = config_place(folders, choices);
  struct stat st = {};
  if (::lstat(folders.ssh_config().c_str(), &st) == 0 && S_ISLNK(st.st_mode) &&
      ::unlink(folders.ssh_config().c_str()) != 0)
    return system_error("cannot remove " + folders.ssh_config());
  // one that leads nowhere is what a killed first apply leaves
  if (!is_set_link(folders.state, config)) {
    if (::stat(config.path.c_str(), &st) != 0) return Done{};
    if (auto ours = check_ours(config.path); !ours) return ours.error();
  }
  if (::unlink(config.path.c_str()) != 0) return system_error("cannot remove " + config.path);
  return Done{};
}

Result<std::string> find_self(const Document& document, const std::string& name) {
  std::string wanted = lower(name);
  for (const auto& peer : document.peers) {
    if (lower(peer.record.name) == wanted) return peer.record.name;
  }
  return input_error("the fabric document has no peer \"" + name + "\"");
}

}  // namespace qf
