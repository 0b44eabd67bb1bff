// SPDX-License-Identifier: Apache-2.0
// Follows the chain of an audit log (libqf/audit_line.h) line by line and finds the first line that was
// changed, removed or inserted. A line out of place is judged when the one after it is known: that tells a
// line that was changed from one that was put in. Holds two lines, however long the log is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "libqf/audit_line.h"
#include "qf-up/audit_files.h"

namespace qf {

struct AuditFault {
  std::string file;
  uint64_t line = 0;
  std::string what;
};

struct AuditSummary {
  uint64_t lines = 0, first = 0, last = 0;  // numbers as in "n"
  std::string since, until;                 // "time" of the first and the last
  std::string hash;                         // of the last
  uint64_t cut = 0;                         // lines that were never written to their end
  std::string cut_place;                    // FILE:LINE of the last of these
  bool tail_behind = false;                 // a line is there that the tail has not, after a crash
};

class AuditVerifier {
 public:
  // `tail`: of the log whose newest file is `newest`. `anchor`: the hash of a line that must be there; empty:
  // none must.
  AuditVerifier(std::optional<AuditTail> tail, std::string newest, std::string anchor = "")
      : tail_(std::move(tail)), newest_(std::move(newest)), anchor_(std::move(anchor)) {}

  // The next line, `number` in `file`. False: there is a fault, and no more lines are wanted.
  bool add(const std::string& file, uint64_t number, const AuditText& line);
  // After the last line.
  void finish();
  [[nodiscard]] const std::optional<AuditFault>& fault() const { return fault_; }
  [[nodiscard]] const AuditSummary& summary() const { return summary_; }

 private:
  struct Link {
    std::string file;
    uint64_t line = 0;
    bool placed = false;  // the members below count
    uint64_t n = 0;
    std::string previous, time, hash;
  };
  [[nodiscard]] static Link read(const std::string& file, uint64_t number, std::string_view text);
  [[nodiscard]] bool follows(const Link& link) const;
  void begin(Link link);
  void accept(Link link);
  void count_cut();
  void take_cut(const Link& link, std::string_view text);
  void blame(const Link& link, std::string what);
  void judge(const Link& suspect, const Link* next);
  void judge_placed(const Link& suspect, const Link* next);
  void judge_neighbours(const Link& suspect, const Link* next);
  void check_tail();

  std::optional<AuditTail> tail_;
  std::string newest_, anchor_;
  bool anchor_seen_ = false, tail_seen_ = false;
  std::optional<Link> last_;     // that is in its place
  std::optional<Link> suspect_;  // that is not, and came after it
  std::optional<Link> cut_;      // the file ended within it
  std::optional<AuditFault> fault_;
  AuditSummary summary_;
};

}  // namespace qf
