// SPDX-License-Identifier: Apache-2.0
// qf-up doctor: what is wrong on this machine, for its user or its admin, and what to do next. Changes
// nothing and asks nobody. A check that cannot look says so; it never guesses. uid: the caller's.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace qf {

enum class Verdict {
  kOk,
  kNote,   // nothing is wrong, or nobody here may know
  kWrong,  // something will not work
};
[[nodiscard]] std::string verdict_word(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::kOk;
  std::string check;    // one word
  std::string subject;  // what of it: a peer, an issuer; may be empty
  std::string text;
  std::string hint;  // what to do next; empty only where all is well
};

class Findings {
 public:
  void ok(std::string check, std::string subject, std::string text) {
    add({Verdict::kOk, std::move(check), std::move(subject), std::move(text), ""});
  }
  void note(std::string check, std::string subject, std::string text, std::string hint) {
    add({Verdict::kNote, std::move(check), std::move(subject), std::move(text), std::move(hint)});
  }
  void wrong(std::string check, std::string subject, std::string text, std::string hint) {
    add({Verdict::kWrong, std::move(check), std::move(subject), std::move(text), std::move(hint)});
  }
  [[nodiscard]] const std::vector<Finding>& all() const { return all_; }
  [[nodiscard]] bool has_wrong() const;

 private:
  void add(Finding finding) { all_.push_back(std::move(finding)); }
  std::vector<Finding> all_;
};

// Aligned columns, a "hint: " line below what is not well. Control characters are removed.
[[nodiscard]] std::string findings_text(const std::vector<Finding>& findings, bool colours);
// {"ok":…,"checks":[{"check","subject","verdict","text","hint"}…]}
[[nodiscard]] std::string findings_json(const Findings& findings);

}  // namespace qf
