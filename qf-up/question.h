// SPDX-License-Identifier: Apache-2.0
// "May this user log in there?", asked by an admin (qf-up explain) or by a test of the fabric document. The
// identity is made by the server's own rules from claims that a token of that user would have.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/authorize.h"

namespace qf {

struct LoginQuestion {
  std::string user;                                // "ISSUER:SUBJECT", or a subject alone
  std::string issuer;                              // its name; empty: as `user` says
  std::optional<std::vector<std::string>> groups;  // in the token; none: it does not say any
  std::string claims = "{}";                       // other claims of the token, JSON text
  std::string from, to;                            // as find_peer() takes them
  std::string login;                               // OS user
};

// What the destination's machine adds to the document.
struct ServerSide {
  bool root_enabled = true;
  bool without_identity = false;  // --disable-ssh-auth
  bool login_is_root = false;     // the OS user has uid 0 there; "root" always counts as that
};

struct JudgeableLogin {
  PeerPolicyRecord source, destination;
  LoginRequest request;
  // Why such a token is refused before the policies are asked; none: they are.
  std::optional<Decision> refused;
  std::vector<std::string> notes;  // what of the question counts for nothing, and why
};

// The identity that the server makes of a token of this subject that says what the question does.
[[nodiscard]] Result<Identity, TokenRefusal> make_identity(const PolicyDb& db, const IssuerRecord& issuer,
                                                           const std::string& subject,
                                                           const LoginQuestion& question);

// kInput: there is no such peer or issuer (the text has the near spelling).
[[nodiscard]] Result<JudgeableLogin> make_login(const PolicyDb& db, const LoginQuestion& question,
                                                const ServerSide& server);

// A peer by its name, with the fabric's domain behind it or not, or by an address. kInput: there is none.
[[nodiscard]] Result<PeerPolicyRecord> find_peer(const PolicyDb& db, const std::string& name);

// The name without the domain at its end, if that is there.
[[nodiscard]] std::string without_domain(const std::string& name, const std::string& domain);

// The decision alone.
[[nodiscard]] Decision decide(const PolicyDb& db, const JudgeableLogin& login);

// "qf-up explain --user …", for a shell; `file`: of which document, empty: the one in force.
[[nodiscard]] std::string explain_command(const LoginQuestion& question, const std::string& file);

}  // namespace qf
