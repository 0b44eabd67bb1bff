// SPDX-License-Identifier: Apache-2.0
// The nftables table of --redirect-port-22, as text for nft(8) and as it must be listed back: what is to be
// redirected, and nothing of how it gets into the kernel (qf-up/redirect.h).
//
// One table of our own for each state folder, so that two fabrics on one machine have two:
//
//   table inet qufabric {
//     set peers4 { type ipv4_addr; elements = { 100.119.4.2 } }      other peers of the document
//     set peers6 { type ipv6_addr }
//     chain port22 {
//       type nat hook prerouting priority -105; policy accept;
//       iifname "wg0" ip saddr @peers4 ip daddr 100.119.230.104 tcp dport 22 dnat ip to
//       100.119.230.104:22022
//     }
//   }
//
// A rule for each address of this peer, since "redirect" would choose the first address of the interface. Its
// priority is a little before dstnat, so that a port forward of the admin's for everybody does not take the
// peers. Connections from this machine itself never come by this hook.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/json.h"
#include "libqf/result.h"

namespace qf {

// What --redirect-port-22 says: an interface, or networks.
struct RedirectChoice {
  std::string interface;  // empty: any
  struct Network {
    bool v6 = false;
    std::vector<unsigned char> bytes;  // 4 or 16
    unsigned bits = 0;
    [[nodiscard]] bool contains(std::string_view address) const;
  };
  std::vector<Network> networks;  // empty: any
  // Whether a peer of this address is meant, wherever it comes in.
  [[nodiscard]] bool covers(std::string_view address) const;
};
// IFACE, or one or more of ADDRESS/BITS with commas between them (an address alone is one network). kInput
// says what it must be.
[[nodiscard]] Result<RedirectChoice> parse_redirect(std::string_view text);

struct RedirectPlan {
  std::string table;
  std::string interface;            // empty: any
  std::vector<std::string> own;     // canonical addresses of this peer that port 22 is redirected on, sorted
  std::vector<std::string> peers4;  // sources, sorted
  std::vector<std::string> peers6;
};

// The name of the table of this state folder: "qufabric" for the system's own, else with a hash of the path.
[[nodiscard]] std::string redirect_table(const std::string& state);
// `own` and `peers` are canonical; addresses of our own are no peers.
[[nodiscard]] RedirectPlan plan_redirect(std::string table, const RedirectChoice& choice,
                                         const std::vector<std::string>& own,
                                         const std::vector<std::string>& peers);

// For `nft -j -f -` (libnftables-json(5)): the table in the place of one of its name, in one transaction.
[[nodiscard]] std::string redirect_ruleset(const RedirectPlan& plan);
// Compares what `nft -j list table` says with the plan, handles aside. kInput: the first thing that differs.
[[nodiscard]] Status check_listing(const RedirectPlan& plan, std::string_view listing);

}  // namespace qf
