// SPDX-License-Identifier: Apache-2.0
#include "qf-up/enroll_publish.h"

#include <algorithm>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-up/apply.h"
#include "qf-up/commands.h"
#include "qf-up/names.h"
#include "qf-up/source.h"

namespace qf {

namespace {

constexpr int kMostPublishTries = 5;
constexpr int64_t kMostSerialNumber = int64_t{1} << 53;  // what a JSON number carries exactly

std::string plain_key(const std::string& line) {
  auto key = parse_host_key(line);
  return key ? key->line : line;
}

bool share_one(const std::vector<std::string>& some, const std::vector<std::string>& others) {
  return std::any_of(some.begin(), some.end(), [&](const std::string& one) {
    return std::find(others.begin(), others.end(), one) != others.end();
  });
}

std::vector<std::string> strings_of(const cJSON* entry, const char* key) {
  return json_strings(entry, key).value_or(std::vector<std::string>{});
}

Status check_mine(const cJSON* entry, const OwnEntry& own) {
  auto keys = strings_of(entry, "ssh_host_keys");
  std::transform(keys.begin(), keys.end(), keys.begin(), plain_key);
  bool mine = keys.empty() ? share_one(strings_of(entry, "addresses"), own.addresses)
                           : share_one(keys, own.host_keys);
  if (mine) return Done{};
  return with_hint(refused("the peer \"" + own.name + "\" of the document is another machine: " +
                           (keys.empty() ? "none of its addresses" : "none of its host keys") + " is ours"),
                   "nothing was written; choose another name with --self, or if this machine takes its "
                   "place, give --replace");
}

void set_member(cJSON* entry, const char* key, JsonPtr value) {
  bool there = json_member(entry, key) != nullptr;
  bool done = there ? ::cJSON_ReplaceItemInObjectCaseSensitive(entry, key, value.get()) != 0
                    : ::cJSON_AddItemToObject(entry, key, value.get()) != 0;
  if (!done) std::abort();  // out of memory
  static_cast<void>(value.release());
}

// The text of the entry with what is ours in it; the old one, byte for byte, when that is in it already.
Result<std::string> merged_entry(std::string_view old, const OwnEntry& own, bool replace) {
  auto entry = parse_json(old);
  if (!entry) return entry.error();
  if (!replace) {
    if (auto mine = check_mine(entry->get(), own); !mine) return mine.error();
  }
  auto ours = entry_json(own);
  std::string before = json_text(entry->get());
  for (const char* key : {"addresses", "version", "ssh", "ssh_host_keys"}) {
    // whether somebody logs in there is the admin's to say
    if (std::string_view(key) == "ssh" && json_member(entry->get(), key) != nullptr) continue;
    if (std::string_view(key) == "ssh_host_keys") {
      // with a comment or without, they are the same
      auto keys = strings_of(entry->get(), key);
      std::transform(keys.begin(), keys.end(), keys.begin(), plain_key);
      if (keys == own.host_keys) continue;
    }
    set_member(entry->get(), key, JsonPtr(::cJSON_Duplicate(json_member(ours.get(), key), 1)));
  }
  if (json_text(entry->get()) == before) return std::string(old);
  return entry_text(entry->get());
}

std::optional<std::string_view> root_member(std::string_view root, const std::string& key) {
  JsonPieces members(root);
  while (members.next()) {
    if (members.key() == key) return members.value();
  }
  return std::nullopt;
}

// In the list of the one document.
Result<std::string> with_entry_in_list(const std::string& root, const OwnEntry& own, bool replace) {
  auto list = root_member(root, "peers");
  std::string fresh = entry_text(entry_json(own).get());
  if (!list) return with_member(root, "peers", "[" + fresh + "]");
  std::string text(*list);
  JsonPieces entries(*list);
  bool empty = true;
  while (entries.next()) {
    empty = false;
    auto entry = parse_json(entries.value());
    if (!entry) return entry.error();
    if (lower(json_string(entry->get(), "name").value_or("")) != lower(own.name)) continue;
    auto merged = merged_entry(entries.value(), own, replace);
    if (!merged) return merged.error();
    if (*merged == entries.value()) return root;
    auto at = static_cast<size_t>(entries.value().data() - list->data());
    return with_member(root, "peers", text.replace(at, entries.value().size(), *merged));
  }
  size_t last = text.find_last_not_of(" \t\r\n", text.rfind(']') - 1);
  return with_member(root, "peers", text.insert(last + 1, (empty ? "" : ",") + ("\n" + fresh)));
}

Status put_part(DocumentParts& parts, const OwnEntry& own, bool replace) {
  for (auto& [key, value] : parts) {
    if (!key.starts_with("peers/") || lower(key.substr(6)) != lower(own.name)) continue;
    auto merged = merged_entry(value, own, replace);
    if (!merged) return merged.error();
    value = std::move(*merged);
    return Done{};
  }
  parts["peers/" + own.name] = entry_text(entry_json(own).get());
  return Done{};
}

// What is there, as it can be built upon.
Status check_base(const Folders& folders, const PublishedDocument& there, const Choices& choices) {
  if (!there.document) return there.why;
  auto text = assemble_document(there.document->text, there.document->parts);
  if (!text) return with_hint(text.error(), "publish the whole document anew: qf-up publish FILE");
  auto document = judge_text(*text, choices.document);
  if (!document) return document.error();
  // somebody may have put an old one back, and a higher serial on it would bring it into force again
  if (auto now = document_in_force(folders);
      now && now->domain == document->domain && document->serial < now->serial)
    return with_hint(refused("the document there has serial " + std::to_string(document->serial) +
                             ", older than " + std::to_string(now->serial) + ", which is in force here"),
                     "nothing was written; who has put it back? publish the right one: qf-up publish FILE");
  return Done{};
}

}  // namespace

JsonPtr entry_json(const OwnEntry& own) {
  JsonWriter writer;
  writer.set("name", own.name).set("addresses", own.addresses).set("ssh", own.ssh);
  writer.set("version", QF_VERSION).set("ssh_host_keys", own.host_keys);
  return writer.take();
}

std::string entry_text(const cJSON* entry) {
  std::string text = "{";
  for (const cJSON* member = entry->child; member != nullptr; member = member->next) {
    JsonPtr key(::cJSON_CreateString(member->string));
    text +=
        std::string(text.size() > 1 ? "," : "") + "\n  " + json_text(key.get()) + ": " + json_text(member);
  }
  return text + "\n}";
}

Result<KeptDocument> with_own_entry(const KeptDocument& document, const OwnEntry& own, bool replace) {
  KeptDocument next{document.text, "", document.parts};
  if (has_parts(document.text)) {
    if (auto done = put_part(next.parts, own, replace); !done) return done.error();
    if (next.parts != document.parts) next.text = root_with_parts(next.text, next.parts);
  } else {
    auto text = with_entry_in_list(document.text, own, replace);
    if (!text) return text.error();
    next.text = std::move(*text);
  }
  if (next.text == document.text) return next;
  auto root = parse_json(document.text);
  if (!root) return root.error();
  auto serial = json_integer(root->get(), "serial");
  if (!serial || *serial < 0 || *serial >= kMostSerialNumber) return input_error("$.serial cannot be raised");
  next.text = with_member(next.text, "serial", std::to_string(*serial + 1));
  return next;
}

int publish_entry(const Folders& folders, const PublishOptions& options, const OwnEntry& own, bool replace) {
  auto choices = publish_choices(folders, options);
  if (!choices) return fail(choices.error());
  auto edit = [&](const PublishedDocument& there) -> Result<KeptDocument> {
    if (auto good = check_base(folders, there, *choices); !good) return good.error();
    return with_own_entry(*there.document, own, replace);
  };
  for (int i = 0; i < kMostPublishTries; ++i) {
    auto done = publish_once(*choices, options.sign_key, edit);
    if (!done) return fail(done.error());
    if (done->lost) continue;
    auto root = parse_json(done->document.text);
    int64_t serial = root ? json_integer(root->get(), "serial").value_or(0) : 0;
    say(done->written == 0
            ? "the peer \"" + own.name + "\" is there as it must be, in serial " + std::to_string(serial)
            : "the peer \"" + own.name + "\" is published at " + choices->document + " with serial " +
                  std::to_string(serial));
    return kExitOk;
  }
  return fail(with_hint(
      refused("others change the document at " + choices->document + " all the time; nothing was written"),
      "run it again later"));
}

}  // namespace qf
