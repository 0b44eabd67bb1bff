// SPDX-License-Identifier: Apache-2.0
// Who may log in where: all of it, in classes. For "qf-up explain --who" (one document) and for "qf-up diff"
// (two). Every answer is judge_policies()'s (libqf/authorize.h); what is here finds out which questions have
// the same answer, and asks one of them.
//
// Peers. Sources are equal when the same policies, by content, name them in both documents; destinations when
// besides "ssh", a version that the derived rule is for, and "issuers" are the same. Two peers are only
// looked at when a policy of either document is between them: policies lead to their destinations and these
// to the sources, and no list of all pairs is ever made. Pairs with the same policies between them and an
// equal destination are one question. A peer may be its own source. Whether it has an address yet does not
// matter, as for "qf-up explain".
//
// People. Tokens have what their issuer requires, and
//   (a) each identity of user_groups: its token says its groups, and none that counts; equal are those of one
//       issuer with the same groups in both documents;
//   (b) somebody who is in no list, whose token has one group that the issuer's group_map takes (for "*":
//       one of the user groups of the documents);
//   (c) where the issuer's "members" are "all": somebody in no list, without groups.
// Each of them also with a verified email whose local part is the OS user, where a policy between the peers
// has {email.local} and the issuer email_domains. A policy says the same about everybody who is in the same
// ones of the groups that it names, and in no other way looks at groups, so for a pair of peers people are
// equal when they are in the same groups of those that its policies name. In a grant, `unless` has the groups
// of the token that would have it refused.
//
// OS users. Each name in an authorized_groups of a policy between the peers; root; and "*", any other name.
// A name with the same answer as "*" is a part of "*", root apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "qf-up/fabric.h"
#include "qf-up/reach_people.h"

namespace qf {

// What a login is allowed with.
struct Grant {
  std::string policy;
  uint32_t max_session = 0;  // seconds, 0: no limit
  std::vector<std::string> permit_open, permit_listen;
  std::vector<std::string> unless;  // groups of the token with which it would be refused
  bool operator==(const Grant&) const = default;
  [[nodiscard]] auto members() const {
    return std::tie(policy, max_session, permit_open, permit_listen, unless);
  }
  bool operator<(const Grant& other) const { return members() < other.members(); }
};

// Whom of the people a row is about.
enum class MailCondition {
  kNone,
  kTheirs,     // whose verified email has the OS user as its local part
  kNotTheirs,  // all others
};

struct ReachPeople {
  PeopleKind kind = PeopleKind::kListed;
  std::string issuer;
  std::vector<std::string> names;       // subjects, or groups of the token
  std::vector<std::string> but_names;   // kEverybody: subjects that are not meant
  std::vector<std::string> but_groups;  // and groups of the token whose owners are not
  // Of the groups that the policies name, the ones that they are in; once the login is lost, that they were.
  std::vector<std::string> groups;
};

struct ReachPeers {
  std::vector<std::string> names;  // ascending
  std::string group;               // a peer group that has exactly these, when they are several; empty: none
};

struct ReachRow {
  ReachPeople who;
  std::string login;
  std::vector<std::string> but_logins;  // of "*": the names of which it is not true
  MailCondition mail = MailCondition::kNone;
  ReachPeers from, to;
  Both<std::optional<Grant>> grant;
  // One for each of the people, source and destination; "*" is one OS user.
  [[nodiscard]] uint64_t logins() const;
};

struct ReachQuestion {
  std::optional<std::string> from, to;  // one peer, as the document spells it
  std::optional<std::string> login;     // one OS user
  bool login_is_root = false;           // besides "root"
  bool root_enabled = true;
  bool without_identity = false;  // --disable-ssh-auth
};

// The rows in which the two documents differ, in no particular order; a document may be missing (null), as if
// it said nothing. Fails when a record cannot be read.
[[nodiscard]] Result<std::vector<ReachRow>> reach(const Both<const Fabric*>& fabrics,
                                                  const ReachQuestion& question);

}  // namespace qf
