// SPDX-License-Identifier: Apache-2.0
// What qf-up remembers of the place where the fabric document comes from (--document):
//   STATE/document-source.json   0644: how the last turns went, for `qf-up status` and for the next turn
//   STATE/document.kept          0600: the last document of it that was put into force, with its signature
// Both are replaced whole, so a kill or a full disk leaves the old ones.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "libqf/folders.h"
#include "libqf/result.h"
#include "qf-up/document_keys.h"

namespace qf {

struct SourceRecord {
  std::string url;
  std::string hash;  // of the kept document
  std::string etag, last_modified;
  std::string signer;
  int64_t serial = 0;
  int64_t expires = 0;  // seconds since the epoch here and below; 0: never
  int64_t last_attempt = 0, last_success = 0;
  std::string error, hint;  // of the last turn; empty: it went well
  int64_t error_since = 0;
  int64_t failures = 0;     // in a row
  int64_t retry_after = 0;  // seconds that the server asked for
};

[[nodiscard]] std::string source_record_path(const Folders& folders);
// An empty one when there is none, when it is damaged, or when it is of another URL.
[[nodiscard]] SourceRecord load_source_record(const Folders& folders, const std::string& url);
[[nodiscard]] Status save_source_record(const Folders& folders, const SourceRecord& record);

struct KeptDocument {
  std::string text, signature;  // the text is the root, and the signature is of it, where there are parts
  DocumentParts parts{};
  bool operator==(const KeptDocument&) const = default;
};
// kNotFound: none; kInput: damaged.
[[nodiscard]] Result<KeptDocument> load_kept(const Folders& folders);
[[nodiscard]] Status save_kept(const Folders& folders, const KeptDocument& kept);

// The rest of what --document leaves, when there is no source any more.
void forget_source(const Folders& folders);

inline constexpr int64_t kUsualInterval = 60;  // seconds
inline constexpr int64_t kMostBackOff = 900;   // unless the interval is longer
inline constexpr int64_t kMostRetryAfter = 3600;
// Until the next turn: the interval, after failures in a row doubled each time up to kMostBackOff, never less
// than the server asked for (up to kMostRetryAfter). Up to a fifth less by chance (0 to 1), so that the
// peers of a fabric do not come all at once.
[[nodiscard]] std::chrono::milliseconds source_delay(const SourceRecord& record, int64_t interval,
                                                     double chance);

}  // namespace qf
