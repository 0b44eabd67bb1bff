// SPDX-License-Identifier: Apache-2.0
#include "qf-up/names.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "libqf/address.h"
#include "libqf/base64.h"
#include "libqf/crypto.h"
#include "libqf/log.h"
#include "libqf/policy_db.h"
#include "libqf/text.h"
#include "libqf/tunnel.h"
#include "libqf/wire.h"

namespace qf {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Without control characters, broken UTF-8 or characters that reorder what a person reads.
bool is_printable(std::string_view text) {
  return printable(text) == text;
}

bool has_space(std::string_view text) {
  return text.find_first_of(" \t\r\n\v\f") != std::string_view::npos;
}

NameFault text_fault(std::string_view text, size_t most) {
  if (text.size() > most) return "is longer than " + std::to_string(most) + " bytes";
  if (!is_printable(text)) return "has a control character";
  if (trim(text) != text) return "starts or ends with a space";
  return std::nullopt;
}

bool is_loopback(std::string_view host) {
  if (host == "localhost") return true;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  auto address = canonical_address(host);
  return address && (address->starts_with("127.") || *address == "::1");
}

struct Authority {
  std::string_view host;  // an IPv6 address in its brackets
  std::string_view port;
  bool has_port = false;
};

Authority split_authority(std::string_view authority) {
  size_t bracket = authority.rfind(']');
  size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
  if (colon == std::string_view::npos) return {authority, "", false};
  return {authority.substr(0, colon), authority.substr(colon + 1), true};
}

bool valid_url_host(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    auto inside = host.substr(1, host.size() - 2);
    return inside.find(':') != std::string_view::npos && canonical_address(inside).has_value();
  }
  return valid_host_name(host);
}

NameFault url_fault(std::string_view url, bool query_allowed) {
  std::string_view rest = url;
  bool https = rest.starts_with("https://");
  bool http = rest.starts_with("http://");
  if (!https && !http) return "must be an https address";
  rest.remove_prefix(https ? 8 : 7);
  if (!is_printable(url) || has_space(url)) return "has a space or a control character";
  if (url.size() > 2048) return "is longer than 2048 bytes";
  if (rest.find('#') != std::string_view::npos) return "must have no fragment";
  if (!query_allowed && rest.find('?') != std::string_view::npos) return "must have no query";
  auto authority = split_authority(rest.substr(0, rest.find_first_of("/?")));
  if (authority.host.find('@') != std::string_view::npos ||
      authority.port.find('@') != std::string_view::npos)
    return "must have no user name";
  if (!valid_url_host(authority.host)) return "has no valid host name";
  if (authority.has_port && parse_number(authority.port, 65535).value_or(0) == 0) return "has a bad port";
  if (http && !is_loopback(authority.host)) return "must be https (plain http only to a loopback address)";
  return std::nullopt;
}

// The parts that follow the type's name in a public key blob.
size_t parts_of(std::string_view type) {
  return type == "ssh-ed25519" ? 1 : 2;
}

NameFault blob_fault(std::string_view type, std::string_view blob) {
  WireReader reader(blob);
  if (reader.string() != type) return "the key is not of the type " + std::string(type);
  std::array<std::string_view, 2> parts;
  for (size_t i = 0; i < parts_of(type); ++i) parts[i] = reader.string();
  if (!reader.done()) return "the key is cut off or has bytes after its end";
  if (type == "ssh-ed25519") {
    if (parts[0].size() != 32) return "an Ed25519 key has 32 bytes";
  } else if (type == "ssh-rsa") {
    // an mpint with a leading zero byte when its top bit is set
    if (parts[1].size() < 256) return "an RSA key needs 2048 bits or more";
  } else if (parts[0] != type.substr(type.rfind('-') + 1) || parts[1].size() < 65 || parts[1][0] != 4) {
    return "not a point on " + std::string(type.substr(type.rfind('-') + 1));
  }
  return std::nullopt;
}

}  // namespace

NameFault issuer_name_fault(std::string_view name) {
  if (name.size() <= 64 && valid_host_name(name)) return std::nullopt;
  return "a name has letters, digits, '.', '-' and '_', starts with a letter or digit, and has at most 64 "
         "bytes";
}

NameFault domain_fault(std::string_view name) {
  if (name.size() <= 200 && valid_host_name(name) && name.back() != '.' &&
      name.find("..") == std::string_view::npos)
    return std::nullopt;
  return "not a domain name";
}

