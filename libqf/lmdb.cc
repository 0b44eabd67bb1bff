// SPDX-License-Identifier: Apache-2.0
#include "libqf/lmdb.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "libqf/fd.h"

namespace qf {

namespace {

Error lmdb_error(const std::string& what, int code) {
  if (code == ENOENT) return not_found(what + ": no such file");
  if (code > 0) return {ErrorKind::kSystem, code, what};
  return {ErrorKind::kSystem, 0, what + ": " + ::mdb_strerror(code)};
}

MDB_val view(std::string_view bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

// What a transaction takes before it is committed: its pages wait in memory until then.
constexpr size_t kMostWaiting = size_t{32} << 20;  // bytes
// Room in the map for what a transaction may write: page headers and gaps double the bytes at worst.
constexpr size_t kRoom = size_t{16} << 20;

// Appends sorted records, in as many transactions as they need. Nobody sees the file before its rename.
class SortedWriter {
 public:
  SortedWriter(MDB_env* env, std::string path) : env_(env), path_(std::move(path)) {}
  SortedWriter(const SortedWriter&) = delete;
  SortedWriter& operator=(const SortedWriter&) = delete;
  ~SortedWriter() { ::mdb_txn_abort(txn_); }

  Status put(std::string_view key, std::string_view value) {
    size_t bytes = key.size() + value.size() + kOverhead;
    if (txn_ != nullptr && waiting_ + bytes > kMostWaiting) {
      if (auto done = commit(); !done) return done;
    }
    if (txn_ == nullptr) {
      if (auto begun = begin(bytes); !begun) return begun;
    }
    waiting_ += bytes;
    MDB_val k = view(key);
    MDB_val v = view(value);
    // records come sorted, so appending keeps pages full and the write linear
    return status(::mdb_put(txn_, dbi_, &k, &v, MDB_APPEND));
  }

  // Also when there was no record: the file is a database all the same.
  Status finish() {
    if (txn_ == nullptr) {
      if (auto begun = begin(0); !begun) return begun;
    }
    return commit();
  }

 private:
  static constexpr size_t kOverhead = 64;  // bytes of a record besides key and value, and more

  Status status(int code) const {
    if (code != 0) return lmdb_error("cannot write " + path_, code);
    return Done{};
  }

  // The map grows with the file, and readers map as much as it was in the end: a bound on the address space,
  // not on the disk.
  Status begin(size_t least) {
    MDB_envinfo info = {};
    MDB_stat stat = {};
    ::mdb_env_info(env_, &info);
    ::mdb_env_stat(env_, &stat);
    size_t used = (info.me_last_pgno + 1) * stat.ms_psize;
    int code = ::mdb_env_set_mapsize(env_, used + kRoom + 2 * std::max(least, kMostWaiting));
    if (code == 0) code = ::mdb_txn_begin(env_, nullptr, 0, &txn_);
    if (code == 0) code = ::mdb_dbi_open(txn_, nullptr, MDB_CREATE, &dbi_);
    return status(code);
  }

  Status commit() {
    waiting_ = 0;
    return status(::mdb_txn_commit(std::exchange(txn_, nullptr)));
  }

  MDB_env* env_;  // borrowed
  std::string path_;
  MDB_txn* txn_ = nullptr;
  MDB_dbi dbi_ = 0;
  size_t waiting_ = 0;  // bytes in the transaction
};

// The bytes that a file has when it is whole, by its newest meta page.
Result<uint64_t> whole_size(MDB_env* env, const std::string& path) {
  MDB_envinfo info = {};
  MDB_stat pages = {};
  if (int code = ::mdb_env_info(env, &info); code != 0) return lmdb_error("cannot read " + path, code);
  if (int code = ::mdb_env_stat(env, &pages); code != 0) return lmdb_error("cannot read " + path, code);
  return (uint64_t{info.me_last_pgno} + 1) * pages.ms_psize;
}

// To read a page behind the end of a file that was cut off ends the process (SIGBUS).
Status check_whole(MDB_env* env, const std::string& path) {
  auto whole = whole_size(env, path);
  if (!whole) return whole.error();
  int fd = -1;
  struct stat file = {};
  if (int code = ::mdb_env_get_fd(env, &fd); code != 0) return lmdb_error("cannot read " + path, code);
  if (::fstat(fd, &file) != 0) return system_error("cannot stat " + path);
  if (static_cast<uint64_t>(file.st_size) >= *whole) return Done{};
  return input_error(path + " is cut off: " + std::to_string(file.st_size) + " bytes of " +
                     std::to_string(*whole));
}

}  // namespace

void LmdbReader::Close::operator()(MDB_env* env) const {
  ::mdb_env_close(env);
}
void LmdbReader::Close::operator()(MDB_txn* txn) const {
  ::mdb_txn_abort(txn);
}

Result<LmdbReader> LmdbReader::open(const std::string& path) {
  LmdbReader reader;
  MDB_env* env = nullptr;
  if (int code = ::mdb_env_create(&env); code != 0) return lmdb_error("cannot open " + path, code);
  reader.env_.reset(env);
  if (int code = ::mdb_env_open(env, path.c_str(), MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK, 0); code != 0) {
    return lmdb_error("cannot open " + path, code);
  }
  if (auto whole = check_whole(env, path); !whole) return whole.error();
  MDB_txn* txn = nullptr;
  if (int code = ::mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn); code != 0)
    return lmdb_error("cannot read " + path, code);
  reader.txn_.reset(txn);
  if (int code = ::mdb_dbi_open(txn, nullptr, 0, &reader.dbi_); code != 0)
    return lmdb_error("cannot read " + path, code);
  return reader;
}

std::optional<std::string_view> LmdbReader::find(std::string_view key) const {
  MDB_val k = view(key);
  MDB_val value = {};
  if (key.empty() || key.size() > 511) return std::nullopt;
  int code = ::mdb_get(txn_.get(), dbi_, &k, &value);
  if (code == MDB_NOTFOUND) return std::nullopt;
  // A damaged page is not "no such record": an empty value is one that no record decodes from.
  if (code != 0) return std::string_view();
  return std::string_view(static_cast<const char*>(value.mv_data), value.mv_size);
}

void LmdbReader::scan(std::string_view prefix,
                      const std::function<void(std::string_view, std::string_view)>& visit) const {
  MDB_cursor* cursor = nullptr;
  if (::mdb_cursor_open(txn_.get(), dbi_, &cursor) != 0) return;
  std::unique_ptr<MDB_cursor, decltype(&::mdb_cursor_close)> owner(cursor, &::mdb_cursor_close);
  MDB_val key = view(prefix);
  MDB_val value = {};
  for (int code = ::mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE); code == 0;
       code = ::mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
    std::string_view name(static_cast<const char*>(key.mv_data), key.mv_size);
    if (!name.starts_with(prefix)) return;
    visit(name.substr(prefix.size()), {static_cast<const char*>(value.mv_data), value.mv_size});
  }
}

