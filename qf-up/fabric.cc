// SPDX-License-Identifier: Apache-2.0
#include "qf-up/fabric.h"

#include <algorithm>
#include <functional>

#include "libqf/authorize.h"
#include "libqf/codec.h"
#include "libqf/text.h"
#include "qf-up/compile.h"

namespace qf {

namespace {

constexpr std::string_view kPeerPrefix = "peer:", kAddressPrefix = "addr:";

// The peer as a destination, without what makes it this one.
PeerPolicyRecord kind_of(const PeerPolicyRecord& peer) {
  PeerPolicyRecord kind;
  kind.ssh = peer.ssh;
  kind.version = peer.version;
  kind.issuers = peer.issuers;
  std::sort(kind.issuers.begin(), kind.issuers.end());
  return kind;
}

std::string text_of_kind(const PeerPolicyRecord& kind) {
  PeerPolicyRecord text = kind;
  text.version = speaks_native_ssh(kind) ? "native" : "";
  return encode(text);
}

}  // namespace

Status Fabric::read_policies() {
  auto meta = db_->meta();
  if (!meta) return meta.error();
  meta_ = std::move(*meta);
  for (;;) {
    auto policy = db_->policy(static_cast<uint32_t>(policies_.size()));
    if (!policy && policy.error().kind == ErrorKind::kNotFound) return Done{};
    if (!policy) return policy.error();
    policies_.push_back(std::move(*policy));
  }
}

Status Fabric::take_peer(std::string_view value) {
  auto record = decode<PeerPolicyRecord>(value);
  if (!record) return record.error();
  auto from = db_->policies_from(*record);
  if (!from) return from.error();
  auto to = db_->policies_to(*record);
  if (!to) return to.error();
  auto kind = kind_of(*record);
  Peer peer;
  peer.name = std::move(record->name);
  peer.from = lists_->of(*from);
  peer.to = lists_->of(*to);
  peer.kind = kind_texts_->of(text_of_kind(kind));
  peer.addresses = std::hash<std::string>{}(join(record->addresses, " "));
  if (peer.kind == kinds_.size()) kinds_.push_back(std::move(kind));
  for (const auto& group : record->groups)
    peer_groups_[group].push_back(static_cast<uint32_t>(peers_.size()));
  peers_.push_back(std::move(peer));
  return Done{};
}

Result<Fabric> Fabric::in_force(const std::string& path) {
  auto db = PolicyDb::open(path);
  if (!db) return db.error();
  Fabric fabric;
  fabric.db_ = std::make_unique<PolicyDb>(std::move(*db));
  if (auto read = fabric.read_policies(); !read) return read.error();
  Status all = Done{};
  fabric.db_->scan(kPeerPrefix, [&](std::string_view, std::string_view value) {
    if (all) all = fabric.take_peer(value);
  });
  if (!all) return all.error();
  return fabric;
}

Result<Fabric> Fabric::of(const Document& document) {
  Fabric fabric;
  fabric.records_ = std::make_unique<PolicyDb::Records>();
  auto source = policy_records(document);
  // a million peers would take gigabytes as records
  auto others = source([&](std::string_view key, std::string_view value) -> Status {
    if (!key.starts_with(kPeerPrefix) && !key.starts_with(kAddressPrefix))
      fabric.records_->emplace_hint(fabric.records_->end(), key, value);
    return Done{};
  });
  if (!others) return others.error();
  fabric.db_ = std::make_unique<PolicyDb>(PolicyDb::over(*fabric.records_));
  if (auto read = fabric.read_policies(); !read) return read.error();
  auto peers = source([&](std::string_view key, std::string_view value) -> Status {
    return key.starts_with(kPeerPrefix) ? fabric.take_peer(value) : Done{};
  });
  if (!peers) return peers.error();
  return fabric;
}

}  // namespace qf
