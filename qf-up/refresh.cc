// SPDX-License-Identifier: Apache-2.0
// qf-up refresh: takes what --document says into force, once; with --follow (etcd) it stays, and takes each
// change as soon as it comes, until nobody answers any more. The running qf-up starts it. uid: the caller's,
// root for a whole machine; it has no secret in its arguments.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <thread>

#include "libqf/log.h"
#include "qf-up/apply.h"
#include "qf-up/commands.h"
#include "qf-up/etcd_place.h"
#include "qf-up/etcd_session.h"
#include "qf-up/instance.h"
#include "qf-up/network.h"
#include "qf-up/source.h"

namespace qf {

namespace {

// Keys that are changed one after the other are no fault for so long.
constexpr auto kSettleTime = std::chrono::seconds(10);
// From one answer that is taken in to the next: who may write to etcd and has no key to sign with must not
// keep each machine of the fabric busy. What changes meanwhile comes with the next one.
constexpr auto kPause = std::chrono::milliseconds(200);

std::string hash_now(const Folders& folders) {
  auto now = document_in_force(folders);
  return now ? now->document_hash : "";
}

// A turn, with what is to be said about it. Exit code.
int refresh_turn(const Invocation& invocation, Choices& choices, SourceTurn& turn) {
  auto before = load_choices(invocation.folders);
  turn.have = hash_now(invocation.folders);
  bool same_choices = before && choices_text(*before) == choices_text(choices);
  bool applied = false;
  auto apply = [&](const Document& document) -> Status {
    // nothing to do; but what is in force may have come to its end
    if (document.hash == turn.have && same_choices) return check_expiry(document, std::time(nullptr));
    applied = true;
    return put_into_force(document, invocation, choices);
  };
  auto done = source_turn(invocation.folders, choices, turn, apply);
  if (!done) {
    // it is said once; `status` has it as long as it lasts
    if (!turn.fresh || turn.unsettled) return kExitNegative;
    Error error = done.error();
    auto now = document_in_force(invocation.folders);
    error.what = choices.document + ": " + error.what;
    if (now)
      say("the fabric document stays as it is, serial " + std::to_string(now->serial) + " is in force");
    static_cast<void>(fail(error));
    return kExitNegative;
  }
  if (turn.fresh) say(choices.document + " is good again");
  if (!applied) return kExitOk;
  auto running = running_instance(invocation.folders);
  return redirect_after(invocation.folders, choices,
                        running && *running && before && before->allow_server_ssh);
}

class Follower {
 public:
  Follower(const Invocation& invocation, Choices choices)
      : invocation_(invocation), choices_(std::move(choices)), remembered_(remembered()) {}

  // Until nobody answers (1), or there is another source to follow (0).
  int run() {
    auto session = EtcdSession::open(choices_, true);
    if (!session) return turn_with(session.error());
    Deadline look = Clock::now() + kEtcdFirstAnswer;
    for (bool first = true;; first = false) {
      auto snapshot = session->next(look);
      bool late = !snapshot && snapshot.error().kind == ErrorKind::kTimeout && !first;
      if (!snapshot && !late) return turn_with(snapshot.error());
      if (!look_at_choices()) return kExitOk;
      if (snapshot) latest_ = etcd_answer(std::move(*snapshot), choices_);
      look = Clock::now() + turn(!late);
      ::malloc_trim(0);
      if (snapshot) {
        std::this_thread::sleep_until(next_answer_);
        next_answer_ = Clock::now() + kPause;
        if (auto took = session->took(); !took) return turn_with(took.error());
      }
    }
  }

 private:
  [[nodiscard]] std::string remembered() const {
    auto now = load_choices(invocation_.folders);
    return now ? choices_text(*now) : "";
  }

  // As they are remembered now; those that we were started with count until something is. False: the document
  // comes from elsewhere now.
  bool look_at_choices() {
    if (std::string now = remembered(); now != remembered_) {
      remembered_ = now;
      Invocation plain;
      plain.command = invocation_.command;
      plain.folders = invocation_.folders;
      plain.follow = invocation_.follow;
      invocation_ = plain;
    }
    auto chosen = choose(invocation_);
    if (!chosen || !same_source(*chosen, choices_)) return false;
    choices_ = std::move(*chosen);
    return true;
  }

  // Takes in the latest answer; returns when to look at it again if no other comes: a document expires, a
  // signer goes, a disk gets room again.
  std::chrono::milliseconds turn(bool is_new) {
    auto now = Clock::now();
    if (is_new && !settle_by_) settle_by_ = now + kSettleTime;
    SourceTurn turn;
    turn.fetch = [&](const std::string&, const std::string&) { return latest_; };
    turn.patient = settle_by_ && now < *settle_by_;
    int code = refresh_turn(invocation_, choices_, turn);
    if (turn.unsettled)
      return std::chrono::duration_cast<std::chrono::milliseconds>(*settle_by_ - now) +
             std::chrono::milliseconds(1);
    // one that is refused has had its time: the next change begins another
    settle_by_.reset();
    auto interval = std::chrono::milliseconds(std::chrono::seconds(document_interval(choices_)));
    if (code == kExitOk) return interval;
    auto record = load_source_record(invocation_.folders, choices_.document);
    return std::min(source_delay(record, 1, 0), interval);
  }

  int turn_with(const Error& error) {
    SourceTurn turn;
    turn.fetch = [&](const std::string&, const std::string&) { return Result<DocumentAnswer>(error); };
    static_cast<void>(refresh_turn(invocation_, choices_, turn));
    return kExitNegative;
  }

  Invocation invocation_;
  Choices choices_;
  std::string remembered_;  // as choices.json
  Result<DocumentAnswer> latest_ = not_found("nothing was read yet");
  std::optional<Deadline> settle_by_;
  Deadline next_answer_ = Deadline::min();
};

}  // namespace

int command_refresh(const Invocation& invocation) {
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  if (!has_source(*choices)) return fail(input_error("there is no --document to ask"), "run: qf-up apply");
  if (auto good = check_source(*choices); !good) return fail(good.error());
  if (invocation.follow) {
    if (!is_etcd_url(choices->document))
      return fail(input_error("--follow is for a document in etcd alone"), "run it without");
    return Follower(invocation, *choices).run();
  }
  SourceTurn turn;
  return refresh_turn(invocation, *choices, turn);
}

}  // namespace qf
