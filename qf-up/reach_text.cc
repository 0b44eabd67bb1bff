// SPDX-License-Identifier: Apache-2.0
#include "qf-up/reach_text.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostNames = 4;     // shown, or one less and how many more
constexpr size_t kMostShown = 1000;  // bytes of a name that is quoted

std::string plain(const std::string& name) {
  bool word = printable(name) == name && name.find_first_of(" ,()\"'\\") == std::string::npos;
  return word ? name : quoted(name, kMostShown);
}

std::string token_groups(const std::vector<std::string>& names) {
  if (names.size() == 1) return "group " + few_of(names) + " in the token";
  return "one of the groups " + few_of(names) + " in the token";
}

std::vector<std::string> with_issuer(const ReachPeople& who, const std::vector<std::string>& subjects) {
  std::vector<std::string> names;
  names.reserve(subjects.size());
  for (const auto& subject : subjects) names.push_back(who.issuer + ":" + subject);
  return names;
}

std::string everybody(const ReachPeople& who, const std::vector<std::string>& unless) {
  std::string text = who.issuer + ": everybody";
  if (!who.but_names.empty()) text += " but " + few_of(with_issuer(who, who.but_names));
  std::vector<std::string> groups;
  // whose groups have it refused is said with the conditions
  std::set_difference(who.but_groups.begin(), who.but_groups.end(), unless.begin(), unless.end(),
                      std::back_inserter(groups));
  if (groups.empty()) return text;
  return text + (who.but_names.empty() ? " but" : ", and but") + " whoever has " + token_groups(groups);
}

std::string people_text(const ReachPeople& who, const std::vector<std::string>& unless) {
  switch (who.kind) {
    case PeopleKind::kEverybody:
      return everybody(who, unless);
    case PeopleKind::kUnasked:
      return "anybody";
    case PeopleKind::kTokenGroup:
      return who.issuer + ": whoever has " + token_groups(who.names);
    case PeopleKind::kListed:
      return few_of(with_issuer(who, who.names)) +
             (who.groups.empty() ? "" : " (" + few_of(who.groups) + ")");
  }
  std::abort();
}

std::string peers_text(const ReachPeers& peers) {
  return peers.group.empty() ? few_of(peers.names) : plain(peers.group);
}

// What must be so besides.
std::string conditions(const ReachRow& row, const Grant& grant) {
  std::vector<std::string> all;
  std::string email = (row.login == kAnyOsUser ? "OSUSER" : plain(row.login)) + "@...";
  if (!row.but_logins.empty()) all.push_back("but not as " + few_of(row.but_logins));
  if (row.mail == MailCondition::kTheirs) all.push_back("whose verified email is " + email);
  if (row.mail == MailCondition::kNotTheirs) all.push_back("unless their verified email is " + email);
  if (!grant.unless.empty())
    all.push_back("unless the token has " +
                  std::string(grant.unless.size() == 1 ? "group " : "one of the groups ") +
                  few_of(grant.unless));
  return join(all, ", ");
}

std::string places(const std::vector<std::string>& patterns) {
  return patterns.empty() ? "any" : join(patterns, " ");
}
std::string seconds(uint32_t time) {
  return time == 0 ? "none" : std::to_string(time) + " s";
}

// What a login that stays is allowed with now, and was before.
std::string what_changed(const Grant& before, const Grant& after) {
  std::vector<std::string> all;
  auto add = [&](const std::string& name, const std::string& old, const std::string& now) {
    if (old != now) all.push_back(name + now + ", was " + old);
  };
  add("by policy ", plain(before.policy), plain(after.policy));
  add("max_session ", seconds(before.max_session), seconds(after.max_session));
  add("permit_open ", places(before.permit_open), places(after.permit_open));
  add("permit_listen ", places(before.permit_listen), places(after.permit_listen));
  if (before.unless != after.unless)
    all.push_back("refused with a token of " + (after.unless.empty() ? "no group" : few_of(after.unless)) +
                  ", was " + (before.unless.empty() ? "no group" : few_of(before.unless)));
  return join(all, "; ");
}

struct DiffLine {
  std::string who, login, from, rest;
  char sign;
};

DiffLine line_of(const ReachRow& row) {
  const auto& [before, after] = row.grant;
  const Grant& grant = after ? *after : *before;
  DiffLine line;
  line.sign = !before ? '+' : !after ? '-' : '~';
  line.who = people_text(row.who, grant.unless);
  line.login = plain(row.login) + "@" + peers_text(row.to);
  line.from = "from " + peers_text(row.from);
  line.rest = line.sign == '~' ? what_changed(*before, *after) : "by policy " + plain(grant.policy);
  // what changed says already which groups of a token count
  auto more = conditions(row, line.sign == '~' ? Grant{} : grant);
  if (!more.empty()) line.rest += "  " + more;
  return line;
}

