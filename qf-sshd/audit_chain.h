// SPDX-License-Identifier: Apache-2.0
// Appends to the chained audit log (libqf/audit_line.h), whoever else does: the listener and every monitor.
// STATE/audit.tail is the lock, for the moment of two small writes, and says where the chain ends. A line is
// there completely or not at all: what a full disk takes half of is cut off again. Whoever comes next puts in
// order what a process has left that ended between the two writes, or in the middle of one.
//
// Fails with the reason, never waits longer than two seconds; the caller decides what an unwritten line
// means.
//   runs in: the listener and the monitors (root, or the server's own account); a fork shares the
//   descriptors, and has locks of its own (fcntl(2) record locks go with a process)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libqf/audit_line.h"
#include "libqf/fd.h"

namespace qf {

class AuditChain {
 public:
  // Nothing is opened before the first reopen() or append().
  explicit AuditChain(std::string path) : path_(std::move(path)) {}

  // Opens the file that is at the path now, and makes it (0600) when there is none. On an error the old one
  // stays in use.
  [[nodiscard]] Status reopen();
  // `body` is the JSON object of an event. The line as it was written, without newline.
  [[nodiscard]] Result<std::string> append(std::string_view body);
  [[nodiscard]] std::vector<int> fds() const;

 private:
  // Where the next line goes.
  struct End {
    AuditTail tail;
    bool unended = false;  // the file ends in the middle of a line that is none of ours
  };
  [[nodiscard]] Status open_log();
  [[nodiscard]] Status open_tail();
  [[nodiscard]] Status lock();
  [[nodiscard]] Result<int> lock_once();
  [[nodiscard]] Result<End> find_end();
  [[nodiscard]] Status write(End end, const std::string& line);
  [[nodiscard]] Status write_tail(const AuditTail& tail);
  std::string path_;
  Fd log_, tail_;
  bool stuck_ = false;  // somebody holds the lock and does not go on: wait but a moment
};

}  // namespace qf
