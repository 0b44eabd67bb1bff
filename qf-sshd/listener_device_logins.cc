// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/listener_device_logins.h"

#include <algorithm>
#include <utility>

#include "libqf/secret.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

void DeviceLogins::forget_old(Deadline now) {
  std::erase_if(logins_,
                [&](const auto& entry) { return entry.second.over && now >= entry.second.counts_until; });
}

void DeviceLogins::start(uint64_t number, const std::string& network, DeviceLoginStart login, Deadline now) {
  forget_old(now);
  login.number = number;
  auto of_source = std::count_if(logins_.begin(), logins_.end(),
                                 [&](const auto& entry) { return entry.second.network == network; });
  const char* why = nullptr;
  if (logins_.contains(number)) {
    why = "this connection has had its login";
  } else if (logins_.size() >= settings_.most_device_logins) {
    why = "too many people are logging in at this peer";
  } else if (static_cast<unsigned>(of_source) >= settings_.most_source_device_logins) {
    why = "too many logins of your source address are waited for";
  } else if (!ways_.start(login)) {
    why = "this peer cannot reach identity providers now";
  }
  if (login.client_secret) wipe(*login.client_secret);
  if (why != nullptr) return ways_.end({number, "", why, "try again in a minute"});
  logins_[number] = {network, now + kDeviceLoginPause, false};
}

void DeviceLogins::give_up(uint64_t number) {
  auto found = logins_.find(number);
  if (found == logins_.end() || std::exchange(found->second.over, true)) return;
  ways_.cancel({number});
}

bool DeviceLogins::hear_keyfetch(const Message& message) {
  if (auto prompt = open_message<DeviceLoginPrompt>(message)) {
    if (waits(prompt->number)) ways_.prompt(*prompt);
    return true;
  }
  auto end = open_message<DeviceLoginEnd>(message);
  if (!end) return false;
  auto found = logins_.find(end->number);
  // one that was given up, and ended in the same moment
  if (found != logins_.end() && !std::exchange(found->second.over, true)) {
    ways_.end(*end);
    // somebody who can log in may do so often
    if (!end->token.empty()) logins_.erase(found);
  }
  wipe(end->token);
  return true;
}

void DeviceLogins::keyfetch_ended() {
  for (auto& [number, login] : logins_) {
    if (!std::exchange(login.over, true))
      ways_.end({number, "", "the process of this peer that logs people in has ended", "try again"});
  }
}

bool DeviceLogins::waits(uint64_t number) const {
  auto found = logins_.find(number);
  return found != logins_.end() && !found->second.over;
}

}  // namespace qf
