// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/token_cache.h"

#include <algorithm>
#include <limits>

namespace qf {

namespace {

constexpr int64_t kRefreshShare = 4;  // with less than one of so many parts of its life left, it is refreshed

}  // namespace

void TokenCache::put(Identity identity, CacheTime now) {
  std::string name = identity.issuer_name;
  entries_.insert_or_assign(name, Entry{std::move(identity), now.steady});
}

void TokenCache::renew(Identity identity, CacheTime now) {
  auto found = entries_.find(identity.issuer_name);
  if (found == entries_.end()) return;
  found->second.identity = std::move(identity);
  found->second.failure.clear();
  found->second.refresh_ahead = now.steady + kRefreshPause;
}

void TokenCache::refresh_failed(const std::string& issuer_name, bool for_good, const std::string& why,
                                CacheTime now) {
  auto found = entries_.find(issuer_name);
  if (found == entries_.end()) return;
  if (for_good) found->second.identity.refresh_token = Secret();
  found->second.failure = why;
  found->second.refresh_again = now.steady + kRefreshPause;
}

std::string TokenCache::failure(const std::string& issuer_name) const {
  const Entry* found = entry(issuer_name);
  return found == nullptr ? "" : found->failure;
}

bool TokenCache::reconcile(const LoginRecord& record) {
  auto found = entries_.find(record.name);
  if (found == entries_.end()) return false;
  Identity& identity = found->second.identity;
  const LoginRecord& before = identity.record;
  bool same = before.issuer == record.issuer && before.client_id == record.client_id &&
              before.audiences == record.audiences && before.access_token == record.access_token &&
              before.resource == record.resource && before.flow == record.flow;
  if (!same) return false;
  identity.max_token_age = record.max_token_age;
  identity.record = record;
  return true;
}

const TokenCache::Entry* TokenCache::entry(const std::string& issuer_name) const {
  auto found = entries_.find(issuer_name);
  return found == entries_.end() ? nullptr : &found->second;
}

int64_t TokenCache::login_left(const Entry& entry, CacheTime now, int64_t ttl) {
  using std::chrono::seconds;
  return std::max<int64_t>(0, ttl - std::chrono::floor<seconds>(now.steady - entry.logged_in).count());
}

int64_t TokenCache::usable_left(const Entry& entry, CacheTime now, int64_t ttl) {
  int64_t of_token = entry.identity.good_until() - kLeastTokenLife - now.wall;
  return std::max<int64_t>(0, std::min(login_left(entry, now, ttl), of_token));
}

int64_t TokenCache::left(const Entry& entry, CacheTime now, int64_t ttl) {
  return entry.identity.refresh_token.empty() ? usable_left(entry, now, ttl) : login_left(entry, now, ttl);
}

const Identity* TokenCache::find(const std::string& issuer_name, CacheTime now, int64_t ttl) const {
  const Entry* found = entry(issuer_name);
  return found == nullptr || usable_left(*found, now, ttl) == 0 ? nullptr : &found->identity;
}

const Identity* TokenCache::refreshable(const std::string& issuer_name, CacheTime now, int64_t ttl) const {
  const Entry* found = entry(issuer_name);
  if (found == nullptr || found->identity.refresh_token.empty()) return nullptr;
  if (login_left(*found, now, ttl) == 0 || now.steady < found->refresh_again) return nullptr;
  return &found->identity;
}

bool TokenCache::grows_old(const std::string& issuer_name, CacheTime now, int64_t ttl) const {
  const Entry* found = entry(issuer_name);
  if (found == nullptr || now.steady < found->refresh_ahead) return false;
  int64_t life = found->identity.good_until() - found->identity.issued_at;
  int64_t rest = found->identity.good_until() - kLeastTokenLife - now.wall;
  return usable_left(*found, now, ttl) > 0 && rest < life / kRefreshShare;
}

const Identity* TokenCache::kept(const std::string& issuer_name) const {
  const Entry* found = entry(issuer_name);
  return found == nullptr ? nullptr : &found->identity;
}

int64_t TokenCache::seconds_left(const std::string& issuer_name, CacheTime now, int64_t ttl) const {
  const Entry* found = entry(issuer_name);
  return found == nullptr ? 0 : left(*found, now, ttl);
}

std::vector<std::string> TokenCache::issuers() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

int64_t TokenCache::first_expiry(CacheTime now, int64_t ttl) const {
  int64_t first = std::numeric_limits<int64_t>::max();
  for (const auto& [name, entry] : entries_) first = std::min(first, left(entry, now, ttl));
  return first;
}

std::vector<std::string> TokenCache::expire(CacheTime now, int64_t ttl) {
  std::vector<std::string> names;
  std::erase_if(entries_, [&](const auto& entry) {
    if (left(entry.second, now, ttl) > 0) return false;
    names.push_back(entry.first);
    return true;
  });
  return names;
}

}  // namespace qf
