// SPDX-License-Identifier: Apache-2.0
#include "qf-up/redirect_rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <iterator>

#include "libqf/address.h"
#include "libqf/crypto.h"
#include "libqf/interface.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr const char* kUsualState = "/var/lib/qufabric";
constexpr const char* kFamily = "inet";
constexpr const char* kChain = "port22";
constexpr const char* kPeers4 = "peers4";
constexpr const char* kPeers6 = "peers6";
constexpr int kRedirectPriority = -105;  // dstnat is -100
constexpr int kSshPort = 22;

bool is_v6(std::string_view address) {
  return address.find(':') != std::string_view::npos;
}

std::vector<unsigned char> address_bytes(const std::string& canonical) {
  std::vector<unsigned char> bytes(is_v6(canonical) ? 16 : 4);
  if (::inet_pton(is_v6(canonical) ? AF_INET6 : AF_INET, canonical.c_str(), bytes.data()) != 1) return {};
  return bytes;
}

std::optional<RedirectChoice::Network> parse_network(std::string_view text) {
  constexpr unsigned kByteBits = 8;
  size_t slash = text.find('/');
  auto address = canonical_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  RedirectChoice::Network network{is_v6(*address), address_bytes(*address), 0};
  auto most = static_cast<unsigned>(network.bytes.size()) * kByteBits;
  network.bits = most;
  if (slash == std::string_view::npos) return network;
  auto bits = parse_number(text.substr(slash + 1), most);
  if (!bits) return std::nullopt;
  network.bits = static_cast<unsigned>(*bits);
  return network;
}

JsonPtr array_of(std::vector<JsonPtr> items) {
  JsonPtr array(::cJSON_CreateArray());
  for (auto& item : items) ::cJSON_AddItemToArray(array.get(), item.release());
  return array;
}

// { key: value }
JsonPtr object_of(const char* key, JsonPtr value) {
  JsonWriter writer;
  writer.set(key, std::move(value));
  return writer.take();
}

JsonPtr text_value(const std::string& text) {
  return JsonPtr(::cJSON_CreateString(text.c_str()));
}

JsonPtr equals(JsonPtr left, JsonPtr right) {
  JsonWriter match;
  match.set("op", "==").set("left", std::move(left)).set("right", std::move(right));
  return object_of("match", match.take());
}

JsonPtr field(const char* protocol, const char* name) {
  JsonWriter payload;
  payload.set("protocol", protocol).set("field", name);
  return object_of("payload", payload.take());
}

// The expressions of the rule for one own address, in their order.
JsonPtr rule_of(const RedirectPlan& plan, const std::string& own) {
  bool v6 = is_v6(own);
  const char* protocol = v6 ? "ip6" : "ip";
  std::vector<JsonPtr> expressions;
  if (!plan.interface.empty()) {
    JsonWriter meta;
    meta.set("key", "iifname");
    expressions.push_back(equals(object_of("meta", meta.take()), text_value(plan.interface)));
  }
  expressions.push_back(
      equals(field(protocol, "saddr"), text_value(std::string("@") + (v6 ? kPeers6 : kPeers4))));
  expressions.push_back(equals(field(protocol, "daddr"), text_value(own)));
  expressions.push_back(equals(field("tcp", "dport"), JsonPtr(::cJSON_CreateNumber(kSshPort))));
  JsonWriter to;
  to.set("family", protocol).set("addr", own).set("port", static_cast<int64_t>(kFabricPort));
  expressions.push_back(object_of("dnat", to.take()));
  return array_of(std::move(expressions));
}

JsonWriter in_table(const RedirectPlan& plan) {
  JsonWriter writer;
  writer.set("family", kFamily).set("table", plan.table);
  return writer;
}

JsonPtr table_of(const RedirectPlan& plan) {
  JsonWriter table;
  table.set("family", kFamily).set("name", plan.table);
  return object_of("table", table.take());
}

JsonPtr set_of(const RedirectPlan& plan, bool v6) {
  const auto& peers = v6 ? plan.peers6 : plan.peers4;
  JsonWriter set = in_table(plan);
  set.set("name", v6 ? kPeers6 : kPeers4).set("type", v6 ? "ipv6_addr" : "ipv4_addr");
  // an empty list is an error
  if (!peers.empty()) set.set("elem", peers);
  return object_of("set", set.take());
}

JsonPtr chain_of(const RedirectPlan& plan) {
  JsonWriter chain = in_table(plan);
  chain.set("name", kChain).set("type", "nat").set("hook", "prerouting").set("prio", kRedirectPriority);
  chain.set("policy", "accept");
  return object_of("chain", chain.take());
}

// ---- comparing --------------------------------------------------------------------------------------------

Status differs(const RedirectPlan& plan, const std::string& what) {
  return input_error("the table " + std::string(kFamily) + " " + plan.table +
                     " of nftables is not as it was made: " + what);
}

