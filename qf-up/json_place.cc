// SPDX-License-Identifier: Apache-2.0
#include "qf-up/json_place.h"

#include <charconv>
#include <optional>
#include <vector>

#include "libqf/json.h"
#include "qf-up/schema.h"

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

}  // namespace

std::string json_place(std::string_view text, std::string_view fault) {
  auto line = number_after(fault, "line ");
  auto column = line ? number_after(fault, " column ") : std::nullopt;
  if (!column) return "$";
  size_t stop = offset_of(text, *line, *column);
  std::vector<Level> open;
  size_t at = 0;
  while (at < stop && at < text.size()) at = step(text, at, open);
  // a fault at a key, such as a duplicate: its place is the member
  bool at_key =
      stop < text.size() && text[stop] == '"' && !open.empty() && open.back().object && !open.back().have_key;
  if (at_key) static_cast<void>(step(text, stop, open));
  return path_text(open, 0, Place());
}

}  // namespace qf
