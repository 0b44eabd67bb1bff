// SPDX-License-Identifier: Apache-2.0
#include "qf-up/redirect.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "libqf/child.h"
#include "libqf/fd.h"
#include "libqf/interface.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/policy_db.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr auto kNftTime = std::chrono::seconds(60);
constexpr size_t kMostListing = size_t{256} << 20;  // a set of as many peers as a document can hold
constexpr const char* kNftPlaces[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft",
                                      "/run/current-system/sw/bin/nft"};
constexpr const char* kOffHint = "to do without it: qf-up apply --redirect-port-22=";

std::string note_path(const Folders& folders) {
  return folders.state + "/redirect";
}

Result<std::string> find_nft() {
  if (::geteuid() != 0) {
    return with_hint(refused("the redirect of port 22 is root's to make and to see"),
                     std::string("run it as root; ") + kOffHint);
  }
  for (const char* place : kNftPlaces) {
    if (::access(place, X_OK) == 0) return std::string(place);
  }
  return with_hint(Error{ErrorKind::kSystem, 0, "nft is not installed, and --redirect-port-22 needs it"},
                   std::string("install the package nftables; ") + kOffHint);
}

// What it printed. `input` is for "-f -".
Result<std::string> run_nft(std::vector<std::string> arguments, std::string_view input = {}) {
  auto nft = find_nft();
  if (!nft) return nft.error();
  arguments.insert(arguments.begin(), *nft);
  auto output = run_program_with(arguments, input, {"LC_ALL=C"}, Clock::now() + kNftTime, kMostListing);
  if (!output) return output.error();
  if (WIFEXITED(output->status) && WEXITSTATUS(output->status) == 0) return std::move(output->out);
  std::string first(trim(output->err));
  first = first.substr(0, first.find('\n'));
  return with_hint(
      Error{ErrorKind::kSystem, 0,
            "nft " + describe_exit(output->status) + (first.empty() ? "" : ": " + printable(first))},
      std::string("does the kernel have nf_tables and nft_nat? ") + kOffHint);
}

// Not by the error of listing it: its words are the library's.
Result<bool> table_exists(const std::string& table) {
  auto listing = run_nft({"-j", "list", "tables", "inet"});
  if (!listing) return listing.error();
  auto json = parse_json(*listing);
  const cJSON* all = json ? json_member(json->get(), "nftables") : nullptr;
  if (all == nullptr || !cJSON_IsArray(all))
    return Error{ErrorKind::kSystem, 0, "nft -j has printed something that is no listing"};
  for (const cJSON* item = all->child; item != nullptr; item = item->next) {
    const cJSON* found = json_member(item, "table");
    if (found != nullptr && json_string(found, "name") == table) return true;
  }
  return false;
}

std::string deletion(const std::string& table) {
  return "add table inet " + table + "\ndelete table inet " + table + "\n";
}

Status load(std::vector<std::string> arguments, std::string_view text) {
  auto loaded = run_nft(std::move(arguments), text);
  if (!loaded) return loaded.error();
  return Done{};
}

Status verify(const RedirectPlan& plan) {
  auto listing = run_nft({"-j", "list", "table", "inet", plan.table});
  if (!listing) return listing.error();
  return check_listing(plan, *listing);
}

RedirectPlan plan_for(const Folders& folders, const RedirectChoice& choice,
                      const std::vector<std::string>& own, const std::vector<std::string>& peers) {
  return plan_redirect(redirect_table(folders.state), choice, own, peers);
}

}  // namespace

bool redirect_wanted(const Choices& choices) {
  return choices.allow_server_ssh && !choices.redirect_port_22.empty();
}

bool redirect_noted(const Folders& folders) {
  return ::access(note_path(folders).c_str(), F_OK) == 0;
}

Result<RedirectPlan> plan_in_force(const Folders& folders, const Choices& choices) {
  auto choice = parse_redirect(choices.redirect_port_22);
  if (!choice) return choice.error();
  auto policy = PolicyDb::open(folders.policy_mdb());
  if (!policy) return policy.error();
  auto self = policy->peer(choices.self);
  if (!self) return self.error();
  auto own = addresses_on(self->addresses, choices.interface);
  if (!own) return own.error();
  std::vector<std::string> peers;
  policy->scan("addr:", [&](std::string_view address, std::string_view name) {
    if (name != self->name) peers.emplace_back(address);
  });
  return plan_for(folders, *choice, *own, peers);
}

Status try_redirect(const Document& document, const Folders& folders, const Choices& choices) {
  auto choice = parse_redirect(choices.redirect_port_22);
  if (!choice) return choice.error();
  std::vector<std::string> own, peers;
  for (const auto& peer : document.peers) {
    auto& list = peer.record.name == choices.self ? own : peers;
    list.insert(list.end(), peer.record.addresses.begin(), peer.record.addresses.end());
  }
  auto here = addresses_on(own, choices.interface);
  if (!here) return here.error();
  return load({"-c", "-j", "-f", "-"}, redirect_ruleset(plan_for(folders, *choice, *here, peers)));
}

Status put_redirect(const Folders& folders, const RedirectPlan& plan) {
  auto there = table_exists(plan.table);
  if (!there) return there.error();
  std::string before = deletion(plan.table);
  if (*there) {
    auto listing = run_nft({"list", "table", "inet", plan.table});
    if (!listing) return listing.error();
    before += *listing;
  }
  if (auto noted = write_file_atomically(note_path(folders), plan.table + "\n", 0644); !noted) return noted;
  if (auto made = load({"-j", "-f", "-"}, redirect_ruleset(plan)); !made) return made;
  Status good = verify(plan);
  if (good) return Done{};
  if (auto back = load({"-f", "-"}, before); !back) return back;
  return good;
}

Status remove_redirect(const Folders& folders) {
  std::string table = redirect_table(folders.state);
  auto there = table_exists(table);
  if (!there) return there.error();
  if (*there) {
    if (auto removed = load({"-f", "-"}, deletion(table)); !removed) return removed;
  }
  if (::unlink(note_path(folders).c_str()) != 0 && errno != ENOENT)
    return system_error("cannot remove " + note_path(folders));
  return Done{};
}

Status look_at_redirect(const RedirectPlan& plan) {
  auto there = table_exists(plan.table);
  if (!there) return there.error();
  if (!*there) return not_found("there is no table inet " + plan.table + " in nftables");
  return verify(plan);
}

Status settle_redirect(const Folders& folders, const Choices& choices, bool serving) {
  bool noted = redirect_noted(folders);
  if (!redirect_wanted(choices)) return noted ? remove_redirect(folders) : Done{};
  if (!serving && !noted) return Done{};
  auto plan = plan_in_force(folders, choices);
  if (!plan) return plan.error();
  return put_redirect(folders, *plan);
}

}  // namespace qf
