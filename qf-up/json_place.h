// SPDX-License-Identifier: Apache-2.0
// Where in the text of a document a fault lies: line and column for an editor, a JSON path for a person, and
// the policy, peer, issuer or test that it is a part of, by name.
#pragma once

#include <string_view>

#include "qf-up/schema.h"

namespace qf {

// Of an error of check_json(), which starts with "line N column M: ". The text before that place is taken to
// be well formed.
[[nodiscard]] Fault syntax_fault(std::string_view text, std::string_view error);

// Puts line, column and owner into a fault of a text that check_json() has passed. What is missing is in the
// place of the object that lacks it.
void locate(std::string_view text, Fault& fault);

}  // namespace qf
