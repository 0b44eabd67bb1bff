// SPDX-License-Identifier: Apache-2.0
#include "libqf/peers_db.h"

#include "libqf/address.h"
#include "libqf/text.h"

namespace qf {

Result<PeersDb> PeersDb::open(const std::string& path) {
  auto reader = LmdbReader::open(path);
  if (!reader) return reader.error();
  PeersDb db(std::move(*reader));
  auto meta = db.meta();
  if (!meta || meta->format != kDatabaseFormat) {
    return input_error(path + " was written by another version; run: qf-up apply");
  }
  return db;
}

Result<PeerRecord> PeersDb::find_peer(std::string_view name_or_address) const {
  auto address = canonical_address(name_or_address);
  auto name = reader_.find("n:" + (address ? *address : lower(name_or_address)));
  if (!name) return not_found("\"" + std::string(name_or_address) + "\" is not a peer");
  return reader_.get<PeerRecord>("p:" + std::string(*name));
}

void PeersDb::each_peer(const std::function<void(PeerRecord)>& visit) const {
  reader_.scan("p:", [&](std::string_view, std::string_view value) {
    if (auto record = decode<PeerRecord>(value)) visit(std::move(*record));
  });
}

int64_t PeersDb::expires() const {
  constexpr uint64_t kMost = uint64_t{1} << 53;
  return static_cast<int64_t>(parse_number(reader_.find("expires").value_or(""), kMost).value_or(0));
}

Result<LoginRecord> PeersDb::find_issuer(std::string_view name) const {
  return reader_.get<LoginRecord>("i:" + std::string(name));
}

}  // namespace qf
