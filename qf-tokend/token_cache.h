// SPDX-License-Identifier: Apache-2.0
// The tokens that are kept, one per issuer. A login is good for the TTL, and never longer than its token is
// taken by the peers. A TTL of 0 keeps nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libqf/fd.h"
#include "qf-tokend/identity.h"

namespace qf {

struct CacheTime {
  Deadline steady;   // for the TTL: a change of the wall clock must not stretch it
  int64_t wall = 0;  // for what is in the token, seconds since the epoch
};

class TokenCache {
 public:
  void put(Identity identity, CacheTime now);
  // Nothing when there is none or it is no longer good. `ttl` in seconds, as it is now.
  [[nodiscard]] const Identity* find(const std::string& issuer_name, CacheTime now, int64_t ttl) const;
  // Seconds that find() will go on answering; 0 when it does not.
  [[nodiscard]] int64_t seconds_left(const std::string& issuer_name, CacheTime now, int64_t ttl) const;
  // Drops what is no longer good and names its issuers.
  std::vector<std::string> expire(CacheTime now, int64_t ttl);
  bool drop(const std::string& issuer_name) { return entries_.erase(issuer_name) != 0; }
  [[nodiscard]] std::vector<std::string> issuers() const;
  // Seconds until expire() has something to do; the cache is not empty.
  [[nodiscard]] int64_t first_expiry(CacheTime now, int64_t ttl) const;
  [[nodiscard]] bool empty() const { return entries_.empty(); }

 private:
  struct Entry {
    Identity identity;
    Deadline logged_in;
  };
  static int64_t left(const Entry& entry, CacheTime now, int64_t ttl);
  std::map<std::string, Entry> entries_;
};

}  // namespace qf
