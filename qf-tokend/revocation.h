// SPDX-License-Identifier: Apache-2.0
// Telling providers that a login is over (RFC 7009), so that its refresh token is of use to nobody.
#pragma once

#include <functional>
#include <list>
#include <memory>

#include "libqf/oauth_client.h"
#include "qf-tokend/identity.h"

namespace qf {

class Revocations {
 public:
  static constexpr std::chrono::milliseconds kTime{5'000};
  using Done = std::function<void(bool revoked)>;

  explicit Revocations(FlowServices& services);
  ~Revocations();
  Revocations(const Revocations&) = delete;
  Revocations& operator=(const Revocations&) = delete;

  // Whether there is something that the provider can revoke.
  [[nodiscard]] static bool possible(const Identity& identity) {
    return !identity.refresh_token.empty() && !identity.provider.revocation_endpoint.empty();
  }
  // `done` is called from settle(), within kTime.
  void start(const Identity& identity, Done done);
  void settle();

 private:
  class Active;
  FlowServices& services_;
  std::list<std::unique_ptr<Active>> active_;
};

}  // namespace qf
