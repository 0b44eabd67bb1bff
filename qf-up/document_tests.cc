// SPDX-License-Identifier: Apache-2.0
// The "tests" of a fabric document: read, and their references checked. What they say is found out later,
// when all of the document is known to be right (qf-up/fabric_tests.h).
#include "libqf/address.h"
#include "libqf/text.h"
#include "qf-up/document_parts.h"
#include "qf-up/names.h"

namespace qf {

namespace {

void read_test_user(DocumentReader& reader, ObjectReader& object, LoginQuestion& question) {
  auto user = object.text("user", Need::kRequired);
  if (!user) return;
  auto identifier = parse_identifier(reader, *user);
  if (!identifier) {
    bool follows = identifier.error().kind == ErrorKind::kNotFound && reader.nameless_issuer;
    return follows ? void() : object.fault("user", identifier.error().text());
  }
  question.user = std::move(*user);
}

void read_test_ends(DocumentReader& reader, ObjectReader& object, LoginQuestion& question) {
  auto end = [&](const char* key) -> std::string {
    auto name = object.text(key, Need::kRequired);
    if (!name || find_peer_entry(reader, *name) != nullptr) return name.value_or("");
    if (!reader.nameless_peer)
      object.fault(key, "no peer " + quoted(*name) + near_peer(reader, *name, false));
    return "";
  };
  question.to = end("to");
  auto from = object.text("from", Need::kRequired);
  if (!from) return;
  question.from = *from;
  auto address = canonical_address(*from);
  bool known =
      address ? reader.peers_by_address.contains(*address) : find_peer_entry(reader, *from) != nullptr;
  if (!known && !reader.nameless_peer)
    object.fault("from", (address ? "no peer has the address " : "no peer ") + quoted(*from) +
                             near_peer(reader, *from, false));
}

// A group that the issuer's map does not have stands for nothing, and a deny would hold whatever the policies
// say.
void check_token_groups(const DocumentReader& reader, ObjectReader& object, const LoginQuestion& question) {
  if (!question.groups) return;
  for (const auto& issuer : reader.document.issuers) {
    const auto& map = issuer.rules.group_map;
    if (!question.user.starts_with(issuer.rules.name + ":") || map.contains("*")) continue;
    for (const auto& group : *question.groups) {
      if (!map.contains(group))
        object.fault("groups",
                     quoted(group) + " is not in the group_map of issuer " + quoted(issuer.rules.name));
    }
  }
}

void read_test_token(const DocumentReader& reader, ObjectReader& object, LoginQuestion& question) {
  if (object.has("groups")) question.groups = object.texts("groups", Need::kOptional);
  check_token_groups(reader, object, question);
  if (const cJSON* claims = object.object("claims", Need::kOptional)) question.claims = json_text(claims);
}

}  // namespace

void read_test(DocumentReader& reader, const cJSON* value, const Place& place) {
  ObjectReader object(value, place, reader.faults);
  if (!object.is_object()) return;
  TestEntry test;
  if (auto name = object.text("name", Need::kOptional)) {
    if (auto fault = group_name_fault(*name)) object.fault("name", quoted(*name) + ": " + *fault);
    if (!reader.test_names.insert(*name).second)
      object.fault("name", "two tests have the name " + quoted(*name));
    test.name = *name;
  }
  read_test_user(reader, object, test.question);
  read_test_ends(reader, object, test.question);
  if (auto login = object.text("login", Need::kRequired)) {
    if (login->front() == '*' || login->front() == '{')
      object.fault("login", "name one OS user");
    else if (auto fault = os_user_fault(*login))
      object.fault("login", quoted(*login) + ": " + *fault);
    test.question.login = *login;
  }
  read_test_token(reader, object, test.question);
  test.allow = object.word("expect", Need::kRequired, {"allow", "deny"}) != "deny";
  if (auto policy = object.text("policy", Need::kOptional)) {
    if (!reader.policy_names.contains(*policy) && !reader.nameless_policy)
      object.fault("policy", "no policy " + quoted(*policy) + near_name(*policy, reader.policy_names));
    test.policy = *policy;
  }
  static_cast<void>(object.finish());
  reader.document.tests.push_back(std::move(test));
}

}  // namespace qf
