// SPDX-License-Identifier: Apache-2.0
#include "qf-up/network.h"

#include <algorithm>
#include <utility>

#include "libqf/interface.h"
#include "libqf/log.h"
#include "libqf/policy_db.h"
#include "qf-up/apply.h"
#include "qf-up/redirect.h"

namespace qf {

namespace {

// --interface of the command line: what it names must be there now.
Status check_interface(const Document& document, const Invocation& invocation, const Choices& choices) {
  bool given = std::any_of(invocation.limits.begin(), invocation.limits.end(), [](const auto& limit) {
    return limit.first->member == &Choices::interface && !limit.second.empty();
  });
  if (!given || choices.self.empty()) return Done{};
  auto self = std::find_if(document.peers.begin(), document.peers.end(),
                           [&](const PeerEntry& peer) { return peer.record.name == choices.self; });
  if (self == document.peers.end()) return Done{};
  auto own = addresses_on(self->record.addresses, choices.interface);
  return own ? Status(Done{}) : own.error();
}

}  // namespace

bool asks_for_redirect(const Invocation& invocation) {
  return std::any_of(invocation.limits.begin(), invocation.limits.end(), [](const auto& limit) {
    return limit.first->member == &Choices::redirect_port_22 && !limit.second.empty();
  });
}

Status check_network(const Document& document, const Invocation& invocation, const Choices& choices) {
  Status possible = check_interface(document, invocation, choices);
  if (possible && asks_for_redirect(invocation))
    possible = try_redirect(document, invocation.folders, choices);
  if (possible) return possible;
  Error error = possible.error();
  if (error.sys == 0) error.what += "; nothing was changed";
  return error;
}

int redirect_after(const Folders& folders, const Choices& choices, bool serving) {
  if (!redirect_wanted(choices) && !redirect_noted(folders)) return kExitOk;
  auto lock = lock_state(folders);
  Status settled = lock ? settle_redirect(folders, choices, serving) : Status(lock.error());
  if (settled) return kExitOk;
  say("the redirect of port 22 stays as it was");
  return fail(settled.error());
}

void give_back_port_22(const Folders& folders) {
  if (!redirect_noted(folders)) return;
  auto removed = remove_redirect(folders);
  if (removed) return say("the redirect of port 22 is gone, since no SSH server runs here");
  say("the redirect of port 22 leads to no server: " + removed.error().text(), "run: qf-up down");
}

std::vector<std::string> own_addresses(const Folders& folders, const Choices& choices) {
  auto policy = PolicyDb::open(folders.policy_mdb());
  auto self = policy ? policy->peer(choices.self) : Result<PeerPolicyRecord>(policy.error());
  if (!self) return {};
  auto own = addresses_on(self->addresses, choices.interface);
  return own ? std::move(*own) : std::vector<std::string>{};
}

}  // namespace qf
