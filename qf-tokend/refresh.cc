// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/refresh.h"

#include <algorithm>

#include "libqf/jwk.h"
#include "libqf/jwt.h"
#include "libqf/log.h"

namespace qf {

// One refresh: the token request, and the key set where the answer depends on it.
class Refreshes::Active {
 public:
  Active(const LoginRecord& record, const Identity& identity, FlowServices& services)
      : before_(identity.clone()), services_(services), client_(record, identity.provider, services) {
    client_.total_time = kTime;
  }

  void start() {
    client_.ask_token(
        {{"grant_type", "refresh_token"}, {"refresh_token", std::string(before_.refresh_token.reveal())}},
        [this](Result<HttpAnswer>& answer) { answered(answer); });
  }
  [[nodiscard]] bool ended() const { return result_.has_value(); }
  RefreshResult take_result() { return std::move(*result_); }

 private:
  void answered(Result<HttpAnswer>& answer) {
    if (!answer || (*answer).status != 200) {
      result_ = judge_refresh_failure(answer);
      return;
    }
    auto grant = read_token_answer(client_, *answer);
    if (!grant) {
      result_ = RefreshFailure{true, grant.error().message};
      return;
    }
    auto fresh = accept_refreshed(client_.record(), std::move(*grant), before_, *services_.user_keys(),
                                  services_.wall_time());
    if (!fresh) {
      result_ = RefreshFailure{true, fresh.error().message};
      return;
    }
    fresh_ = std::move(*fresh);
    if (fresh_->original_token.empty()) return accept();
    check_original();
  }

  // Peers verify the original token too; when its key is gone they would refuse, and only a login helps.
  void check_original() {
    const LoginRecord& record = client_.record();
    if (record.jwks) return judge_original(*record.jwks);
    std::string url = record.jwks_uri.value_or(client_.provider().jwks_uri);
    if (url.empty()) return judge_original("");
    client_.get(url, [this](Result<HttpAnswer>& answer) {
      judge_original(answer && (*answer).status == 200 ? (*answer).body : "");
    });
  }
  void judge_original(const std::string& key_set) {
    if (key_is_gone(fresh_->original_token.reveal(), key_set)) {
      result_ = RefreshFailure{true, "the provider has dropped the key of the bound token"};
    } else {
      accept();
    }
  }
  // Last of all: fetching the key set may have taken what was left of it.
  void accept() {
    if (fresh_->good_until() <= services_.wall_time() + kLeastTokenLife) {
      result_ = RefreshFailure{true, "the refreshed token is too old already"};
    } else {
      result_ = std::move(*fresh_);
    }
  }

  Identity before_;
  FlowServices& services_;
  std::optional<Identity> fresh_;
  std::optional<RefreshResult> result_;
  OAuthClient client_;  // last: its request calls us
};

RefreshFailure judge_refresh_failure(const Result<HttpAnswer>& answer) {
  if (!answer) return {false, answer.error().text()};
  long status = (*answer).status;
  bool passing =
      status >= 500 || status == 429 || status == 408 || oauth_error(*answer) == "temporarily_unavailable";
  return {!passing, describe_failure(*answer)};
}

bool key_is_gone(std::string_view token, std::string_view key_set) {
  auto header = parse_jws_header(token);
  auto keys = parse_key_set(key_set);
  if (!header || !keys || header->kid.empty()) return false;
  return std::none_of(keys->begin(), keys->end(), [&](const Jwk& key) { return key.kid == header->kid; });
}

Refreshes::Refreshes(FlowServices& services, Done done) : services_(services), done_(std::move(done)) {}

Refreshes::~Refreshes() = default;

void Refreshes::start(const LoginRecord& record, const Identity& identity) {
  auto [it, is_new] = active_.try_emplace(record.name);
  if (!is_new) return;
  it->second = std::make_unique<Active>(record, identity, services_);
  it->second->start();
}

void Refreshes::cancel(const std::string& issuer_name) {
  active_.erase(issuer_name);
}

void Refreshes::settle() {
  for (;;) {
    auto ended =
        std::find_if(active_.begin(), active_.end(), [](const auto& entry) { return entry.second->ended(); });
    if (ended == active_.end()) return;
    auto node = active_.extract(ended);  // `done` may start and cancel others
    done_(node.key(), node.mapped()->take_result());
  }
}

}  // namespace qf