std::string_view kind_word(PeopleKind kind) {
  switch (kind) {
    case PeopleKind::kListed:
      return "listed";
    case PeopleKind::kTokenGroup:
      return "token-group";
    case PeopleKind::kEverybody:
      return "everybody";
    case PeopleKind::kUnasked:
      return "anybody";
  }
  std::abort();
}

JsonPtr people_json(const ReachPeople& who) {
  JsonWriter out;
  out.set("kind", kind_word(who.kind)).set("issuer", who.issuer).set("names", who.names);
  out.set("groups", who.groups).set("but_names", who.but_names).set("but_token_groups", who.but_groups);
  return out.take();
}

JsonPtr grant_json(const std::optional<Grant>& grant) {
  if (!grant) return JsonPtr(::cJSON_CreateNull());
  JsonWriter out;
  out.set("policy", grant->policy).set("max_session", static_cast<int64_t>(grant->max_session));
  out.set("permit_open", grant->permit_open).set("permit_listen", grant->permit_listen);
  out.set("unless_token_groups", grant->unless);
  return out.take();
}

std::string_view mail_word(MailCondition mail) {
  if (mail == MailCondition::kNone) return "any";
  return mail == MailCondition::kTheirs ? "of-the-login" : "not-of-the-login";
}

using WhoLine = std::array<std::string, 4>;

WhoLine who_line(const ReachRow& row) {
  const Grant& grant = *row.grant[kAfter];
  return {people_text(row.who, grant.unless), peers_text(row.from), plain(grant.policy),
          conditions(row, grant)};
}

// Characters, not bytes: a name may hold any.
size_t columns_of(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string few_of(const std::vector<std::string>& names) {
  size_t shown = names.size() <= kMostNames ? names.size() : kMostNames - 1;
  std::vector<std::string> some;
  for (size_t i = 0; i < shown; ++i) some.push_back(plain(names[i]));
  std::string more = shown == names.size() ? "" : " and " + std::to_string(names.size() - shown) + " more";
  return join(some, ", ") + more;
}

std::string who_table(const std::vector<ReachRow>& rows) {
  std::vector<WhoLine> lines;
  for (const auto& row : rows) lines.push_back(who_line(row));
  std::sort(lines.begin(), lines.end());
  lines.insert(lines.begin(), {"WHO", "FROM", "POLICY", "CONDITION"});
  std::array<size_t, 4> widths = {};
  bool any_condition = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t k = 0; k < widths.size(); ++k) widths[k] = std::max(widths[k], columns_of(lines[i][k]));
    any_condition = any_condition || (i > 0 && !lines[i][3].empty());
  }
  std::string text;
  for (const auto& line : lines) {
    size_t last = any_condition && !line[3].empty() ? 3 : 2;
    for (size_t k = 0; k < last; ++k) text += line[k] + std::string(widths[k] - columns_of(line[k]) + 2, ' ');
    text += line[last] + "\n";
  }
  return text;
}

std::string diff_lines(const std::vector<ReachRow>& rows) {
  std::vector<DiffLine> lines;
  for (const auto& row : rows) lines.push_back(line_of(row));
  std::sort(lines.begin(), lines.end(), [](const DiffLine& a, const DiffLine& b) {
    return std::tie(a.who, a.login, a.from, b.sign, a.rest) <
           std::tie(b.who, b.login, b.from, a.sign, b.rest);
  });
  std::string text;
  for (const auto& line : lines)
    text += std::string(1, line.sign) + " " + line.who + "  " + line.login + "  " + line.from + "  " +
            line.rest + "\n";
  return text;
}

LoginCounts count_logins(const std::vector<ReachRow>& rows) {
  LoginCounts counts;
  for (const auto& row : rows) {
    const auto& [before, after] = row.grant;
    (!before ? counts.gained : !after ? counts.lost : counts.changed) += row.logins();
  }
  return counts;
}

JsonPtr rows_json(const std::vector<ReachRow>& rows) {
  JsonPtr list(::cJSON_CreateArray());
  for (const auto& row : rows) {
    JsonWriter out;
    out.set("who", people_json(row.who)).set("login", row.login).set("but_logins", row.but_logins);
    out.set("email", mail_word(row.mail)).set("from", row.from.names).set("to", row.to.names);
    out.set("before", grant_json(row.grant[kBefore])).set("after", grant_json(row.grant[kAfter]));
    out.set("logins", static_cast<int64_t>(row.logins()));
    if (::cJSON_AddItemToArray(list.get(), out.take().release()) == 0) std::abort();
  }
  return list;
}

}  // namespace qf
