// SPDX-License-Identifier: Apache-2.0
// The "peers" of a fabric document.
#include <algorithm>

#include "libqf/text.h"
#include "qf-up/document_parts.h"
#include "qf-up/names.h"

namespace qf {

namespace {

constexpr size_t kMostAddresses = 64;  // of one peer
constexpr size_t kMostHostKeys = 16;   // of one peer

const std::string& name_of(const DocumentReader& reader, size_t peer) {
  return reader.document.peers[peer].record.name;
}

// What is wrong with a name by itself.
NameFault fault_of_name(const DocumentReader& reader, const std::string& name) {
  if (auto fault = peer_name_fault(name)) return quoted(name) + ": " + *fault;
  if (name.size() + 1 + reader.document.domain.size() > 253)
    return "with the domain the name is longer than 253 bytes";
  return std::nullopt;
}

// A peer can be reached as NAME and as NAME.DOMAIN, and neither may lead to another peer. All in lower case.
void check_reachable_names(DocumentReader& reader, ObjectReader& object, const std::string& name) {
  auto check = [&](const std::string& reachable, const std::string& other) {
    auto found = reader.peers_by_name.find(other);
    if (found == reader.peers_by_name.end() || fault_of_name(reader, other)) return;
    object.fault("name",
                 quoted(reachable) + " would also be the peer " + quoted(name_of(reader, found->second)));
  };
  const std::string ending = "." + reader.document.domain;
  if (name.ends_with(ending)) check(name, name.substr(0, name.size() - ending.size()));
  check(name + ending, name + ending);
}

void read_peer_name(DocumentReader& reader, ObjectReader& object, PeerRecord& record, size_t peer) {
  auto name = object.text("name", Need::kRequired);
  if (!name) {
    reader.nameless_peer = true;
    return;
  }
  record.name = *name;
  auto [found, fresh] = reader.peers_by_name.emplace(lower(*name), peer);
  if (auto fault = fault_of_name(reader, *name)) return object.fault("name", *fault);
  if (!fresh) {
    const std::string& other = name_of(reader, found->second);
    return object.fault(
        "name", other == *name ? "two peers have the name " + quoted(*name)
                               : quoted(*name) + " and " + quoted(other) + " differ by letter case only");
  }
  check_reachable_names(reader, object, found->first);
}

void read_addresses(DocumentReader& reader, ObjectReader& object, PeerRecord& record, size_t peer) {
  object.list("addresses", Need::kRequired, [&](const cJSON* value, const Place& place) {
    auto text = read_text(value, place, reader.faults);
    if (!text) return;
    auto address = peer_address_text(*text);
    if (!address) return reader.faults.add(place, quoted(*text) + ": " + address.error().what);
    auto [found, fresh] = reader.peers_by_address.emplace(*address, peer);
    if (!fresh && found->second == peer) return reader.faults.add(place, "duplicate " + quoted(*text));
    if (!fresh)
      return reader.faults.add(place, quoted(*text) + " is an address of the peer " +
                                          quoted(name_of(reader, found->second)) + " too");
    record.addresses.push_back(std::move(*address));
  });
  if (record.addresses.size() > kMostAddresses)
    object.fault("addresses", "more than " + std::to_string(kMostAddresses));
}

void read_host_keys(DocumentReader& reader, ObjectReader& object, PeerEntry& peer) {
  object.list("ssh_host_keys", Need::kOptional, [&](const cJSON* value, const Place& place) {
    auto text = read_text(value, place, reader.faults);
    if (!text) return;
    auto key = parse_host_key(*text);
    if (!key)
      return reader.faults.add(place, key.error().what + "; qf-up host-key prints it on that machine");
    auto& all = peer.fingerprints;
    if (std::find(all.begin(), all.end(), key->fingerprint) != all.end())
      return reader.faults.add(place, "duplicate key " + key->fingerprint);
    all.push_back(std::move(key->fingerprint));
    peer.record.ssh_host_keys.push_back(std::move(key->line));
  });
  if (peer.fingerprints.size() > kMostHostKeys)
    object.fault("ssh_host_keys", "more than " + std::to_string(kMostHostKeys));
  std::sort(peer.fingerprints.begin(), peer.fingerprints.end());
}

void read_peer_issuers(DocumentReader& reader, ObjectReader& object, PeerRecord& record) {
  record.issuers = object.texts("issuers", Need::kOptional, [&](const std::string& name) {
    return reader.issuer_names.contains(name) || reader.nameless_issuer
               ? std::nullopt
               : std::optional("no issuer " + quoted(name) + near_name(name, reader.issuer_names));
  });
  if (object.is_empty("issuers"))
    object.fault("issuers", "must not be empty; leave it out to take every issuer");
}

}  // namespace

void read_peer(DocumentReader& reader, const cJSON* value, const Place& place) {
  ObjectReader object(value, place, reader.faults);
  // Kept also when it has faults, so that references to it are no faults of their own.
  size_t index = reader.document.peers.size();
  PeerEntry& peer = reader.document.peers.emplace_back();
  if (!object.is_object()) {
    reader.nameless_peer = true;
    return;
  }
  read_peer_name(reader, object, peer.record, index);
  read_addresses(reader, object, peer.record, index);
  peer.record.ssh = object.boolean("ssh", false);
  if (peer.record.ssh && object.is_empty("addresses"))
    object.fault("addresses", "a peer with \"ssh\": true needs an address");
  if (auto version = object.text("version", Need::kOptional)) {
    if (auto fault = version_fault(*version)) object.fault("version", quoted(*version) + ": " + *fault);
    peer.record.version = *version;
  }
  read_host_keys(reader, object, peer);
  read_peer_issuers(reader, object, peer.record);
  static_cast<void>(object.finish());
}

}  // namespace qf