Status write_lmdb(const std::string& path, const std::map<std::string, std::string>& records, mode_t mode) {
  auto all = [&](const RecordSink& sink) -> Status {
    for (const auto& [key, value] : records) {
      if (auto put = sink(key, value); !put) return put;
    }
    return Done{};
  };
  return write_sorted_lmdb(path, all, mode);
}

Status write_sorted_lmdb(const std::string& path, const RecordSource& records, mode_t mode) {
  std::string temporary = path + "." + std::to_string(::getpid());
  ::unlink(temporary.c_str());
  MDB_env* env = nullptr;
  if (int code = ::mdb_env_create(&env); code != 0) return lmdb_error("cannot write " + path, code);
  std::unique_ptr<MDB_env, decltype(&::mdb_env_close)> owner(env, &::mdb_env_close);
  auto failed = [&](Error error) {
    ::unlink(temporary.c_str());
    return error;
  };
  int code = ::mdb_env_open(env, temporary.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600);
  if (code != 0) return failed(lmdb_error("cannot write " + temporary, code));
  {
    SortedWriter writer(env, temporary);
    auto done = records([&](std::string_view key, std::string_view value) { return writer.put(key, value); });
    if (done) done = writer.finish();
    if (!done) return failed(done.error());
  }
  auto whole = whole_size(env, temporary);
  if (!whole) return failed(whole.error());
  owner.reset();
  auto file = open_file(temporary, O_RDWR);
  if (!file) return failed(file.error());
  struct stat st = {};
  if (::fstat(file->get(), &st) != 0) return failed(system_error("cannot stat " + temporary));
  // a page at the end that was taken and given back is never written
  if (static_cast<uint64_t>(st.st_size) < *whole && ::ftruncate(file->get(), static_cast<off_t>(*whole)) != 0)
    return failed(system_error("cannot extend " + temporary));
  if (::fchmod(file->get(), mode) != 0) return failed(system_error("cannot set the mode of " + temporary));
  if (::fsync(file->get()) != 0) return failed(system_error("cannot sync " + temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed(system_error("cannot replace " + path));
  return sync_folder_of(path);
}

}  // namespace qf
