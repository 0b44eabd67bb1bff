// SPDX-License-Identifier: Apache-2.0
// A new file that lies complete and synced beside its place until commit() renames it there. One that is not
// committed is removed.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "libqf/lmdb.h"
#include "libqf/result.h"

namespace qf {

class StagedFile {
 public:
  StagedFile(std::string temporary, std::string path)
      : temporary_(std::move(temporary)), path_(std::move(path)) {}
  StagedFile(StagedFile&& other) noexcept;
  StagedFile& operator=(StagedFile&&) = delete;
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;
  ~StagedFile();

  [[nodiscard]] Status commit();

 private:
  std::string temporary_;  // empty: moved from or committed
  std::string path_;
};

[[nodiscard]] Result<StagedFile> stage_text(const std::string& path, std::string_view content, mode_t mode);
[[nodiscard]] Result<StagedFile> stage_database(const std::string& path, const RecordSource& records,
                                                mode_t mode);

}  // namespace qf
