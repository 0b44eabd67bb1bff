// SPDX-License-Identifier: Apache-2.0
// Silent renewal of a login (RFC 6749 section 6): one refresh at a time for each issuer, since a provider
// that rotates refresh tokens takes a second use for a theft. It runs to its end even when nobody waits any
// more: a rotated token that nobody reads would be lost.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "libqf/oauth_client.h"
#include "qf-tokend/identity.h"

namespace qf {

struct RefreshFailure {
  bool for_good = false;  // else the provider may do better later
  std::string why;
};
using RefreshResult = Result<Identity, RefreshFailure>;

// What an answer of the token endpoint that is no success says about the refresh token.
[[nodiscard]] RefreshFailure judge_refresh_failure(const Result<HttpAnswer>& answer);

// Whether the key that signed a token is missing in a key set; false when the set cannot be read or the token
// names no key.
[[nodiscard]] bool key_is_gone(std::string_view token, std::string_view key_set);

class Refreshes {
 public:
  static constexpr std::chrono::milliseconds kTime{10'000};  // for one answer of the provider
  using Done = std::function<void(const std::string& issuer_name, RefreshResult result)>;

  // `done` is called from settle().
  Refreshes(FlowServices& services, Done done);
  ~Refreshes();
  Refreshes(const Refreshes&) = delete;
  Refreshes& operator=(const Refreshes&) = delete;

  // Does nothing while one goes on for this issuer.
  void start(const LoginRecord& record, const Identity& identity);
  // The login is gone or was made anew: its refresh must not bring it back.
  void cancel(const std::string& issuer_name);
  [[nodiscard]] bool going_on(const std::string& issuer_name) const { return active_.contains(issuer_name); }
  // Reports those that have ended.
  void settle();

 private:
  class Active;
  FlowServices& services_;
  Done done_;
  std::map<std::string, std::unique_ptr<Active>> active_;  // by issuer name
};

}  // namespace qf
