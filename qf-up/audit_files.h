// SPDX-License-Identifier: Apache-2.0
// The files of an audit log as they are read: the log and what log rotation has made of it, plain or
// compressed, line by line in bounded memory. Fails with the file and the reason.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libqf/audit_line.h"
#include "libqf/fd.h"

struct gzFile_s;

namespace qf {

struct GzipClose {
  void operator()(gzFile_s* file) const;
};

struct AuditText {
  std::string text;       // without newline
  bool complete = true;   // it had one
  bool too_long = false;  // it goes on; no line of a server does
};

class AuditReader {
 public:
  [[nodiscard]] static Result<AuditReader> open(const std::string& path);
  // Of a plain file: what is appended later does not count.
  void read_at_most(uint64_t bytes) { left_ = bytes; }
  // The next line; nothing after the last. Of one that is too long the first kMostAuditLineBytes.
  [[nodiscard]] Result<std::optional<AuditText>> next();
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] uint64_t lines() const { return lines_; }  // that next() has given

 private:
  AuditReader(std::string path, std::unique_ptr<gzFile_s, GzipClose> file)
      : path_(std::move(path)), file_(std::move(file)) {}
  [[nodiscard]] Status fill();
  std::string path_;
  std::unique_ptr<gzFile_s, GzipClose> file_;
  std::optional<uint64_t> left_;
  std::string buffer_;
  size_t used_ = 0;
  bool ended_ = false;
  uint64_t lines_ = 0;
};

struct AuditFiles {
  std::vector<AuditReader> readers;  // oldest first
  std::optional<AuditTail> tail;     // that belongs to the last of them
  bool tail_damaged = false;         // it is there, and is none
  std::string tail_path;             // where it is, or would be
};

// The log at `path` with its rotated siblings (PATH.2.gz, PATH.1, PATH-20240501 …), at one moment between two
// lines.
[[nodiscard]] Result<AuditFiles> open_audit_log(const std::string& path);
// These files, oldest first; the tail beside the last one, where there is one.
[[nodiscard]] Result<AuditFiles> open_audit_files(const std::vector<std::string>& paths);

// The rotated siblings of `log` among these names of its folder, oldest first.
[[nodiscard]] std::vector<std::string> rotated_names(const std::string& log,
                                                     const std::vector<std::string>& names);

}  // namespace qf
