// SPDX-License-Identifier: Apache-2.0
#include "libqf/http.h"

#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>

#include "libqf/address.h"
#include "libqf/secret.h"
#include "libqf/text.h"

namespace qf {

namespace {

struct CloseEasy {
  void operator()(CURL* easy) const { ::curl_easy_cleanup(easy); }
};
struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
struct FreeUrl {
  void operator()(CURLU* url) const { ::curl_url_cleanup(url); }
};
struct FreeText {
  void operator()(char* text) const { ::curl_free(text); }
};

constexpr size_t kMostHeaders = 256 * 1024;  // of all headers and trailers, which libcurl keeps, bytes
constexpr size_t kMostHeaderBytes = 4096;    // of one header that we keep
constexpr size_t kMostValidator = 512;       // of ETag and Last-Modified, which we send back

// RFC 9110 section 8.8: what is sent back must be able to stand in a header.
std::string validator(const std::string& value) {
  bool good = value.size() <= kMostValidator &&
              std::all_of(value.begin(), value.end(), [](char c) { return c >= ' ' && c <= '~'; });
  return good ? value : "";
}

struct UrlParts {
  std::string scheme, host, port, user;
};

std::string url_part(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (::curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  return std::unique_ptr<char, FreeText>(text).get();
}

std::optional<UrlParts> split_url(const std::string& text) {
  std::unique_ptr<CURLU, FreeUrl> url(::curl_url());
  if (!url || ::curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return std::nullopt;
  return UrlParts{url_part(url.get(), CURLUPART_SCHEME), lower(url_part(url.get(), CURLUPART_HOST)),
                  url_part(url.get(), CURLUPART_PORT), url_part(url.get(), CURLUPART_USER)};
}

bool is_loopback(std::string_view host) {
  if (host == "localhost") return true;
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  auto address = canonical_address(host);
  return address && (*address == "::1" || address->starts_with("127."));
}

// once for the process; libcurl wants this before any thread, and we have none
void start_curl() {
  [[maybe_unused]] static const CURLcode started = ::curl_global_init(CURL_GLOBAL_DEFAULT);
}

}  // namespace

// One request: its easy handle and everything that libcurl borrows from us while it runs.
class HttpTransfer {
 public:
  HttpTransfer(HttpRequest request, HttpClient::Callback callback)
      : request_(std::move(request)), callback_(std::move(callback)) {}
  ~HttpTransfer() {
    easy_.reset();
    if (request_.form) wipe(*request_.form);
    for (auto& header : request_.headers) wipe(header);
    wipe(request_.certificate_key);
  }
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;

  // kInput when the URL is not one that we use.
  Status prepare();
  Result<HttpAnswer> finish(CURLcode code);
  [[nodiscard]] CURL* easy() const { return easy_.get(); }
  HttpClient::Callback& callback() { return callback_; }

  HttpClient::Id id = 0;
  bool attached = false;             // added to a multi handle
  std::optional<Error> early_error;  // known before libcurl was asked

 private:
  static size_t on_body(char* bytes, size_t one, size_t count, void* self);
  static size_t on_header(char* bytes, size_t one, size_t count, void* self);
  void set_limits();
  void set_client_certificate();
  [[nodiscard]] Error failure(CURLcode code) const;
  [[nodiscard]] std::string certificate_hint(const std::string& host) const;

  HttpRequest request_;
  HttpClient::Callback callback_;
  std::unique_ptr<CURL, CloseEasy> easy_;
  std::unique_ptr<curl_slist, FreeList> headers_;
  std::array<char, CURL_ERROR_SIZE> reason_{};
  HttpHeaders answer_headers_;
  std::string body_;
  size_t header_bytes_ = 0;
  bool too_long_ = false;
};

size_t HttpTransfer::on_body(char* bytes, size_t one, size_t count, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  if (transfer->request_.stream) {
    long status = 0;
    ::curl_easy_getinfo(transfer->easy(), CURLINFO_RESPONSE_CODE, &status);
    constexpr long kGood = 200;
    if (status == kGood) return transfer->request_.stream({bytes, one * count}) ? one * count : 0;
  }
  if (one * count > transfer->request_.limits.most_bytes - transfer->body_.size()) {
    transfer->too_long_ = true;
    return 0;  // libcurl ends the transfer
  }
  transfer->body_.append(bytes, one * count);
  return one * count;
}

size_t HttpTransfer::on_header(char* bytes, size_t one, size_t count, void* self) {
  auto* transfer = static_cast<HttpTransfer*>(self);
  transfer->header_bytes_ += one * count;
  if (transfer->header_bytes_ > kMostHeaders) {
    transfer->too_long_ = true;
    return 0;
  }
  auto& headers = transfer->answer_headers_;
  std::string_view line(bytes, one * count);
  if (line.starts_with("HTTP/")) headers = {};  // a new answer, after 100 Continue or a proxy's
  size_t colon = line.find(':');
  if (colon == std::string_view::npos || line.size() > kMostHeaderBytes) return one * count;
  std::string name = lower(line.substr(0, colon));
  std::string value(trim(line.substr(colon + 1)));
  if (name == "cache-control") headers.cache_control += (headers.cache_control.empty() ? "" : ",") + value;
  if (name == "age") headers.age = value;
  if (name == "expires") headers.expires = value;
  if (name == "date") headers.date = value;
  if (name == "retry-after") headers.retry_after = value;
  if (name == "dpop-nonce") headers.dpop_nonce = value;
  if (name == "etag") headers.etag = validator(value);
  if (name == "last-modified") headers.last_modified = validator(value);
  // many small Cache-Control lines would otherwise add up
  if (headers.cache_control.size() > kMostHeaderBytes) headers.cache_control = "no-store";
  return one * count;
}

void HttpTransfer::set_limits() {
  CURL* e = easy_.get();
  ::curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  // names are looked up by a thread of libcurl's: do not wait for it when the transfer is given up
  ::curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
  ::curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request_.limits.connect_time.count()));
  ::curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, static_cast<long>(request_.limits.total_time.count()));
  ::curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
  ::curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, &HttpTransfer::on_body);
  ::curl_easy_setopt(e, CURLOPT_WRITEDATA, this);
  ::curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, &HttpTransfer::on_header);
  ::curl_easy_setopt(e, CURLOPT_HEADERDATA, this);
  ::curl_easy_setopt(e, CURLOPT_ERRORBUFFER, reason_.data());
}

