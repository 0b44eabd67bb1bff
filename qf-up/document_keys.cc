// SPDX-License-Identifier: Apache-2.0
#include "qf-up/document_keys.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "libqf/crypto.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr const char* kPartsKey = "parts";
constexpr size_t kMostPartKey = 1024;

// Members of the document whose entries can stand apart, and whether they are lists of what has a name.
struct Folder {
  const char* name;
  bool list;
};
constexpr std::array<Folder, 4> kFolders = {
    {{"peers", true}, {"policies", true}, {"peer_groups", false}, {"user_groups", false}}};

struct PartKey {
  const Folder* folder;
  std::string name;
};

// Nothing: no key of a part. A control character could make two sets of parts have one digest.
std::optional<PartKey> part_key(const std::string& key) {
  size_t slash = key.find('/');
  if (slash == std::string::npos || slash + 1 == key.size() || key.size() > kMostPartKey) return std::nullopt;
  bool clean = valid_utf8(key) && std::none_of(key.begin(), key.end(), [](char c) {
                 return static_cast<unsigned char>(c) < ' ' || c == 0x7f;
               });
  auto folder = std::find_if(kFolders.begin(), kFolders.end(),
                             [&](const Folder& one) { return key.compare(0, slash, one.name) == 0; });
  if (!clean || folder == kFolders.end()) return std::nullopt;
  return PartKey{&*folder, key.substr(slash + 1)};
}

std::string string_text(const std::string& text) {
  JsonPtr json(::cJSON_CreateString(text.c_str()));
  return json_text(json.get());
}

std::string parts_digest(const DocumentParts& parts) {
  std::string lines;
  for (const auto& [key, value] : parts) lines += hex(sha256(value)) + "  " + key + "\n";
  return hex(sha256(lines));
}

std::optional<std::string_view> member_text(std::string_view object, const std::string& key) {
  JsonPieces members(object);
  while (members.next()) {
    if (members.of_object() && members.key() == key) return members.value();
  }
  return std::nullopt;
}

Status check_digest(std::string_view wanted, const DocumentParts& parts) {
  auto json = parse_checked_json(wanted);
  if (!json) return json.error();
  auto count = json_integer(json->get(), "count");
  auto digest = json_string(json->get(), "sha256");
  if (!count || !digest || ::cJSON_GetArraySize(json->get()) != 2)
    return input_error("$.parts: expected {\"count\": NUMBER, \"sha256\": HEX}");
  if (*count != static_cast<int64_t>(parts.size()))
    return refused("the document has " + std::to_string(parts.size()) + " parts, and fabric.json is of " +
                   std::to_string(*count));
  if (*digest != parts_digest(parts))
    return refused("the parts of the document are not those of fabric.json");
  return Done{};
}

// What a part is must agree with where it stands.
Status check_part(const std::string& key, const std::string& value) {
  auto place = part_key(key);
  if (!place) return input_error("the key " + quoted(key) + " is of no part of a document");
  if (auto good = check_json(value); !good) return input_error(key + ": " + good.error().what);
  if (!place->folder->list) return Done{};
  auto json = parse_checked_json(value);
  if (!json) return json.error();
  if (json_string(json->get(), "name").value_or("") == place->name) return Done{};
  return input_error(key + ": its \"name\" is not " + quoted(place->name));
}

// The entries of one folder, as the document has them.
std::string folder_text(const Folder& folder, const DocumentParts& parts) {
  std::string text;
  std::string begin = std::string(folder.name) + "/";
  for (auto part = parts.lower_bound(begin); part != parts.end() && part->first.starts_with(begin); ++part) {
    text += text.empty() ? "\n    " : ",\n    ";
    if (!folder.list) text += string_text(part->first.substr(begin.size())) + ": ";
    text += trim(part->second);
  }
  if (text.empty()) return text;
  return (folder.list ? "[" : "{") + text + (folder.list ? "]" : "}");
}

using Members = std::vector<std::pair<std::string, std::string>>;

std::string object_text(const Members& members) {
  std::string text;
  for (const auto& [key, value] : members)
    text += (text.empty() ? "  " : ",\n  ") + string_text(key) + ": " + value;
  return "{\n" + text + "\n}\n";
}

bool is_object(std::string_view text) {
  return check_json(text) && trim(text).starts_with('{');
}

}  // namespace

bool has_parts(std::string_view root) {
  return is_object(root) && member_text(root, kPartsKey);
}

void drop_strange_parts(const std::string& root, DocumentParts& parts) {
  if (!parts.empty() && !has_parts(root)) parts.clear();
}

Result<std::string> assemble_document(const std::string& root, const DocumentParts& parts) {
  if (!has_parts(root)) return root;
  if (auto good = check_digest(*member_text(root, kPartsKey), parts); !good) return good.error();
  for (const auto& [key, value] : parts) {
    if (auto good = check_part(key, value); !good) return good.error();
  }
  Members members;
  JsonPieces pieces(root);
  while (pieces.next()) {
    if (pieces.key() != kPartsKey) members.emplace_back(pieces.key(), pieces.value());
  }
  for (const auto& folder : kFolders) {
    std::string text = folder_text(folder, parts);
    if (text.empty()) continue;
    if (member_text(root, folder.name))
      return input_error(std::string("$.") + folder.name + ": there are parts of this name too");
    members.emplace_back(folder.name, std::move(text));
  }
  return object_text(members);
}

Result<SplitDocument> split_document(std::string_view text) {
  if (!is_object(text)) return input_error("the document is no JSON object");
  SplitDocument split;
  Members members;
  JsonPieces pieces(text);
  while (pieces.next()) {
    auto folder = std::find_if(kFolders.begin(), kFolders.end(),
                               [&](const Folder& one) { return pieces.key() == one.name; });
    if (folder == kFolders.end()) {
      if (pieces.key() != kPartsKey) members.emplace_back(pieces.key(), pieces.value());
      continue;
    }
    JsonPieces entries(pieces.value());
    while (entries.next()) {
      auto entry = parse_checked_json(entries.value());
      if (!entry) return entry.error();
      std::string name = folder->list ? json_string(entry->get(), "name").value_or("") : entries.key();
      std::string key = std::string(folder->name) + "/" + name;
      if (!part_key(key)) return input_error(quoted(name) + " cannot be a key of its own");
      if (!split.parts.emplace(key, entries.value()).second)
        return input_error("there are two of " + quoted(key));
    }
  }
  split.root = root_with_parts(object_text(members), split.parts);
  return split;
}

std::string root_with_parts(std::string_view root, const DocumentParts& parts) {
  JsonWriter digest;
  digest.set("count", static_cast<int64_t>(parts.size())).set("sha256", parts_digest(parts));
  return with_member(root, kPartsKey, digest.text());
}

std::string with_member(std::string_view object, const std::string& key, std::string_view value) {
  std::string text(object);
  bool empty = true;
  JsonPieces members(object);
  while (members.next()) {
    empty = false;
    if (members.key() != key) continue;
    auto at = static_cast<size_t>(members.value().data() - object.data());
    return text.replace(at, members.value().size(), value);
  }
  size_t end = text.rfind('}');
  // the white space before the brace stays after what is added
  size_t last = text.find_last_not_of(" \t\r\n", end - 1);
  return text.insert(last + 1, (empty ? "\n  " : ",\n  ") + string_text(key) + ": " + std::string(value));
}

}  // namespace qf
