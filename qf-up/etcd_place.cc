// SPDX-License-Identifier: Apache-2.0
#include "qf-up/etcd_place.h"

#include <algorithm>

#include "libqf/http.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

constexpr std::string_view kEtcdScheme = "etcd://";
constexpr size_t kMostEtcdUrl = 2048;
constexpr const char* kEtcdPort = "2379";  // of clients, as IANA has it
constexpr uint64_t kMostPort = 65535;

// A name, an IPv4 address, or an IPv6 address in brackets; the port is added when it is missing.
Result<std::string> member_of(const std::string& text) {
  bool v6 = text.starts_with('[');
  size_t end = v6 ? text.find(']') : text.find(':');
  if (v6 && end != std::string::npos) ++end;
  std::string host = text.substr(0, end);
  std::string port =
      end == std::string::npos || end == text.size() ? std::string(":") + kEtcdPort : text.substr(end);
  bool good_host = v6 ? host.find_first_not_of("[]:.0123456789abcdefABCDEF") == std::string::npos &&
                            host.size() > 2 && host.ends_with(']')
                      : valid_host_name(host);
  bool good_port = port.starts_with(':') && parse_number(port.substr(1), kMostPort).value_or(0) > 0;
  if (!good_host || !good_port)
    return input_error("--document needs HOST or HOST:PORT for each member of etcd, not " + qf::quoted(text));
  return host + port;
}

}  // namespace

bool is_etcd_url(const std::string& url) {
  return lower(url.substr(0, kEtcdScheme.size())) == kEtcdScheme;
}

Result<EtcdPlace> parse_etcd_url(const std::string& url) {
  if (!is_etcd_url(url)) return input_error("--document is no etcd URL: " + qf::quoted(url));
  if (!is_visible_ascii(url) || url.size() > kMostEtcdUrl)
    return input_error("--document needs a URL of visible ASCII, at most 2048 bytes");
  std::string rest = url.substr(kEtcdScheme.size());
  if (rest.find_first_of("?#%\\") != std::string::npos)
    return input_error("--document needs an etcd URL without ?, #, % and \\");
  size_t slash = rest.find('/');
  std::string hosts = rest.substr(0, slash);
  if (hosts.find('@') != std::string::npos)
    return with_hint(input_error("--document must not name a user"),
                     "put USER:PASSWORD into a file, and name it with --document-user-file");
  EtcdPlace place;
  place.prefix = slash == std::string::npos ? "" : rest.substr(slash);
  if (place.prefix.size() < 2 || place.prefix.ends_with('/') || place.prefix.find("//") != std::string::npos)
    return input_error("--document needs the prefix of the keys in etcd, as in etcd://host:2379/qufabric");
  for (const auto& text : split(hosts, ',')) {
    auto member = member_of(text);
    if (!member) return member.error();
    if (std::find(place.hosts.begin(), place.hosts.end(), *member) != place.hosts.end())
      return input_error("--document names " + qf::quoted(*member) + " twice");
    place.hosts.push_back(std::move(*member));
  }
  if (place.hosts.size() > kMostEtcdMembers)
    return input_error("--document names more than " + std::to_string(kMostEtcdMembers) + " members of etcd");
  return place;
}

std::vector<std::string> etcd_members(const EtcdPlace& place, bool tls) {
  std::vector<std::string> members;
  for (const auto& host : place.hosts) {
    // plain http is for loopback alone
    bool plain = !tls && check_url("http://" + host);
    members.push_back((plain ? "http://" : "https://") + host);
  }
  return members;
}

}  // namespace qf
