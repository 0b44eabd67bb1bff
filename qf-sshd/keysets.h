// SPDX-License-Identifier: Apache-2.0
// The key sets that the listener holds: fetched by keyfetch, checked here, kept on disk (STATE/keysets), so
// that a dead provider does not lock everyone out. A set is refreshed before its HTTP lifetime ends and not
// used beyond kHardLimit.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/jwk.h"
#include "libqf/policy_db.h"
#include "libqf/result.h"

namespace qf {

inline constexpr int64_t kKeySetHardLimit = 24 * 3600;   // seconds since the fetch
inline constexpr int64_t kKeySetDefaultLifetime = 3600;  // seconds, when HTTP says nothing
inline constexpr int64_t kKeySetLeastLifetime = 60;      // seconds, whatever HTTP says
inline constexpr int64_t kKeySetRetry = 30;  // seconds between fetches of one issuer asked for by logins

// A key set with at least one key that we can use; why others are left out is logged, for who wants to know.
[[nodiscard]] Result<KeySet> parse_usable_keys(const std::string& name, std::string_view json);

// Whether both entries say that the keys come from the same place.
[[nodiscard]] bool same_key_source(const IssuerRecord& a, const IssuerRecord& b);

class KeySetStore {
 public:
  explicit KeySetStore(std::string folder) : folder_(std::move(folder)) {}

  // Takes up the issuers of a new policy: inline sets are parsed, kept ones are read from disk, others
  // forgotten. Problems are logged. `now` in seconds since the epoch, everywhere.
  void configure(const std::vector<IssuerRecord>& issuers, int64_t now);
  // What keyfetch brought. True when the set differs from the one before. An error changes nothing: the
  // caller says fetch_failed().
  [[nodiscard]] Result<bool> store(const std::string& issuer, const std::string& json, int64_t lifetime,
                                   int64_t now);
  void fetch_failed(const std::string& issuer, const std::string& error, int64_t now);
  // Null: none, too old to be used, or that of another entry: a document may have given the name to other
  // keys.
  [[nodiscard]] const KeySet* find(const IssuerRecord& issuer, int64_t now) const;
  [[nodiscard]] std::string json(const std::string& issuer) const;  // empty: none
  // Issuers whose set should be fetched now; they count as asked for.
  [[nodiscard]] std::vector<IssuerRecord> due(int64_t now);
  // A login wants fresh keys: the issuer to fetch, or nothing when it was tried a moment ago or its set is
  // inline.
  [[nodiscard]] std::optional<IssuerRecord> want(const std::string& issuer, int64_t now);
  // A fetch is under way: who wants its result may wait for it (store() or fetch_failed() will come).
  [[nodiscard]] bool pending(const std::string& issuer, int64_t now) const;
  // How old each fetched set is, for whoever watches.
  struct Age {
    std::string issuer;
    std::optional<int64_t> seconds;  // none: never fetched
    bool usable = false;
    int failures = 0;  // of fetches in a row, 16 at most
  };
  [[nodiscard]] std::vector<Age> ages(int64_t now) const;
  // Seconds until due() has something again.
  [[nodiscard]] int64_t next_due(int64_t now) const;

 private:
  struct Entry {
    IssuerRecord issuer;
    std::string json;
    KeySet keys;
    int64_t fetched = 0;  // seconds since the epoch; 0: never
    int64_t refresh = 0;  // when to fetch again
    int64_t asked = 0;    // when the fetch under way was asked for; 0: none is
    int64_t wanted = 0;   // when a login last caused a fetch; 0: never
    int failures = 0;
  };
  void load(Entry& entry, int64_t now);
  void keep(const Entry& entry, int64_t lifetime);
  [[nodiscard]] static const KeySet* usable(const Entry& entry, int64_t now);
  [[nodiscard]] static bool under_way(const Entry& entry, int64_t now);
  [[nodiscard]] static int64_t due_at(const Entry& entry, int64_t now);
  std::string folder_;
  std::map<std::string, Entry> entries_;
};

}  // namespace qf
