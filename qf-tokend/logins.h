// SPDX-License-Identifier: Apache-2.0
// The logins that are going on: at most one for each issuer, however many clients wait for it. All of them
// get its prompt and its result; one that goes away leaves it, and when nobody waits any more it is
// cancelled.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "libqf/token_flow.h"
#include "qf-tokend/identity.h"

namespace qf {

class LoginObserver {
 public:
  virtual ~LoginObserver() = default;
  // A line of progress (qf-tokend-protocol(7)) for a client that waits.
  virtual void login_progress(uint64_t client, const std::string& line) = 0;
  virtual void login_succeeded(Identity identity, const std::vector<uint64_t>& clients) = 0;
  virtual void login_failed(const std::string& issuer_name, const Refusal& refusal,
                            const std::vector<uint64_t>& clients) = 0;
};

class Logins {
 public:
  // The flow that this issuer's entry asks for.
  using MakeFlow = std::function<std::unique_ptr<TokenFlow>(const LoginRecord& record, FlowRequest request,
                                                            FlowListener& listener)>;

  Logins(MakeFlow make_flow, FlowServices& services, LoginObserver& observer);
  ~Logins();
  Logins(const Logins&) = delete;
  Logins& operator=(const Logins&) = delete;

  // How a client wants the login, if it is the one that begins it.
  struct Wish {
    bool browser = false;  // it can open one for the person
    bool refresh = false;  // see FlowRequest
  };
  // The client waits for a login at this issuer, one that is going on or a new one.
  void join(const LoginRecord& record, uint64_t client, Wish wish);
  void leave(uint64_t client);
  void cancel(const std::string& issuer_name, const Refusal& refusal);
  [[nodiscard]] bool going_on(const std::string& issuer_name) const { return active_.contains(issuer_name); }

  [[nodiscard]] std::vector<std::string> issuers() const;

  void add(std::vector<pollfd>& polled) const;
  [[nodiscard]] Deadline deadline() const;
  // Runs the flows, then tells the observer of those that have ended.
  void handle(const std::vector<pollfd>& polled);

 private:
  class Active;
  using ActiveMap = std::map<std::string, std::unique_ptr<Active>>;
  void settle();

  MakeFlow make_flow_;
  FlowServices& services_;
  LoginObserver& observer_;
  ActiveMap active_;  // by issuer name
};

}  // namespace qf
