// SPDX-License-Identifier: Apache-2.0
// Who somebody is, once a token has been verified: what authentication hands to authorisation and to the
// audit log. The document and the claims alone make an identity, so that qf-up can explain what a token would
// be worth, and a live session can be judged again under a new document.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "libqf/jwt.h"
#include "libqf/policy_db.h"

namespace qf {

// What an identity was read from. It is kept while the login lives, so that it can be judged again under
// another document.
struct TokenEvidence {
  JwsHeader header;
  Claims claims;
  // thumbprints of the keys that verified it, and the original token that proved its binding
  std::vector<std::string> keys;
  bool inline_keys = false;  // they were in the fabric document itself
};

struct Identity {
  std::string issuer_name;  // as in the fabric document
  std::string subject;      // value of the issuer's user_id_claim
  std::vector<std::string>
      groups;                // user groups: of the document, and of the token through group_map; sorted
  bool fabric_user = false;  // a user of this fabric at all ("members")
  std::string email_local;   // local part of a verified email in the issuer's email_domains, else empty
  std::string no_email;      // why email_local is empty
  bool key_bound = false;
  bool server_login = false;        // by this peer itself, as the client of the issuer's "server_login"
  std::string token_id;             // jti, empty: none
  uint64_t certificate_serial = 0;  // 0: no certificate
  int64_t token_expires = 0;        // seconds since the epoch
  // seconds since the epoch from which on the credential is too old, clocks that differ allowed for
  int64_t usable_until = 0;
  // User groups that the token might have brought and says nothing about; "*": any. For a deny they count.
  std::vector<std::string> unknown_groups;
  std::shared_ptr<const TokenEvidence> evidence;  // null: made from claims alone, of no verified token

  // "corp:auth0|61", as in user_groups
  [[nodiscard]] std::string name() const { return issuer_name + ":" + subject; }
};

// Whether the peer takes logins of the issuer of that name.
[[nodiscard]] bool takes_issuer(const PeerPolicyRecord& peer, const std::string& name);

// The issuer's demands on a token; `check_expiry` as in TokenRules.
[[nodiscard]] TokenRules token_rules(const IssuerRecord& issuer, bool check_expiry);
// The same for a token that this peer got as the client of "server_login", which the issuer must have.
[[nodiscard]] TokenRules server_login_rules(const IssuerRecord& issuer, bool check_expiry);

// The identity that these claims of the issuer's stand for under this document. Refused: required claims that
// are missing, groups that cannot be read (they might be denied).
[[nodiscard]] Result<Identity, TokenRefusal> identify(const PolicyDb& policy, const IssuerRecord& issuer,
                                                      const Claims& claims);

}  // namespace qf
