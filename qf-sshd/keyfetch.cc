// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/keyfetch.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <memory>

#include "libqf/discovery.h"
#include "libqf/http.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "qf-sshd/jail.h"
#include "qf-sshd/keyfetch_document.h"
#include "qf-sshd/keyfetch_etcd.h"
#include "qf-sshd/keyfetch_logins.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/memory_file.h"
#include "qf-sshd/messages.h"

namespace qf {

namespace {

constexpr size_t kMostDiscoveryBytes = 256 * 1024;
constexpr size_t kMostErrorBytes = 1000;  // FetchReply has room for more
constexpr std::chrono::milliseconds kConnectTime{5'000};

// Seconds for FetchReply, where 0 means that the answer said nothing.
uint32_t reply_lifetime(const std::optional<int64_t>& lifetime) {
  if (!lifetime) return 0;
  return static_cast<uint32_t>(std::clamp<int64_t>(*lifetime, 1, std::numeric_limits<uint32_t>::max()));
}

struct Fetch {
  FetchRequest request;
  Deadline deadline;
};
using FetchPtr = std::shared_ptr<Fetch>;

class Fetcher {
 public:
  Fetcher(MessageSocket listener, std::chrono::milliseconds fetch_time)
      : listener_(std::move(listener)),
        fetch_time_(fetch_time),
        logins_(http_, {[this](const DeviceLoginPrompt& prompt) { sent(listener_.send(prompt)); },
                        [this](const DeviceLoginEnd& end) { sent(listener_.send(end)); }}),
        document_(http_, listener_, [this](const Status& status) { sent(status); }),
        etcd_(http_, listener_, [this](const Status& status) { sent(status); }) {}

  int run();

 private:
  void take_request();
  void discover(const FetchPtr& fetch);
  void get_keys(const FetchPtr& fetch, const std::string& url);
  // Starts a GET whose good answer goes to `next`; anything else ends the fetch.
  void get(const FetchPtr& fetch, const std::string& url, size_t most_bytes,
           std::function<void(const HttpAnswer&)> next);
  void finish(const FetchPtr& fetch, const FetchReply& reply, const std::string& body);
  void fail(const FetchPtr& fetch, const std::string& error);
  void sent(const Status& status);

  MessageSocket listener_;
  std::chrono::milliseconds fetch_time_;
  HttpClient http_;
  KeyfetchLogins logins_;
  KeyfetchDocument document_;
  KeyfetchEtcd etcd_;
  bool done_ = false;
  int exit_code_ = kExitOk;
};

int Fetcher::run() {
  while (!done_) {
    std::vector<pollfd> polled = {{listener_.fd(), POLLIN, 0}};
    http_.add(polled);
    Deadline wake = std::min({http_.deadline(), logins_.deadline(), etcd_.deadline()});
    if (::poll(polled.data(), polled.size(), poll_timeout(wake)) < 0) {
      if (errno == EINTR) continue;
      log_error(system_error("keyfetch: poll").text());
      return kExitSystem;
    }
    bool asked = polled[0].revents != 0;
    http_.handle(polled);
    logins_.turn();
    etcd_.turn();
    if (asked && !done_) take_request();
  }
  return exit_code_;
}

void Fetcher::take_request() {
  auto message = listener_.receive();
  if (message && (logins_.take(*message) || document_.take(*message) || etcd_.take(*message))) return;
  auto request = message ? open_message<FetchRequest>(*message) : Result<FetchRequest>(message.error());
  if (!request) {
    done_ = true;
    bool closed = request.error().kind == ErrorKind::kNotFound;
    if (!closed) log_error("keyfetch: from the listener: " + request.error().text());
    exit_code_ = closed ? kExitOk : kExitBug;
    return;
  }
  auto fetch = std::make_shared<Fetch>(Fetch{std::move(*request), Clock::now() + fetch_time_});
  if (fetch->request.jwks_uri) {
    get_keys(fetch, *fetch->request.jwks_uri);
  } else {
    discover(fetch);
  }
}

void Fetcher::discover(const FetchPtr& fetch) {
  get(fetch, discovery_url(fetch->request.issuer), kMostDiscoveryBytes,
      [this, fetch](const HttpAnswer& answer) {
        auto url = read_jwks_uri(fetch->request.issuer, answer.body);
        if (url) {
          get_keys(fetch, *url);
        } else {
          fail(fetch, url_host(fetch->request.issuer) + ": " + url.error().text());
        }
      });
}

void Fetcher::get_keys(const FetchPtr& fetch, const std::string& url) {
  get(fetch, url, kMostKeySetBytes, [this, fetch](const HttpAnswer& answer) {
    finish(fetch, {fetch->request.name, "", reply_lifetime(answer.lifetime)}, answer.body);
  });
}

void Fetcher::get(const FetchPtr& fetch, const std::string& url, size_t most_bytes,
                  std::function<void(const HttpAnswer&)> next) {
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(fetch->deadline - Clock::now());
  HttpRequest request;
  request.url = url;
  request.ca_file = fetch->request.ca_file.value_or("");
  request.limits.most_bytes = most_bytes;
  // to libcurl 0 is no limit
  request.limits.total_time = std::max(left, std::chrono::milliseconds(1));
  request.limits.connect_time = std::min(kConnectTime, request.limits.total_time);
  http_.start(std::move(request),
              [this, fetch, host = url_host(url), next = std::move(next)](Result<HttpAnswer> answer) {
                if (!answer) return fail(fetch, answer.error().text());
                if (answer->status != 200) {
                  return fail(fetch, host + " answers with HTTP status " + std::to_string(answer->status));
                }
                next(*answer);
              });
}

void Fetcher::finish(const FetchPtr& fetch, const FetchReply& reply, const std::string& body) {
  auto file = make_memory_file(body);
  if (!file && reply.error.empty()) return fail(fetch, file.error().text());
  sent(file ? listener_.send(reply, {file->get()}) : Status(file.error()));
}

void Fetcher::sent(const Status& status) {
  if (status) return;
  // the listener is gone, or this process has no memory or descriptors left: a new one will do better
  log_error("keyfetch: cannot answer: " + status.error().text());
  done_ = true;
  exit_code_ = kExitSystem;
}

void Fetcher::fail(const FetchPtr& fetch, const std::string& error) {
  finish(fetch, {fetch->request.name, printable(error.substr(0, kMostErrorBytes)), 0}, "");
}

// The listener's handlers and masks are not ours.
Status default_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) return system_error("cannot unblock signals");
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2}) ::signal(number, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
  return Done{};
}

