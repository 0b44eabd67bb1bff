// SPDX-License-Identifier: Apache-2.0
// The "issuers" of a fabric document.
#include <algorithm>

#include "libqf/jwk.h"
#include "libqf/jwt.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-up/document_parts.h"
#include "qf-up/names.h"

namespace qf {

namespace {

// Something printable without spaces (RFC 6749 section 3.3).
bool is_token_word(const std::string& word) {
  return word.size() <= 1000 && word.find(' ') == std::string::npos && printable(word) == word;
}

void read_identity(DocumentReader& reader, ObjectReader& object, IssuerRecord& rules) {
  if (auto name = object.text("name", Need::kRequired)) {
    if (auto fault = issuer_name_fault(*name)) object.fault("name", quoted(*name) + ": " + *fault);
    if (!reader.issuer_names.insert(*name).second) {
      object.fault("name", "two issuers have the name " + quoted(*name));
    } else if (!reader.issuers_lower.insert(lower(*name)).second) {
      object.fault("name", kOtherCase);
    }
    rules.name = *name;
  } else {
    reader.nameless_issuer = true;
  }
  if (auto issuer = object.text("issuer", Need::kRequired)) {
    if (!reader.issuer_urls.insert(*issuer).second)
      object.fault("issuer", "two issuers have the address " + quoted(*issuer));
    rules.issuer = *issuer;
  }
  rules.audiences = object.texts("audiences", Need::kRequired);
  if (object.is_empty("audiences"))
    object.fault("audiences", "must not be empty: a token for somebody else would be accepted");
}

void read_keys(ObjectReader& object, IssuerRecord& rules) {
  rules.jwks_uri = object.text("jwks_uri", Need::kOptional);
  if (rules.jwks_uri) {
    if (auto fault = endpoint_url_fault(*rules.jwks_uri))
      object.fault("jwks_uri", quoted(*rules.jwks_uri) + " " + *fault);
  }
  if (const cJSON* jwks = object.object("jwks", Need::kOptional)) {
    if (rules.jwks_uri) object.fault("jwks", "\"jwks_uri\" and \"jwks\" exclude each other");
    rules.jwks = json_text(jwks);
    std::vector<std::string> skipped;
    auto keys = parse_key_set(*rules.jwks, &skipped);
    if (!keys) {
      object.fault("jwks", keys.error().text());
    } else if (keys->empty()) {
      object.fault("jwks", "has no usable key" + (skipped.empty() ? "" : ": " + skipped.front()));
    }
  }
  rules.ca_file = object.text("ca_file", Need::kOptional);
  if (rules.ca_file && !rules.ca_file->starts_with('/')) object.fault("ca_file", "must be an absolute path");
}

void read_group_map(DocumentReader& reader, ObjectReader& object, IssuerRecord& rules) {
  object.map("group_map", Need::kOptional,
             [&](const std::string& from, const cJSON* value, const Place& place) {
               auto to = read_text(value, place, reader.faults);
               if (!to) return;
               if ((from == "*") != (*to == "*"))
                 return reader.faults.add(place, "\"*\" goes with \"*\" only: every name as it is");
               rules.group_map[from] = *to;
             });
}

void read_required_claims(DocumentReader& reader, ObjectReader& object, IssuerRecord& rules) {
  object.map("required_claims", Need::kOptional,
             [&](const std::string& claim, const cJSON* value, const Place& place) {
               bool scalar = cJSON_IsString(value) || cJSON_IsNumber(value) || cJSON_IsBool(value);
               if (claim.empty()) return reader.faults.add(place, "the name of the claim is empty");
               if (!scalar) return reader.faults.add(place, "expected a string, a number, true or false");
               rules.required_claims[claim] = json_text(value);
             });
}

void read_claims(DocumentReader& reader, ObjectReader& object, IssuerRecord& rules) {
  rules.max_token_age = static_cast<uint32_t>(
      object.integer("max_token_age", Need::kOptional, 1, kMostTokenAge, "seconds").value_or(600));
  rules.clock_skew = static_cast<uint32_t>(
      object.integer("clock_skew", Need::kOptional, 0, kMostClockSkew, "seconds").value_or(60));
  rules.user_id_claim = object.text("user_id_claim", Need::kOptional).value_or("sub");
  rules.groups_claim = object.text("groups_claim", Need::kOptional).value_or("groups");
  read_group_map(reader, object, rules);
  rules.members_all = object.word("members", Need::kOptional, {"listed", "all"}).value_or("listed") == "all";
  read_required_claims(reader, object, rules);
  auto wrong_domain = [](const std::string& domain) {
    auto found = domain_fault(domain);
    return found ? std::optional(quoted(domain) + ": " + *found) : std::nullopt;
  };
  for (const auto& domain : object.texts("email_domains", Need::kOptional, wrong_domain))
    rules.email_domains.push_back(lower(domain));
  if (!rules.email_domains.empty()) reader.any_email_domains = true;
  rules.accept_bearer = object.boolean("accept_bearer", false);
}

constexpr size_t kMostCommandArguments = 64;

LoginFlow read_flow(ObjectReader& object) {
  static const std::map<std::string, LoginFlow> kFlows = {
      {"auto", LoginFlow::kAuto},       {"device", LoginFlow::kDevice}, {"machine", LoginFlow::kMachine},
      {"browser", LoginFlow::kBrowser}, {"file", LoginFlow::kFile},     {"command", LoginFlow::kCommand}};
  auto word =
      object.word("flow", Need::kOptional, {"auto", "browser", "device", "file", "command", "machine"});
  return kFlows.at(word.value_or("auto"));
}

// A member that is for another flow would be silently without effect.
void only_for(ObjectReader& object, const char* key, const char* flows, bool right_flow) {
  if (object.has(key) && !right_flow) object.fault(key, std::string("belongs to the flow ") + flows);
}

void read_scopes(ObjectReader& object, LoginRecord& client, bool id_token) {
  client.scopes = object.texts("scopes", Need::kOptional, [](const std::string& scope) {
    return is_token_word(scope) ? std::nullopt : std::optional(quoted(scope) + " is not a scope");
  });
  if (client.scopes.empty()) client.scopes = {"openid"};
  bool openid = std::find(client.scopes.begin(), client.scopes.end(), "openid") != client.scopes.end();
  if (!openid && id_token) object.fault("scopes", "without \"openid\" the issuer gives no id_token");
}

void read_file(ObjectReader& object, LoginRecord& client) {
  bool wanted = client.flow == LoginFlow::kFile;
  only_for(object, "file", "\"file\"", wanted);
  client.file = object.text("file", wanted ? Need::kRequired : Need::kOptional).value_or("");
  if (wanted && !client.file.empty() && !client.file.starts_with('/') && !client.file.starts_with("~/"))
    object.fault("file", "must be an absolute path or begin with \"~/\"");
}

void read_command(DocumentReader& reader, ObjectReader& object, LoginRecord& client) {
  bool wanted = client.flow == LoginFlow::kCommand;
  only_for(object, "command", "\"command\"", wanted);
  object.list("command", wanted ? Need::kRequired : Need::kOptional,
              [&](const cJSON* value, const Place& place) {
                if (auto argument = read_text(value, place, reader.faults))
                  client.command.push_back(*argument);
              });
  if (!wanted) return;
  if (object.is_empty("command")) object.fault("command", "must not be empty");
  if (client.command.size() > kMostCommandArguments)
    object.fault("command", "has more than " + std::to_string(kMostCommandArguments) + " arguments");
  if (!client.command.empty() && !client.command.front().starts_with('/'))
    object.fault("command", "the program must be an absolute path, not " + quoted(client.command.front()));
}

// What only an OAuth client has.
void read_oauth(ObjectReader& object, LoginRecord& client) {
  constexpr int64_t kMostPort = 65535;
  bool oauth = needs_person(client.flow);
  bool browser = client.flow == LoginFlow::kAuto || client.flow == LoginFlow::kBrowser;
  for (const char* key : {"client_secret", "resource"})
    only_for(object, key, "\"auto\", \"browser\" or \"device\"", oauth);
  only_for(object, "redirect_port", "\"auto\" or \"browser\"", browser);
  client.client_secret = object.text("client_secret", Need::kOptional);
  client.resource = object.text("resource", Need::kOptional);
  if (client.resource) {
    if (auto fault = uri_fault(*client.resource))
      object.fault("resource", quoted(*client.resource) + " " + *fault);
  }
  client.redirect_port =
      static_cast<uint32_t>(object.integer("redirect_port", Need::kOptional, 1, kMostPort).value_or(0));
}

void read_client(DocumentReader& reader, const cJSON* value, const Place& place, IssuerEntry& issuer) {
  ObjectReader object(value, place, reader.faults);
  issuer.has_client = true;
  LoginRecord& client = issuer.client;
  client.flow = read_flow(object);
  bool oauth = needs_person(client.flow);
  client.client_id = object.text("client_id", oauth ? Need::kRequired : Need::kOptional).value_or("");
  issuer.rules.access_token =
      object.word("token", Need::kOptional, {"id_token", "access_token"}) == "access_token";
  read_scopes(object, client, oauth && !issuer.rules.access_token);
  read_file(object, client);
  read_command(reader, object, client);
  read_oauth(object, client);
  static_cast<void>(object.finish());
}

// The client as which peers log people in themselves. Its tokens are bearer tokens that the peer sees, so it
// must not be the client of anybody else, and gets nothing that lasts.
void read_server_login(ObjectReader& issuer_object, const cJSON* value, const Place& place,
                       DocumentReader& reader, IssuerEntry& issuer) {
  ObjectReader object(value, place, reader.faults);
  ServerLogin login;
  login.client_id = object.text("client_id", Need::kRequired).value_or("");
  const auto& audiences = issuer.rules.audiences;
  bool shared = std::find(audiences.begin(), audiences.end(), login.client_id) != audiences.end() ||
                (issuer.has_client && issuer.client.client_id == login.client_id);
  if (!login.client_id.empty() && shared)
    object.fault("client_id",
                 quoted(login.client_id) + " must be a client of its own, whose tokens others do not take");
  login.client_secret = object.text("client_secret", Need::kOptional);
  login.scopes =
      object.texts("scopes", Need::kOptional, [](const std::string& scope) -> std::optional<std::string> {
        if (scope == "offline_access") return quoted(scope) + " would give the peers a token that lasts";
        return is_token_word(scope) ? std::nullopt : std::optional(quoted(scope) + " is not a scope");
      });
  if (login.scopes.empty()) login.scopes = {"openid"};
  if (std::find(login.scopes.begin(), login.scopes.end(), "openid") == login.scopes.end())
    object.fault("scopes", "without \"openid\" the issuer gives no id_token");
  bool machine = issuer.has_client && issuer.client.flow == LoginFlow::kMachine;
  if (machine) {
    issuer_object.fault("server_login", "a machine issuer logs nobody in for others");
  } else if (auto fault =
                 issuer.rules.issuer.empty() ? std::nullopt : issuer_url_fault(issuer.rules.issuer)) {
    issuer_object.fault("issuer", quoted(issuer.rules.issuer) + " " + *fault);
  }
  issuer.rules.server_login = std::move(login);
  object.finish();
}

// Which addresses are good depends on who fetches what from the issuer.
void check_issuer_address(ObjectReader& object, const IssuerEntry& issuer) {
  if (issuer.rules.issuer.empty()) return;
  bool machine = issuer.has_client && issuer.client.flow == LoginFlow::kMachine;
  bool fetched = !issuer.rules.jwks || (issuer.has_client && needs_person(issuer.client.flow));
  auto fault = fetched && !machine ? issuer_url_fault(issuer.rules.issuer) : uri_fault(issuer.rules.issuer);
  if (fault) object.fault("issuer", quoted(issuer.rules.issuer) + " " + *fault);
  if (machine && !issuer.rules.jwks && !issuer.rules.jwks_uri)
    object.fault("missing \"jwks\": a machine issuer's keys are written into the document");
  // its tokens name their key
  auto keys = parse_key_set(issuer.rules.jwks.value_or("{\"keys\":[]}"));
  bool named =
      keys && std::any_of(keys->begin(), keys->end(), [](const Jwk& key) { return !key.kid.empty(); });
  if (machine && keys && !keys->empty() && !named)
    object.fault("jwks", "has no key with a \"kid\"; qf-up machine-jwks prints it with its own");
}

}  // namespace

void read_issuer(DocumentReader& reader, const cJSON* value, const Place& place) {
  ObjectReader object(value, place, reader.faults);
  if (!object.is_object()) {
    reader.nameless_issuer = true;
    return;
  }
  IssuerEntry issuer;
  read_identity(reader, object, issuer.rules);
  read_keys(object, issuer.rules);
  read_claims(reader, object, issuer.rules);
  if (const cJSON* client = object.object("client", Need::kOptional)) {
    Place at = place.member("client");
    read_client(reader, client, at, issuer);
  }
  if (const cJSON* login = object.object("server_login", Need::kOptional))
    read_server_login(object, login, place.member("server_login"), reader, issuer);
  check_issuer_address(object, issuer);
  static_cast<void>(object.finish());
  reader.document.issuers.push_back(std::move(issuer));
}

void check_group_maps(DocumentReader& reader, const cJSON* root, const Place& place) {
  const cJSON* issuers = json_member(root, "issuers");
  if (!cJSON_IsArray(issuers)) return;
  Place list = place.member("issuers");
  size_t index = 0;
  for (const cJSON* i = issuers->child; i != nullptr && !reader.faults.full(); i = i->next) {
    Place issuer = list.item(index++);
    Place map = issuer.member("group_map");
    const cJSON* members = json_member(i, "group_map");
    for (const cJSON* m = cJSON_IsObject(members) ? members->child : nullptr; m != nullptr; m = m->next) {
      if (!cJSON_IsString(m) || *m->valuestring == '\0') continue;  // a fault already
      std::string group = m->valuestring;
      if (group != "*" && !reader.document.user_groups.contains(group) && !reader.nameless_user_group)
        reader.faults.add(map.member(m->string),
                          "no user group " + quoted(group) + near_user_group(reader, group));
    }
  }
}

}  // namespace qf
