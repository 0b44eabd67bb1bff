// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/token_cache.h"

#include <algorithm>
#include <limits>

namespace qf {

void TokenCache::put(Identity identity, CacheTime now) {
  std::string name = identity.issuer_name;
  entries_.insert_or_assign(name, Entry{std::move(identity), now.steady});
}

int64_t TokenCache::left(const Entry& entry, CacheTime now, int64_t ttl) {
  using std::chrono::seconds;
  int64_t of_ttl = ttl - std::chrono::floor<seconds>(now.steady - entry.logged_in).count();
  int64_t of_token = entry.identity.good_until() - kLeastTokenLife - now.wall;
  return std::max<int64_t>(0, std::min(of_ttl, of_token));
}

const Identity* TokenCache::find(const std::string& issuer_name, CacheTime now, int64_t ttl) const {
  auto it = entries_.find(issuer_name);
  if (it == entries_.end() || left(it->second, now, ttl) == 0) return nullptr;
  return &it->second.identity;
}

int64_t TokenCache::seconds_left(const std::string& issuer_name, CacheTime now, int64_t ttl) const {
  auto it = entries_.find(issuer_name);
  return it == entries_.end() ? 0 : left(it->second, now, ttl);
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
