// SPDX-License-Identifier: Apache-2.0
// A token from this machine's own issuer (qf-tokend --machine-issuer), over its socket: no person, no
// network. The issuer's process must be root's or our own user's.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "libqf/token_flow.h"

namespace qf {

class MachineFlow final : public TokenFlow {
 public:
  // `sockets`: tried in this order.
  MachineFlow(LoginRecord record, std::string nonce, std::vector<std::string> sockets, FlowServices& services,
              FlowListener& listener)
      : record_(std::move(record)),
        nonce_(std::move(nonce)),
        sockets_(std::move(sockets)),
        services_(services),
        listener_(listener) {}

  void start() override;
  [[nodiscard]] Deadline deadline() const override { return deadline_; }
  void add(std::vector<pollfd>& polled) const override;
  void event(const std::vector<pollfd>& polled) override;

 private:
  Status open();
  void write();
  void read();
  void finish(Result<TokenGrant, Refusal> result);
  void fail(const std::string& what, const std::string& hint = "");

  LoginRecord record_;
  std::string nonce_;
  std::vector<std::string> sockets_;
  FlowServices& services_;
  FlowListener& listener_;
  Fd fd_;
  std::string out_, in_;
  Deadline deadline_ = Deadline::max();
  bool done_ = false;
};

}  // namespace qf
