// SPDX-License-Identifier: Apache-2.0
// From a credential to an identity: the checks of a certificate (libqf/certificate.h), of its token
// (libqf/jwt.h) and of the key binding (libqf/binding.h), against the issuers in policy.mdb. Decides nothing
// about OS users. Never fetches: KeySets hands out what the listener holds.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/identity.h"
#include "libqf/jwt.h"
#include "libqf/policy_db.h"

namespace qf {

// Where key sets come from: the monitor's view of what the listener holds.
class KeySets {
 public:
  virtual ~KeySets() = default;
  // The verified key set of this issuer, or null when there is none that may be used.
  virtual const KeySet* find(const IssuerRecord& issuer) = 0;
  // A kid is unknown: have these key sets fetched once (rate-limited), all at the same time. For each that
  // has changed, as it comes, found(issuer) looks again; true from it ends the waiting.
  virtual void refresh(const std::vector<const IssuerRecord*>& issuers,
                       const std::function<bool(const IssuerRecord&)>& found) = 0;
};

struct AuthenticationContext {
  const PolicyDb& policy;
  const PeerPolicyRecord& self;
  std::string own_fingerprint;  // "SHA256:…" of the host key that this server holds
  KeySets& key_sets;
  int64_t now = 0;  // seconds since the epoch
};

// A certificate blob as the client offered it (proof of possession of the subject key is the caller's
// business).
[[nodiscard]] Result<Identity, TokenRefusal> authenticate_certificate(const AuthenticationContext& context,
                                                                      std::string_view blob);
// A token on its own, as a password: bearer, so only where the issuer accepts that, and never a key-bound
// one.
[[nodiscard]] Result<Identity, TokenRefusal> authenticate_token(const AuthenticationContext& context,
                                                                std::string_view token);

// A token that keyfetch got as the client of the issuer's "server_login". Such a token is worth nothing
// anywhere else: the two above refuse it.
[[nodiscard]] Result<Identity, TokenRefusal> authenticate_server_login(const AuthenticationContext& context,
                                                                       const std::string& issuer,
                                                                       std::string_view token);
// The issuers whose tokens this peer takes, in the document's order.
[[nodiscard]] Result<std::vector<IssuerRecord>, TokenRefusal> accepted_issuers(const PolicyDb& policy,
                                                                               const PeerPolicyRecord& self);
// Those of them that it logs people in at, in the document's order.
[[nodiscard]] std::vector<IssuerRecord> server_login_issuers(const PolicyDb& policy,
                                                             const PeerPolicyRecord& self);

}  // namespace qf
