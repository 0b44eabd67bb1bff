// SPDX-License-Identifier: Apache-2.0
#include "qf-up/status_peers.h"

#include <algorithm>
#include <set>

#include "libqf/identification.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-up/text_table.h"

namespace qf {

namespace {

constexpr auto kPeerTime = std::chrono::seconds(2);
constexpr auto kPeersTime = std::chrono::seconds(10);

// Something is there: it accepted a connection, or refused it by itself.
bool refuses(const ProbeResult& probe) {
  return probe.detection == Detection::kNone && probe.sys == ECONNREFUSED;
}
bool reachable(const ProbeResult& probe) {
  return probe.detection != Detection::kNone || !probe.address.empty() || refuses(probe);
}

std::string release(const ProbeResult& probe) {
  std::string software = probe.identification.software;
  if (software.starts_with(kServerSoftware)) software.erase(0, kServerSoftware.size());
  return software;
}

std::string answer_text(const ProbeResult& probe) {
  switch (probe.detection) {
    case Detection::kJwt:
      return "qf-sshd " + release(probe) + ", wants a login";
    case Detection::kNoJwt:
      return "qf-sshd " + release(probe) + ", wants no login";
    case Detection::kOther:
      return "another SSH server, " + probe.identification.software;
    case Detection::kClosed:
      return "takes no connection from " + probe.source + " here: see qf-up doctor";
    case Detection::kNone:
      if (refuses(probe)) return "refuses connections: no SSH server runs on port 22022";
      return probe.address.empty() ? "no answer" : "no SSH server: " + probe.reason;
  }
  std::abort();
}

Colour answer_colour(const PeerAnswer& answer) {
  if (!answer.peer.ssh) return Colour::kNone;
  switch (answer.probe->detection) {
    case Detection::kJwt:
    case Detection::kNoJwt:
      return Colour::kGood;
    case Detection::kClosed:
      return Colour::kDoubtful;
    case Detection::kOther:
    case Detection::kNone:
      return Colour::kBad;
  }
  std::abort();
}

std::string word_of(const ProbeResult& probe) {
  return refuses(probe) ? "refused" : std::string(detection_word(probe.detection));
}

std::string summary(const std::vector<PeerAnswer>& peers) {
  size_t ours = 0, others = 0, silent = 0, unasked = 0;
  for (const auto& peer : peers) {
    if (!peer.probe) {
      ++unasked;
    } else if (peer.probe->detection == Detection::kJwt || peer.probe->detection == Detection::kNoJwt) {
      ++ours;
    } else {
      ++(reachable(*peer.probe) ? others : silent);
    }
  }
  std::string text = std::to_string(peers.size()) + (peers.size() == 1 ? " peer: " : " peers: ") +
                     std::to_string(ours) + " with qf-sshd, " + std::to_string(others) +
                     " that answer otherwise, " + std::to_string(silent) + " that do not answer";
  if (unasked == 0) return text + "\n";
  return text + ", " + std::to_string(unasked) +
         " not asked in time and left out\nhint: name those that matter: qf-up status --peers PEER...\n";
}

}  // namespace

Result<std::vector<PeerAnswer>> ask_peers(const PeersDb& db, const std::vector<std::string>& names) {
  std::vector<PeerRecord> records;
  std::set<std::string> taken;
  for (const auto& name : names) {
    auto record = db.find_peer(name);
    if (!record)
      return with_hint(input_error("the fabric has no peer " + qf::quoted(name)),
                       "all of them: qf-up status --peers");
    if (taken.insert(record->name).second) records.push_back(std::move(*record));
  }
  if (names.empty()) db.each_peer([&](PeerRecord record) { records.push_back(std::move(record)); });
  auto meta = db.meta();
  auto probes = probe_peers(records, {kPeerTime, kPeersTime});
  std::vector<PeerAnswer> answers;
  for (size_t i = 0; i < records.size(); ++i) {
    bool self = meta && records[i].name == meta->self;
    answers.push_back({std::move(records[i]), self, std::move(probes[i])});
  }
  return answers;
}

std::string peers_table(const std::vector<PeerAnswer>& peers, bool colours) {
  std::vector<TableRow> rows = {{{"PEER", Colour::kHead},
                                 {"ADDRESS", Colour::kHead},
                                 {"REACHABLE", Colour::kHead},
                                 {"PORT 22022", Colour::kHead}}};
  for (const auto& answer : peers) {
    if (!answer.probe) continue;
    const auto& addresses = answer.peer.addresses;
    std::string address = !answer.probe->address.empty() ? answer.probe->address
                          : addresses.empty()            ? "-"
                                                         : addresses.front();
    rows.push_back({{answer.peer.name + (answer.self ? " (this machine)" : "")},
                    {address},
                    {reachable(*answer.probe) ? "yes" : "no"},
                    {answer_text(*answer.probe), answer_colour(answer)}});
  }
  if (rows.size() == 1) return summary(peers);
  return table_text(rows, colours) + summary(peers);
}

JsonPtr peers_json(const std::vector<PeerAnswer>& peers) {
  JsonPtr list(::cJSON_CreateArray());
  for (const auto& answer : peers) {
    JsonWriter one;
    one.set("name", answer.peer.name).set("addresses", answer.peer.addresses).set("self", answer.self);
    one.set("ssh", answer.peer.ssh).set("version", answer.peer.version);
    if (answer.probe) {
      const auto& probe = *answer.probe;
      one.set("answer", word_of(probe)).set("reachable", reachable(probe)).set("address", probe.address);
      one.set("software", probe.identification.software).set("reason", printable(probe.reason));
    } else {
      one.set("answer", JsonPtr(::cJSON_CreateNull())).set("reachable", JsonPtr(::cJSON_CreateNull()));
    }
    ::cJSON_AddItemToArray(list.get(), one.take().release());
  }
  return list;
}

}  // namespace qf
