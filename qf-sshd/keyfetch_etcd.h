// SPDX-License-Identifier: Apache-2.0
// keyfetch's part for qf-up with etcd: reads all keys under a prefix as they were at one revision, follows
// their changes, and writes some in a transaction. Whether they are a fabric document is qf-up's to judge.
// Runs in the role keyfetch (keyfetch.h), one session in the life of the process.
//
// Members are asked in an order of chance, the next one as soon as one fails: cannot be reached, answers
// nonsense, knows no leader, is silent for kEtcdSilence. A watch goes on at the next member with the revision
// after the last one seen; where that was compacted, or the store is another one, everything is read anew.
// When no member is of use the reason goes to qf-up and the session ends; a watch tries for kEtcdPatience
// first, since a cluster that loses its leader has none for a second or two.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libqf/http.h"
#include "qf-sshd/etcd_gateway.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/message_socket.h"

namespace qf {

inline constexpr std::chrono::milliseconds kEtcdSilence{9'000};  // until a silent member is given up, at most
inline constexpr std::chrono::milliseconds kEtcdPatience{10'000};  // with a cluster that was there
inline constexpr std::chrono::milliseconds kEtcdReadTime{30'000};  // for the first reply

class KeyfetchEtcd {
 public:
  // `sent` hears how the sending of each reply went. All three outlive this.
  KeyfetchEtcd(HttpClient& http, MessageSocket& asker, std::function<void(const Status&)> sent)
      : http_(http), asker_(asker), sent_(std::move(sent)) {}
  KeyfetchEtcd(const KeyfetchEtcd&) = delete;
  KeyfetchEtcd& operator=(const KeyfetchEtcd&) = delete;
  ~KeyfetchEtcd();

  // False: not a message for this.
  bool take(const Message& message);
  [[nodiscard]] Deadline deadline() const { return wake_; }
  // After the deadline.
  void turn();

 private:
  using Next = std::function<void(const HttpAnswer&)>;
  struct Called {
    const char* path;
    std::string text;
    size_t most_bytes;
    std::chrono::milliseconds time;
  };

  void begin(EtcdRequest request);
  void take_write(const Message& message);
  [[nodiscard]] const std::string& member() const { return request_.members[order_[at_]]; }
  [[nodiscard]] HttpRequest http_request(const char* path, const std::string& text) const;
  void call(Called called, Next next);

  void connect();
  void login();
  void go_on();
  void read_all();
  void read_page(const std::string& from);
  void got_page(const HttpAnswer& answer);
  [[nodiscard]] bool take_pair(const std::string& key, std::string value);
  [[nodiscard]] Error too_much() const;
  void deliver();
  void open_watch();
  bool hear(std::string_view bytes);
  bool hear_line(std::string_view line);
  [[nodiscard]] bool take_events(EtcdNews news);
  void watch_ended(const Result<HttpAnswer>& answer);
  void probe();
  void good();
  void write();
  void written(const EtcdWritten& result);

  void refused(const HttpAnswer& answer);
  void judge(const EtcdFault& fault);
  void next_member(const Error& why);
  void stop();
  void end(Error error);

  HttpClient& http_;
  MessageSocket& asker_;
  std::function<void(const Status&)> sent_;
  EtcdRequest request_;
  EtcdKeys keys_;
  std::string token_;
  bool token_is_new_ = false;  // no call with it has gone well

  std::vector<size_t> order_;  // of the members, by chance
  size_t at_ = 0, tried_ = 0;
  std::map<size_t, Error> faults_;  // of members, since the last good answer
  std::optional<Deadline> outage_;  // when it is enough
  int rereads_ = 0;

  std::string cluster_;
  uint64_t revision_ = 0;                     // 0: nothing was read yet
  std::map<std::string, std::string> pairs_;  // without the prefix
  size_t bytes_ = 0;
  size_t pages_ = 0;
  uint64_t page_revision_ = 0;
  bool dirty_ = false, may_send_ = true, told_ = false;

  HttpClient::Id call_ = 0, watch_ = 0;  // 0: none
  std::string line_;                     // of the watch, not yet whole
  bool created_ = false;
  bool another_read_ = false;               // the watch cannot go on
  std::optional<EtcdFault> watch_refusal_;  // why the watch was ended, when etcd says it
  std::string watch_fault_;                 // or we
  std::string write_;                       // a transaction that is under way
  Deadline first_by_ = Deadline::max(), read_by_ = Deadline::max();
  Deadline wake_ = Deadline::max();
  bool pausing_ = false, ended_ = false;
};

}  // namespace qf
