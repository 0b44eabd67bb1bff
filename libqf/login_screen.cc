// SPDX-License-Identifier: Apache-2.0
#include "libqf/login_screen.h"

#include <qrencode.h>

#include <chrono>
#include <memory>

#include "libqf/browser.h"
#include "libqf/log.h"

namespace qf {

namespace {

constexpr int kQuietZone = 2;           // modules; the standard wants 4, readers take 2
constexpr int kRowsOfText = 5;          // that should stay visible beside a QR code
constexpr size_t kMostCodeBytes = 512;  // of a text that still gives a code that a phone can read

struct FreeCode {
  void operator()(QRcode* code) const { ::QRcode_free(code); }
};

std::string text_member(const cJSON* event, const char* key) {
  return printable(json_string(event, key).value_or(""));
}

// Characters for (upper module dark, lower module dark); the terminal's letters are light.
const char* half_blocks(bool upper_dark, bool lower_dark) {
  if (upper_dark && lower_dark) return " ";
  if (upper_dark) return "\u2584";
  return lower_dark ? "\u2580" : "\u2588";
}

std::string countdown_text(Deadline expires) {
  auto left = std::chrono::ceil<std::chrono::seconds>(expires - Clock::now()).count();
  std::string seconds = std::to_string(left % 60);
  return "waiting for the login, " + std::to_string(left / 60) + ":" + (seconds.size() < 2 ? "0" : "") +
         seconds + " left; Ctrl-C gives up";
}

}  // namespace

std::vector<std::string> qr_code(const std::string& text) {
  if (text.empty() || text.size() > kMostCodeBytes) return {};
  std::unique_ptr<QRcode, FreeCode> code(
      ::QRcode_encodeString8bit(text.c_str(), 0, QR_ECLEVEL_L));  // 0: the smallest version that holds it
  if (!code) return {};
  auto dark = [&](int row, int column) {
    bool inside = row >= 0 && column >= 0 && row < code->width && column < code->width;
    return inside && (code->data[row * code->width + column] & 1) != 0;
  };
  std::vector<std::string> rows;
  for (int row = -kQuietZone; row < code->width + kQuietZone; row += 2) {
    std::string line;
    for (int column = -kQuietZone; column < code->width + kQuietZone; ++column) {
      line += half_blocks(dark(row, column), dark(row + 1, column));
    }
    rows.push_back(std::move(line));
  }
  return rows;
}

LoginScreen::~LoginScreen() {
  clear();
  // a browser may be the program itself: it stays
  if (browser_ && !browser_->wait(Clock::now())) browser_->leave();
}

void LoginScreen::show(const cJSON* event) {
  std::string kind = json_string(event, "event").value_or("");
  if (kind == "prompt") return show_prompt(event);
  if (kind == "approved") {
    clear();
    next_tick_ = Deadline::max();
    return terminal_.show(name_ + "the login at " + text_member(event, "issuer") + " was approved, you are " +
                          text_member(event, "subject"));
  }
  if (kind != "notice") return;
  clear();
  terminal_.show(name_ + text_member(event, "message"));
}

void LoginScreen::show_prompt(const cJSON* event) {
  clear();
  prompted_ = true;
  std::string issuer = text_member(event, "issuer"), code = text_member(event, "user_code");
  std::string url = text_member(event, "verification_uri");
  std::string to_log_in = "to log in" + (issuer.empty() ? "" : " at " + issuer);
  if (code.empty()) {
    if (json_bool(event, "open").value_or(false)) {
      auto opened = open_browser(url);
      if (opened) browser_ = std::move(*opened);
      terminal_.show(
          name_ +
          (opened ? "a browser opens " : "no browser could be opened (" + opened.error().text() + ") ") +
          to_log_in);
    }
    terminal_.show(name_ + to_log_in + ", open in a browser of this machine\n" + url);
  } else {
    terminal_.show(name_ + to_log_in + ", open " + url + " and enter the code " + code);
    std::string complete = text_member(event, "verification_uri_complete");
    if (!complete.empty()) terminal_.show("or open " + complete);
    show_code(complete);
  }
  auto seconds = json_integer(event, "expires_in").value_or(0);
  if (seconds <= 0 || !terminal_.can_rewrite()) return;
  expires_ = Clock::now() + std::chrono::seconds(seconds);
  tick();
}

void LoginScreen::show_code(const std::string& url) {
  if (!terminal_.is_utf8()) return;
  auto rows = qr_code(url);
  auto size = terminal_.size();
  // each row has as many characters as there are rows of modules, which is twice the rows of text
  bool fits = !rows.empty() && 2 * static_cast<int>(rows.size()) <= size.columns &&
              static_cast<int>(rows.size()) + kRowsOfText <= size.rows;
  if (!fits) return;
  std::string text;
  for (const auto& row : rows) text += (text.empty() ? "" : "\n") + row;
  terminal_.show(text);
}

void LoginScreen::tick() {
  if (Clock::now() >= expires_) return clear();
  terminal_.rewrite(name_ + countdown_text(expires_));
  next_tick_ = Clock::now() + std::chrono::seconds(1);
}

void LoginScreen::clear() {
  if (next_tick_ == Deadline::max()) return;
  terminal_.rewrite("");
  // what is written next stands in its place; the countdown goes on below it
  if (Clock::now() >= expires_) next_tick_ = Deadline::max();
}

}  // namespace qf
