// SPDX-License-Identifier: Apache-2.0
// The logins that are kept, one per issuer. A login is good for the TTL; its token for as long as the peers
// take it, and then it can be refreshed where the provider gave a refresh token. A TTL of 0 keeps nothing.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libqf/fd.h"
#include "qf-tokend/identity.h"

namespace qf {

struct CacheTime {
  // For the TTL: neither a change of the wall clock nor a laptop that sleeps must stretch it
  // (CLOCK_BOOTTIME).
  Deadline steady;
  int64_t wall = 0;  // for what is in the token, seconds since the epoch
};

class TokenCache {
 public:
  // From one refresh to the next, unless one that succeeded is needed again before.
  static constexpr auto kRefreshPause = std::chrono::seconds(30);

  void put(Identity identity, CacheTime now);
  // What a refresh brought: the login is as old as it was. Dropped when the login is gone meanwhile.
  void renew(Identity identity, CacheTime now);
  // A refresh failed: `for_good` when the provider will give nothing for this refresh token any more.
  void refresh_failed(const std::string& issuer_name, bool for_good, const std::string& why, CacheTime now);
  // Why the last refresh of a login that is kept failed; empty: it did not.
  [[nodiscard]] std::string failure(const std::string& issuer_name) const;

  // Takes over what the document says of the issuer now; false when it is no longer the one, or not for the
  // same client and audiences, that the login was made for.
  bool reconcile(const LoginRecord& record);

  // The login, while its token is usable; `ttl` in seconds, as it is now.
  [[nodiscard]] const Identity* find(const std::string& issuer_name, CacheTime now, int64_t ttl) const;
  // The login, usable or not, when a refresh could make it usable again: it is within the TTL, has a refresh
  // token, and the last try did not fail just now.
  [[nodiscard]] const Identity* refreshable(const std::string& issuer_name, CacheTime now, int64_t ttl) const;
  // It is still usable, but less than a quarter of its usable life is left, and the last refresh was not just
  // now: a provider may give tokens that are old already.
  [[nodiscard]] bool grows_old(const std::string& issuer_name, CacheTime now, int64_t ttl) const;
  // The login as it is kept, whatever its state.
  [[nodiscard]] const Identity* kept(const std::string& issuer_name) const;
  // Seconds that no new login will be needed, as far as we know.
  [[nodiscard]] int64_t seconds_left(const std::string& issuer_name, CacheTime now, int64_t ttl) const;
  // Drops what is of no use any more and names its issuers.
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
    // when it may be refreshed again: because it must, because it grows old
    Deadline refresh_again = Deadline::min();
    Deadline refresh_ahead = Deadline::min();
    std::string failure{};
  };
  [[nodiscard]] const Entry* entry(const std::string& issuer_name) const;
  static int64_t login_left(const Entry& entry, CacheTime now, int64_t ttl);
  static int64_t usable_left(const Entry& entry, CacheTime now, int64_t ttl);
  static int64_t left(const Entry& entry, CacheTime now, int64_t ttl);
  std::map<std::string, Entry> entries_;
};

}  // namespace qf