// libcurl reads both while it connects, and they are ours as long as it runs.
void HttpTransfer::set_client_certificate() {
  if (request_.certificate.empty()) return;
  auto blob = [](std::string& text) { return curl_blob{text.data(), text.size(), CURL_BLOB_NOCOPY}; };
  curl_blob certificate = blob(request_.certificate), key = blob(request_.certificate_key);
  ::curl_easy_setopt(easy_.get(), CURLOPT_SSLCERT_BLOB, &certificate);
  ::curl_easy_setopt(easy_.get(), CURLOPT_SSLKEY_BLOB, &key);
}

Status HttpTransfer::prepare() {
  if (auto checked = check_url(request_.url); !checked) return checked;
  start_curl();
  easy_.reset(::curl_easy_init());
  if (!easy_) return Error{ErrorKind::kSystem, 0, "libcurl gives no handle"};
  CURL* e = easy_.get();
  auto parts = split_url(request_.url);
  set_limits();
  ::curl_easy_setopt(e, CURLOPT_PRIVATE, this);
  ::curl_easy_setopt(e, CURLOPT_URL, request_.url.c_str());
  ::curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, parts->scheme.c_str());
  ::curl_easy_setopt(e, CURLOPT_USERAGENT, "qufabric/" QF_VERSION);
  if (is_loopback(parts->host)) ::curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
  if (!request_.ca_file.empty()) {
    ::curl_easy_setopt(e, CURLOPT_CAINFO, request_.ca_file.c_str());
    // the built-in folder of the system's authorities would be trusted beside the file
    ::curl_easy_setopt(e, CURLOPT_CAPATH, nullptr);
  }
  set_client_certificate();
  if (request_.stream) ::curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  headers_.reset(::curl_slist_append(nullptr, ("Accept: " + request_.accept).c_str()));
  if (!request_.etag.empty())
    ::curl_slist_append(headers_.get(), ("If-None-Match: " + request_.etag).c_str());
  if (!request_.last_modified.empty())
    ::curl_slist_append(headers_.get(), ("If-Modified-Since: " + request_.last_modified).c_str());
  for (const auto& header : request_.headers) ::curl_slist_append(headers_.get(), header.c_str());
  if (request_.form) {
    ::curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.form->size()));
    ::curl_easy_setopt(e, CURLOPT_POSTFIELDS, request_.form->c_str());  // borrowed, not copied
  }
  ::curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers_.get());
  return Done{};
}

