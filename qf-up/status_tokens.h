// SPDX-License-Identifier: Apache-2.0
// Who is logged in, for qf-up status: what the qf-tokend of the user who asks says. Nobody sees another
// user's, root neither. Starts none.
#pragma once

#include <vector>

#include "libqf/folders.h"
#include "libqf/json.h"
#include "qf-up/text_table.h"

namespace qf {

// Its answer to "status"; kNotFound: none runs. Takes at most 2 s.
[[nodiscard]] Result<JsonPtr> ask_tokend(const Folders& folders);

[[nodiscard]] std::vector<LabelledLine> token_lines(const Result<JsonPtr>& answer);
// {"running":…,"pid","ttl","issuers":[{"name","state","subject","ttl_left","bound"}…]}; running is null, and
// "error" says why, when it cannot be asked.
[[nodiscard]] JsonPtr token_json(const Result<JsonPtr>& answer);

}  // namespace qf
