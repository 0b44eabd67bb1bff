// SPDX-License-Identifier: Apache-2.0
#include "qf-up/document.h"

#include "libqf/crypto.h"
#include "libqf/json.h"
#include "libqf/text.h"
#include "qf-up/document_parts.h"
#include "qf-up/document_root.h"
#include "qf-up/json_place.h"
#include "qf-up/names.h"

namespace qf {

namespace {

constexpr int64_t kMostSerial = int64_t{1} << 53;  // what a JSON number carries exactly

void read_user_group(DocumentReader& reader, const std::string& name, const cJSON* members,
                     const Place& place) {
  if (auto fault = group_name_fault(name)) reader.faults.add(place, *fault);
  if (!reader.user_groups_lower.insert(lower(name)).second) reader.faults.add(place, kOtherCase);
  auto& group = reader.document.user_groups[name];
  if (!cJSON_IsArray(members)) return reader.faults.add(place, "expected a list of \"ISSUER:SUBJECT\"");
  std::unordered_set<std::string> seen;
  size_t index = 0;
  for (const cJSON* i = members->child; i != nullptr && !reader.faults.full(); i = i->next) {
    Place here = place.item(index++);
    auto member = read_text(i, here, reader.faults);
    if (!member) continue;
    if (!seen.insert(*member).second) {
      reader.faults.add(here, "duplicate " + quoted(*member));
      continue;
    }
    auto identifier = parse_identifier(reader, *member);
    if (identifier) {
      group.push_back(std::move(*identifier));
    } else {
      reader.faults.add(here, identifier.error().text());
    }
  }
}

void read_peer_group(DocumentReader& reader, const std::string& name, const cJSON* members,
                     const Place& place) {
  if (auto fault = group_name_fault(name)) reader.faults.add(place, *fault);
  if (reader.peers_by_name.contains(lower(name)))
    reader.faults.add(place, "a peer has the name " + quoted(name) + " too");
  if (!reader.peer_groups_lower.insert(lower(name)).second) reader.faults.add(place, kOtherCase);
  auto& group = reader.document.peer_groups[name];
  if (!cJSON_IsArray(members)) return reader.faults.add(place, "expected a list of peer names");
  std::unordered_set<std::string> seen;
  size_t index = 0;
  for (const cJSON* i = members->child; i != nullptr && !reader.faults.full(); i = i->next) {
    Place here = place.item(index++);
    auto member = read_text(i, here, reader.faults);
    if (!member) continue;
    if (!seen.insert(*member).second) {
      reader.faults.add(here, "duplicate " + quoted(*member));
    } else if (find_peer_entry(reader, *member) == nullptr) {
      reader.faults.add(here, "no peer " + quoted(*member) + spelled_otherwise(reader, *member));
    } else {
      group.push_back(std::move(*member));
    }
  }
}

void read_head(ObjectReader& object, Document& document) {
  static_cast<void>(object.integer("format", Need::kRequired, kDocumentFormat, kDocumentFormat));
  document.serial =
      static_cast<uint64_t>(object.integer("serial", Need::kRequired, 0, kMostSerial).value_or(0));
  if (auto domain = object.text("domain", Need::kRequired)) {
    if (auto fault = domain_fault(*domain)) object.fault("domain", quoted(*domain) + ": " + *fault);
    document.domain = lower(*domain);
  }
  object.not_yet("expires");
}

void read_root(DocumentReader& reader, const DocumentRoot& root) {
  Place place;
  ObjectReader object(root.tree.get(), place, reader.faults, &root.texts);
  if (!object.is_object()) return;
  read_head(object, reader.document);
  object.list("issuers", Need::kOptional,
              [&](const cJSON* value, const Place& at) { read_issuer(reader, value, at); });
  object.map("user_groups", Need::kOptional,
             [&](const std::string& name, const cJSON* value, const Place& at) {
               read_user_group(reader, name, value, at);
             });
  check_group_maps(reader, root.tree.get(), place);
  object.list("peers", Need::kOptional,
              [&](const cJSON* value, const Place& at) { read_peer(reader, value, at); });
  object.map("peer_groups", Need::kOptional,
             [&](const std::string& name, const cJSON* value, const Place& at) {
               read_peer_group(reader, name, value, at);
             });
  object.list("policies", Need::kOptional,
              [&](const cJSON* value, const Place& at) { read_policy(reader, value, at); });
  object.list("tests", Need::kOptional,
              [&](const cJSON* value, const Place& at) { read_test(reader, value, at); });
  object.finish();
}

}  // namespace

// A subject may have colons as well.
Result<Identifier> parse_identifier(const DocumentReader& reader, const std::string& text) {
  size_t colon = text.find(':');
  if (colon == std::string::npos) return input_error(quoted(text) + " is not \"ISSUER:SUBJECT\"");
  Identifier identifier{text.substr(0, colon), text.substr(colon + 1)};
  if (!reader.issuer_names.contains(identifier.issuer))
    return input_error("no issuer " + quoted(identifier.issuer));
  if (auto fault = subject_fault(identifier.subject)) return input_error(*fault);
  return identifier;
}

const PeerEntry* find_peer_entry(DocumentReader& reader, const std::string& name) {
  auto found = reader.peers_by_name.find(lower(name));
  if (found == reader.peers_by_name.end()) return nullptr;
  const PeerEntry& peer = reader.document.peers[found->second];
  return peer.record.name == name ? &peer : nullptr;
}

std::string spelled_otherwise(DocumentReader& reader, const std::string& name) {
  auto found = reader.peers_by_name.find(lower(name));
  if (found == reader.peers_by_name.end()) return "";
  return " (there is " + quoted(reader.document.peers[found->second].record.name) + ")";
}

Result<Document, std::vector<Fault>> read_document(std::string_view text) {
  if (text.size() > kMostDocumentBytes) return std::vector<Fault>{{"$", "the document is longer than 1 GiB"}};
  if (auto json = check_json(text); !json)
    return std::vector<Fault>{{json_place(text, json.error().what), json.error().text()}};
  Document document;
  Faults faults;
  // First and alone: each such string would also be wrong as the name or the address that it is meant to be.
  check_characters(text, Place(), faults);
  if (!faults.empty()) return faults.take();
  auto root = read_document_root(text);
  if (!root) return std::vector<Fault>{{"$", root.error().text()}};
  DocumentReader reader{document, faults};
  read_root(reader, *root);
  if (!faults.empty()) return faults.take();
  document.hash = hex(sha256(text));
  return document;
}

}  // namespace qf
