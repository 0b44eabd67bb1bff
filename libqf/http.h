// SPDX-License-Identifier: Apache-2.0
// Bounded HTTPS over libcurl, for what identity providers publish and answer. https only; plain http only to
// loopback hosts (127.0.0.0/8, ::1, localhost), which never go through a proxy. Redirects are not followed.
// Size and time of an answer are limited. Errors name the host of the URL: kInput (the URL may not be used),
// kTimeout, kSystem (not reached, TLS), kPeer (too long, a redirect, no HTTP). An HTTP error status is an
// answer, not an Error.
#pragma once

#include <curl/curl.h>
#include <poll.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libqf/fd.h"
#include "libqf/result.h"

namespace qf {

struct HttpLimits {
  size_t most_bytes = 1 << 20;  // of the body
  std::chrono::milliseconds connect_time{5'000};
  std::chrono::milliseconds total_time{15'000};  // 0: no limit, for a stream alone
};

struct HttpAnswer {
  long status = 0;
  std::string body;
  // From Cache-Control, Age, Expires and Date (RFC 9111 section 4.2.1), seconds that the answer may be kept:
  // 0 for no-store and no-cache, nothing when the server does not say.
  std::optional<int64_t> lifetime;
  std::optional<int64_t> retry_after;  // seconds, at most a day
  int64_t date = 0;                    // Date, seconds since the epoch; 0: none
  int64_t age = 0;                     // Age: seconds that a cache on the way has had the answer
  std::string dpop_nonce;              // RFC 9449 section 8; empty: none
  std::string etag, last_modified;     // visible ASCII and spaces; empty: none
};

// GET, waits for the answer. ca_file: PEM file of the only trusted authorities; empty: the system's.
[[nodiscard]] Result<HttpAnswer> http_get(const std::string& url, const std::string& ca_file,
                                          const HttpLimits& limits = {});

// Whether http_get and HttpClient would use this URL; kInput with the reason.
[[nodiscard]] Status check_url(const std::string& url);
// The host of a URL (with port when it has one), for messages; "?" when it is none.
[[nodiscard]] std::string url_host(const std::string& url);
// application/x-www-form-urlencoded
[[nodiscard]] std::string form_encode(const std::vector<std::pair<std::string, std::string>>& fields);

struct HttpHeaders {  // as they stand in the answer; empty: absent
  std::string cache_control, age, expires, date, retry_after, dpop_nonce, etag, last_modified;
};
[[nodiscard]] std::optional<int64_t> http_lifetime(const HttpHeaders& headers);

struct HttpRequest {
  std::string url;
  std::string ca_file;
  std::optional<std::string> form;  // POST this body; it may hold codes and is wiped afterwards
  HttpLimits limits;
  std::vector<std::string> headers{};  // "Name: value", wiped afterwards too
  // Of the answer that we have, as HttpAnswer has them: only a newer one is wanted, and 304 is an answer.
  std::string etag{}, last_modified{};
  std::string accept = "application/json";
  // PEM of a client certificate, with its chain, and of its key; wiped afterwards. Empty: none.
  std::string certificate{}, certificate_key{};
  // The body of an answer with status 200 as it comes, over a connection of its own (HTTP/1.1); then it is
  // not collected. False ends the request, and the callback hears no more of it than that.
  std::function<bool(std::string_view)> stream{};
  std::string ca_setting = "\"ca_file\" of the issuer";  // what names ca_file, for messages
};

class HttpTransfer;

// Many requests at once without a thread, for a program with a poll(2) loop of its own: before poll, add()
// and deadline(); after it, handle(). Callbacks run inside handle() and may start and cancel requests.
class HttpClient {
 public:
  using Callback = std::function<void(Result<HttpAnswer>)>;
  using Id = uint64_t;

  HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  // The callback is called once, from a later handle(), unless the request is cancelled. Errors known at once
  // come that way too.
  Id start(HttpRequest request, Callback callback);
  void cancel(Id id);

  void add(std::vector<pollfd>& polled) const;
  [[nodiscard]] Deadline deadline() const { return deadline_; }
  void handle(const std::vector<pollfd>& polled);

 private:
  struct CloseMulti {
    void operator()(CURLM* multi) const { ::curl_multi_cleanup(multi); }
  };
  static int on_socket(CURL* easy, curl_socket_t fd, int what, void* self, void* unused);
  static int on_timer(CURLM* multi, long milliseconds, void* self);
  void collect();

  // The multi handle is declared first, so that it goes last.
  std::unique_ptr<CURLM, CloseMulti> multi_;
  std::map<int, short> sockets_;  // libcurl's descriptors and the events that it waits for
  std::map<Id, std::unique_ptr<HttpTransfer>> transfers_;
  std::map<Id, std::pair<Callback, Result<HttpAnswer>>> done_;  // callback not yet called
  Deadline deadline_ = Deadline::max();
  Id next_id_ = 1;
};

}  // namespace qf
