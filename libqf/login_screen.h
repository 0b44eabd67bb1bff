// SPDX-License-Identifier: Apache-2.0
// What a person sees of a login that goes on in qf-tokend: the events of qf-tokend-protocol(7) as text on the
// terminal, the browser opened, a QR code to open the page on a phone, a countdown.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/child.h"
#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/terminal.h"

namespace qf {

// Rows of a QR code (ISO/IEC 18004) for a UTF-8 terminal with light letters on dark: two modules in each
// character, a quiet zone around. Empty when the text is too long for one.
[[nodiscard]] std::vector<std::string> qr_code(const std::string& text);

class LoginScreen {
 public:
  // `name`: put before each text, "qf-proxy: "; may be empty.
  LoginScreen(const Terminal& terminal, std::string name) : terminal_(terminal), name_(std::move(name)) {}
  ~LoginScreen();
  LoginScreen(const LoginScreen&) = delete;
  LoginScreen& operator=(const LoginScreen&) = delete;

  // An event of qf-tokend; unknown ones are ignored.
  void show(const cJSON* event);
  // Whether a person was asked to log in.
  [[nodiscard]] bool prompted() const { return prompted_; }
  // When tick() has to be called for the countdown; Deadline::max() when there is none.
  [[nodiscard]] Deadline next_tick() const { return next_tick_; }
  void tick();
  // Takes the countdown away: before anything else is written.
  void clear();

 private:
  void show_prompt(const cJSON* event);
  void show_code(const std::string& url);

  const Terminal& terminal_;
  std::string name_;
  bool prompted_ = false;
  Deadline expires_ = Deadline::max();
  Deadline next_tick_ = Deadline::max();
  std::optional<Child> browser_;
};

}  // namespace qf
