// SPDX-License-Identifier: Apache-2.0
#include "qf-up/json_place.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

// One object or list that is open at the place.
struct Level {
  bool object = false;
  bool have_key = false;
  size_t index = 0;
  std::string key;
};

std::optional<size_t> number_after(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return std::nullopt;
  text.remove_prefix(word.size());
  size_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

// The byte offset of a line and column, both from 1; a UTF-8 character is one column.
size_t offset_of(std::string_view text, size_t line, size_t column) {
  size_t at = 0;
  for (; line > 1 && at < text.size(); ++at) {
    if (text[at] == '\n') --line;
  }
  for (; column > 1 && at < text.size(); --column) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
  }
  return at;
}

// The end of the string that starts with the quote at `at`, one past its closing quote.
size_t string_end(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

std::string decoded(std::string_view written) {
  auto value = parse_json(written);
  return value && cJSON_IsString(value->get()) ? (*value)->valuestring : std::string(written);
}

// Takes one token at `at` and returns where the next one starts.
size_t step(std::string_view text, size_t at, std::vector<Level>& open) {
  char c = text[at];
  if (c == '{' || c == '[') {
    // a path can be no deeper than what the parser accepts
    if (open.size() <= static_cast<size_t>(kJsonMostDepth)) open.push_back({c == '{', false, 0, ""});
  } else if (c == '}' || c == ']') {
    if (!open.empty()) open.pop_back();
  } else if (c == ',' && !open.empty()) {
    open.back().have_key = false;
    ++open.back().index;
  } else if (c == '"') {
    size_t end = string_end(text, at);
    if (!open.empty() && open.back().object && !open.back().have_key) {
      open.back().key = decoded(text.substr(at, end - at));
      open.back().have_key = true;
    }
    return end;
  }
  return at + 1;
}

std::string path_text(const std::vector<Level>& open, size_t from, const Place& place) {
  if (from == open.size()) return place.text();
  const Level& level = open[from];
  if (level.object && !level.have_key) return place.text();
  Place here = level.object ? place.member(level.key.c_str()) : place.item(level.index);
  return path_text(open, from + 1, here);
}

// The member or the item of a value; nothing when it has none of that.
std::optional<std::string_view> go_to(std::string_view value, const PlaceStep& step) {
  JsonPieces pieces(value);
  for (size_t index = 0; pieces.next(); ++index) {
    bool here = step.key ? pieces.of_object() && pieces.key() == *step.key
                         : !pieces.of_object() && index == step.index;
    if (here) return pieces.value();
  }
  return std::nullopt;
}

// `policy "dba"` of `value`, the item of a list of the document that the fault is in.
std::string owner_of(const Fault& fault, std::string_view value) {
  static constexpr std::pair<std::string_view, const char*> kKinds[] = {
      {"issuers", "issuer"}, {"peers", "peer"}, {"policies", "policy"}, {"tests", "test"}};
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const auto& one) { return fault.steps[0].key == one.first; });
  // the name is what the fault itself is about
  bool of_name = fault.steps.size() > 2 && fault.steps[2].key == "name";
  if (kind == std::end(kKinds) || of_name) return "";
  auto object = parse_checked_json(value);
  auto name = object ? json_string(object->get(), "name") : std::nullopt;
  return name && !name->empty() ? std::string(kind->second) + " " + quoted(*name) : "";
}

void put_position(std::string_view text, size_t offset, Fault& fault) {
  fault.line = fault.column = 1;
  for (char c : text.substr(0, offset)) {
    if (c == '\n') {
      ++fault.line;
      fault.column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {  // a UTF-8 character counts once
      ++fault.column;
    }
  }
}

}  // namespace

Fault syntax_fault(std::string_view text, std::string_view error) {
  std::string_view rest = error;
  auto line = number_after(rest, "line ");
  auto column = line ? number_after(rest, " column ") : std::nullopt;
  if (!column || !rest.starts_with(": ")) return {"$", std::string(error)};
  size_t stop = offset_of(text, *line, *column);
  std::vector<Level> open;
  size_t at = 0;
  while (at < stop && at < text.size()) at = step(text, at, open);
  // a fault at a key, such as a duplicate: its place is the member
  bool at_key =
      stop < text.size() && text[stop] == '"' && !open.empty() && open.back().object && !open.back().have_key;
  if (at_key) static_cast<void>(step(text, stop, open));
  Fault fault{path_text(open, 0, Place()), std::string(rest.substr(2))};
  fault.line = *line;
  fault.column = *column;
  return fault;
}

void locate(std::string_view text, Fault& fault) {
  std::string_view value = trim(text);
  for (size_t depth = 0; depth < fault.steps.size(); ++depth) {
    auto found = go_to(value, fault.steps[depth]);
    if (!found) break;
    value = *found;
    if (depth == 1) fault.owner = owner_of(fault, value);
  }
  put_position(text, static_cast<size_t>(value.data() - text.data()), fault);
}

}  // namespace qf
