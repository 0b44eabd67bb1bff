// SPDX-License-Identifier: Apache-2.0
// The one wrapper of Linux-PAM. The monitor asks it once a connection, as root: may this OS user log in
// (account), and what does a login set up (session). There is no authentication: the identity is the token's.
//   fails: with what the modules said, or PAM's own words
//   modules: run inside the monitor and may change its limits, mask, niceness, groups and environment; the
//   caller saves and restores those (user_context.cc)
// A build with PAM=no has no PAM: pam_available() is false then.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libqf/result.h"

namespace qf {

inline constexpr const char* kPamService = "qf-sshd";

// Whether this is built with PAM and the service file exists.
[[nodiscard]] bool pam_available();

// What modules may say in one stage; the rest is dropped.
inline constexpr size_t kMostPamText = 16384;

// Text that modules said, a line each, bounded.
class PamText {
 public:
  void add(const char* line);
  [[nodiscard]] std::string take();

 private:
  std::string text_;
};

class PamLogin {
 public:
  // `remote`: the client's address; `connection`: as SSH_CONNECTION has it, for modules that run programs.
  [[nodiscard]] static Result<PamLogin> start(const std::string& user, const std::string& remote,
                                              const std::string& connection);
  PamLogin(PamLogin&& other) noexcept;
  PamLogin& operator=(PamLogin&& other) noexcept;
  // Without close() only memory is freed: that is what a forked child wants.
  ~PamLogin();

  // kRefused with PAM's words. An expired password is no refusal: nobody logs in with it.
  [[nodiscard]] Status judge_account();
  // May add supplementary groups to this process; what fails is only logged, as sshd does.
  void establish_credentials();
  [[nodiscard]] Status open_session();
  // "NAME=value"
  [[nodiscard]] std::vector<std::string> environment() const;
  // What modules have said since the last time.
  [[nodiscard]] std::string take_text();
  // Closes the session and deletes the credentials; once.
  void close();

 private:
  struct State;
  explicit PamLogin(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace qf
