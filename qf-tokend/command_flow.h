// SPDX-License-Identifier: Apache-2.0
// A token that something else provides: a command whose output it is, or a file, as CI systems and Kubernetes
// have them. Both are run or read anew each time, as a child process, so that neither a slow program nor a
// dead file system holds up the daemon.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libqf/child.h"
#include "libqf/token_flow.h"

namespace qf {

class CommandFlow final : public TokenFlow {
 public:
  static constexpr auto kTime = std::chrono::seconds(30);

  CommandFlow(LoginRecord record, FlowRequest request, FlowServices& services, FlowListener& listener)
      : record_(std::move(record)), request_(std::move(request)), services_(services), listener_(listener) {}
  ~CommandFlow() override;
  CommandFlow(const CommandFlow&) = delete;
  CommandFlow& operator=(const CommandFlow&) = delete;

  void start() override;
  [[nodiscard]] Deadline deadline() const override { return done_ ? Deadline::max() : deadline_; }
  void add(std::vector<pollfd>& polled) const override;
  void event(const std::vector<pollfd>& polled) override;

 private:
  [[nodiscard]] Result<std::vector<std::string>> arguments() const;
  [[nodiscard]] Status spawn(const std::vector<std::string>& arguments);
  // Takes what a pipe has; the pipe is closed at its end, or when it holds too much.
  void drain(Fd& pipe, std::string& into, size_t most);
  void ended();
  void failed(int wait_status);
  [[nodiscard]] std::string complaint() const;  // ": " and the last line of its standard error; may be empty
  void stop_command();
  void fail(const std::string& what);
  void finish(Result<TokenGrant, Refusal> result);
  [[nodiscard]] std::string what() const;  // for messages

  LoginRecord record_;
  FlowRequest request_;
  FlowServices& services_;
  FlowListener& listener_;
  std::optional<Child> child_;
  Fd out_, err_;
  std::string printed_, complaint_;
  bool too_long_ = false;
  Deadline deadline_ = Deadline::max();
  bool done_ = false;
};

}  // namespace qf
