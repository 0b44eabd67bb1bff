// SPDX-License-Identifier: Apache-2.0
// Where in a document a fault of parse_json() lies, as a JSON path: "line 3 column 7" alone makes an admin
// count braces.
#pragma once

#include <string>
#include <string_view>

namespace qf {

// `fault` starts with "line N column M"; "$" when it does not. The text before that place is taken to be
// well formed.
[[nodiscard]] std::string json_place(std::string_view text, std::string_view fault);

}  // namespace qf