// What is wrong with a certificate that was refused.
std::string HttpTransfer::certificate_hint(const std::string& host) const {
  long fault = X509_V_OK;
  ::curl_easy_getinfo(easy_.get(), CURLINFO_SSL_VERIFYRESULT, &fault);
  if (fault == X509_V_ERR_CERT_HAS_EXPIRED || fault == X509_V_ERR_CERT_NOT_YET_VALID) {
    return "its certificate is not valid at this time: look at its dates, and at the clock of this machine";
  }
  // libcurl looks at the name first, and then has no verdict on the chain yet
  if (fault == X509_V_OK || fault == X509_V_ERR_UNSPECIFIED)
    return "its certificate is for another host than " + host;
  const std::string& file = request_.ca_file;
  return "its certificate is of no authority that is trusted " +
         (file.empty() ? "on this machine; " + request_.ca_setting + " can name another one"
                       : "by " + request_.ca_setting + " (" + file + ")");
}

Error HttpTransfer::failure(CURLcode code) const {
  std::string host = url_host(request_.url);
  if (too_long_) {
    return peer_error("the answer of " + host + " is longer than " +
                      std::to_string(request_.limits.most_bytes) + " bytes");
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    long seconds = static_cast<long>(request_.limits.total_time.count() / 1000);
    return timeout_error(host + " did not answer in time (" + std::to_string(seconds) + " s)");
  }
  std::string reason = reason_[0] != '\0' ? reason_.data() : ::curl_easy_strerror(code);
  // "Failed to connect to 127.0.0.1 port 1 after 0 ms": the same fault has the same words at any time
  if (size_t after = reason.find(" after "); after != std::string::npos) {
    size_t end = reason.find(" ms", after);
    if (end != std::string::npos && end - after < 16) reason.erase(after, end + 3 - after);
  }
  bool no_http = code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL ||
                 code == CURLE_GOT_NOTHING || code == CURLE_PARTIAL_FILE;
  Error error{no_http ? ErrorKind::kPeer : ErrorKind::kSystem, 0, "cannot reach " + host + ": " + reason};
  const std::string& file = request_.ca_file;
  if (code == CURLE_SSL_CONNECT_ERROR)
    error.hint = "does " + host + " speak TLS, and one that this machine knows?";
  if (code == CURLE_SSL_CACERT_BADFILE) {
    error.hint = request_.ca_setting + " names " + file + ", which must be there, readable, and PEM";
  } else if (code == CURLE_PEER_FAILED_VERIFICATION) {
    error.hint = certificate_hint(host);
  }
  return error;
}

