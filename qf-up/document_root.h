// SPDX-License-Identifier: Apache-2.0
// The outermost object of a fabric document. A tree of all of a large document would take ten times its text,
// so its longest members stay text, and only one of their items at a time is a tree. Inside of document.cc
// only.
#pragma once

#include <string_view>

#include "libqf/json.h"
#include "qf-up/schema.h"

namespace qf {

struct DocumentRoot {
  JsonPtr tree;
  LeftAsText texts;  // borrows from the tree and from the text
};

// `text` has passed check_json(). What is no object is one of its type. Fails only when memory runs out.
[[nodiscard]] Result<DocumentRoot> read_document_root(std::string_view text);

}  // namespace qf
