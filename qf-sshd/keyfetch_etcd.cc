// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/keyfetch_etcd.h"

#include <algorithm>
#include <array>
#include <random>

#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-sshd/memory_file.h"

namespace qf {

namespace {

using std::chrono::milliseconds;

constexpr size_t kMostReplyWords = 1000;  // of an error and of a hint; EtcdReply has room for more
constexpr milliseconds kMemberConnectTime{3'000};
constexpr milliseconds kMemberCallTime{10'000};
constexpr milliseconds kProbeInterval{5'000};
constexpr milliseconds kProbeTime{4'000};
static_assert(kProbeInterval + kProbeTime <= kEtcdSilence);
constexpr milliseconds kPauseInOutage{300};  // and up to as much again by chance
constexpr size_t kPageKeys = 256;
constexpr size_t kMostPages = 4096;
constexpr size_t kMostPageBytes = size_t{96} << 20;  // the whole 64 MiB in base64
constexpr size_t kMostLineBytes = size_t{16} << 20;  // a transaction has 1.5 MiB by default
constexpr size_t kMostSmallAnswer = 64 * 1024;
constexpr size_t kMostKeyBytes = 1024;
constexpr size_t kPairCost = 64;  // of memory, that each key counts for besides its bytes
constexpr int kMostRereads = 3;   // and logins, without a sign of a member that works
constexpr long kStatusGood = 200;

size_t chance_below(size_t bound) {
  static std::minstd_rand engine{std::random_device{}()};
  return std::uniform_int_distribution<size_t>(0, bound - 1)(engine);
}

// What else lies under the prefix is nobody's business. A key that is too long would be one of a part that no
// document can have, and must not keep the right one from being read or published.
bool of_document(std::string_view key) {
  if (key.size() > kMostKeyBytes) return false;
  constexpr std::array<std::string_view, 4> kFolders = {"peers/", "policies/", "peer_groups/",
                                                        "user_groups/"};
  return key == "fabric.json" || key == "fabric.json.sig" ||
         std::any_of(kFolders.begin(), kFolders.end(),
                     [&](std::string_view folder) { return key.starts_with(folder); });
}

Error refused_by_etcd(const std::string& message) {
  return refused("etcd refuses: " + message);
}

Error cut(Error error) {
  error.what = printable(error.text().substr(0, kMostReplyWords));
  error.sys = 0;
  error.hint = printable(error.hint.substr(0, kMostReplyWords));
  return error;
}

}  // namespace

KeyfetchEtcd::~KeyfetchEtcd() {
  wipe(request_.key);
  wipe(request_.password);
  wipe(token_);
}

bool KeyfetchEtcd::take(const Message& message) {
  if (auto request = open_message<EtcdRequest>(message)) {
    bool good = order_.empty() && !request->members.empty() && request->members.size() <= kMostEtcdMembers;
    if (good) {
      begin(std::move(*request));
    } else {
      sent_(peer_error("not a request for etcd"));
    }
    return true;
  }
  if (open_message<EtcdNext>(message)) {
    may_send_ = true;
    if (dirty_) deliver();
    return true;
  }
  if (message.type == static_cast<uint32_t>(EtcdWrite::kType)) {
    take_write(message);
    return true;
  }
  return false;
}

void KeyfetchEtcd::begin(EtcdRequest request) {
  request_ = std::move(request);
  keys_ = EtcdKeys::under(request_.prefix);
  order_.resize(request_.members.size());
  for (size_t i = 0; i < order_.size(); ++i) order_[i] = i;
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[chance_below(i)]);
  first_by_ = Clock::now() + kEtcdReadTime;
  connect();
}

HttpRequest KeyfetchEtcd::http_request(const char* path, const std::string& text) const {
  HttpRequest wanted;
  wanted.url = member() + path;
  wanted.ca_file = request_.ca_file.value_or("");
  wanted.ca_setting = "--document-ca-file";
  wanted.certificate = request_.certificate;
  wanted.certificate_key = request_.key;
  wanted.form = text;
  // a member that is cut off from the others says so, in place of an answer of yesterday; and nobody waits
  // for "100 Continue"
  wanted.headers = {"Content-Type: application/json", "Grpc-Metadata-hasleader: true", "Expect:"};
  if (!token_.empty()) wanted.headers.push_back("Authorization: " + token_);
  wanted.limits.connect_time = kMemberConnectTime;
  return wanted;
}

void KeyfetchEtcd::call(Called called, Next next) {
  HttpRequest wanted = http_request(called.path, called.text);
  wipe(called.text);
  wanted.limits.most_bytes = called.most_bytes;
  wanted.limits.total_time = called.time;
  call_ = http_.start(std::move(wanted), [this, next = std::move(next)](Result<HttpAnswer> answer) {
    call_ = 0;
    if (!answer) return next_member(answer.error());
    if (answer->status != kStatusGood) return refused(*answer);
    token_is_new_ = false;
    next(*answer);
  });
}

// ---- the member of now: log in, read, watch

void KeyfetchEtcd::connect() {
  wipe(token_);
  token_.clear();
  if (request_.user.empty()) return go_on();
  login();
}

void KeyfetchEtcd::login() {
  wipe(token_);
  token_.clear();
  HttpRequest wanted = http_request(kEtcdLoginPath, etcd_login_text(request_.user, request_.password));
  wanted.limits.most_bytes = kMostSmallAnswer;
  wanted.limits.total_time = kMemberCallTime;
  call_ = http_.start(std::move(wanted), [this](Result<HttpAnswer> answer) {
    call_ = 0;
    if (!answer) return next_member(answer.error());
    if (answer->status != kStatusGood) {
      auto fault = read_etcd_fault(answer->body);
      // as etcdctl does: there are no users, and everybody may do everything
      if (fault && fault->is(EtcdCode::kPrecondition)) return go_on();
      if (fault && fault->is(EtcdCode::kInvalid))
        return end(with_hint(refused_by_etcd(fault->message),
                             "are user and password in the file of --document-user-file right?"));
      return refused(*answer);
    }
    auto token = read_etcd_token(answer->body);
    wipe(answer->body);
    if (!token) return next_member(peer_error(url_host(member()) + ": " + token.error().what));
    token_ = std::move(*token);
    token_is_new_ = true;
    go_on();
  });
}

void KeyfetchEtcd::go_on() {
  if (!write_.empty()) return write();
  if (revision_ == 0) return read_all();
  if (request_.watch) open_watch();
}

void KeyfetchEtcd::read_all() {
  pairs_.clear();
  bytes_ = 0;
  pages_ = 0;
  page_revision_ = 0;
  revision_ = 0;
  read_by_ = Clock::now() + kEtcdReadTime;
  read_page(keys_.first);
}

void KeyfetchEtcd::read_page(const std::string& from) {
  if (++pages_ > kMostPages) return end(peer_error("etcd holds too many keys under " + keys_.first));
  if (Clock::now() >= read_by_)
    return next_member(timeout_error(url_host(member()) + " takes too long to list the keys"));
  call({kEtcdRangePath, etcd_range_text(from, keys_, kPageKeys, page_revision_), kMostPageBytes,
        kMemberCallTime},
       [this](const HttpAnswer& answer) { got_page(answer); });
}

void KeyfetchEtcd::got_page(const HttpAnswer& answer) {
  auto range = read_etcd_range(answer.body, kPageKeys);
  if (!range)
    return next_member(
        peer_error(url_host(member()) + " does not answer as etcd does: " + range.error().what));
  if (page_revision_ == 0) {
    page_revision_ = range->header.revision;
    cluster_ = range->header.cluster;
  } else if (range->header.cluster != cluster_) {
    return next_member(peer_error(url_host(member()) + " is of two clusters"));
  }
  std::string last;
  for (auto& [key, value] : range->pairs) {
    if (key < keys_.first || key >= keys_.end)
      return next_member(peer_error(url_host(member()) + " answers with keys that nobody asked for"));
    last = key;
    if (!take_pair(key, std::move(value))) return;
  }
  if (range->more) return read_page(last + std::string(1, '\0'));
  revision_ = page_revision_;
  deliver();
  go_on();
}

// False: that is too much, and the session has ended.
bool KeyfetchEtcd::take_pair(const std::string& key, std::string value) {
  std::string name = key.substr(keys_.first.size());
  if (!of_document(name)) return true;
  auto [place, is_new] = pairs_.try_emplace(name);
  bytes_ += (is_new ? name.size() + kPairCost : 0) + value.size() - place->second.size();
  place->second = std::move(value);
  if (bytes_ <= kMostRemoteDocument) return true;
  if (watch_ == 0) end(too_much());
  return false;
}

Error KeyfetchEtcd::too_much() const {
  return with_hint(peer_error("the document under " + keys_.first + " is longer than " +
                              std::to_string(kMostRemoteDocument) + " bytes"),
                   "see which keys are none of it, and remove them with etcdctl: etcdctl get --prefix "
                   "--keys-only " +
                       keys_.first);
}

// One reply at a time: what changes before qf-up has taken it in goes into the next one.
void KeyfetchEtcd::deliver() {
  dirty_ = true;
  if (!may_send_) return;
  EtcdSnapshot snapshot;
  snapshot.revision = revision_;
  for (const auto& [key, value] : pairs_) snapshot.pairs.push_back({key, value});
  auto file = make_memory_file(encode(snapshot));
  if (!file) return sent_(file.error());
  dirty_ = false;
  may_send_ = false;
  told_ = true;
  sent_(asker_.send(EtcdReply{}, {file->get()}));
}

void KeyfetchEtcd::open_watch() {
  HttpRequest wanted = http_request(kEtcdWatchPath, etcd_watch_text(keys_, revision_ + 1));
  wanted.limits.most_bytes = kMostSmallAnswer;  // of a refusal
  wanted.limits.total_time = milliseconds(0);
  wanted.stream = [this](std::string_view bytes) { return hear(bytes); };
  line_.clear();
  created_ = false;
  another_read_ = false;
  watch_refusal_.reset();
  watch_fault_.clear();
  watch_ = http_.start(std::move(wanted), [this](const Result<HttpAnswer>& answer) {
    watch_ = 0;
    watch_ended(answer);
  });
  wake_ = Clock::now() + kProbeInterval - milliseconds(chance_below(1'000));
}

// Inside of libcurl's call: no other request can be started or ended here.
bool KeyfetchEtcd::hear(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t end = bytes.find('\n');
    std::string_view part = bytes.substr(0, end);
    if (part.size() > kMostLineBytes - line_.size()) {
      // what has piled up since the revision that it goes on from is more than the whole
      another_read_ = true;
      return false;
    }
    line_ += part;
    if (end == std::string_view::npos) return true;
    bytes.remove_prefix(end + 1);
    std::string line = std::move(line_);
    line_.clear();
    if (!trim(line).empty() && !hear_line(line)) return false;
  }
  return true;
}

bool KeyfetchEtcd::hear_line(std::string_view line) {
  auto news = read_etcd_news(line);
  if (!news) {
    watch_fault_ = url_host(member()) + " does not answer as etcd does: " + news.error().what;
    return false;
  }
  if (news->fault) {
    watch_refusal_ = std::move(news->fault);
    return false;
  }
  if (news->compacted || news->header.cluster != cluster_) {
    another_read_ = true;
    return false;
  }
  if (news->canceled) {
    watch_refusal_ = EtcdFault{0, news->reason.empty() ? "the watch was canceled" : news->reason};
    if (watch_refusal_->says("permission denied"))
      watch_refusal_->code = static_cast<int64_t>(EtcdCode::kDenied);
    if (watch_refusal_->says("invalid auth token"))
      watch_refusal_->code = static_cast<int64_t>(EtcdCode::kUnauthenticated);
    return false;
  }
  created_ = created_ || news->created;
  return take_events(std::move(*news));
}

bool KeyfetchEtcd::take_events(EtcdNews news) {
  bool changed = false;
  uint64_t last = revision_;
  for (auto& event : news.events) {
    if (event.key < keys_.first || event.key >= keys_.end) {
      watch_fault_ = url_host(member()) + " tells of keys that nobody asked for";
      return false;
    }
    if (event.revision <= revision_) continue;
    last = std::max(last, event.revision);
    std::string name = event.key.substr(keys_.first.size());
    changed = changed || of_document(name);
    if (event.value) {
      if (!take_pair(event.key, std::move(*event.value))) return false;
    } else if (auto found = pairs_.find(name); found != pairs_.end()) {
      bytes_ -= name.size() + kPairCost + found->second.size();
      pairs_.erase(found);
    }
  }
  // events come by whole revisions; the header's may be beyond those that are still to come
  revision_ = last;
  if (!news.events.empty()) good();
  if (changed) deliver();
  return true;
}

void KeyfetchEtcd::watch_ended(const Result<HttpAnswer>& answer) {
  wake_ = Deadline::max();
  if (call_ != 0) http_.cancel(std::exchange(call_, 0));
  if (bytes_ > kMostRemoteDocument) return end(too_much());
  if (another_read_) {
    revision_ = 0;
    if (++rereads_ > kMostRereads) return next_member(peer_error(url_host(member()) + " ends each watch"));
    return go_on();
  }
  if (watch_refusal_) return judge(*watch_refusal_);
  if (!watch_fault_.empty()) return next_member(peer_error(watch_fault_));
  if (!answer) return next_member(answer.error());
  if (answer->status != kStatusGood) return refused(*answer);
  next_member(peer_error(url_host(member()) + " has ended the watch"));
}

// Whether the member still lives, and still belongs to a majority: its kernel would answer for one that
// hangs.
void KeyfetchEtcd::probe() {
  if (!created_) return next_member(timeout_error(url_host(member()) + " does not begin the watch"));
  call({kEtcdRangePath, etcd_probe_text(keys_), kMostSmallAnswer, kProbeTime},
       [this](const HttpAnswer& answer) {
         auto range = read_etcd_range(answer.body, 0);
         if (!range)
           return next_member(
               peer_error(url_host(member()) + " does not answer as etcd does: " + range.error().what));
         wake_ = Clock::now() + kProbeInterval - milliseconds(chance_below(1'000));
         if (range->header.cluster == cluster_ && range->header.revision >= revision_) return good();
         // the store was made anew, or restored from a copy
         stop();
         revision_ = 0;
         go_on();
       });
}

void KeyfetchEtcd::good() {
  outage_.reset();
  faults_.clear();
  tried_ = 0;
  rereads_ = 0;
}

void KeyfetchEtcd::turn() {
  if (Clock::now() < wake_) return;
  wake_ = Deadline::max();
  if (std::exchange(pausing_, false)) return connect();
  if (watch_ != 0 && call_ == 0) probe();
}

// ---- writing

void KeyfetchEtcd::take_write(const Message& message) {
  auto request = open_message<EtcdWrite>(message);
  if (!request) return sent_(request.error());
  auto bytes = read_memory_file(message.fds[0].get(), kMostEtcdBytes);
  if (!bytes) return sent_(bytes.error());
  auto changes = decode<EtcdChanges>(*bytes);
  if (!changes) return sent_(changes.error());
  if (revision_ == 0 || request_.watch || call_ != 0 || ended_)
    return sent_(peer_error("not the time to write to etcd"));
  std::map<std::string, std::string> puts;
  for (auto& pair : changes->puts) puts[keys_.first + pair.key] = std::move(pair.value);
  for (auto& key : changes->deletes) key = keys_.first + key;
  write_ = etcd_txn_text(keys_, request->revision, puts, changes->deletes);
  write();
}

void KeyfetchEtcd::write() {
  HttpRequest wanted = http_request(kEtcdTxnPath, write_);
  wanted.limits.most_bytes = kMostSmallAnswer;
  wanted.limits.total_time = kMemberCallTime;
  call_ = http_.start(std::move(wanted), [this](const Result<HttpAnswer>& answer) {
    call_ = 0;
    if (!answer) {
      Error error = cut(answer.error());
      return written({error.what, error.hint, true, false, 0});
    }
    if (answer->status != kStatusGood) return refused(*answer);
    token_is_new_ = false;
    auto done = read_etcd_txn(answer->body);
    if (!done)
      return written(
          {url_host(member()) + " does not answer as etcd does: " + done.error().what, "", true, false, 0});
    written({"", "", false, !done->done, done->revision});
  });
}

void KeyfetchEtcd::written(const EtcdWritten& result) {
  write_.clear();
  sent_(asker_.send(result));
}

// ---- what goes wrong

void KeyfetchEtcd::refused(const HttpAnswer& answer) {
  auto fault = read_etcd_fault(answer.body);
  if (fault) return judge(*fault);
  judge({0, "HTTP status " + std::to_string(answer.status) + ", and not as etcd does"});
}

void KeyfetchEtcd::judge(const EtcdFault& fault) {
  bool stale_token = fault.is(EtcdCode::kUnauthenticated) || fault.says("invalid auth token") ||
                     fault.says("revision of auth store is old");
  if (stale_token && !request_.user.empty() && !token_is_new_) {
    stop();
    if (++rereads_ > kMostRereads) return next_member(refused_by_etcd(fault.message));
    return login();
  }
  if (fault.says("compacted") || fault.says("future revision")) {
    stop();
    revision_ = 0;
    if (++rereads_ > kMostRereads) return next_member(peer_error(url_host(member()) + ": " + fault.message));
    return go_on();
  }
  std::string who = request_.user.empty() ? "everybody" : "the user " + quoted(request_.user);
  Error error = refused_by_etcd(fault.message);
  if (fault.is(EtcdCode::kDenied))
    return end(with_hint(error, "give " + who + " a role that may " +
                                    (write_.empty() ? "read" : "read and write") + " the keys from " +
                                    keys_.first + " to " + keys_.end));
  if (fault.says("user name is empty")) return end(with_hint(error, "it wants a user: --document-user-file"));
  if (stale_token) return end(error);
  if (fault.says("too large"))
    return end(with_hint(error, "keep each peer, policy and group in a key of its own: --one-key-per-part"));
  next_member(peer_error(url_host(member()) + ": " + fault.message));
}

void KeyfetchEtcd::next_member(const Error& why) {
  if (!write_.empty()) {
    Error error = cut(why);
    return written({error.what, error.hint, true, false, 0});
  }
  stop();
  faults_.insert_or_assign(order_[at_], why);
  at_ = (at_ + 1) % order_.size();
  bool late = !told_ && Clock::now() >= first_by_;
  if (++tried_ < order_.size() && !late) return connect();
  tried_ = 0;
  if (request_.watch && told_) {
    if (!outage_) outage_ = Clock::now() + kEtcdPatience;
    if (Clock::now() < *outage_) {
      pausing_ = true;
      wake_ = Clock::now() + kPauseInOutage + milliseconds(chance_below(300));
      return;
    }
  }
  // in the order of the URL, so that the same fault has the same words
  std::string text;
  for (const auto& [index, fault] : faults_) text += (text.empty() ? "" : "; ") + fault.text();
  Error last = faults_.begin()->second;
  if (order_.size() > 1) last.what = "no member of etcd is of use: " + text;
  if (order_.size() > 1) last.sys = 0;
  end(last);
}

void KeyfetchEtcd::stop() {
  wake_ = Deadline::max();
  pausing_ = false;
  if (call_ != 0) http_.cancel(std::exchange(call_, 0));
  if (watch_ != 0) http_.cancel(std::exchange(watch_, 0));
}

void KeyfetchEtcd::end(Error error) {
  stop();
  error = cut(std::move(error));
  if (!write_.empty()) return written({error.what, error.hint, false, false, 0});
  ended_ = true;
  auto file = make_memory_file("");
  if (!file) return sent_(file.error());
  sent_(asker_.send(EtcdReply{error.what, error.hint}, {file->get()}));
}

}  // namespace qf
