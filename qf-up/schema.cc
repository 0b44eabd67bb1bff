// SPDX-License-Identifier: Apache-2.0
#include "qf-up/schema.h"

#include <algorithm>
#include <cstdio>
#include <unordered_set>

#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

const char* type_name(int type) {
  switch (type & 0xff) {
    case cJSON_False:
    case cJSON_True:
      return "true or false";
    case cJSON_NULL:
      return "null";
    case cJSON_Number:
      return "a number";
    case cJSON_String:
      return "a string";
    case cJSON_Array:
      return "a list";
    case cJSON_Object:
      return "an object";
    default:
      return "something else";
  }
}

bool same_type(int a, int b) {
  constexpr int kBool = cJSON_False | cJSON_True;
  return (a & 0xff) == (b & 0xff) || ((a & kBool) != 0 && (b & kBool) != 0);
}

std::string wrong_type(int wanted, int found) {
  return std::string("expected ") + type_name(wanted) + ", found " + type_name(found);
}

bool plain_key(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

// "control character U+000A", when there is one.
std::optional<std::string> control_character(std::string_view text) {
  for (char c : text) {
    auto code = static_cast<unsigned char>(c);
    if (code >= 0x20 && code != 0x7f) continue;
    char name[32];
    static_cast<void>(std::snprintf(name, sizeof name, "control character U+%04X", code));
    return name;
  }
  return std::nullopt;
}

}  // namespace

std::string Place::text() const {
  if (parent_ == nullptr) return "$";
  std::string before = parent_->text();
  if (key_ == nullptr) return before + "[" + std::to_string(index_) + "]";
  if (plain_key(key_)) return before + "." + key_;
  return before + "[" + quoted(key_) + "]";
}

std::vector<PlaceStep> Place::steps() const {
  std::vector<PlaceStep> all;
  for (const Place* at = this; at->parent_ != nullptr; at = at->parent_)
    all.push_back({at->key_ == nullptr ? std::nullopt : std::optional<std::string>(at->key_), at->index_});
  std::reverse(all.begin(), all.end());
  return all;
}

std::string Fault::text() const {
  return path + (owner.empty() ? "" : " (" + owner + ")") + ": " + what;
}

std::string Fault::text_in(const std::string& file) const {
  std::string where = line == 0 ? "" : ":" + std::to_string(line) + ":" + std::to_string(column);
  return file + where + ": " + text();
}

void Faults::add(const Place& place, std::string what) {
  if (!full()) all_.push_back({place.text(), std::move(what), place.steps()});
}

void check_characters(std::string_view text, const Place& place, Faults& faults) {
  // All but DEL can only be written as an escape. So what has neither is done, and that is nearly all of it.
  if (text.find('\\') == std::string_view::npos && text.find('\x7f') == std::string_view::npos) return;
  text = trim(text);
  if (text.starts_with('"')) {
    auto value = parse_checked_json(text);
    if (!value) return faults.add(place, value.error().text());
    if (auto found = control_character((*value)->valuestring)) faults.add(place, "has the " + *found);
    return;
  }
  size_t index = 0;
  JsonPieces pieces(text);
  while (!faults.full() && pieces.next()) {
    Place here = pieces.of_object() ? place.member(pieces.key().c_str()) : place.item(index++);
    if (auto found = control_character(pieces.key())) faults.add(here, "the name has the " + *found);
    check_characters(pieces.value(), here, faults);
  }
}

std::optional<std::string> read_text(const cJSON* value, const Place& place, Faults& faults) {
  if (!cJSON_IsString(value)) {
    faults.add(place, wrong_type(cJSON_String, value->type));
    return std::nullopt;
  }
  if (*value->valuestring == '\0') {
    faults.add(place, "must not be empty");
    return std::nullopt;
  }
  return std::string(value->valuestring);
}

ObjectReader::ObjectReader(const cJSON* value, const Place& place, Faults& faults, const LeftAsText* texts)
    : place_(place), faults_(faults), texts_(texts) {
  if (cJSON_IsObject(value)) {
    object_ = value;
  } else {
    faults.add(place, wrong_type(cJSON_Object, value->type));
  }
}

const cJSON* ObjectReader::typed(const char* key, Need need, int type) {
  if (object_ == nullptr) return nullptr;
  known_.push_back(key);
  const cJSON* value = json_member(object_, key);
  if (value == nullptr) {
    if (need == Need::kRequired) fault(key, "missing");
    return nullptr;
  }
  if (same_type(value->type, type)) return value;
  fault(key, wrong_type(type, value->type));
  return nullptr;
}

std::optional<std::string> ObjectReader::text(const char* key, Need need) {
  const cJSON* value = typed(key, need, cJSON_String);
  if (value == nullptr) return std::nullopt;
  return read_text(value, place_.member(key), faults_);
}

std::optional<int64_t> ObjectReader::integer(const char* key, Need need, int64_t least, int64_t most,
                                             const char* unit) {
  if (typed(key, need, cJSON_Number) == nullptr) return std::nullopt;
  auto number = json_integer(object_, key);
  if (number && *number >= least && *number <= most) return number;
  if (least == most) return fault(key, "must be " + std::to_string(least)), std::nullopt;
  std::string wanted =
      std::string("a whole number") + (unit == nullptr ? "" : " of ") + (unit == nullptr ? "" : unit);
  fault(key, "must be " + wanted + " from " + std::to_string(least) + " to " + std::to_string(most));
  return std::nullopt;
}

bool ObjectReader::boolean(const char* key, bool otherwise) {
  const cJSON* value = typed(key, Need::kOptional, cJSON_True);
  return value == nullptr ? otherwise : cJSON_IsTrue(value) != 0;
}

std::optional<std::string> ObjectReader::word(const char* key, Need need,
                                              const std::vector<std::string>& words) {
  auto found = text(key, need);
  if (!found || std::find(words.begin(), words.end(), *found) != words.end()) return found;
  std::string all;
  for (const auto& word : words) all += (all.empty() ? "" : ", ") + quoted(word);
  fault(key, "must be one of " + all + ", not " + quoted(*found));
  return std::nullopt;
}

std::vector<std::string> ObjectReader::texts(const char* key, Need need, const Check& check) {
  std::vector<std::string> all;
  std::unordered_set<std::string> seen;
  list(key, need, [&](const cJSON* value, const Place& place) {
    auto one = read_text(value, place, faults_);
    if (!one) return;
    if (!seen.insert(*one).second) return faults_.add(place, "duplicate " + quoted(*one));
    if (auto found = check ? check(*one) : std::nullopt) return faults_.add(place, std::move(*found));
    all.push_back(std::move(*one));
  });
  return all;
}

const cJSON* ObjectReader::object(const char* key, Need need) {
  return typed(key, need, cJSON_Object);
}

bool ObjectReader::is_empty(const char* key) const {
  const cJSON* value = json_member(object_, key);
  return (cJSON_IsArray(value) || cJSON_IsObject(value)) && value->child == nullptr;
}

bool ObjectReader::finish() {
  bool misspelt = false;
  std::vector<std::string> absent;
  for (const char* key : known_) {
    if (object_ != nullptr && !has(key)) absent.emplace_back(key);
  }
  for (const cJSON* i = object_ == nullptr ? nullptr : object_->child; i != nullptr && !faults_.full();
       i = i->next) {
    std::string_view key = i->string;
    if (key.starts_with("x-") || std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string meant = nearest_spelling(key, absent);
    misspelt = misspelt || !meant.empty();
    fault(i->string, "unknown key" + (meant.empty() ? "" : "; did you mean " + quoted(meant) + "?"));
  }
  return misspelt;
}

}  // namespace qf
