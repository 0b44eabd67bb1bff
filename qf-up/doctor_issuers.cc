// SPDX-License-Identifier: Apache-2.0
// qf-up doctor: the identity providers. All of them are asked at the same time; each has kProviderTime for
// each of its two answers. Nothing is sent but the two requests that everybody may make.
#include <poll.h>

#include <algorithm>
#include <ctime>
#include <memory>

#include "libqf/discovery.h"
#include "libqf/http.h"
#include "libqf/jwk.h"
#include "libqf/text.h"
#include "libqf/tokend_client.h"
#include "libqf/unix_socket.h"
#include "qf-up/doctor_checks.h"

namespace qf {

namespace {

using std::chrono::milliseconds;
constexpr HttpLimits kProviderLimits = {1 << 20, milliseconds(3'000), milliseconds(5'000)};

struct TimedAnswer {
  Result<HttpAnswer> answer = not_found("not asked");
  int64_t asked = 0, answered = 0;  // this machine's clock, milliseconds since the epoch
};

struct IssuerVisit {
  LoginRecord record;
  bool wants_discovery = false;
  std::optional<TimedAnswer> discovery, keys;
  std::string jwks_uri;
};

int64_t wall_milliseconds() {
  auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<milliseconds>(now).count();
}

class Visits {
 public:
  explicit Visits(const std::vector<LoginRecord>& records) {
    for (const auto& record : records) {
      IssuerVisit visit;
      visit.record = record;
      // a machine issuer has no address
      bool by_network = record.flow != LoginFlow::kMachine;
      visit.wants_discovery = by_network && (needs_person(record.flow) || (!record.jwks && !record.jwks_uri));
      visit.jwks_uri = record.jwks_uri.value_or("");
      visits_.push_back(std::move(visit));
    }
  }

  const std::vector<IssuerVisit>& make() {
    for (auto& visit : visits_) {
      if (visit.wants_discovery) {
        ask_discovery(visit);
      } else {
        ask_keys(visit);
      }
    }
    while (waiting_ > 0) {
      std::vector<pollfd> polled;
      client_.add(polled);
      ::poll(polled.data(), polled.size(), poll_timeout(client_.deadline()));
      client_.handle(polled);
    }
    return visits_;
  }

 private:
  void get(const IssuerVisit& visit, const std::string& url, std::function<void(TimedAnswer)> done) {
    ++waiting_;
    int64_t asked = wall_milliseconds();
    HttpRequest request{url, visit.record.ca_file.value_or(""), std::nullopt, kProviderLimits};
    client_.start(std::move(request), [this, asked, done = std::move(done)](Result<HttpAnswer> answer) {
      --waiting_;
      done({std::move(answer), asked, wall_milliseconds()});
    });
  }

  void ask_discovery(IssuerVisit& visit) {
    get(visit, discovery_url(visit.record.issuer), [this, &visit](TimedAnswer timed) {
      auto found = read_discovery(visit.record, timed.answer);
      visit.discovery = std::move(timed);
      if (found && visit.jwks_uri.empty()) visit.jwks_uri = found->jwks_uri;
      ask_keys(visit);
    });
  }

  void ask_keys(IssuerVisit& visit) {
    if (visit.record.jwks || visit.jwks_uri.empty()) return;
    get(visit, visit.jwks_uri, [&visit](TimedAnswer timed) { visit.keys = std::move(timed); });
  }