NameFault peer_name_fault(std::string_view name) {
  if (!valid_host_name(name) || name.back() == '.' || name.find("..") != std::string_view::npos)
    return "a peer name has letters, digits, '.', '-' and '_', and starts with a letter or digit";
  if (canonical_address(name) || std::none_of(name.begin(), name.end(), is_letter))
    return "a peer name must not look like an address";
  return std::nullopt;
}

NameFault group_name_fault(std::string_view name) {
  if (name.empty()) return "a name must not be empty";
  if (name == "*") return "\"*\" is no name";
  return text_fault(name, 200);
}

NameFault os_user_fault(std::string_view name) {
  if (name == kAnyOsUser || name == kEmailLocal) return std::nullopt;
  if (name == kTunnelUser) return "this name is reserved and cannot be reached";
  if (auto fault = text_fault(name, 255)) return fault;
  if (name.front() == '-' || has_space(name) ||
      name.find_first_of(":/*{}\"'`$;&|<>()") != std::string_view::npos)
    return "not a user name (\"*\" is any user, \"{email.local}\" the local part of the verified email)";
  return std::nullopt;
}

NameFault subject_fault(std::string_view subject) {
  if (subject.empty()) return "the subject is empty";
  if (subject.size() > 255) return "the subject is longer than 255 bytes";
  if (!is_printable(subject)) return "the subject has a control character";
  return std::nullopt;
}

NameFault version_fault(std::string_view version) {
  constexpr const char* kFault = "not a version such as \"0.61.0\"";
  std::string_view numbers = version.substr(0, version.find_first_of("-+"));
  auto parts = split(numbers, '.');
  if (version.size() > 64 || parts.size() != 3) return kFault;
  for (const auto& part : parts) {
    if (!parse_number(part, 1'000'000)) return kFault;
  }
  std::string_view suffix = version.substr(numbers.size());
  if (suffix.size() == 1) return kFault;
  bool good = std::all_of(suffix.begin(), suffix.end(), [](char c) {
    return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '+' || c == '~';
  });
  return good ? std::nullopt : NameFault(kFault);
}

NameFault issuer_url_fault(std::string_view url) {
  return url_fault(url, false);
}

NameFault endpoint_url_fault(std::string_view url) {
  return url_fault(url, true);
}

NameFault uri_fault(std::string_view uri) {
  size_t colon = uri.find(':');
  auto scheme_character = [](char c) {
    return is_letter(c) || is_digit(c) || c == '+' || c == '-' || c == '.';
  };
  bool good = colon != std::string_view::npos && colon > 0 && colon + 1 < uri.size() && is_letter(uri[0]) &&
              std::all_of(uri.begin(), uri.begin() + static_cast<ptrdiff_t>(colon), scheme_character) &&
              !has_space(uri) && is_printable(uri) && uri.size() <= 2048;
  return good ? std::nullopt : NameFault("not an address or a name such as \"qufabric-machine:host\"");
}

Result<std::string> peer_address_text(std::string_view text) {
  auto address = canonical_address(text);
  if (!address) return input_error("not an IP address");
  in_addr v4{};
  in6_addr v6{};
  bool any = false;
  bool multicast = false;
  if (::inet_pton(AF_INET, address->c_str(), &v4) == 1) {
    any = v4.s_addr == INADDR_ANY || v4.s_addr == INADDR_BROADCAST;
    multicast = IN_MULTICAST(ntohl(v4.s_addr));
  } else if (::inet_pton(AF_INET6, address->c_str(), &v6) == 1) {
    any = IN6_IS_ADDR_UNSPECIFIED(&v6);
    multicast = IN6_IS_ADDR_MULTICAST(&v6);
  }
  if (any || multicast) return input_error("not the address of one machine");
  return *address;
}

Result<HostKey> parse_host_key(std::string_view text) {
  constexpr std::array<std::string_view, 5> kTypes = {
      "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"};
  text = trim(text);
  size_t space = text.find(' ');
  std::string type(text.substr(0, space));
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end())
    return input_error("not an SSH public key of a type that is used for hosts");
  if (space == std::string_view::npos) return input_error("the key is missing after its type");
  std::string_view rest = trim(text.substr(space));
  std::string encoded(rest.substr(0, rest.find(' ')));
  if (encoded.size() > 4096) return input_error("the key is longer than 4096 bytes");
  // as manuals write it
  for (const char* sign : {"...", "\xe2\x80\xa6", "<"}) {
    if (encoded.find(sign) != std::string::npos) return input_error("a placeholder is in the key's place");
  }
  auto blob = base64_decode(encoded);
  if (!blob) return input_error("the key is not valid base64");
  if (auto fault = blob_fault(type, *blob)) return input_error(*fault);
  return HostKey{type + " " + encoded, fingerprint(*blob)};
}

}  // namespace qf
