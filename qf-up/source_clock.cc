// SPDX-License-Identifier: Apache-2.0
#include "qf-up/source_clock.h"

#include <algorithm>
#include <random>
#include <utility>

#include "libqf/folders.h"
#include "qf-up/etcd_place.h"
#include "qf-up/machine.h"
#include "qf-up/source.h"

namespace qf {

namespace {

// Chance between 0 and 1, for times that the peers of a fabric must not have in common.
double chance() {
  std::random_device device;
  return std::uniform_real_distribution<double>(0.0, 1.0)(device);
}

}  // namespace

std::optional<std::chrono::milliseconds> SourceClock::delay() {
  auto now = choices();
  if (!now || !has_source(*now)) return std::nullopt;
  int64_t interval = document_interval(*now);
  if (!std::exchange(asked_, true)) {
    constexpr int64_t kMostFirst = 5;  // seconds
    auto most = static_cast<double>(std::min(interval, kMostFirst) * 1000);
    return std::chrono::milliseconds(static_cast<int64_t>(most * chance()));
  }
  auto record = load_source_record(invocation_.folders, now->document);
  if (!is_etcd_url(now->document)) return source_delay(record, interval, chance());
  // it follows the source, so it has ended for a reason that may pass: soon, then seldomer up to the
  // interval
  return std::min(source_delay(record, 1, chance()),
                  std::chrono::milliseconds(std::chrono::seconds(interval)));
}

bool SourceClock::follows() const {
  auto now = choices();
  return now && is_etcd_url(now->document);
}

std::vector<std::string> SourceClock::command() const {
  auto words = folder_arguments(invocation_.folders);
  words.insert(words.begin(), {program_folder() + "/qf-up", "refresh"});
  if (follows()) words.emplace_back("--follow");
  // what was given at the start and is not remembered yet, since no document came into force with it
  if (remembered() != at_start_) return words;
  if (invocation_.self) words.insert(words.end(), {"--self", *invocation_.self});
  if (invocation_.ssh_config_file)
    words.insert(words.end(), {"--ssh-config-file", *invocation_.ssh_config_file});
  if (invocation_.ssh_jwt_cache_ttl)
    words.insert(words.end(), {"--ssh-jwt-cache-ttl", std::to_string(*invocation_.ssh_jwt_cache_ttl)});
  for (const auto& [choice, on] : invocation_.switches)
    words.push_back(std::string("--") + choice->flag + (on ? "=true" : "=false"));
  for (const auto& [choice, value] : invocation_.limits) {
    words.push_back(std::string("--") + choice->flag);
    words.push_back(value);
  }
  return words;
}

std::string SourceClock::remembered() const {
  auto now = load_choices(invocation_.folders);
  return now ? choices_text(*now) : "";
}

std::optional<Choices> SourceClock::choices() const {
  if (remembered() == at_start_) return given_;
  auto now = load_choices(invocation_.folders);
  return now ? std::optional<Choices>(*now) : std::nullopt;
}

}  // namespace qf
