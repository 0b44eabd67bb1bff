// SPDX-License-Identifier: Apache-2.0
#include "qf-up/document.h"

#include <ctime>

#include "libqf/crypto.h"
#include "libqf/json.h"
#include "libqf/text.h"
#include "qf-up/document_parts.h"
#include "qf-up/document_root.h"
#include "qf-up/json_place.h"
#include "qf-up/names.h"

namespace qf {

namespace {

constexpr const char* kMoment = "%Y-%m-%dT%H:%M:%SZ";
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
    } else if (identifier.error().kind != ErrorKind::kNotFound || !reader.nameless_issuer) {
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
      if (!reader.nameless_peer)
        reader.faults.add(here, "no peer " + quoted(*member) + near_peer(reader, *member, false));
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
  if (auto expires = object.text("expires", Need::kOptional)) {
    auto moment = parse_moment(*expires);
    if (!moment)
      object.fault("expires", quoted(*expires) + " is no moment in UTC such as \"2027-01-31T00:00:00Z\"");
    document.expires = moment.value_or(0);
  }
}

void read_root(DocumentReader& reader, const DocumentRoot& root) {
  Place place;
  ObjectReader object(root.tree.get(), place, reader.faults, &root.texts);
  if (!object.is_object()) return;
  // A misspelt list would make a fault of every reference to what is in it, so this comes first and alone.
  for (const char* key : {"format", "serial", "domain", "expires", "issuers", "user_groups", "peers",
                          "peer_groups", "policies", "tests"})
    object.ignore(key);
  if (object.finish()) return;
  read_head(object, reader.document);
  // of another type they are faults, and there is no telling what is in them
  auto unread = [&](const char* key, bool list) {
    const cJSON* value = json_member(root.tree.get(), key);
    return value != nullptr && (list ? cJSON_IsArray(value) : cJSON_IsObject(value)) == 0;
  };
  reader.nameless_issuer = unread("issuers", true);
  reader.nameless_user_group = unread("user_groups", false);
  reader.nameless_peer = unread("peers", true);
  reader.nameless_peer_group = unread("peer_groups", false);
  reader.nameless_policy = unread("policies", true);
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
}

}  // namespace

// A subject may have colons as well.
Result<Identifier> parse_identifier(const DocumentReader& reader, const std::string& text) {
  size_t colon = text.find(':');
  if (colon == std::string::npos) return input_error(quoted(text) + " is not \"ISSUER:SUBJECT\"");
  Identifier identifier{text.substr(0, colon), text.substr(colon + 1)};
  if (!reader.issuer_names.contains(identifier.issuer))
    return not_found("no issuer " + quoted(identifier.issuer) +
                     near_name(identifier.issuer, reader.issuer_names));
  if (auto fault = subject_fault(identifier.subject)) return input_error(*fault);
  return identifier;
}

const PeerEntry* find_peer_entry(DocumentReader& reader, const std::string& name) {
  auto found = reader.peers_by_name.find(lower(name));
  if (found == reader.peers_by_name.end()) return nullptr;
  const PeerEntry& peer = reader.document.peers[found->second];
  return peer.record.name == name ? &peer : nullptr;
}

bool could_be_meant(const std::string& name, const std::string& other) {
  if (!near_spelling(name, other)) return false;
  auto no_digits = [](const std::string& text) {
    std::string rest = lower(text);
    std::erase_if(rest, [](char c) { return c >= '0' && c <= '9'; });
    return rest;
  };
  return lower(name) == lower(other) || no_digits(name) != no_digits(other);
}

std::string there_is(const std::string& name) {
  return name.empty() ? "" : " (there is " + quoted(name) + ")";
}

std::string near_peer(const DocumentReader& reader, const std::string& name, bool or_group) {
  auto found = reader.peers_by_name.find(lower(name));
  if (found != reader.peers_by_name.end()) return there_is(reader.document.peers[found->second].record.name);
  std::vector<std::string> near;
  for (const auto& peer : reader.document.peers) {
    if (could_be_meant(name, peer.record.name)) near.push_back(peer.record.name);
  }
  if (or_group) {
    for (const auto& [group, members] : reader.document.peer_groups) {
      if (could_be_meant(name, group)) near.push_back(group);
    }
  }
  return there_is(nearest_spelling(name, near));
}

std::string near_user_group(const DocumentReader& reader, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& [group, members] : reader.document.user_groups) names.push_back(group);
  return near_name(name, names);
}

std::optional<int64_t> parse_moment(const std::string& text) {
  struct tm parts = {};
  const char* end = ::strptime(text.c_str(), kMoment, &parts);
  if (end == nullptr || *end != '\0' || text.find('\0') != std::string::npos) return std::nullopt;
  int64_t moment = ::timegm(&parts);
  // written back it is the same: no day 31 of February, no blank that strptime passes over
  if (moment <= 0 || moment_text(moment) != text) return std::nullopt;
  return moment;
}

std::string moment_text(int64_t moment) {
  struct tm parts = {};
  time_t seconds = moment;
  char text[32];
  if (::gmtime_r(&seconds, &parts) == nullptr || std::strftime(text, sizeof text, kMoment, &parts) == 0)
    return "?";
  return text;
}

Result<Document, std::vector<Fault>> read_document(std::string_view text) {
  if (text.size() > kMostDocumentBytes) return std::vector<Fault>{{"$", "the document is longer than 1 GiB"}};
  if (auto json = check_json(text); !json) return std::vector<Fault>{syntax_fault(text, json.error().what)};
  Document document;
  Faults faults;
  auto located = [&] {
    auto all = faults.take();
    for (auto& fault : all) locate(text, fault);
    return all;
  };
  // First and alone: each such string would also be wrong as the name or the address that it is meant to be.
  check_characters(text, Place(), faults);
  if (!faults.empty()) return located();
  auto root = read_document_root(text);
  if (!root) return std::vector<Fault>{{"$", root.error().text()}};
  DocumentReader reader{document, faults};
  read_root(reader, *root);
  if (!faults.empty()) return located();
  document.hash = hex(sha256(text));
  return document;
}

}  // namespace qf
