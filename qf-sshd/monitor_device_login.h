// SPDX-License-Identifier: Apache-2.0
// The monitor's part in a device login (RFC 8628) over keyboard-interactive (RFC 4256): which issuer, the
// code for the person, the wait. One at a time; what is said out of turn is a fault of who says it. Knows
// nothing of tokens: the one that comes is for the caller to verify.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "libqf/policy_db.h"
#include "libqf/secret.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/messages.h"

namespace qf {

class DeviceLogin {
 public:
  // What the person is told, so that a login that somebody else has started can be recognised.
  struct Place {
    std::string peer;
    std::string source;  // address
    unsigned grace = 0;  // seconds that there are for it
  };
  struct Issuer {
    std::string name, url;
    ServerLogin client;
    std::optional<std::string> ca_file;
    std::vector<std::string> others;  // the other issuers of the document, by their URL
  };
  enum class Do {
    kAsk,    // instruction and prompt are for the client
    kStart,  // `start` is for the listener; nothing for the client yet
    kWait,   // nothing yet; `text`, when not empty, is a banner
    kCheck,  // `token` is to be verified
    kFail,   // `text` says why
    kFault,  // it was not asked for
  };
  struct Step {
    Do what = Do::kFault;
    std::string instruction, prompt;
    std::string text, hint;
    std::optional<DeviceLoginStart> start;
    Secret token;
  };

  explicit DeviceLogin(Place place) : place_(std::move(place)) {}

  // `issuers`: of those that have a login for servers, at least one.
  [[nodiscard]] Step begin(std::vector<Issuer> issuers, const std::string& os_user);
  [[nodiscard]] Step answer(const std::string& text);
  [[nodiscard]] Step prompt(const DeviceLoginPrompt& prompt);
  [[nodiscard]] Step end(DeviceLoginEnd& end);  // wipes its token
  // A reply to the client is owed.
  [[nodiscard]] bool owes() const { return state_ == State::kAuthorizing || state_ == State::kWaiting; }
  // keyfetch or the listener has it in hand.
  [[nodiscard]] bool under_way() const { return owes() || (state_ == State::kAsked && !ended_); }
  // Somebody was asked for something, or is about to be.
  [[nodiscard]] bool begun() const { return state_ != State::kIdle; }
  [[nodiscard]] const std::string& os_user() const { return os_user_; }
  [[nodiscard]] const Issuer& issuer() const { return issuers_[chosen_]; }

 private:
  enum class State { kIdle, kChoosing, kAuthorizing, kAsked, kWaiting, kOver };
  [[nodiscard]] Step choose();
  [[nodiscard]] Step start(size_t issuer);
  [[nodiscard]] Step ask();
  [[nodiscard]] Step finish();

  Place place_;
  State state_ = State::kIdle;
  std::vector<Issuer> issuers_;
  size_t chosen_ = 0;
  std::string os_user_;
  DeviceLoginPrompt code_;
  bool ended_ = false;  // it has come, while the person reads
  Secret token_;
  std::string error_, hint_;
};

}  // namespace qf
