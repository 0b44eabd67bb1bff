// SPDX-License-Identifier: Apache-2.0
// LMDB files that are written whole and never changed in place (see design of peers.mdb and policy.mdb):
// readers map a file that nobody touches, so they need no lock and no right to write.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "libqf/codec.h"
#include "libqf/result.h"

struct MDB_env;
struct MDB_txn;

namespace qf {

// The record in what a find(key) has found.
template <class T>
[[nodiscard]] Result<T> read_record(std::optional<std::string_view> found, std::string_view key) {
  if (!found) return not_found("no record " + std::string(key));
  return decode<T>(*found);
}

class LmdbReader {
 public:
  LmdbReader(LmdbReader&&) = default;
  // The old transaction must end before its environment closes.
  LmdbReader& operator=(LmdbReader&& other) noexcept {
    txn_ = std::move(other.txn_);
    env_ = std::move(other.env_);
    dbi_ = other.dbi_;
    return *this;
  }
  // kNotFound when the file is missing.
  [[nodiscard]] static Result<LmdbReader> open(const std::string& path);
  // The value points into the map and lives as long as the reader. Where the file is damaged it is empty,
  // which get() reports as malformed.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view key) const;
  template <class T>
  [[nodiscard]] Result<T> get(std::string_view key) const {
    return read_record<T>(find(key), key);
  }
  // Calls visit(key without prefix, value) for every record of that prefix, in the order of the keys. A
  // damaged page ends it early.
  void scan(std::string_view prefix,
            const std::function<void(std::string_view, std::string_view)>& visit) const;

 private:
  LmdbReader() = default;
  struct Close {
    void operator()(MDB_env* env) const;
    void operator()(MDB_txn* txn) const;
  };
  std::unique_ptr<MDB_env, Close> env_;
  std::unique_ptr<MDB_txn, Close> txn_;
  unsigned int dbi_ = 0;
};

// Gives all records of a database, in the order of their keys (bytes), to the function that it is called
// with, and stops at the first error of that one. So a database of any size is written without being held.
using RecordSink = std::function<Status(std::string_view key, std::string_view value)>;
using RecordSource = std::function<Status(const RecordSink& sink)>;

// Writes all records into a new file and renames it into place. Keys at most 511 bytes (LMDB's limit).
[[nodiscard]] Status write_sorted_lmdb(const std::string& path, const RecordSource& records, mode_t mode);
[[nodiscard]] Status write_lmdb(const std::string& path, const std::map<std::string, std::string>& records,
                                mode_t mode);

}  // namespace qf
