// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/logins.h"

#include <algorithm>
#include <optional>

#include "libqf/json.h"
#include "libqf/log.h"

namespace qf {

// One login: its flow and who waits for it. The flow's end is only noted here, and dealt with by settle(),
// when no code of the flow is on the stack any more.
class Logins::Active final : public FlowListener {
 public:
  Active(Logins& logins, LoginRecord record)
      : logins_(logins),
        record_(std::move(record)),
        binding_(make_binding(logins_.services_.user_keys()->of(kUsualUserKey).blob)) {}

  void start(uint64_t client, Wish wish) {
    if (wish.browser) opener_ = client;
    flow_ = logins_.make_flow_(record_, {binding_.nonce, wish.browser, wish.refresh}, *this);
    flow_->start();
  }
  void join(uint64_t client) {
    clients_.push_back(client);
    if (prompt_) logins_.observer_.login_progress(client, prompt_line(false));
  }
  // True when nobody is left.
  bool leave(uint64_t client) {
    std::erase(clients_, client);
    return clients_.empty();
  }

  void flow_prompt(const LoginPrompt& prompt) override {
    prompt_ = prompt;
    prompted_ = logins_.services_.now();
    // one of them opens the browser, or there would be as many windows as callers
    for (uint64_t client : clients_) {
      logins_.observer_.login_progress(client, prompt_line(opener_ == client && prompt.user_code.empty()));
    }
  }
  void flow_notice(const std::string& message) override {
    log_info(record_.name + ": " + message);
    tell_all(JsonWriter().set("event", "notice").set("message", message).text());
  }
  std::optional<Refusal> flow_done(Result<TokenGrant, Refusal> result) override {
    if (!result) {
      result_ = result.error();
      return std::nullopt;
    }
    FlowServices& services = logins_.services_;
    result_ =
        accept_token(record_, std::move(*result), binding_, *services.user_keys(), services.wall_time());
    if (!*result_) return result_->error();
    if (prompt_)
      tell_all(JsonWriter()
                   .set("event", "approved")
                   .set("issuer", record_.name)
                   .set("subject", (*result_)->subject)
                   .text());
    return std::nullopt;
  }

  [[nodiscard]] bool ended() const { return result_.has_value(); }
  [[nodiscard]] TokenFlow& flow() const { return *flow_; }
  [[nodiscard]] const std::vector<uint64_t>& clients() const { return clients_; }
  // Once, after the end.
  Result<Identity, Refusal> take_result() { return std::move(*result_); }

 private:
  void tell_all(const std::string& line) {
    for (uint64_t client : clients_) logins_.observer_.login_progress(client, line);
  }
  [[nodiscard]] std::string prompt_line(bool open) const {
    auto gone = std::chrono::floor<std::chrono::seconds>(logins_.services_.now() - prompted_).count();
    JsonWriter line;
    line.set("event", "prompt").set("issuer", record_.name);
    line.set("verification_uri", prompt_->verification_uri);
    if (!prompt_->verification_uri_complete.empty()) {
      line.set("verification_uri_complete", prompt_->verification_uri_complete);
    }
    if (!prompt_->user_code.empty()) line.set("user_code", prompt_->user_code);
    if (open) line.set("open", true);
    line.set("expires_in", std::max<int64_t>(0, prompt_->expires_in - gone));
    return line.text();
  }

  Logins& logins_;
  LoginRecord record_;
  BindingRequest binding_;
  std::unique_ptr<TokenFlow> flow_;
  std::vector<uint64_t> clients_;
  std::optional<uint64_t> opener_;  // the client that opens the browser
  std::optional<LoginPrompt> prompt_;
  Deadline prompted_;
  std::optional<Result<Identity, Refusal>> result_;
};

Logins::Logins(MakeFlow make_flow, FlowServices& services, LoginObserver& observer)
    : make_flow_(std::move(make_flow)), services_(services), observer_(observer) {}

Logins::~Logins() = default;

void Logins::join(const LoginRecord& record, uint64_t client, Wish wish) {
  auto [it, is_new] = active_.try_emplace(record.name);
  if (is_new) {
    log_info("login at issuer " + record.name + " begins");
    it->second = std::make_unique<Active>(*this, record);
  }
  it->second->join(client);
  if (is_new) it->second->start(client, wish);
}

void Logins::leave(uint64_t client) {
  std::erase_if(active_, [&](const auto& entry) {
    if (!entry.second->leave(client)) return false;
    log_info("login at issuer " + entry.first + " is cancelled: nobody waits for it any more");
    return true;
  });
}

void Logins::cancel(const std::string& issuer_name, const Refusal& refusal) {
  auto active = active_.extract(issuer_name);
  if (active) observer_.login_failed(issuer_name, refusal, active.mapped()->clients());
}

std::vector<std::string> Logins::issuers() const {
  std::vector<std::string> names;
  for (const auto& [name, active] : active_) names.push_back(name);
  return names;
}

void Logins::add(std::vector<pollfd>& polled) const {
  for (const auto& [name, active] : active_) {
    if (!active->ended()) active->flow().add(polled);
  }
}

Deadline Logins::deadline() const {
  Deadline soonest = Deadline::max();
  for (const auto& [name, active] : active_) {
    if (active->ended()) return Deadline::min();
    soonest = std::min(soonest, active->flow().deadline());
  }
  return soonest;
}

void Logins::handle(const std::vector<pollfd>& polled) {
  for (const auto& [name, active] : active_) {
    if (!active->ended()) active->flow().event(polled);
  }
  settle();
}

// The observer may join and cancel logins, so each one is taken out before it is told.
void Logins::settle() {
  for (;;) {
    auto ended =
        std::find_if(active_.begin(), active_.end(), [](const auto& entry) { return entry.second->ended(); });
    if (ended == active_.end()) return;
    auto node = active_.extract(ended);
    Active& active = *node.mapped();
    auto identity = active.take_result();
    if (identity) {
      observer_.login_succeeded(std::move(*identity), active.clients());
    } else {
      observer_.login_failed(node.key(), identity.error(), active.clients());
    }
  }
}

}  // namespace qf
