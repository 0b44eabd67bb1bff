// SPDX-License-Identifier: Apache-2.0
#include "qf-up/question.h"

#include <algorithm>
#include <cstdlib>
#include <ctime>

#include "libqf/address.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "libqf/tunnel.h"

namespace qf {

namespace {

constexpr int64_t kTokenLife = 300;  // seconds, of the token that is made up

Error no_peer(const PolicyDb& db, const std::string& name) {
  if (db.names_peer_group(name))
    return input_error(quoted(name) + " is a peer group of the fabric document: name one of its peers");
  std::string near;
  db.scan("peer:", [&](std::string_view other, std::string_view) {
    if (near.empty() && near_spelling(other, name)) near = other;
  });
  return input_error("the fabric document has no peer " + quoted(name) +
                     (near.empty() ? "" : " (there is " + quoted(near) + ")"));
}

struct Person {
  IssuerRecord issuer;
  std::string subject;
};

Result<Person> find_issuer(const PolicyDb& db, const std::string& name, const std::string& subject) {
  auto issuer = db.issuer(name);
  if (issuer) return Person{std::move(*issuer), subject};
  if (issuer.error().kind != ErrorKind::kNotFound) return issuer.error();
  auto meta = db.meta();
  std::string known = meta ? join(meta->issuers, ", ") : "";
  return input_error("the fabric document has no issuer " + quoted(name) +
                     (known.empty() ? "" : " (there is " + known + ")"));
}

// A subject may have colons too, so what is before the first one counts when it is an issuer's name.
Result<Person> find_person(const PolicyDb& db, const LoginQuestion& question) {
  if (!question.issuer.empty()) return find_issuer(db, question.issuer, question.user);
  auto meta = db.meta();
  if (!meta) return meta.error();
  size_t colon = question.user.find(':');
  if (colon != std::string::npos) {
    std::string name = question.user.substr(0, colon);
    if (std::find(meta->issuers.begin(), meta->issuers.end(), name) != meta->issuers.end())
      return find_issuer(db, name, question.user.substr(colon + 1));
  }
  if (meta->issuers.size() == 1) return find_issuer(db, meta->issuers.front(), question.user);
  if (meta->issuers.empty()) return input_error("the fabric document has no issuer, so it knows no user");
  std::string near =
      colon == std::string::npos ? "" : nearest_spelling(question.user.substr(0, colon), meta->issuers);
  if (!near.empty())
    return input_error("the fabric document has no issuer " + quoted(question.user.substr(0, colon)) +
                       " (there is " + quoted(near) + ")");
  return input_error("which issuer does " + quoted(question.user) + " belong to? There are " +
                     join(meta->issuers, ", ") + "; write ISSUER:SUBJECT, or give --issuer");
}

void put(cJSON* object, const std::string& name, cJSON* value) {
  ::cJSON_DeleteItemFromObjectCaseSensitive(object, name.c_str());
  if (value == nullptr || ::cJSON_AddItemToObject(object, name.c_str(), value) == 0) std::abort();
}

void put_unless_there(cJSON* object, const char* name, cJSON* value) {
  if (json_member(object, name) == nullptr) return put(object, name, value);
  ::cJSON_Delete(value);
}

// The claims that a token of this person would have now.
Result<Claims, TokenRefusal> made_claims(const Person& person, const LoginQuestion& question) {
  auto all = parse_json(question.claims);
  if (!all || ::cJSON_IsObject(all->get()) == 0)
    return TokenRefusal{TokenFault::kMalformed, "the claims are not an object"};
  cJSON* object = all->get();
  auto now = static_cast<int64_t>(std::time(nullptr));
  put(object, "iss", ::cJSON_CreateString(person.issuer.issuer.c_str()));
  put_unless_there(object, "sub", ::cJSON_CreateString(person.subject.c_str()));
  put(object, person.issuer.user_id_claim, ::cJSON_CreateString(person.subject.c_str()));
  // who is asked about by their email has one that counts
  if (person.issuer.user_id_claim == "email")
    put_unless_there(object, "email_verified", ::cJSON_CreateTrue());
  put_unless_there(object, "aud", ::cJSON_CreateString(person.issuer.audiences.front().c_str()));
  put(object, "iat", ::cJSON_CreateNumber(static_cast<double>(now)));
  put(object, "exp", ::cJSON_CreateNumber(static_cast<double>(now + kTokenLife)));
  if (question.groups) {
    JsonWriter groups;
    groups.set("list", *question.groups);
    auto list = groups.take();
    put(object, person.issuer.groups_claim, ::cJSON_DetachItemFromObjectCaseSensitive(list.get(), "list"));
  }
  return parse_claims(json_text(object));
}

void note_groups(const IssuerRecord& issuer, const LoginQuestion& question, std::vector<std::string>& notes) {
  if (!question.groups) return;
  for (const auto& group : *question.groups) {
    if (issuer.group_map.contains(group) || issuer.group_map.contains("*")) continue;
    notes.push_back("group " + quoted(group) +
                    " of the token counts for nothing: it is not in the group_map of issuer " +
                    quoted(issuer.name));
  }
}

// Claims that the question itself answers.
void note_claims(const IssuerRecord& issuer, const LoginQuestion& question, std::vector<std::string>& notes) {
  auto claims = parse_json(question.claims);
  std::vector<std::string> ours = {"iss", "iat", "exp", issuer.user_id_claim};
  if (question.groups) ours.push_back(issuer.groups_claim);
  for (const auto& name : ours) {
    if (claims && json_member(claims->get(), name.c_str()) != nullptr)
      notes.push_back("claim " + quoted(name) + " counts for nothing: what is asked about says it already");
  }
}

// The identity in the request, or why there is none.
std::optional<Decision> put_identity(const PolicyDb& db, const Person& person, const LoginQuestion& question,
                                     JudgeableLogin& login) {
  if (!takes_issuer(login.destination, person.issuer.name))
    return refused_decision(login.destination.name + " takes no logins of issuer " +
                            quoted(person.issuer.name));
  note_groups(person.issuer, question, login.notes);
  note_claims(person.issuer, question, login.notes);
  auto identity = make_identity(db, person.issuer, person.subject, question);
  if (!identity && identity.error().fault == TokenFault::kClaims)
    login.notes.emplace_back(
        "the token that is asked about says no more than the question: give what it has by "
        "--claim NAME=VALUE, or by \"claims\" of a test");
  if (!identity) return refused_decision(identity.error().text());
  if (!identity->fabric_user)
    login.notes.push_back(quoted(identity->name()) +
                          " is in no user group of the document, by name or by the token, and "
                          "\"members\" of issuer " +
                          quoted(person.issuer.name) + " is not \"all\"");
  login.request.identity = std::move(*identity);
  return std::nullopt;
}

}  // namespace

Result<Identity, TokenRefusal> make_identity(const PolicyDb& db, const IssuerRecord& issuer,
                                             const std::string& subject, const LoginQuestion& question) {
  auto claims = made_claims({issuer, subject}, question);
  if (!claims) return claims.error();
  return identify(db, issuer, *claims);
}

std::string without_domain(const std::string& name, const std::string& domain) {
  std::string tail = "." + domain;
  bool inside = name.size() > tail.size() && lower(name).ends_with(lower(tail));
  return inside ? name.substr(0, name.size() - tail.size()) : name;
}

Result<PeerPolicyRecord> find_peer(const PolicyDb& db, const std::string& name) {
  auto address = canonical_address(name);
  auto peer = address ? db.peer_at(*address) : db.peer(name);
  if (!peer && !address && peer.error().kind == ErrorKind::kNotFound) {
    auto meta = db.meta();
    if (!meta) return meta.error();
    peer = db.peer(without_domain(name, meta->domain));
  }
  if (peer || peer.error().kind != ErrorKind::kNotFound) return peer;
  return address ? input_error("no peer of the fabric document has the address " + *address)
                 : no_peer(db, name);
}

Result<JudgeableLogin> make_login(const PolicyDb& db, const LoginQuestion& question,
                                  const ServerSide& server) {
  JudgeableLogin login;
  auto source = find_peer(db, question.from);
  if (!source) return source.error();
  auto destination = find_peer(db, question.to);
  if (!destination) return destination.error();
  // without an issuer there may still be a server that asks for no identity
  auto person = server.without_identity ? Result<Person>(Person{}) : find_person(db, question);
  if (!person) return person.error();
  login.source = std::move(*source);
  login.destination = std::move(*destination);
  login.request.os_user = question.login;
  login.request.os_user_is_root = server.login_is_root || question.login == "root";
  login.request.root_enabled = server.root_enabled;
  if (question.login == kTunnelUser)
    login.refused = refused_decision("the OS user " + quoted(question.login) + " is reserved");
  if (!login.refused && !server.without_identity) login.refused = put_identity(db, *person, question, login);
  return login;
}

Decision decide(const PolicyDb& db, const JudgeableLogin& login) {
  if (login.refused) return *login.refused;
  return judge_login(db, login.source, login.destination, login.request);
}

std::string explain_command(const LoginQuestion& question, const std::string& file) {
  std::string line = "qf-up explain --user " + for_shell(question.user);
  auto add = [&](const char* option, const std::string& value) {
    line += std::string(" --") + option + " " + for_shell(value);
  };
  if (!question.issuer.empty()) add("issuer", question.issuer);
  if (question.groups && question.groups->empty()) add("groups", "");
  for (const auto& group : question.groups.value_or(std::vector<std::string>{})) add("group", group);
  if (auto claims = parse_json(question.claims)) {
    for (const cJSON* i = claims->get()->child; i != nullptr; i = i->next)
      add("claim", std::string(i->string) + "=" + json_text(i));
  }
  add("from", question.from);
  add("to", question.to);
  add("login", question.login);
  if (!file.empty()) add("file", file);
  return line;
}

}  // namespace qf