std::vector<std::string> sorted(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

bool says(const cJSON* object, const char* key, const std::string& value) {
  return json_string(object, key) == value;
}

Status check_set(const RedirectPlan& plan, const cJSON* set) {
  bool v6 = says(set, "name", kPeers6);
  const auto& wanted = v6 ? plan.peers6 : plan.peers4;
  std::string name = json_string(set, "name").value_or("");
  if ((!v6 && name != kPeers4) || !says(set, "type", v6 ? "ipv6_addr" : "ipv4_addr"))
    return differs(plan, "it has the set " + quoted(name));
  std::vector<std::string> there;
  if (json_member(set, "elem") != nullptr) {
    auto elements = json_strings(set, "elem");
    if (!elements) return differs(plan, "the set " + name + " has other elements");
    for (const auto& element : *elements) there.push_back(canonical_address(element).value_or(element));
  }
  if (sorted(std::move(there)) != wanted) return differs(plan, "the set " + name + " has other addresses");
  return Done{};
}

Status check_chain(const RedirectPlan& plan, const cJSON* chain) {
  bool good = says(chain, "name", kChain) && says(chain, "type", "nat") &&
              says(chain, "hook", "prerouting") && json_integer(chain, "prio") == kRedirectPriority &&
              says(chain, "policy", "accept");
  if (good) return Done{};
  return differs(plan, "it has the chain " + quoted(json_string(chain, "name").value_or("")));
}

Status check_rule(const RedirectPlan& plan, const cJSON* rule, size_t index) {
  const cJSON* there = json_member(rule, "expr");
  bool good = index < plan.own.size() && says(rule, "chain", kChain) && there != nullptr &&
              ::cJSON_Compare(rule_of(plan, plan.own[index]).get(), there, 1) != 0;
  if (good) return Done{};
  return differs(plan, "rule " + std::to_string(index + 1) + " is another one");
}

}  // namespace

bool RedirectChoice::Network::contains(std::string_view address) const {
  constexpr unsigned kByteBits = 8;
  auto other = address_bytes(std::string(address));
  if (other.size() != bytes.size()) return false;
  for (unsigned bit = 0; bit < bits; ++bit) {
    unsigned mask = 0x80U >> (bit % kByteBits);
    if (((bytes[bit / kByteBits] ^ other[bit / kByteBits]) & mask) != 0) return false;
  }
  return true;
}

bool RedirectChoice::covers(std::string_view address) const {
  if (networks.empty()) return true;
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& network) { return network.contains(address); });
}

Result<RedirectChoice> parse_redirect(std::string_view text) {
  // what switches off other options would be a name of an interface here
  bool off = text == "false" || text == "off" || text == "no" || text == "none";
  RedirectChoice choice;
  for (const auto& word : split(text, ',')) {
    auto network = parse_network(word);
    if (!network) break;
    choice.networks.push_back(std::move(*network));
  }
  if (!choice.networks.empty() && choice.networks.size() == split(text, ',').size()) return choice;
  if (!off && choice.networks.empty() && valid_interface_name(text)) {
    choice.interface = text;
    return choice;
  }
  return with_hint(input_error("--redirect-port-22 must be an interface (wg0) or networks "
                               "(100.64.0.0/10,fd00::/8), not " +
                               quoted(text)),
                   "to switch it off: --redirect-port-22=");
}

std::string redirect_table(const std::string& state) {
  constexpr size_t kHashDigits = 16;
  std::string name = "qufabric";
  if (state == kUsualState) return name;
  return name + "-" + hex(sha256(state)).substr(0, kHashDigits);
}

RedirectPlan plan_redirect(std::string table, const RedirectChoice& choice,
                           const std::vector<std::string>& own, const std::vector<std::string>& peers) {
  RedirectPlan plan{std::move(table), choice.interface, sorted(own), {}, {}};
  for (const auto& peer : peers) {
    if (!choice.covers(peer) || std::binary_search(plan.own.begin(), plan.own.end(), peer)) continue;
    (is_v6(peer) ? plan.peers6 : plan.peers4).push_back(peer);
  }
  plan.peers4 = sorted(std::move(plan.peers4));
  plan.peers6 = sorted(std::move(plan.peers6));
  return plan;
}

std::string redirect_ruleset(const RedirectPlan& plan) {
  std::vector<JsonPtr> commands;
  auto add = [&](JsonPtr what) { commands.push_back(object_of("add", std::move(what))); };
  // to delete one that is not there is an error, so there is one first
  add(table_of(plan));
  commands.push_back(object_of("delete", table_of(plan)));
  add(table_of(plan));
  add(set_of(plan, false));
  add(set_of(plan, true));
  add(chain_of(plan));
  for (const auto& own : plan.own) {
    JsonWriter rule = in_table(plan);
    rule.set("chain", kChain).set("expr", rule_of(plan, own));
    add(object_of("rule", rule.take()));
  }
  return json_text(object_of("nftables", array_of(std::move(commands))).get());
}

Status check_listing(const RedirectPlan& plan, std::string_view listing) {
  auto json = parse_json(listing);
  const cJSON* all = json ? json_member(json->get(), "nftables") : nullptr;
  if (all == nullptr || !cJSON_IsArray(all))
    return input_error("nft -j has printed something that is no listing");
  size_t sets = 0, chains = 0, rules = 0;
  for (const cJSON* item = all->child; item != nullptr; item = item->next) {
    const cJSON* what = item->child;
    if (what == nullptr) return differs(plan, "it has something without a name");
    std::string kind = what->string;
    Status good = Done{};
    if (kind == "set") {
      ++sets;
      good = check_set(plan, what);
    } else if (kind == "chain") {
      ++chains;
      good = check_chain(plan, what);
    } else if (kind == "rule") {
      good = check_rule(plan, what, rules++);
    } else if (kind == "table") {
      // "dormant" would switch it off
      if (json_member(what, "flags") != nullptr) good = differs(plan, "it has flags");
    } else if (kind != "metainfo") {
      good = differs(plan, "it has a " + quoted(kind));
    }
    if (!good) return good;
  }
  if (sets != 2 || chains != 1 || rules != plan.own.size()) return differs(plan, "a part of it is missing");
  return Done{};
}

}  // namespace qf