Result<HttpAnswer> HttpTransfer::finish(CURLcode code) {
  if (code != CURLE_OK) return failure(code);
  HttpAnswer answer;
  ::curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &answer.status);
  constexpr long kNotModified = 304;
  bool conditional = !request_.etag.empty() || !request_.last_modified.empty();
  bool redirect = answer.status >= 300 && answer.status < 400;
  if (redirect && !(answer.status == kNotModified && conditional)) {
    return peer_error(url_host(request_.url) + " answers with a redirect (HTTP " +
                      std::to_string(answer.status) + "), which is not followed");
  }
  answer.body = std::move(body_);
  answer.lifetime = http_lifetime(answer_headers_);
  constexpr int64_t kMostWait = 86'400;
  if (auto seconds = parse_number(answer_headers_.retry_after, kMostWait)) {
    answer.retry_after = static_cast<int64_t>(*seconds);
  }
  answer.dpop_nonce = answer_headers_.dpop_nonce;
  answer.age = static_cast<int64_t>(parse_number(answer_headers_.age, INT32_MAX).value_or(0));
  answer.date = std::max<int64_t>(0, ::curl_getdate(answer_headers_.date.c_str(), nullptr));
  // or a date (RFC 9110 section 10.2.3), by the clock of whoever said it
  int64_t until = ::curl_getdate(answer_headers_.retry_after.c_str(), nullptr);
  if (!answer.retry_after && until > answer.date && answer.date > 0)
    answer.retry_after = std::min(until - answer.date, kMostWait);
  answer.etag = answer_headers_.etag;
  answer.last_modified = answer_headers_.last_modified;
  return answer;
}

Status check_url(const std::string& url) {
  auto parts = split_url(url);
  if (!parts || parts->host.empty()) return input_error("\"" + url + "\" is not a URL");
  if (!parts->user.empty()) return input_error("the URL of " + url_host(url) + " must not name a user");
  if (parts->scheme == "https") return Done{};
  if (parts->scheme != "http") return input_error("\"" + url + "\" is not an https URL");
  if (!is_loopback(parts->host)) {
    return input_error("\"" + url + "\" must be https (plain http is for loopback hosts only)");
  }
  return Done{};
}

std::string url_host(const std::string& url) {
  auto parts = split_url(url);
  if (!parts || parts->host.empty()) return "?";
  return parts->port.empty() ? parts->host : parts->host + ":" + parts->port;
}

std::string form_encode(const std::vector<std::pair<std::string, std::string>>& fields) {
  // RFC 3986 section 2.3 unreserved characters stay; a space may be %20 in a form too
  auto escape = [](std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out;
    for (char c : text) {
      auto u = static_cast<unsigned char>(c);
      bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                   c == '.' || c == '_' || c == '~';
      if (plain) {
        out += c;
      } else {
        out += '%';
        out += kDigits[u >> 4];
        out += kDigits[u & 15];
      }
    }
    return out;
  };
  std::string out;
  for (const auto& [name, value] : fields) {
    if (!out.empty()) out += '&';
    out += escape(name) + "=" + escape(value);
  }
  return out;
}

std::optional<int64_t> http_lifetime(const HttpHeaders& headers) {
  constexpr uint64_t kMost = 10ULL * 365 * 86'400;
  std::optional<int64_t> max_age;
  for (const auto& part : split(headers.cache_control, ',')) {
    std::string directive = lower(trim(part));
    if (directive == "no-store" || directive == "no-cache") return 0;
    if (!directive.starts_with("max-age=")) continue;
    std::string_view value = std::string_view(directive).substr(8);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    // RFC 9111 section 4.2.1: what cannot be read counts as stale
    max_age = static_cast<int64_t>(parse_number(value, kMost).value_or(0));
  }
  if (max_age) {
    auto age = static_cast<int64_t>(parse_number(headers.age, kMost).value_or(0));
    return std::max<int64_t>(0, *max_age - age);
  }
  if (headers.expires.empty()) return std::nullopt;
  time_t expires = ::curl_getdate(headers.expires.c_str(), nullptr);
  time_t date = ::curl_getdate(headers.date.c_str(), nullptr);
  if (expires < 0 || date < 0) return 0;
  return std::clamp<int64_t>(expires - date, 0, static_cast<int64_t>(kMost));
}

Result<HttpAnswer> http_get(const std::string& url, const std::string& ca_file, const HttpLimits& limits) {
  HttpTransfer transfer({url, ca_file, std::nullopt, limits}, nullptr);
  if (auto ready = transfer.prepare(); !ready) return ready.error();
  return transfer.finish(::curl_easy_perform(transfer.easy()));
}

HttpClient::HttpClient() {
  start_curl();
  multi_.reset(::curl_multi_init());
  if (!multi_) std::abort();  // out of memory
  ::curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &HttpClient::on_socket);
  ::curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
  ::curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &HttpClient::on_timer);
  ::curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
  ::curl_multi_setopt(multi_.get(), CURLMOPT_MAXCONNECTS, 4L);
}

