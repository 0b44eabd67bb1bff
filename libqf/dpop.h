// SPDX-License-Identifier: Apache-2.0
// Demonstrating Proof of Possession (RFC 9449): the header with which a token request proves that we hold the
// user key, so that the provider binds the access token to it (cnf.jkt).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/user_keys.h"

namespace qf {

// Which of our user keys a provider with these dpop_signing_alg_values_supported takes: Ed25519 when it can,
// else P-256; nothing when it knows neither or has no DPoP.
[[nodiscard]] std::optional<KeyType> dpop_key_type(const std::vector<std::string>& algorithms);

// The proof (section 4.2) for a POST to this URL. `nonce`: the provider's (section 8), empty: it gave none.
[[nodiscard]] std::string dpop_proof(const SigningKey& key, std::string_view url, std::string_view nonce,
                                     int64_t wall_time);

}  // namespace qf
