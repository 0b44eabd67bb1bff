// SPDX-License-Identifier: Apache-2.0
// qf-sshd --verify-token: judges one token from standard input as the server would, by the same code, and
// prints its claims. For who sets up an issuer, before a login depends on it.
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "libqf/jwt.h"

namespace qf {

struct VerifyTokenOptions {
  bool wanted = false;
  std::vector<std::string> audiences;
  TokenRules rules;       // issuer and audiences are filled in
  std::string jwks_file;  // empty: fetched
  std::string jwks_uri;   // empty: discovered from the issuer
  std::string ca_file;    // absolute; empty: the system's authorities
  int64_t now = -1;       // seconds since the epoch; negative: the clock of the machine
  [[nodiscard]] bool fetches() const { return wanted && jwks_file.empty(); }
};

void add_verify_token_options(boost::program_options::options_description& options,
                              VerifyTokenOptions& verify);
// Wrong usage when options do not go together, with it or without it. Ends the program then.
void check_verify_token_options(const boost::program_options::variables_map& given,
                                VerifyTokenOptions& verify);

// The exit code: 0 for a good token, 1 for another, 71 when it cannot be judged. `privileged`: runs as root,
// so that keyfetch becomes its own user.
[[nodiscard]] int verify_token(const VerifyTokenOptions& options, bool privileged);

}  // namespace qf
