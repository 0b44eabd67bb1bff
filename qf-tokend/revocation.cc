// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/revocation.h"

#include <algorithm>
#include <optional>

#include "libqf/log.h"

namespace qf {

class Revocations::Active {
 public:
  Active(const Identity& identity, FlowServices& services, Done done)
      : done_(std::move(done)), client_(identity.record, identity.provider, services) {
    client_.total_time = kTime;
  }

  void start(const Secret& refresh_token) {
    client_.post(client_.provider().revocation_endpoint,
                 {{"token", std::string(refresh_token.reveal())}, {"token_type_hint", "refresh_token"}},
                 [this](Result<HttpAnswer>& answer) { answered(answer); });
  }
  [[nodiscard]] bool ended() const { return revoked_.has_value(); }
  void report() { done_(*revoked_); }

 private:
  void answered(const Result<HttpAnswer>& answer) {
    revoked_ = answer && (*answer).status == 200;
    const std::string& name = client_.record().name;
    if (*revoked_) return log_info("issuer " + name + " has revoked the refresh token");
    log_warning("issuer " + name + " did not revoke the refresh token: " +
                (answer ? describe_failure(*answer) : answer.error().text()));
  }

  Done done_;
  std::optional<bool> revoked_;
  OAuthClient client_;  // last: its request calls us
};

Revocations::Revocations(FlowServices& services) : services_(services) {}

Revocations::~Revocations() = default;

void Revocations::start(const Identity& identity, Done done) {
  active_.push_back(std::make_unique<Active>(identity, services_, std::move(done)));
  active_.back()->start(identity.refresh_token);
}

void Revocations::settle() {
  for (;;) {
    auto ended =
        std::find_if(active_.begin(), active_.end(), [](const auto& active) { return active->ended(); });
    if (ended == active_.end()) return;
    auto active = std::move(*ended);
    active_.erase(ended);
    active->report();
  }
}

}  // namespace qf
