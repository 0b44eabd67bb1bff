// SPDX-License-Identifier: Apache-2.0
// OpenID Provider Metadata (OpenID Connect Discovery 1.0 sections 3 and 4; RFC 8414). The document is
// believed only where it can be checked: its issuer must be ours, its endpoints URLs that we would use. Each
// error names the issuer and the field.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/http.h"
#include "libqf/peers_db.h"
#include "libqf/refusal.h"

namespace qf {

struct Discovery {
  std::string token_endpoint;
  // Empty: none.
  std::string authorization_endpoint;
  std::string device_authorization_endpoint;  // RFC 8628 section 4
  std::string revocation_endpoint;            // RFC 8414 section 2
  std::string jwks_uri;
  std::vector<std::string> dpop_algorithms;  // dpop_signing_alg_values_supported (RFC 9449 section 5.1)
  bool names_issuer = false;    // authorization_response_iss_parameter_supported (RFC 9207 section 3)
  bool pkce = true;             // S256 is supported (RFC 8414), or nothing is said about it
  bool secret_in_form = false;  // a client's secret can only be sent as client_secret_post
};

[[nodiscard]] std::string discovery_url(std::string_view issuer);
// `record`: of the issuer asked
[[nodiscard]] Result<Discovery, Refusal> read_discovery(const LoginRecord& record,
                                                        const Result<HttpAnswer>& answer);

// A provider that sends people to the login page of another issuer of the document would get that one's codes
// (the mix-up attack, RFC 9700 section 4.4); iss of RFC 9207 is not everywhere.
[[nodiscard]] std::optional<Refusal> check_mix_up(const LoginRecord& record, const Discovery& provider,
                                                  const std::vector<std::string>& other_issuers);

// Something that the provider published or answered is of no use; the message names the issuer.
[[nodiscard]] Refusal unusable_answer(const LoginRecord& record, const std::string& what);
// The provider gave no answer; the hint is the error's own where it has one.
[[nodiscard]] Refusal not_reached(const LoginRecord& record, const Error& error);

// "issuer corp (https://idp.example/)": how messages name an issuer
[[nodiscard]] std::string describe_issuer(const LoginRecord& record);
// {"error": …} of RFC 6749 section 5.2 as text for people, or the HTTP status when there is none.
[[nodiscard]] std::string describe_failure(const HttpAnswer& answer);
// Its "error" alone; empty when there is none.
[[nodiscard]] std::string oauth_error(const HttpAnswer& answer);

}  // namespace qf
