// SPDX-License-Identifier: Apache-2.0
// One table-free reader and one writer, side by side, in the order of PROTOCOL.certkeys. Reading fails with
// kPeer and changes nothing.
#include "libqf/certificate.h"

#include "libqf/base64.h"
#include "libqf/binding.h"
#include "libqf/log.h"
#include "libqf/wire.h"

namespace qf {

namespace {

constexpr uint32_t kUserCertificate = 1;  // SSH_CERT_TYPE_USER
constexpr size_t kNonceBytes = 32;
constexpr size_t kSubjectKeyBytes = 32;

// Options are pairs of strings; the value of ours is itself a row of strings, as OpenSSH writes its own
// string-valued options (PROTOCOL.certkeys, "Critical options").
std::string critical_options(const Credential& credential) {
  WireWriter value;
  value.string(credential.peer);
  for (const auto& fingerprint : credential.peer_fingerprints) value.string(fingerprint);
  return WireWriter().string(kPeerOption).string(value.bytes()).take();
}

// In lexical order, as the format demands: "binding@qufabric" before "jwt@qufabric".
std::string extensions(const Credential& credential) {
  WireWriter out;
  if (!credential.binding_salt.empty()) {
    WireWriter value;
    value.string(credential.binding_salt).string(credential.original_token);
    out.string(kBindingExtension).string(value.bytes());
  }
  WireWriter token;
  token.string(credential.token);
  return out.string(kTokenExtension).string(token.bytes()).take();
}

bool read_peer(std::string_view value, Credential& into) {
  WireReader reader(value);
  into.peer = reader.string();
  while (reader.ok() && !reader.rest().empty()) into.peer_fingerprints.emplace_back(reader.string());
  return reader.ok() && !into.peer.empty() && !into.peer_fingerprints.empty();
}

bool read_token(std::string_view value, Credential& into) {
  WireReader reader(value);
  into.token = reader.string();
  return reader.done() && !into.token.empty();
}

bool read_binding(std::string_view value, Credential& into) {
  WireReader reader(value);
  into.binding_salt = reader.string();
  into.original_token = reader.string();
  return reader.done() && into.binding_salt.size() == kBindingSaltBytes;
}

// Calls take(name, value) for each option; names must ascend, so none comes twice.
Status read_options(std::string_view options, const char* what, auto take) {
  WireReader reader(options);
  std::string_view last;
  bool first = true;
  while (reader.ok() && !reader.rest().empty()) {
    std::string_view name = reader.string();
    std::string_view value = reader.string();
    if (!reader.ok()) break;
    if (!first && name <= last) return peer_error(std::string("unsorted or doubled ") + what);
    first = false;
    last = name;
    if (Status taken = take(name, value); !taken) return taken;
  }
  if (!reader.ok()) return peer_error(std::string("malformed ") + what);
  return Done{};
}

Status read_critical_options(std::string_view options, Credential& into) {
  auto read = read_options(options, "critical options", [&](auto name, auto value) -> Status {
    if (name != kPeerOption)
      return peer_error("unknown critical option \"" + printable(name.substr(0, 100)) + "\"");
    if (!read_peer(value, into)) return peer_error("malformed " + std::string(kPeerOption));
    return Done{};
  });
  if (read && into.peer.empty()) return peer_error("the certificate names no peer");
  return read;
}

Status read_extensions(std::string_view options, Credential& into) {
  auto read = read_options(options, "extensions", [&](auto name, auto value) -> Status {
    bool good = name == kTokenExtension     ? read_token(value, into)
                : name == kBindingExtension ? read_binding(value, into)
                                            : true;
    return good ? Status(Done{}) : peer_error("malformed " + std::string(name));
  });
  if (read && into.token.empty()) return peer_error("the certificate carries no token");
  return read;
}

bool read_principals(std::string_view bytes, Credential& into) {
  WireReader reader(bytes);
  while (reader.ok() && !reader.rest().empty()) into.principals.emplace_back(reader.string());
  return reader.ok();
}

std::string principal_list(const Credential& credential) {
  WireWriter out;
  for (const auto& principal : credential.principals) out.string(principal);
  return out.take();
}

}  // namespace

std::string sign_credential(const Credential& credential, const SigningKey& user_key) {
  WireWriter writer;
  writer.string(kCertificateType).string(random_bytes(kNonceBytes)).string(credential.subject_key);
  writer.uint64(credential.serial).uint32(kUserCertificate).string(credential.key_id);
  writer.string(principal_list(credential));
  writer.uint64(credential.valid_after).uint64(credential.valid_before);
  writer.string(critical_options(credential)).string(extensions(credential));
  writer.string("");  // reserved
  writer.string(user_key.ssh_public_blob());
  writer.string(user_key.ssh_sign(writer.bytes()));
  return writer.take();
}

std::string certificate_line(std::string_view blob, std::string_view comment) {
  return std::string(kCertificateType) + " " + base64(blob) + " " + printable(comment) + "\n";
}

Result<Credential> parse_credential(std::string_view blob) {
  if (blob.size() > kMostCertificateBytes) return peer_error("the certificate is longer than 64 KiB");
  Credential out;
  WireReader reader(blob);
  std::string_view type = reader.string();
  if (!reader.ok()) return peer_error("the certificate is truncated");
  if (type != kCertificateType) return peer_error("not an " + std::string(kCertificateType));
  (void)reader.string();  // the nonce: only makes what is signed unpredictable
  out.subject_key = reader.string();
  out.serial = reader.uint64();
  uint32_t kind = reader.uint32();
  out.key_id = reader.string();
  std::string_view principals = reader.string();
  out.valid_after = reader.uint64();
  out.valid_before = reader.uint64();
  std::string_view critical = reader.string();
  std::string_view extra = reader.string();
  (void)reader.string();  // reserved: to be ignored
  out.user_key = reader.string();
  std::string_view signed_part = blob.substr(0, blob.size() - reader.rest().size());
  std::string_view signature = reader.string();
  if (!reader.ok()) return peer_error("the certificate is truncated");
  if (!reader.done()) return peer_error("bytes after the certificate");
  if (kind != kUserCertificate) return peer_error("not a user certificate");
  if (out.subject_key.size() != kSubjectKeyBytes) return peer_error("the subject key has the wrong length");
  // nothing inside is looked at before the signature holds
  if (!ssh_verify(out.user_key, signed_part, signature))
    return peer_error("the certificate's signature is wrong");
  if (!read_principals(principals, out)) return peer_error("malformed principals");
  if (auto read = read_critical_options(critical, out); !read) return read.error();
  if (auto read = read_extensions(extra, out); !read) return read.error();
  return out;
}

}  // namespace qf
