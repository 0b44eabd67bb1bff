// SPDX-License-Identifier: Apache-2.0
// Strict JSON (RFC 8259) over cJSON: UTF-8 only, no duplicate keys, no trailing bytes, no NUL in strings,
// bounded depth. cJSON alone accepts all of these.
#pragma once

#include <cJSON.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/result.h"

namespace qf {

struct JsonDelete {
  void operator()(cJSON* json) const { ::cJSON_Delete(json); }
};
using JsonPtr = std::unique_ptr<cJSON, JsonDelete>;

inline constexpr int kJsonMostDepth = 32;

// kPeer with line and column (in characters, from 1) of the first fault: `line 3 column 7: duplicate key
// "name"`. Time grows with the length times the logarithm of the keys in an object.
[[nodiscard]] Result<JsonPtr> parse_json(std::string_view text);

// The two halves of parse_json(), for a text that is too large to be held as a tree: the strict scan, with
// the same errors, and the tree of a text, or of a value in it, that the scan has passed.
[[nodiscard]] Status check_json(std::string_view text);
[[nodiscard]] Result<JsonPtr> parse_checked_json(std::string_view text);

// The items of a list or the members of an object, one after the other, as slices of the text that
// check_json() has passed. Nothing is made of them, so a list of any length costs no memory.
class JsonPieces {
 public:
  // `text` is one value; any but a list or an object has no pieces.
  explicit JsonPieces(std::string_view text);
  // Moves to the first and then to the next; false after the last.
  bool next();
  [[nodiscard]] bool of_object() const { return of_object_; }
  // Its key as it means, of_object() only.
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] std::string_view value() const { return value_; }

 private:
  std::string_view rest_;  // from the next piece on; empty after the last
  bool of_object_ = false;
  std::string key_;
  std::string_view value_;
};

// Members of an object; nothing when the member is missing or has another type (borrowed from the object).
[[nodiscard]] const cJSON* json_member(const cJSON* object, const char* key);
[[nodiscard]] std::optional<std::string> json_string(const cJSON* object, const char* key);
// Whole numbers of magnitude up to 2^53 only; 1.5 and 1e300 are nothing. 1.0 and 1e3 count as whole.
[[nodiscard]] std::optional<int64_t> json_integer(const cJSON* object, const char* key);
[[nodiscard]] std::optional<bool> json_bool(const cJSON* object, const char* key);
// All items must be strings.
[[nodiscard]] std::optional<std::vector<std::string>> json_strings(const cJSON* object, const char* key);

// Compact text of a value, one for equal values; whole numbers up to 2^53 keep every digit (cJSON rounds
// them). Empty for a null pointer.
[[nodiscard]] std::string json_text(const cJSON* value);

// Builds objects without printf: JsonWriter().set("op", "login").set("pid", 7).text()
// Always valid JSON: NUL and broken UTF-8 in a value become U+FFFD. Aborts when memory runs out.
class JsonWriter {
 public:
  JsonWriter();
  JsonWriter& set(const char* key, std::string_view value);
  JsonWriter& set(const char* key, const char* value) { return set(key, std::string_view(value)); }
  JsonWriter& set(const char* key, int64_t value);
  JsonWriter& set(const char* key, int value) { return set(key, static_cast<int64_t>(value)); }
  JsonWriter& set(const char* key, bool value);
  JsonWriter& set(const char* key, const std::vector<std::string>& values);
  JsonWriter& set(const char* key, JsonPtr value);
  [[nodiscard]] std::string text() const;  // one line, no newline at its end
  [[nodiscard]] JsonPtr take() { return std::move(object_); }

 private:
  JsonPtr object_;
};

}  // namespace qf
