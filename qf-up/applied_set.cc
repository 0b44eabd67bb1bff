// SPDX-License-Identifier: Apache-2.0
#include "qf-up/applied_set.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "libqf/fd.h"
#include "libqf/text.h"

namespace qf {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSetPrefix = "applied.";
constexpr mode_t kSetMode = 0755;  // users read peers.mdb and known_hosts; policy.mdb guards itself

std::string set_path(const std::string& state, unsigned long number) {
  return state + "/" + std::string(kSetPrefix) + std::to_string(number);
}

std::string current_path(const std::string& state) {
  return state + "/current";
}

std::optional<unsigned long> set_number(std::string_view name) {
  constexpr uint64_t kMostSets = 1'000'000'000'000;
  if (!name.starts_with(kSetPrefix)) return std::nullopt;
  return parse_number(name.substr(kSetPrefix.size()), kMostSets);
}

// Not ".conf" at the end: ssh would read it.
std::string temporary_for(const std::string& path) {
  return path + ".qf-up-new";
}

std::string folder_of(const std::string& path) {
  return fs::path(path).parent_path().string();
}

// Relative within the state folder, so that a copy or another mount of it holds together.
std::string link_target(const std::string& state, const SetPlace& place) {
  return (folder_of(place.path) == state ? "current" : current_path(state)) + "/" + place.name;
}

std::string link_text(const std::string& path) {
  std::error_code none;
  return fs::read_symlink(path, none).string();
}

// A symlink at `path`, whatever is there.
Status replace_by_link(const std::string& target, const std::string& path) {
  std::string temporary = temporary_for(path);
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0) return system_error("cannot create " + temporary);
  if (::rename(temporary.c_str(), path.c_str()) == 0) return Done{};
  Error error = system_error("cannot replace " + path);
  ::unlink(temporary.c_str());
  return error;
}

// What would go wrong at the end is said at the beginning.
Status check_place(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return input_error(path + " is a folder");
  std::string folder = folder_of(path);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) return system_error("cannot write to " + folder);
  return Done{};
}

Status check_current(const std::string& state) {
  struct stat st = {};
  if (::lstat(current_path(state).c_str(), &st) != 0 || S_ISLNK(st.st_mode)) return Done{};
  return with_hint(input_error(current_path(state) + " is not a symlink"), "move it away");
}

// What a killed qf-up, also one of an older version, left beside a place.
void remove_leftovers(const std::string& path) {
  fs::path beside(temporary_for(path));
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(beside.parent_path(), error)) {
    if (entry.path().filename().string().starts_with(beside.filename().string()))
      ::unlink(entry.path().c_str());
  }
}

// Every set but the one in force; the highest number there was. A set that cannot be removed does no harm.
unsigned long remove_old_sets(const std::string& state) {
  std::string in_force = link_text(current_path(state));
  unsigned long highest = 0;
  for (const auto& folder : set_folders(state)) {
    std::string name = fs::path(folder).filename();
    highest = std::max(highest, set_number(name).value_or(0));
    std::error_code ignored;
    if (name != in_force) fs::remove_all(folder, ignored);
  }
  return highest;
}

// The file at `from` once more, the same one where the file system can do that.
Status duplicate_file(const std::string& from, const std::string& to) {
  struct stat st = {};
  bool plain = ::lstat(from.c_str(), &st) == 0 && S_ISREG(st.st_mode);
  if (plain && ::link(from.c_str(), to.c_str()) == 0) return Done{};
  std::error_code error;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (error) {
    errno = error.value();
    return system_error("cannot copy " + from + " to " + to);
  }
  auto copy = open_file(to, O_RDONLY);
  if (!copy) return copy.error();
  if (::fsync(copy->get()) != 0) return system_error("cannot sync " + to);
  return Done{};
}

}  // namespace

std::vector<std::string> set_folders(const std::string& state) {
  std::vector<std::string> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(state, error)) {
    if (set_number(entry.path().filename().string())) folders.push_back(entry.path());
  }
  return folders;
}

