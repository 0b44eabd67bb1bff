// SPDX-License-Identifier: Apache-2.0
#include "qf-up/document_root.h"

#include <algorithm>
#include <array>

#include "libqf/text.h"

namespace qf {

namespace {

// Lists and objects with as many entries as the fabric has peers, users, groups, policies or tests.
bool stays_text(std::string_view key, std::string_view value) {
  constexpr std::array<std::string_view, 5> kLong = {"peers", "peer_groups", "user_groups", "policies",
                                                     "tests"};
  return std::find(kLong.begin(), kLong.end(), key) != kLong.end() &&
         (value.starts_with('[') || value.starts_with('{'));
}

std::string_view empty_of(std::string_view value) {
  return value.starts_with('[') ? "[]" : "{}";
}

}  // namespace

Result<DocumentRoot> read_document_root(std::string_view text) {
  text = trim(text);
  DocumentRoot root;
  bool object = text.starts_with('{');
  auto outermost = parse_checked_json(object || text.starts_with('[') ? empty_of(text) : text);
  if (!outermost) return outermost.error();
  root.tree = std::move(*outermost);
  JsonPieces members(text);
  while (object && members.next()) {
    bool whole = !stays_text(members.key(), members.value());
    auto value = parse_checked_json(whole ? members.value() : empty_of(members.value()));
    if (!value) return value.error();
    if (!whole) root.texts[value->get()] = members.value();
    if (::cJSON_AddItemToObject(root.tree.get(), members.key().c_str(), value->get()) == 0) std::abort();
    static_cast<void>(value->release());
  }
  return root;
}

}  // namespace qf
