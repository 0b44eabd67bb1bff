// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/monitor_device_login.h"

#include <algorithm>
#include <utility>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

// What is shown must fit into an AuthReply.
constexpr size_t kMostListed = 6000;  // bytes, of the issuers to choose from
constexpr size_t kMostUrl = 200;

std::string in_words(unsigned seconds) {
  if (seconds < 120) return std::to_string(seconds) + " seconds";
  return std::to_string(seconds / 60) + " minutes";
}

}  // namespace

DeviceLogin::Step DeviceLogin::begin(std::vector<Issuer> issuers, const std::string& os_user) {
  // a client may ask anew without an answer (RFC 4252 section 5.1); the code that it has is still good
  if (state_ == State::kAsked && os_user == os_user_) return ask();
  if (state_ != State::kIdle && state_ != State::kChoosing) return {};
  issuers_ = std::move(issuers);
  os_user_ = os_user;
  return issuers_.size() == 1 ? start(0) : choose();
}

DeviceLogin::Step DeviceLogin::choose() {
  state_ = State::kChoosing;
  Step step;
  step.what = Do::kAsk;
  step.instruction = place_.peer + " takes logins at:";
  for (size_t i = 0; i < issuers_.size(); ++i) {
    if (step.instruction.size() > kMostListed) {
      step.instruction += "\n  and " + std::to_string(issuers_.size() - i) + " more";
      break;
    }
    std::string url = issuers_[i].url.substr(0, kMostUrl);
    step.instruction += "\n  " + std::to_string(i + 1) + "  " + issuers_[i].name.substr(0, kMostUrl) + " (" +
                        url + (issuers_[i].url.size() > kMostUrl ? "…" : "") + ")";
  }
  step.prompt = "Log in at (1 to " + std::to_string(issuers_.size()) + "): ";
  return step;
}

DeviceLogin::Step DeviceLogin::start(size_t issuer) {
  state_ = State::kAuthorizing;
  chosen_ = issuer;
  const Issuer& at = issuers_[issuer];
  Step step;
  step.what = Do::kStart;
  step.start = DeviceLoginStart{
      0,        at.name, at.url, at.ca_file, at.client.client_id, at.client.client_secret, at.client.scopes,
      at.others};
  if (encode(*step.start).size() <= DeviceLoginStart::kMostBytes) return step;
  error_ = "the fabric document has more issuers, or longer ones, than a login by this peer can take";
  hint_ = "run qf-token login";
  return finish();
}

DeviceLogin::Step DeviceLogin::answer(const std::string& text) {
  if (state_ == State::kChoosing) {
    std::string_view typed = trim(text);
    auto number = parse_number(typed, issuers_.size());
    auto named = std::find_if(issuers_.begin(), issuers_.end(),
                              [&](const Issuer& issuer) { return issuer.name == typed; });
    if (named != issuers_.end()) return start(static_cast<size_t>(named - issuers_.begin()));
    return number && *number > 0 ? start(static_cast<size_t>(*number - 1)) : choose();
  }
  if (state_ != State::kAsked) return {};
  if (ended_) return finish();
  state_ = State::kWaiting;
  Step step;
  step.what = Do::kWait;
  step.text = "waiting for the login at " + code_.verification_uri;
  return step;
}

DeviceLogin::Step DeviceLogin::prompt(const DeviceLoginPrompt& prompt) {
  if (state_ != State::kAuthorizing) return {};
  code_ = prompt;
  return ask();
}

// Clients may hide the instruction (ssh with LogLevel ERROR does), so the prompt alone is enough.
DeviceLogin::Step DeviceLogin::ask() {
  state_ = State::kAsked;
  Step step;
  step.what = Do::kAsk;
  step.instruction = "To log in to " + place_.peer + " as " + printable(os_user_) + ", from " +
                     place_.source + ", open within " + in_words(std::min(code_.expires_in, place_.grace)) +
                     "\n  " + code_.verification_uri + "\nand enter the code\n  " + code_.user_code;
  if (!code_.verification_uri_complete.empty())
    step.instruction += "\nor open\n  " + code_.verification_uri_complete;
  step.instruction += "\nDo so only if you have started this login yourself.";
  step.prompt =
      "Code " + code_.user_code + " at " + code_.verification_uri + " - press Enter when it is allowed: ";
  return step;
}

DeviceLogin::Step DeviceLogin::end(DeviceLoginEnd& end) {
  if (!under_way()) {
    wipe(end.token);
    return {};
  }
  ended_ = true;
  token_ = Secret(end.token);
  wipe(end.token);
  error_ = printable(end.error);
  hint_ = printable(end.hint);
  if (owes()) return finish();
  Step step;  // the client is at its prompt, and hears nothing
  step.what = Do::kWait;
  return step;
}

DeviceLogin::Step DeviceLogin::finish() {
  state_ = State::kOver;
  Step step;
  step.what = token_.empty() ? Do::kFail : Do::kCheck;
  step.text = error_.empty() ? "there is no token" : error_;
  step.hint = hint_;
  step.token = std::move(token_);
  return step;
}

}  // namespace qf
