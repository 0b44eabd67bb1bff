// SPDX-License-Identifier: Apache-2.0
// The "policies" of a fabric document.
#include "libqf/forward_pattern.h"
#include "libqf/text.h"
#include "qf-up/document_parts.h"
#include "qf-up/names.h"

namespace qf {

namespace {

constexpr int64_t kMostSession = 366 * 86400;  // seconds

void read_ends(DocumentReader& reader, ObjectReader& object, const char* key, std::vector<PolicyEnd>& ends) {
  std::unordered_set<std::string> seen;
  object.list(key, Need::kRequired, [&](const cJSON* value, const Place& place) {
    auto name = read_text(value, place, reader.faults);
    if (!name) return;
    bool group = reader.document.peer_groups.contains(*name);
    if (!group && find_peer_entry(reader, *name) == nullptr) {
      if (reader.nameless_peer || reader.nameless_peer_group) return;
      return reader.faults.add(place,
                               "no peer or peer group " + quoted(*name) + near_peer(reader, *name, true));
    }
    if (!seen.insert(*name).second) return reader.faults.add(place, "duplicate " + quoted(*name));
    ends.push_back({group, std::move(*name)});
  });
  if (object.is_empty(key)) object.fault(key, "must not be empty: the policy would say nothing");
}

std::optional<PortRange> parse_ports(const std::string& text) {
  size_t dash = text.find('-');
  auto first = parse_number(text.substr(0, dash), 65535);
  auto last = dash == std::string::npos ? first : parse_number(text.substr(dash + 1), 65535);
  if (!first || !last || *first == 0 || *first > *last) return std::nullopt;
  return PortRange{static_cast<uint16_t>(*first), static_cast<uint16_t>(*last)};
}

void read_ports(ObjectReader& object, PolicyRecord& record) {
  bool tcp = record.protocol == PolicyProtocol::kTcp;
  auto wrong_ports = [](const std::string& text) {
    return parse_ports(text)
               ? std::nullopt
               : std::optional(quoted(text) + " is not a port such as \"22\" or a range such as \"20-30\"");
  };
  for (const auto& text : object.texts("ports", tcp ? Need::kRequired : Need::kOptional, wrong_ports))
    record.ports.push_back(*parse_ports(text));
  if (!tcp && object.has("ports")) object.fault("ports", "only a policy of the protocol \"tcp\" has ports");
  if (tcp && object.is_empty("ports"))
    object.fault("ports", "must not be empty: the policy would say nothing");
}

void read_os_users(DocumentReader& reader, const cJSON* value, const Place& place, bool full,
                   std::vector<std::string>& users) {
  if (!cJSON_IsArray(value)) return reader.faults.add(place, "expected a list of local users");
  std::unordered_set<std::string> seen;
  size_t index = 0;
  for (const cJSON* i = value->child; i != nullptr && !reader.faults.full(); i = i->next) {
    Place here = place.item(index++);
    auto user = read_text(i, here, reader.faults);
    if (!user) continue;
    if (auto fault = os_user_fault(*user)) reader.faults.add(here, quoted(*user) + ": " + *fault);
    if (*user == kEmailLocal && !reader.any_email_domains)
      reader.faults.add(here, "\"{email.local}\" needs an issuer with \"email_domains\"");
    if (!seen.insert(*user).second) reader.faults.add(here, "duplicate " + quoted(*user));
    users.push_back(std::move(*user));
  }
  if (full && index > 0)
    reader.faults.add(place,
                      "with \"access\": \"full\" the members may be any local user; leave the list empty");
  if (!full && index == 0)
    reader.faults.add(place, "with \"access\": \"limited\" the list must name local users");
}

void read_authorized_groups(DocumentReader& reader, ObjectReader& object, PolicyRecord& record) {
  object.map("authorized_groups", record.full_access ? Need::kOptional : Need::kRequired,
             [&](const std::string& group, const cJSON* value, const Place& place) {
               if (!reader.document.user_groups.contains(group) && !reader.nameless_user_group)
                 reader.faults.add(place, "no user group " + quoted(group) + near_user_group(reader, group));
               read_os_users(reader, value, place, record.full_access, record.authorized_groups[group]);
             });
  // An empty object under "full" would open the peers to everybody when the last group is taken out.
  if (object.is_empty("authorized_groups"))
    object.fault("authorized_groups", "must not be empty; leave it out to mean every user of the fabric");
}

// Who is meant: on an allow, who may log in; on a deny, whose logins are refused. A deny that names nobody
// closes the port, before anybody is known.
void read_access(DocumentReader& reader, ObjectReader& object, PolicyRecord& record) {
  object.ignore("access");
  object.ignore("authorized_groups");
  if (record.protocol == PolicyProtocol::kTcp) {
    for (const char* key : {"access", "authorized_groups"}) {
      if (object.has(key)) object.fault(key, "only a policy of the protocol \"qufabric-ssh\" has it");
    }
    return;
  }
  bool needed = record.allow || object.has("authorized_groups");
  auto access = object.word("access", needed ? Need::kRequired : Need::kOptional, {"full", "limited"});
  record.full_access = access == "full";
  // without "access" there is no telling what the groups should look like
  if (access) read_authorized_groups(reader, object, record);
}

// host:port patterns. An empty list would say nothing, and an empty one in policy.mdb means no restriction.
std::vector<std::string> read_patterns(ObjectReader& object, const char* key) {
  auto patterns = object.texts(key, Need::kOptional, [](const std::string& text) {
    return parse_forward_pattern(text) ? std::nullopt
                                       : std::optional(quoted(text) +
                                                       " is not HOST:PORT such as \"db.example:5432\", "
                                                       "\"*:80\" or \"[fd00::1]:8000-8010\"");
  });
  if (object.is_empty(key)) object.fault(key, "must not be empty; leave it out to permit every place");
  return patterns;
}

// What an allow grants besides the login.
void read_limits(ObjectReader& object, PolicyRecord& record) {
  record.permit_open = read_patterns(object, "permit_open");
  record.permit_listen = read_patterns(object, "permit_listen");
  record.max_session = static_cast<uint32_t>(
      object.integer("max_session", Need::kOptional, 1, kMostSession, "seconds").value_or(0));
  if (record.allow) return;
  for (const char* key : {"permit_open", "permit_listen", "max_session"}) {
    if (object.has(key)) object.fault(key, "only a policy that allows has it");
  }
}

}  // namespace

void read_policy(DocumentReader& reader, const cJSON* value, const Place& place) {
  ObjectReader object(value, place, reader.faults);
  if (!object.is_object()) {
    reader.nameless_policy = true;
    return;
  }
  PolicyEntry policy;
  PolicyRecord& record = policy.record;
  if (auto name = object.text("name", Need::kRequired)) {
    if (auto fault = group_name_fault(*name)) object.fault("name", quoted(*name) + ": " + *fault);
    if (!reader.policy_names.insert(*name).second) {
      object.fault("name", "two policies have the name " + quoted(*name));
    } else if (!reader.policies_lower.insert(lower(*name)).second) {
      object.fault("name", kOtherCase);
    }
    record.name = *name;
  } else {
    reader.nameless_policy = true;
  }
  record.enabled = object.boolean("enabled", true);
  record.allow = object.word("action", Need::kRequired, {"allow", "deny"}) != "deny";
  auto protocol = object.word("protocol", Need::kRequired, {"qufabric-ssh", "tcp"});
  record.protocol = protocol == "tcp" ? PolicyProtocol::kTcp : PolicyProtocol::kSsh;
  read_ends(reader, object, "sources", policy.sources);
  read_ends(reader, object, "destinations", policy.destinations);
  if (protocol) {
    read_ports(object, record);
    read_access(reader, object, record);
  } else {
    // which of these belong there, the protocol says
    for (const char* key : {"ports", "access", "authorized_groups"}) object.ignore(key);
  }
  read_limits(object, record);
  static_cast<void>(object.finish());
  reader.document.policies.push_back(std::move(policy));
}

}  // namespace qf
