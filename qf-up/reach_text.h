// SPDX-License-Identifier: Apache-2.0
// The rows of qf-up/reach.h for a person, and all of them for a program. Names that are not plain words are
// quoted; where there are many, a text has a few and says how many more.
#pragma once

#include <string>
#include <vector>

#include "libqf/json.h"
#include "qf-up/reach.h"

namespace qf {

// Who may log in: columns with a head, a row a line. Grants are those after.
[[nodiscard]] std::string who_table(const std::vector<ReachRow>& rows);
// Lines with "+", "-" or "~" at their beginning, sorted.
[[nodiscard]] std::string diff_lines(const std::vector<ReachRow>& rows);

struct LoginCounts {
  uint64_t gained = 0, lost = 0, changed = 0;
  [[nodiscard]] bool none() const { return gained == 0 && lost == 0 && changed == 0; }
};
[[nodiscard]] LoginCounts count_logins(const std::vector<ReachRow>& rows);

// A list of objects: all names, and grants as "before" and "after", null where there is none.
[[nodiscard]] JsonPtr rows_json(const std::vector<ReachRow>& rows);

// "db1", or "db1, db2, db3 and 4 more".
[[nodiscard]] std::string few_of(const std::vector<std::string>& names);

}  // namespace qf