HttpClient::~HttpClient() {
  while (!transfers_.empty()) cancel(transfers_.begin()->first);
  // closing idle connections calls on_socket: the map must still be there
  multi_.reset();
}

HttpClient::Id HttpClient::start(HttpRequest request, Callback callback) {
  Id id = next_id_++;
  auto transfer = std::make_unique<HttpTransfer>(std::move(request), std::move(callback));
  transfer->id = id;
  if (auto ready = transfer->prepare(); !ready) {
    transfer->early_error = ready.error();
    deadline_ = Clock::now();
  } else if (::curl_multi_add_handle(multi_.get(), transfer->easy()) == CURLM_OK) {
    transfer->attached = true;
  } else {
    transfer->early_error = Error{ErrorKind::kSystem, 0, "libcurl takes no request"};
    deadline_ = Clock::now();
  }
  transfers_.emplace(id, std::move(transfer));
  return id;
}

void HttpClient::cancel(Id id) {
  done_.erase(id);
  auto found = transfers_.find(id);
  if (found == transfers_.end()) return;
  if (found->second->attached) ::curl_multi_remove_handle(multi_.get(), found->second->easy());
  transfers_.erase(found);
}

void HttpClient::add(std::vector<pollfd>& polled) const {
  for (const auto& [fd, events] : sockets_) polled.push_back({fd, events, 0});
}

int HttpClient::on_socket(CURL*, curl_socket_t fd, int what, void* self, void*) {
  auto& sockets = static_cast<HttpClient*>(self)->sockets_;
  if (what == CURL_POLL_REMOVE) {
    sockets.erase(fd);
    return 0;
  }
  int events = ((what & CURL_POLL_IN) != 0 ? POLLIN : 0) | ((what & CURL_POLL_OUT) != 0 ? POLLOUT : 0);
  sockets[fd] = static_cast<short>(events);
  return 0;
}

int HttpClient::on_timer(CURLM*, long milliseconds, void* self) {
  auto* client = static_cast<HttpClient*>(self);
  client->deadline_ =
      milliseconds < 0 ? Deadline::max() : Clock::now() + std::chrono::milliseconds(milliseconds);
  return 0;
}

void HttpClient::handle(const std::vector<pollfd>& polled) {
  int running = 0;
  for (const auto& p : polled) {
    // only ours, and only those that libcurl still knows: one action may close another's socket
    if (p.revents == 0 || !sockets_.contains(p.fd)) continue;
    int what = ((p.revents & (POLLIN | POLLHUP)) != 0 ? CURL_CSELECT_IN : 0) |
               ((p.revents & POLLOUT) != 0 ? CURL_CSELECT_OUT : 0) |
               ((p.revents & (POLLERR | POLLNVAL)) != 0 ? CURL_CSELECT_ERR : 0);
    ::curl_multi_socket_action(multi_.get(), p.fd, what, &running);
  }
  if (Clock::now() >= deadline_) {
    deadline_ = Deadline::max();
    ::curl_multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
  }
  collect();
}

// Callbacks may start and cancel requests, so what is done is taken out first and called afterwards.
void HttpClient::collect() {
  int left = 0;
  while (CURLMsg* message = ::curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURLcode code = message->data.result;
    HttpTransfer* transfer = nullptr;
    ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    Id id = transfer->id;
    auto result = transfer->finish(code);
    auto callback = std::move(transfer->callback());
    cancel(id);
    done_.emplace(id, std::pair(std::move(callback), std::move(result)));
  }
  for (auto it = transfers_.begin(); it != transfers_.end();) {
    if (it->second->early_error) {
      done_.emplace(it->first, std::pair(std::move(it->second->callback()), *it->second->early_error));
      it = transfers_.erase(it);
    } else {
      ++it;
    }
  }
  while (!done_.empty()) {
    auto next = done_.extract(done_.begin());
    next.mapped().first(std::move(next.mapped().second));
  }
}

}  // namespace qf
