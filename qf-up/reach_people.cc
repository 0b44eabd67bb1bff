// SPDX-License-Identifier: Apache-2.0
#include "qf-up/reach_people.h"

#include <algorithm>
#include <set>

#include "libqf/codec.h"
#include "libqf/json.h"
#include "qf-up/question.h"

namespace qf {

namespace {

constexpr const char* kProbe = "somebody";  // local part of an email

using Users = std::map<std::pair<std::string, std::string>, Both<std::vector<std::string>>>;

// Everybody whom a document lists: issuer and subject, and the groups.
Status take_users(const PolicyDb& db, size_t side, Users& users) {
  Status all = Done{};
  db.scan("user:", [&](std::string_view key, std::string_view value) {
    auto groups = decode<StringList>(value);
    size_t end = key.find('\0');
    if (!groups || end == std::string_view::npos) {
      all = input_error("a user's record cannot be read");
    } else {
      users[{std::string(key.substr(0, end)), std::string(key.substr(end + 1))}][side] =
          std::move(groups->items);
    }
  });
  return all;
}

// The issuer's demands, in two documents.
using Rules = Both<std::optional<IssuerRecord>>;

Result<std::map<std::string, Rules>> read_issuers(const Both<const Fabric*>& fabrics) {
  std::map<std::string, Rules> all;
  for (size_t side : {kBefore, kAfter}) {
    if (fabrics[side] == nullptr) continue;
    for (const auto& name : fabrics[side]->meta().issuers) {
      auto issuer = fabrics[side]->db().issuer(name);
      if (!issuer) return issuer.error();
      all[name][side] = std::move(*issuer);
    }
  }
  return all;
}

bool fixes_groups(const IssuerRecord& issuer) {
  return issuer.required_claims.contains(issuer.groups_claim);
}

// A token that has what is required, and of groups these.
LoginQuestion token_with(const IssuerRecord& issuer, std::vector<std::string> groups, bool email) {
  LoginQuestion token;
  JsonPtr claims(::cJSON_CreateObject());
  auto put = [&](const std::string& name, const std::string& text) {
    auto value = parse_json(text);
    if (!value || ::cJSON_AddItemToObject(claims.get(), name.c_str(), value->release()) == 0) std::abort();
  };
  for (const auto& [name, text] : issuer.required_claims) put(name, text);
  if (email && !issuer.email_domains.empty() && !issuer.required_claims.contains("email"))
    put("email", '"' + std::string(kProbe) + "@" + issuer.email_domains.front() + '"');
  if (email && !issuer.required_claims.contains("email_verified")) put("email_verified", "true");
  token.claims = json_text(claims.get());
  if (!fixes_groups(issuer)) token.groups = std::move(groups);
  return token;
}

class Gathering {
 public:
  explicit Gathering(const Both<const Fabric*>& fabrics) : fabrics_(fabrics) {}

  Status gather(Crowd& crowd) {
    for (size_t side : {kBefore, kAfter}) {
      if (fabrics_[side] == nullptr) continue;
      if (auto taken = take_users(fabrics_[side]->db(), side, users_); !taken) return taken;
      fabrics_[side]->db().scan(
          "group:", [&](std::string_view name, std::string_view) { groups_.insert(std::string(name)); });
    }
    auto issuers = read_issuers(fabrics_);
    if (!issuers) return issuers.error();
    for (const auto& [name, rules] : *issuers) add_issuer(crowd, name, rules);
    return Done{};
  }

 private:
  // Nobody's: a subject that no document lists.
  std::string stranger(const std::string& issuer) const {
    std::string subject = kProbe;
    while (users_.contains({issuer, subject})) subject += "-";
    return subject;
  }

  [[nodiscard]] std::optional<Identity> identity(size_t side, const Rules& rules, const std::string& subject,
                                                 std::vector<std::string> groups, bool email = false) const {
    if (!rules[side]) return std::nullopt;
    auto made = make_identity(fabrics_[side]->db(), *rules[side], subject,
                              token_with(*rules[side], std::move(groups), email));
    if (!made) return std::nullopt;
    return std::move(*made);
  }

  // Two subjects of a class may have different emails, so the class has none where the email is free.
  [[nodiscard]] Both<std::optional<Identity>> identities(const CrowdIssuer& issuer, const Rules& rules,
                                                         const std::string& subject,
                                                         const std::vector<std::string>& groups) const {
    Both<std::optional<Identity>> both;
    for (size_t side : {kBefore, kAfter}) {
      both[side] = identity(side, rules, subject, groups);
      if (both[side] && issuer.any_email[side]) both[side]->email_local.clear();
    }
    return both;
  }

