// SPDX-License-Identifier: Apache-2.0
#include "qf-up/staged_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "libqf/fd.h"

namespace qf {

namespace {

// Not ".conf" at the end: ssh would read it.
std::string temporary_for(const std::string& path) {
  return path + ".qf-up-new";
}

// rename(2) would fail at the very end, with the files before it in force already.
Status check_place(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return input_error(path + " is a folder");
  return Done{};
}

// What a killed qf-up left beside the place. The lock of the state folder says that no other is at work.
void remove_leftovers(const std::string& path) {
  std::filesystem::path place(temporary_for(path));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(place.parent_path(), error)) {
    if (entry.path().filename().string().starts_with(place.filename().string()))
      ::unlink(entry.path().c_str());
  }
}

}  // namespace

StagedFile::StagedFile(StagedFile&& other) noexcept
    : temporary_(std::exchange(other.temporary_, "")), path_(std::move(other.path_)) {}

StagedFile::~StagedFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status StagedFile::commit() {
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return system_error("cannot replace " + path_);
  temporary_.clear();
  return sync_folder_of(path_);
}

Result<StagedFile> stage_text(const std::string& path, std::string_view content, mode_t mode) {
  if (auto good = check_place(path); !good) return good.error();
  remove_leftovers(path);
  auto written = write_file_atomically(temporary_for(path), content, mode);
  if (!written) return written.error();
  return StagedFile(temporary_for(path), path);
}

Result<StagedFile> stage_database(const std::string& path, const RecordSource& records, mode_t mode) {
  if (auto good = check_place(path); !good) return good.error();
  remove_leftovers(path);
  auto written = write_sorted_lmdb(temporary_for(path), records, mode);
  if (!written) return written.error();
  return StagedFile(temporary_for(path), path);
}

}  // namespace qf
