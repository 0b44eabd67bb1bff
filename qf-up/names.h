// SPDX-License-Identifier: Apache-2.0
// What the strings of a fabric document may hold: whitelists, so that nothing in it can break out of
// ssh_config, known_hosts, a shell word, a log line or a database key. Each *_fault() says what is wrong with
// the text, or nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "libqf/result.h"

namespace qf {

using NameFault = std::optional<std::string>;

// A short name of letters, digits, '.', '-', '_', at most 64 bytes (issuers).
[[nodiscard]] NameFault issuer_name_fault(std::string_view name);
// A host name that no resolver could take for an address.
[[nodiscard]] NameFault peer_name_fault(std::string_view name);
[[nodiscard]] NameFault domain_fault(std::string_view name);
// Groups and policies: any printable UTF-8 up to 200 bytes; "*" is no name.
[[nodiscard]] NameFault group_name_fault(std::string_view name);
// What a policy may list as a local user: a name, "*" or "{email.local}".
[[nodiscard]] NameFault os_user_fault(std::string_view name);
// A token's subject: printable, at most 255 bytes (OpenID Connect Core section 2).
[[nodiscard]] NameFault subject_fault(std::string_view subject);
// "0.61.0", with an optional "-rc1" or "+build" at its end.
[[nodiscard]] NameFault version_fault(std::string_view version);

// https, or http to a loopback address; no user, query or fragment (OpenID Connect Discovery section 3).
[[nodiscard]] NameFault issuer_url_fault(std::string_view url);
// As above, but a query may be there (key set addresses).
[[nodiscard]] NameFault endpoint_url_fault(std::string_view url);
// scheme ":" something without spaces: the issuer of an inline key set is a name that is never fetched.
[[nodiscard]] NameFault uri_fault(std::string_view uri);

// An address that a peer can have; the canonical text, or what is wrong.
[[nodiscard]] Result<std::string> peer_address_text(std::string_view text);

struct HostKey {
  std::string line;  // "ssh-ed25519 AAAA…", no comment
  std::string fingerprint;
};
// "TYPE BASE64 [COMMENT]"; the blob must say the same type and be whole. ssh-ed25519, ecdsa-sha2-nistp*,
// ssh-rsa of 2048 bits and more.
[[nodiscard]] Result<HostKey> parse_host_key(std::string_view text);

}  // namespace qf
