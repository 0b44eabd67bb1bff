// SPDX-License-Identifier: Apache-2.0
// What etcd's JSON gateway (API v3, etcd 3.4 and later) is told and answers: keys and values in base64,
// 64-bit numbers as strings, and whatever is 0, false or empty left out. All of it is a stranger's: a text
// that is not exactly of this form is kPeer. Keys are as etcd has them, prefix included.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/result.h"

namespace qf {

inline constexpr const char* kEtcdRangePath = "/v3/kv/range";
inline constexpr const char* kEtcdTxnPath = "/v3/kv/txn";
inline constexpr const char* kEtcdWatchPath = "/v3/watch";
inline constexpr const char* kEtcdLoginPath = "/v3/auth/authenticate";

// All keys that begin with "PREFIX/" are from the first to before the second.
struct EtcdKeys {
  std::string first, end;
  [[nodiscard]] static EtcdKeys under(const std::string& prefix) { return {prefix + "/", prefix + "0"}; }
};

// At most `limit` keys from `from` on, as they were at that revision (0: now, by the majority of members).
[[nodiscard]] std::string etcd_range_text(const std::string& from, const EtcdKeys& keys, uint64_t limit,
                                          uint64_t revision);
// No more than whether the member answers and which revision the store has.
[[nodiscard]] std::string etcd_probe_text(const EtcdKeys& keys);
[[nodiscard]] std::string etcd_watch_text(const EtcdKeys& keys, uint64_t from_revision);
[[nodiscard]] std::string etcd_login_text(const std::string& user, const std::string& password);
// Puts and deletes, if no key was changed after that revision.
[[nodiscard]] std::string etcd_txn_text(const EtcdKeys& keys, uint64_t revision,
                                        const std::map<std::string, std::string>& puts,
                                        const std::vector<std::string>& deletes);

struct EtcdHeader {
  std::string cluster;  // its number, a store that was made anew has another
  uint64_t revision = 0;
};

struct EtcdRange {
  EtcdHeader header;
  std::vector<std::pair<std::string, std::string>> pairs;  // by their keys, each once
  bool more = false;
};
// `most`: keys that were asked for.
[[nodiscard]] Result<EtcdRange> read_etcd_range(std::string_view text, size_t most);

struct EtcdTxn {
  uint64_t revision = 0;
  bool done = false;  // false: the comparison has failed
};
[[nodiscard]] Result<EtcdTxn> read_etcd_txn(std::string_view text);

[[nodiscard]] Result<std::string> read_etcd_token(std::string_view text);

// Codes of gRPC that count here.
enum class EtcdCode : int64_t {
  kInvalid = 3,
  kDenied = 7,
  kPrecondition = 9,
  kOutOfRange = 11,
  kUnavailable = 14,
  kUnauthenticated = 16,
};
struct EtcdFault {
  int64_t code = 0;
  std::string message;  // printable, at most 300 bytes
  [[nodiscard]] bool is(EtcdCode what) const { return code == static_cast<int64_t>(what); }
  [[nodiscard]] bool says(std::string_view words) const { return message.find(words) != std::string::npos; }
};
// What stands in an answer with another status than 200; nothing: it is not etcd's.
[[nodiscard]] std::optional<EtcdFault> read_etcd_fault(std::string_view text);

struct EtcdEvent {
  std::string key;
  std::optional<std::string> value;  // none: deleted
  uint64_t revision = 0;
};
// A line of a watch.
struct EtcdNews {
  EtcdHeader header;
  bool created = false;
  bool canceled = false;
  bool compacted = false;         // canceled, since what it asked for is no more
  std::string reason;             // of the cancelling, printable
  std::vector<EtcdEvent> events;  // of whole revisions
  std::optional<EtcdFault> fault;
};
[[nodiscard]] Result<EtcdNews> read_etcd_news(std::string_view line);

}  // namespace qf
