// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/server_metrics.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

struct FamilyHelp {
  const char* name;
  const char* help;
};
constexpr FamilyHelp kFamilies[] = {
    {kConnectionsFamily, "Connections that were taken."},
    {kRefusalsFamily, "Connections that were closed before a byte was sent, by what stood against them."},
    {kLoginsFamily, "Logins as an OS user, and the ones that were refused, by method."},
    {kNoLoginsFamily, "Logins that were refused, by the kind of reason."},
    {kSessionsFamily, "Sessions that were started."},
    {kNoSessionsFamily, "Sessions that were refused."},
    {kForwardsFamily, "Connections and listening sockets of forwards that clients asked for."},
    {kBytesFamily, "Bytes of sessions and forwards, from clients and to clients."},
    {kRevokedFamily,
     "Sessions, connections and forwards that a new policy or the end of their time has ended."},
    {kViolationsFamily, "Connections that were ended because they broke the rules."},
};

void add_counters(MetricsText& out, const Counts& counts) {
  for (const auto& family : kFamilies) {
    out.counter(family.name, family.help);
    for (const auto& line : kCountLines) {
      if (std::strcmp(line.family, family.name) != 0) continue;
      MetricsText::Labels labels;
      if (line.label != nullptr) labels.emplace_back(line.label, line.value);
      if (line.label2 != nullptr) labels.emplace_back(line.label2, line.value2);
      out.sample(counts[line.count], labels);
    }
  }
}

void add_live(MetricsText& out, const std::list<Connection>& connections) {
  uint64_t logged_in = 0, shell = 0, exec = 0, sftp = 0;
  for (const auto& connection : connections) {
    if (connection.logged_in) ++logged_in;
    shell += connection.live.shell;
    exec += connection.live.exec;
    sftp += connection.live.sftp;
  }
  out.gauge("qufabric_sshd_live_connections", "Connections that stand.");
  out.sample(logged_in, {{"state", "logged_in"}});
  out.sample(connections.size() - logged_in, {{"state", "not_logged_in"}});
  out.gauge("qufabric_sshd_live_sessions", "Sessions that run.");
  out.sample(shell, {{"kind", "shell"}});
  out.sample(exec, {{"kind", "exec"}});
  out.sample(sftp, {{"kind", "sftp"}});
}

void add_key_sets(MetricsText& out, const std::vector<KeySetStore::Age>& key_sets) {
  out.gauge("qufabric_sshd_key_set_age_seconds", "Since an issuer's key set was fetched.");
  for (const auto& set : key_sets) {
    if (set.seconds) out.sample(static_cast<uint64_t>(*set.seconds), {{"issuer", set.issuer}});
  }
  out.gauge("qufabric_sshd_key_set_usable", "Whether there is a key set of an issuer that is not too old.");
  for (const auto& set : key_sets) out.sample(set.usable ? 1 : 0, {{"issuer", set.issuer}});
  out.gauge("qufabric_sshd_key_set_fetch_failures", "Fetches of an issuer's key set in a row that failed.");
  for (const auto& set : key_sets) out.sample(static_cast<uint64_t>(set.failures), {{"issuer", set.issuer}});
}

}  // namespace

std::string server_metrics(const ServerFacts& facts) {
  MetricsText out;
  out.gauge("qufabric_sshd_build_info", "1, with the version of qf-sshd.");
  out.sample(1, {{"version", QF_VERSION}});
  out.gauge("qufabric_sshd_start_time_seconds", "When qf-sshd was started, since the epoch.");
  out.sample(static_cast<uint64_t>(facts.started));
  out.gauge("qufabric_sshd_metrics_time_seconds", "When these numbers were written, since the epoch.");
  out.sample(static_cast<uint64_t>(facts.now));
  out.gauge("qufabric_sshd_document_serial", "Serial of the fabric document that qf-sshd goes by.");
  if (facts.serial) out.sample(*facts.serial);
  add_key_sets(out, facts.key_sets);
  add_live(out, facts.connections);
  add_counters(out, facts.counts);
  return out.text();
}

bool MetricsRounds::begins(Deadline now) {
  if (now < next_) return false;
  next_ = now + std::chrono::seconds(kMetricsInterval);
  due_ = true;
  return true;
}

void MetricsRounds::end(const std::function<std::string()>& metrics) {
  if (std::exchange(due_, false)) file_.write(metrics());
}

void MetricsRounds::forget() {
  if (wanted_) file_.remove();
}

bool take_tally(const Tally& tally, Connection& connection, Counts& counts) {
  bool good = std::all_of(tally.counts.begin(), tally.counts.end(), [](const CountDelta& delta) {
    return delta.count >= static_cast<uint32_t>(kFirstOfMonitors) && delta.count < kCounts;
  });
  if (!good) return false;
  for (const auto& delta : tally.counts) counts.add(static_cast<Count>(delta.count), delta.amount);
  connection.live = tally.live;
  return true;
}

}  // namespace qf
