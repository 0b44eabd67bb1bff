// SPDX-License-Identifier: Apache-2.0
#include "qf-up/audit_verify.h"

#include "libqf/log.h"

namespace qf {

namespace {

constexpr const char* kCut = "this line is cut off";

std::string lines_text(uint64_t count) {
  return count == 1 ? "1 line is" : std::to_string(count) + " lines are";
}

}  // namespace

AuditVerifier::Link AuditVerifier::read(const std::string& file, uint64_t number, std::string_view text) {
  Link link;
  link.file = file;
  link.line = number;
  auto place = audit_place(text);
  if (!place) return link;
  link.placed = true;
  link.n = place->n;
  link.previous = place->previous;
  link.time = place->time;
  link.hash = audit_hash(text);
  return link;
}

void AuditVerifier::blame(const Link& link, std::string what) {
  if (!fault_) fault_ = AuditFault{link.file, link.line, std::move(what)};
}

bool AuditVerifier::follows(const Link& link) const {
  return link.placed && link.n == last_->n + 1 && link.previous == last_->hash;
}

void AuditVerifier::accept(Link link) {
  if (summary_.lines++ == 0) {
    summary_.first = link.n;
    summary_.since = link.time;
  }
  count_cut();
  anchor_seen_ = anchor_seen_ || link.hash == anchor_;
  tail_seen_ = tail_seen_ || (tail_ && link.n == tail_->n && link.hash == tail_->hash);
  last_ = std::move(link);
}

// The first line that has a place. What came before it in older files cannot be known from here.
void AuditVerifier::begin(Link link) {
  if (!link.placed) return blame(link, "this is no line of an audit log: it was changed or inserted");
  if (link.n == 1 && link.previous != kNoAuditLine) return blame(link, "this line was changed");
  bool current = tail_ && tail_->first != 0 && link.file == newest_;
  if (current && link.n > tail_->first)
    return blame(link, lines_text(link.n - tail_->first) + " missing before this one");
  accept(std::move(link));
}

// The last of its file: a process ended within it, and the chain goes on without it. Or it was cut off.
void AuditVerifier::take_cut(const Link& link, std::string_view text) {
  if (cut_ && !suspect_) blame(*cut_, kCut);
  cut_ = link;
  if (!begins_audit_line(text)) blame(link, "this is no line of an audit log: it was inserted");
  // a crash that takes the last byte alone leaves what is in its place
  if (link.placed && !(last_ && !suspect_ && follows(link)))
    blame(link, "this line was inserted: it is whole, and does not follow the one before it");
}

void AuditVerifier::count_cut() {
  if (!cut_) return;
  ++summary_.cut;
  summary_.cut_place = cut_->file + ":" + std::to_string(cut_->line);
  cut_.reset();
}

bool AuditVerifier::add(const std::string& file, uint64_t number, const AuditText& line) {
  if (fault_) return false;
  Link link = read(file, number, line.text);
  if (line.too_long) {
    blame(link, "this line is longer than any that the server writes: it was changed or inserted");
    return false;
  }
  if (!line.complete) {
    take_cut(link, line.text);
    return !fault_;
  }
  if (suspect_) {
    judge(*suspect_, &link);
  } else if (!last_) {
    begin(std::move(link));
  } else if (follows(link)) {
    accept(std::move(link));
  } else if (cut_) {
    blame(*cut_, kCut);
  } else {
    suspect_ = std::move(link);
  }
  return !fault_;
}

// `suspect` came after last_ and does not follow it; `next` came after that.
void AuditVerifier::judge(const Link& suspect, const Link* next) {
  bool passed_over = next != nullptr && follows(*next);
  if (passed_over) {
    blame(suspect, suspect.placed
                       ? "this line was inserted or moved here: the next one follows the one before it"
                       : "this is no line of an audit log: it was inserted");
  } else if (!suspect.placed) {
    blame(suspect, "this is no line of an audit log: it was changed");
  } else {
    judge_placed(suspect, next);
  }
}

void AuditVerifier::judge_placed(const Link& suspect, const Link* next) {
  std::string number = std::to_string(suspect.n);
  if (suspect.previous == last_->hash) {
    blame(suspect, "this line was changed: it follows number " + std::to_string(last_->n) +
                       " and says that it is number " + number);
  } else if (suspect.n == last_->n + 1 || suspect.n == last_->n) {
    judge_neighbours(suspect, next);
  } else if (suspect.n > last_->n) {
    blame(suspect, lines_text(suspect.n - last_->n - 1) + " missing before this one, from between " +
                       printable(last_->time) + " and " + printable(suspect.time));
  } else if (suspect.n == 1 && suspect.previous == kNoAuditLine) {
    blame(suspect, "another chain begins here: the log was made anew, or lines before this one are missing");
  } else {
    blame(suspect, "this line was inserted or moved here: number " + number + " has been");
  }
}

// Two lines that do not fit together: which of them is wrong is what the next one, or the tail, knows.
void AuditVerifier::judge_neighbours(const Link& suspect, const Link* next) {
  bool known = next != nullptr ? next->placed : tail_.has_value();
  bool suspect_is_good =
      next != nullptr ? next->previous == suspect.hash : tail_ && tail_->hash == suspect.hash;
  if (suspect.n == last_->n && suspect.previous == last_->previous) {
    const Link& wrong = suspect_is_good && suspect.hash != last_->hash ? *last_ : suspect;
    blame(wrong, "this line was inserted: there are two of number " + std::to_string(wrong.n));
  } else if (suspect.n == last_->n) {
    blame(suspect, "this line was inserted: number " + std::to_string(suspect.n) + " has been");
  } else if (suspect_is_good || !known) {
    blame(*last_, "this line was changed: the next one has another hash of it");
  } else {
    blame(suspect, "this line was changed: it does not follow the one before it");
  }
}

void AuditVerifier::finish() {
  if (fault_) return;
  if (suspect_) judge(*suspect_, nullptr);
  if (fault_) return;
  if (cut_ && (!tail_ || !last_ || tail_->hash != last_->hash)) blame(*cut_, kCut);
  count_cut();
  check_tail();
  if (!anchor_.empty() && !anchor_seen_ && !fault_) {
    Link end = last_ ? *last_ : Link();
    end.file = last_ ? end.file : newest_;
    blame(end, "no line up to this one has the hash " + printable(anchor_) +
                   ": the log was cut off or made anew since");
  }
  if (!last_) return;
  summary_.last = last_->n;
  summary_.until = last_->time;
  summary_.hash = last_->hash;
}

void AuditVerifier::check_tail() {
  if (!tail_ || tail_->n == 0 || fault_) return;
  if (!last_) {
    Link none;
    none.file = newest_;
    return blame(none, "all lines are missing, up to number " + std::to_string(tail_->n));
  }
  if (tail_->hash == last_->hash && tail_->n == last_->n) return;
  if (last_->n < tail_->n) {
    blame(*last_, lines_text(tail_->n - last_->n) + " missing after this one");
  } else if (last_->n == tail_->n) {
    blame(*last_, "this line was changed: the server has another hash of it");
  } else if (!tail_seen_) {
    blame(*last_, "the log was made anew: no line is the one that the server wrote last");
  } else {
    summary_.tail_behind = true;
  }
}

}  // namespace qf
