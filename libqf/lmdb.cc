// SPDX-License-Identifier: Apache-2.0
#include "libqf/lmdb.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

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

Status fill(MDB_env* env, const std::string& path, const std::map<std::string, std::string>& records) {
  MDB_txn* txn = nullptr;
  MDB_dbi dbi = 0;
  if (int code = ::mdb_txn_begin(env, nullptr, 0, &txn); code != 0)
    return lmdb_error("cannot write " + path, code);
  int code = ::mdb_dbi_open(txn, nullptr, MDB_CREATE, &dbi);
  for (auto record = records.begin(); code == 0 && record != records.end(); ++record) {
    MDB_val key = view(record->first);
    MDB_val value = view(record->second);
    // records come sorted, so appending keeps pages full and the write linear
    code = ::mdb_put(txn, dbi, &key, &value, MDB_APPEND);
  }
  if (code != 0) {
    ::mdb_txn_abort(txn);
    return lmdb_error("cannot write " + path, code);
  }
  if (code = ::mdb_txn_commit(txn); code != 0) return lmdb_error("cannot write " + path, code);
  return Done{};
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
  size_t bytes = 0;
  for (const auto& [key, value] : records) bytes += key.size() + value.size() + 64;
  std::string temporary = path + "." + std::to_string(::getpid());
  ::unlink(temporary.c_str());
  MDB_env* env = nullptr;
  if (int code = ::mdb_env_create(&env); code != 0) return lmdb_error("cannot write " + path, code);
  std::unique_ptr<MDB_env, decltype(&::mdb_env_close)> owner(env, &::mdb_env_close);
  // A bound on the address space, not on the disk: twice the payload, for page headers and values that leave
  // gaps, and room for large values, which take whole pages.
  ::mdb_env_set_mapsize(env, (size_t{16} << 20) + 2 * bytes + records.size() * 64);
  int code = ::mdb_env_open(env, temporary.c_str(), MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600);
  Status done = code == 0 ? fill(env, temporary, records) : lmdb_error("cannot write " + temporary, code);
  owner.reset();
  auto failed = [&](Error error) {
    ::unlink(temporary.c_str());
    return error;
  };
  if (!done) return failed(done.error());
  auto file = open_file(temporary, O_RDWR);
  if (!file) return failed(file.error());
  if (::fchmod(file->get(), mode) != 0) return failed(system_error("cannot set the mode of " + temporary));
  if (::fsync(file->get()) != 0) return failed(system_error("cannot sync " + temporary));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return failed(system_error("cannot replace " + path));
  return sync_folder_of(path);
}

}  // namespace qf