bool is_set_link(const std::string& state, const SetPlace& place) {
  return link_text(place.path) == link_target(state, place);
}

NewSet::NewSet(std::string state, std::vector<SetPlace> places, unsigned long number)
    : state_(std::move(state)), places_(std::move(places)), number_(number) {}

NewSet::NewSet(NewSet&& other) noexcept
    : state_(std::move(other.state_)),
      places_(std::move(other.places_)),
      number_(other.number_),
      to_remove_(std::exchange(other.to_remove_, false)) {}

NewSet::~NewSet() {
  std::error_code ignored;
  if (to_remove_) fs::remove_all(set_path(state_, number_), ignored);
}

Result<NewSet> NewSet::begin(const std::string& state, std::vector<SetPlace> places) {
  if (auto good = check_current(state); !good) return good.error();
  for (const auto& place : places) {
    if (auto good = check_place(place.path); !good) return good.error();
  }
  // now there is room for the new one
  for (const auto& place : places) remove_leftovers(place.path);
  NewSet set(state, std::move(places), remove_old_sets(state) + 1);
  if (auto made = make_folder(set_path(state, set.number_), kSetMode); !made) return made.error();
  return set;
}

Status NewSet::add_text(const std::string& name, std::string_view content, mode_t mode) {
  return write_file_atomically(set_path(state_, number_) + "/" + name, content, mode);
}

Status NewSet::add_database(const std::string& name, const RecordSource& records, mode_t mode) {
  return write_sorted_lmdb(set_path(state_, number_) + "/" + name, records, mode);
}

Status NewSet::put_into_force() {
  std::string folder = set_path(state_, number_);
  if (auto synced = sync_folder_of(folder); !synced) return synced;
  for (const auto& place : places_) {
    if (auto settled = settle(place); !settled) return settled;
  }
  if (auto swapped = replace_by_link(fs::path(folder).filename(), current_path(state_)); !swapped)
    return swapped;
  to_remove_ = false;
  if (auto synced = sync_folder_of(current_path(state_)); !synced)
    return with_hint(synced.error(),
                     "the document is in force, but a power failure may bring back the one before; is the "
                     "disk good?");
  return Done{};
}

// What the place shows stays the same, and from then on changes with the set.
Status NewSet::settle(const SetPlace& place) const {
  if (is_set_link(state_, place)) return Done{};
  if (auto kept = keep_what_is_there(place); !kept) return kept;
  if (auto linked = replace_by_link(link_target(state_, place), place.path); !linked) return linked;
  return sync_folder_of(place.path);
}

Status NewSet::keep_what_is_there(const SetPlace& place) const {
  std::string kept = current_path(state_) + "/" + place.name;
  struct stat st = {};
  if (::stat(place.path.c_str(), &st) != 0) {
    if (errno != ENOENT) return system_error("cannot use " + place.path);
    if (::unlink(kept.c_str()) == 0 || errno == ENOENT) return Done{};
    return system_error("cannot remove " + kept);
  }
  if (auto have = have_current(); !have) return have;
  std::string temporary = temporary_for(kept);
  ::unlink(temporary.c_str());
  if (auto duplicated = duplicate_file(place.path, temporary); !duplicated) return duplicated;
  if (::rename(temporary.c_str(), kept.c_str()) != 0) return system_error("cannot replace " + kept);
  // rename(2) leaves both names where they were one file already: a kill came between here and the symlink
  ::unlink(temporary.c_str());
  return sync_folder_of(kept);
}

// A set in force, empty, for what lay at the places before there were sets.
Status NewSet::have_current() const {
  struct stat st = {};
  if (::stat(current_path(state_).c_str(), &st) == 0) return Done{};
  std::string folder = set_path(state_, number_ + 1);
  if (auto made = make_folder(folder, kSetMode); !made) return made;
  if (auto linked = replace_by_link(fs::path(folder).filename(), current_path(state_)); !linked)
    return linked;
  return sync_folder_of(current_path(state_));
}

}  // namespace qf