  void add_issuer(Crowd& crowd, const std::string& name, const Rules& rules) {
    CrowdIssuer issuer;
    issuer.name = name;
    for (size_t side : {kBefore, kAfter}) {
      if (!rules[side]) continue;
      bool is_email = rules[side]->user_id_claim == "email" && !rules[side]->email_domains.empty();
      auto probe =
          identity(side, rules,
                   is_email ? std::string(kProbe) + "@" + rules[side]->email_domains.front() : stranger(name),
                   {}, true);
      issuer.any_email[side] = probe && probe->email_local == kProbe;
    }
    find_token_groups(issuer, rules);
    issuer.changed = issuer.any_email[kBefore] != issuer.any_email[kAfter];
    for (const auto& [token, stands_for] : issuer.token_groups)
      issuer.changed = issuer.changed || stands_for[kBefore] != stands_for[kAfter];
    auto number = static_cast<uint32_t>(crowd.issuers.size());
    crowd.issuers.push_back(std::move(issuer));
    add_listed(crowd, number, rules);
    add_unlisted(crowd, number, rules);
  }

  // Of a map that takes every name, the names that a document knows: no other is worth anything.
  void find_token_groups(CrowdIssuer& issuer, const Rules& rules) const {
    std::set<std::string> names;
    for (const auto& side : rules) {
      if (!side) continue;
      for (const auto& [name, group] : side->group_map) {
        if (name != "*") names.insert(name);
      }
      if (side->group_map.contains("*")) names.insert(groups_.begin(), groups_.end());
    }
    for (const auto& name : names) {
      Both<std::string> stands_for;
      for (size_t side : {kBefore, kAfter}) {
        if (!rules[side] || fixes_groups(*rules[side])) continue;
        auto somebody = identity(side, rules, stranger(issuer.name), {name});
        if (somebody && !somebody->groups.empty()) stands_for[side] = somebody->groups.front();
      }
      if (!stands_for[kBefore].empty() || !stands_for[kAfter].empty()) issuer.token_groups[name] = stands_for;
    }
  }

  // One class for the same groups. Where a subject itself is required, each is a class.
  void add_listed(Crowd& crowd, uint32_t number, const Rules& rules) const {
    const CrowdIssuer& issuer = crowd.issuers[number];
    bool each = std::any_of(rules.begin(), rules.end(), [](const auto& side) {
      return side && side->required_claims.contains(side->user_id_claim);
    });
    std::map<std::pair<Both<std::vector<std::string>>, std::string>, size_t> classes;
    for (auto i = users_.lower_bound({issuer.name, ""}); i != users_.end() && i->first.first == issuer.name;
         ++i) {
      const std::string& subject = i->first.second;
      auto [found, fresh] = classes.emplace(std::pair(i->second, each ? subject : ""), crowd.classes.size());
      if (fresh)
        crowd.classes.push_back({PeopleKind::kListed, number, {}, identities(issuer, rules, subject, {})});
      crowd.classes[found->second].names.push_back(subject);
    }
  }

  void add_unlisted(Crowd& crowd, uint32_t number, const Rules& rules) const {
    const CrowdIssuer& issuer = crowd.issuers[number];
    for (const auto& [token, stands_for] : issuer.token_groups)
      crowd.classes.push_back({PeopleKind::kTokenGroup,
                               number,
                               {token},
                               identities(issuer, rules, stranger(issuer.name), {token})});
    auto everybody = identities(issuer, rules, stranger(issuer.name), {});
    bool any = std::any_of(everybody.begin(), everybody.end(),
                           [](const auto& side) { return side && side->fabric_user; });
    if (any) crowd.classes.push_back({PeopleKind::kEverybody, number, {}, std::move(everybody)});
  }

  const Both<const Fabric*>& fabrics_;
  std::set<std::string> groups_;  // of both documents
  Users users_;
};

}  // namespace

Result<Crowd> gather_people(const Both<const Fabric*>& fabrics) {
  Crowd crowd;
  if (auto gathered = Gathering(fabrics).gather(crowd); !gathered) return gathered.error();
  return crowd;
}

}  // namespace qf