Status give_up_rights(const Settings& settings, const MessageSocket& listener) {
  ::prctl(PR_SET_NAME, "qf-keyfetch");
  if (auto done = default_signals(); !done) return done;
  if (auto done = keep_only({listener.fd()}); !done) return done;
  if (settings.privileged) {
    if (auto done = become(settings.fetch_uid, settings.fetch_gid); !done) return done;
  }
  if (::chdir("/") != 0) return system_error("cannot change to /");
  return lock_in_keyfetch();
}

}  // namespace

Result<std::string> read_jwks_uri(const std::string& issuer, const std::string& body) {
  auto json = parse_json(body);
  if (!json) return peer_error("its configuration is not JSON: " + json.error().what);
  auto named = json_string(json->get(), "issuer");
  if (named != issuer) {
    return peer_error("its configuration is for the issuer \"" + printable(named.value_or("")) +
                      "\", not \"" + issuer + "\"");
  }
  auto uri = json_string(json->get(), "jwks_uri");
  if (!uri) return peer_error("its configuration has no jwks_uri");
  // plain http is for a provider that is itself on loopback; others must not point us at our own services
  if (issuer.starts_with("https:") && !uri->starts_with("https:")) {
    return peer_error("its jwks_uri is not https");
  }
  return std::move(*uri);
}

int serve_fetches(MessageSocket listener, std::chrono::milliseconds fetch_time) {
  return Fetcher(std::move(listener), fetch_time).run();
}

int keyfetch_role(const Settings& settings, MessageSocket listener) {
  if (auto done = give_up_rights(settings, listener); !done) {
    log_error("keyfetch: " + done.error().text());
    return kExitSystem;
  }
  return serve_fetches(std::move(listener));
}

}  // namespace qf
