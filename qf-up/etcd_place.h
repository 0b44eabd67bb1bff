// SPDX-License-Identifier: Apache-2.0
// etcd://HOST[:PORT][,HOST[:PORT]...]/PREFIX of --document. The keys of the document begin with "/PREFIX/".
#pragma once

#include <string>
#include <vector>

#include "libqf/result.h"

namespace qf {

struct EtcdPlace {
  std::vector<std::string> hosts;  // "host:2379", "[::1]:2379"
  std::string prefix;              // "/qufabric"
};

[[nodiscard]] bool is_etcd_url(const std::string& url);
// kInput says what --document needs.
[[nodiscard]] Result<EtcdPlace> parse_etcd_url(const std::string& url);

// URLs of the members, in their order: https, but http for one on loopback unless `tls`.
[[nodiscard]] std::vector<std::string> etcd_members(const EtcdPlace& place, bool tls);

}  // namespace qf
