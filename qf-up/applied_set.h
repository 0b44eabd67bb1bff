// SPDX-License-Identifier: Apache-2.0
// The files that an apply puts into force, as one set that a single rename brings:
//
//   STATE/applied.7/    the set in force: policy.mdb, peers.mdb, known_hosts, choices.json, ssh_config file
//   STATE/applied.6/    the one before, until the next apply: somebody may be on the way into it
//   STATE/current       a symlink to applied.7; to replace it is the one step that changes what is in force
//   STATE/policy.mdb    a symlink to current/policy.mdb; and so the other places where programs look
//
// The ssh_config file's place is such a symlink too, wherever it lies (/etc/ssh/ssh_config.d): with a file
// of its own there would be two steps. ssh and libssh follow it, look at the owner and mode of what it leads
// to, and pass over one that leads nowhere. Whoever reads it must be let into STATE; but what it says leads
// there anyway, to peers.mdb and known_hosts.
//
// Places are made symlinks before the step, and without changing what they show: a file that lies there (of
// an older version, or an editor's) becomes a part of the set in force first; where nothing lies, the set in
// force gets nothing to show either. So at each moment, also after a kill or a power failure, all places show
// the old set or all the new one. A failure leaves the old one. What a killed apply left, the next removes.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "libqf/lmdb.h"
#include "libqf/result.h"

namespace qf {

// Where programs look for a file, and its name in a set.
struct SetPlace {
  std::string path;
  std::string name;
};

// A new set. Removed at the end of its life, unless it came into force.
class NewSet {
 public:
  // The caller holds the lock of the state folder. Refused (kInput) where a place is a folder.
  [[nodiscard]] static Result<NewSet> begin(const std::string& state, std::vector<SetPlace> places);
  NewSet(NewSet&& other) noexcept;
  NewSet& operator=(NewSet&&) = delete;
  NewSet(const NewSet&) = delete;
  NewSet& operator=(const NewSet&) = delete;
  ~NewSet();

  [[nodiscard]] Status add_text(const std::string& name, std::string_view content, mode_t mode);
  [[nodiscard]] Status add_database(const std::string& name, const RecordSource& records, mode_t mode);
  // All places show it from now on, and nothing where it has no file of that name. An error without a hint
  // leaves everything as it was.
  [[nodiscard]] Status put_into_force();

 private:
  NewSet(std::string state, std::vector<SetPlace> places, unsigned long number);
  [[nodiscard]] Status settle(const SetPlace& place) const;
  [[nodiscard]] Status keep_what_is_there(const SetPlace& place) const;
  [[nodiscard]] Status have_current() const;

  std::string state_;
  std::vector<SetPlace> places_;
  unsigned long number_;
  bool to_remove_ = true;
};

// The folders of all sets that are there, also of one that a killed apply left.
[[nodiscard]] std::vector<std::string> set_folders(const std::string& state);

// Whether what lies at a place is its symlink into the sets of `state`, wherever that leads now.
[[nodiscard]] bool is_set_link(const std::string& state, const SetPlace& place);

}  // namespace qf