  std::vector<IssuerVisit> visits_;
  HttpClient client_;
  int waiting_ = 0;
};

std::string hint_of(const Error& error) {
  return error.hint.empty() ? "is the network up, and the provider?" : error.hint;
}

void judge_discovery(const IssuerVisit& visit, Findings& findings) {
  if (!visit.discovery) return;
  auto found = read_discovery(visit.record, visit.discovery->answer);
  if (!found)
    return findings.wrong("discovery", visit.record.name, found.error().message, found.error().hint);
  findings.ok("discovery", visit.record.name, visit.record.issuer + " answers as it should");
}

std::string key_count(size_t count) {
  return std::to_string(count) + (count == 1 ? " key" : " keys");
}

void judge_key_text(const std::string& name, std::string_view text, Findings& findings) {
  std::vector<std::string> skipped;
  auto keys = parse_key_set(text, &skipped);
  const std::string hint = "no token of it can be checked: tell the admin of the provider";
  if (!keys) return findings.wrong("keys", name, "its key set is of no use: " + keys.error().text(), hint);
  if (keys->empty())
    return findings.wrong("keys", name,
                          "its key set has no key that can be used" +
                              (skipped.empty() ? std::string() : ": " + join(skipped, "; ")),
                          hint);
  findings.ok("keys", name, key_count(keys->size()));
}

void judge_keys(const IssuerVisit& visit, Findings& findings) {
  const std::string& name = visit.record.name;
  if (visit.record.jwks) return judge_key_text(name, *visit.record.jwks, findings);
  if (!visit.keys) {
    bool known = visit.discovery && read_discovery(visit.record, visit.discovery->answer);
    if (known)
      return findings.wrong("keys", name, "its discovery document names no jwks_uri",
                            "put \"jwks_uri\" or \"jwks\" into the issuer's entry of fabric.json");
    return findings.note("keys", name, "not asked, since its discovery document is of no use",
                         "see the line about discovery");
  }
  const auto& answer = visit.keys->answer;
  if (!answer) return findings.wrong("keys", name, answer.error().text(), hint_of(answer.error()));
  if (answer->status != 200)
    return findings.wrong(
        "keys", name, visit.jwks_uri + ": " + describe_failure(*answer),
        "tell the admin of the provider; servers go on with the keys that they have for a day");
  judge_key_text(name, answer->body, findings);
}

// The provider's time lay between asking and answering; its Date has whole seconds.
void judge_clock(const IssuerVisit& visit, Findings& findings) {
  const auto& timed = visit.discovery ? visit.discovery : visit.keys;
  if (!timed) return;
  const std::string& name = visit.record.name;
  if (!timed->answer)
    return findings.note("clock", name, "not compared, since the provider does not answer",
                         "see the other lines about it");
  if (timed->answer->date == 0)
    return findings.note("clock", name, "not compared: the provider's answer has no Date",
                         "run: timedatectl status");
  int64_t theirs = (timed->answer->date + timed->answer->age) * 1000;
  int64_t ahead = 0;  // of ours, milliseconds
  if (timed->asked > theirs + 1000) ahead = timed->asked - theirs - 1000;
  if (timed->answered < theirs) ahead = timed->answered - theirs;
  int64_t seconds = (std::abs(ahead) + 999) / 1000;
  std::string text =
      seconds == 0 ? "agrees with the provider's"
                   : describe_seconds(seconds) + (ahead > 0 ? " ahead of" : " behind") + " the provider's";
  if (seconds <= visit.record.clock_skew) return findings.ok("clock", name, text);
  findings.wrong(
      "clock", name, text + "; " + std::to_string(visit.record.clock_skew) + " s are allowed (clock_skew)",
      "set this machine's clock (run: timedatectl set-ntp true), or the provider's if that one is wrong");
}

void check_machine_issuer(const Patient& patient, const LoginRecord& record, Findings& findings) {
  auto runtime = user_runtime(patient.folders, false);
  Error last = not_found("no machine issuer listens here");
  for (const auto& path :
       machine_sockets(patient.folders, runtime ? *runtime : system_runtime(patient.folders))) {
    auto fd = connect_unix(path, static_cast<uid_t>(-1), SOCK_STREAM | SOCK_NONBLOCK);
    if (fd) return findings.ok("machine", record.name, "its issuer listens at " + path);
    if (fd.error().kind != ErrorKind::kNotFound) last = fd.error();
  }
  if (last.kind == ErrorKind::kNotFound)
    return findings.note("machine", record.name,
                         "no machine issuer runs here, so nobody here gets its tokens",
                         "where it is wanted: sudo systemctl enable --now qf-machine-issuer.socket, or run "
                         "qf-tokend --machine-issuer");
  findings.wrong("machine", record.name, last.text(), "restart it: sudo systemctl restart qf-machine-issuer");
}

}  // namespace

void check_issuers(const Patient& patient, Findings& findings) {
  Visits visits(patient.issuers);
  for (const auto& visit : visits.make()) {
    judge_clock(visit, findings);
    judge_discovery(visit, findings);
    judge_keys(visit, findings);
    if (visit.record.flow == LoginFlow::kMachine) check_machine_issuer(patient, visit.record, findings);
  }
}

}  // namespace qf
