// SPDX-License-Identifier: Apache-2.0
#include "libqf/interface.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>

#include "libqf/address.h"
#include "libqf/text.h"

namespace qf {

namespace {

struct FreeAddresses {
  void operator()(ifaddrs* list) const { ::freeifaddrs(list); }
};

// Not one that counts on its own link alone.
std::optional<std::string> lasting_address(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  SocketAddress out;
  if (address->sa_family == AF_INET) {
    out.length = sizeof(sockaddr_in);
    constexpr uint32_t kLinkLocal = 0xa9fe0000, kMask = 0xffff0000;  // 169.254.0.0/16, RFC 3927
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    if ((ntohl(v4->sin_addr.s_addr) & kMask) == kLinkLocal) return std::nullopt;
  } else if (address->sa_family == AF_INET6) {
    out.length = sizeof(sockaddr_in6);
    if (IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr))
      return std::nullopt;
  } else {
    return std::nullopt;
  }
  std::memcpy(&out.storage, address, out.length);
  return out.address();
}

Result<std::vector<InterfaceAddress>> list_addresses(bool with_loopback) {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return system_error("cannot list the addresses of this machine");
  std::unique_ptr<ifaddrs, FreeAddresses> owner(first);
  std::vector<InterfaceAddress> out;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (!with_loopback && (entry->ifa_flags & IFF_LOOPBACK) != 0) continue;
    // the label of a second IPv4 address ("eth0:1") names the interface before the colon
    std::string_view name(entry->ifa_name);
    if (auto address = lasting_address(entry->ifa_addr))
      out.push_back({std::string(name.substr(0, name.find(':'))), *address});
  }
  return out;
}

}  // namespace

bool valid_interface_name(std::string_view name) {
  if (name.empty() || name.size() >= IF_NAMESIZE || name == "." || name == "..") return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view(".-_@+").find(c) != std::string_view::npos;
  });
}

Result<std::vector<InterfaceAddress>> all_interface_addresses() {
  return list_addresses(false);
}

Result<std::vector<std::string>> interface_addresses(const std::string& name) {
  if (::if_nametoindex(name.c_str()) == 0) return not_found("there is no interface \"" + name + "\" now");
  auto all = list_addresses(true);
  if (!all) return all.error();
  std::vector<std::string> out;
  for (auto& entry : *all) {
    if (entry.interface == name) out.push_back(std::move(entry.address));
  }
  return out;
}

Result<std::vector<std::string>> addresses_on(const std::vector<std::string>& own,
                                              const std::string& interface) {
  if (interface.empty()) return own;
  auto there = interface_addresses(interface);
  Error none;
  if (!there) {
    none = there.error();
    none.kind = ErrorKind::kSystem;
    return with_hint(none, "bring it up, or name another one with --interface");
  }
  std::vector<std::string> out;
  for (const auto& address : own) {
    std::string canonical = canonical_address(address).value_or(address);
    if (std::find(there->begin(), there->end(), canonical) != there->end()) out.push_back(canonical);
  }
  if (!out.empty()) return out;
  none.what = "none of this peer's addresses (" + join(own, ", ") + ") is on the interface \"" + interface +
              "\", which has " + (there->empty() ? "none" : join(*there, ", "));
  return with_hint(none,
                   "give the interface an address of the document, or name another one with --interface");
}

}  // namespace qf
