// SPDX-License-Identifier: Apache-2.0
#include "qf-up/metrics.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/unix_socket.h"
#include "qf-up/commands.h"
#include "qf-up/instance.h"
#include "qf-up/live_status.h"
#include "qf-up/redirect.h"
#include "qf-up/server_note.h"
#include "qf-up/source.h"

namespace qf {

namespace {

constexpr const char* kServerSocket = "/metrics.sock";

uint64_t positive(int64_t value) {
  return value > 0 ? static_cast<uint64_t>(value) : 0;
}

void add_document(MetricsText& out, const UpFacts& facts) {
  out.gauge("qufabric_document_serial", "Serial of the fabric document in force.");
  if (facts.meta) out.sample(facts.meta->serial);
  out.gauge("qufabric_document_peers", "Peers in the fabric document in force.");
  if (facts.meta) out.sample(facts.meta->peers);
  out.gauge("qufabric_document_applied_time_seconds", "When it came into force, since the epoch.");
  if (facts.applied > 0) out.sample(positive(facts.applied));
  out.gauge("qufabric_document_expires_time_seconds", "When it expires, since the epoch; none: never.");
  if (facts.expires > 0) out.sample(positive(facts.expires));
}

void add_document_source(MetricsText& out, const UpFacts& facts) {
  out.gauge("qufabric_source_last_success_time_seconds",
            "When the place where the document comes from had a good answer last, since the epoch.");
  if (facts.source) out.sample(positive(facts.source->last_success));
  out.gauge("qufabric_source_last_attempt_time_seconds", "When it was asked last, since the epoch.");
  if (facts.source) out.sample(positive(facts.source->last_attempt));
  out.gauge("qufabric_source_failures", "How often in a row there was no good answer.");
  if (facts.source) out.sample(positive(facts.source->failures));
}

void add_alarms(MetricsText& out, const UpFacts& facts) {
  out.gauge("qufabric_alarm", "1 for what must not stay so, see qf-up status.");
  out.sample(facts.source && !facts.source->error.empty() ? 1 : 0, {{"kind", "document"}});
  out.sample(facts.expires > 0 && facts.now >= facts.expires ? 1 : 0, {{"kind", "expired"}});
  out.sample(facts.redirect == false ? 1 : 0, {{"kind", "redirect"}});
}

void add_known(MetricsText& out, const std::optional<bool>& value) {
  if (value) out.sample(*value ? 1 : 0);
}

// Everything but who runs.
UpFacts gather_facts(const Folders& folders, const Choices& choices) {
  UpFacts facts;
  facts.now = std::time(nullptr);
  if (auto db = PeersDb::open(folders.peers_mdb())) {
    if (auto meta = db->meta()) facts.meta = *meta;
    facts.expires = db->expires();
    struct stat st = {};
    if (::stat(folders.peers_mdb().c_str(), &st) == 0) facts.applied = st.st_mtime;
  }
  if (has_source(choices)) facts.source = load_source_record(folders, choices.document);
  if (redirect_wanted(choices)) {
    auto plan = plan_in_force(folders, choices);
    auto seen = plan ? look_at_redirect(*plan) : Status(plan.error());
    bool missing =
        !seen && (seen.error().kind == ErrorKind::kNotFound || seen.error().kind == ErrorKind::kInput);
    if (seen || missing) facts.redirect = static_cast<bool>(seen);
  }
  return facts;
}

}  // namespace

std::string up_metrics(const UpFacts& facts) {
  MetricsText out;
  out.gauge("qufabric_build_info", "1, with the version of qf-up.");
  out.sample(1, {{"version", QF_VERSION}});
  out.gauge("qufabric_up", "Whether a qf-up runs.");
  add_known(out, facts.up);
  out.gauge("qufabric_metrics_time_seconds", "When these numbers were written, since the epoch.");
  out.sample(positive(facts.now));
  out.gauge("qufabric_sshd_up", "Whether qf-sshd runs, where it is meant to.");
  add_known(out, facts.server_up);
  out.counter("qufabric_sshd_restarts_total", "How often qf-up had to start qf-sshd again.");
  if (facts.restarts) out.sample(*facts.restarts);
  add_document(out, facts);
  add_document_source(out, facts);
  out.gauge("qufabric_redirect_in_place",
            "Whether the redirect of port 22 is there as it was made, where it is wanted.");
  add_known(out, facts.redirect);
  add_alarms(out, facts);
  return out.text();
}

std::optional<std::chrono::milliseconds> UpMetrics::turn(std::optional<bool> server_runs, uint64_t restarts) {
  auto choices = load_choices(folders_);
  // the file says so by its age
  if (!choices) return std::chrono::seconds(kMetricsInterval);
  if (file_ && file_->folder() != choices->metrics_dir) {
    file_->remove();
    file_.reset();
  }
  if (choices->metrics_dir.empty()) return std::nullopt;
  if (!file_) file_.emplace(choices->metrics_dir, kUpMetricsFile);
  UpFacts facts = gather_facts(folders_, *choices);
  facts.up = true;
  facts.server_up = server_runs;
  if (server_runs) facts.restarts = restarts;
  file_->write(up_metrics(facts));
  return std::chrono::seconds(kMetricsInterval);
}

void UpMetrics::server_ended() const {
  auto choices = load_choices(folders_);
  if (choices && !choices->metrics_dir.empty())
    MetricsFile(choices->metrics_dir, kServerMetricsFile).remove();
}

void UpMetrics::end() {
  if (!file_) return;
  UpFacts facts;
  facts.now = std::time(nullptr);
  facts.up = false;
  file_->write(up_metrics(facts));
}

void remove_metrics(const Choices& choices) {
  if (choices.metrics_dir.empty()) return;
  for (const char* name : {kUpMetricsFile, kServerMetricsFile})
    MetricsFile(choices.metrics_dir, name).remove();
}

int command_metrics(const Invocation& invocation) {
  auto choices = choose(invocation);
  if (!choices) return fail(choices.error());
  UpFacts facts = gather_facts(invocation.folders, *choices);
  auto running = running_instance(invocation.folders);
  if (running) facts.up = running->has_value();
  if (running && *running) {
    if (auto note = read_server_note(invocation.folders, **running)) facts.restarts = note->restarts;
  }
  auto server = ask_server_text(invocation.folders, kServerSocket);
  if (choices->allow_server_ssh || server) facts.server_up = static_cast<bool>(server);
  // who may not ask does not know; one that hangs is no better than none
  bool silent =
      !server && (server.error().kind == ErrorKind::kNotFound || server.error().kind == ErrorKind::kTimeout);
  if (!server && !silent) facts.server_up.reset();
  if (auto written = write_all(STDOUT_FILENO, up_metrics(facts) + (server ? *server : "")); !written)
    return fail(written.error());
  return kExitOk;
}

}  // namespace qf
