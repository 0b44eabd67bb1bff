// SPDX-License-Identifier: Apache-2.0
// The people of one or two fabric documents in classes whose members are judged alike (qf-up/reach.h says
// which). Identities are made by the server's own rules, from tokens that have what the issuer requires.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libqf/identity.h"
#include "qf-up/fabric.h"

namespace qf {

enum class PeopleKind {
  kListed,      // in user_groups
  kTokenGroup,  // nobody's name is known, only a group in the token
  kEverybody,   // whom the issuer vouches for
  kUnasked,     // whoever it is: the server asks for no identity
};

// "before" and "after" in a list of two: the older document and the newer one.
inline constexpr size_t kBefore = 0, kAfter = 1;
template <class T>
using Both = std::array<T, 2>;

struct PersonClass {
  PeopleKind kind = PeopleKind::kListed;
  uint32_t issuer = 0;             // of Crowd::issuers
  std::vector<std::string> names;  // subjects, or groups as the token names them
  // none: no such token is good there
  Both<std::optional<Identity>> identity;
};

struct CrowdIssuer {
  std::string name;
  // Whether a token may have a verified email with any local part.
  Both<bool> any_email = {};
  // What each group of a token stands for; empty: nothing. None at all where the required claims fix them.
  std::map<std::string, Both<std::string>> token_groups;
  // A token of it may be worth something else in the other document, whoever's it is.
  bool changed = false;
};

struct Crowd {
  std::vector<CrowdIssuer> issuers;  // by name
  std::vector<PersonClass> classes;
};

// A document may be missing (null). Fails when a record cannot be read.
[[nodiscard]] Result<Crowd> gather_people(const Both<const Fabric*>& fabrics);

}  // namespace qf
