// SPDX-License-Identifier: Apache-2.0
// Network interfaces of this machine, as an admin names them (--interface, --redirect-port-22).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libqf/result.h"

namespace qf {

// Letters, digits, '.', '-', '_', '@', '+', at most 15 of them. The kernel takes more, and nothing that uses
// the name could take it for a pattern or an address then.
[[nodiscard]] bool valid_interface_name(std::string_view name);

// Its addresses, canonical, without link-local ones, in the kernel's order; none when it is down and empty.
// kNotFound: there is no such interface now.
[[nodiscard]] Result<std::vector<std::string>> interface_addresses(const std::string& name);

struct InterfaceAddress {
  std::string interface, address;
};
// The same of every interface but loopback.
[[nodiscard]] Result<std::vector<InterfaceAddress>> all_interface_addresses();

// Those of `own`, canonical, that are on the interface now; all of them when it is empty. kSystem, since it
// may come up later: there is no such interface, or none of them is on it.
[[nodiscard]] Result<std::vector<std::string>> addresses_on(const std::vector<std::string>& own,
                                                            const std::string& interface);

}  // namespace qf
