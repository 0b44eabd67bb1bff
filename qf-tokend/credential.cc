// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/credential.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "libqf/base64.h"
#include "libqf/certificate.h"
#include "libqf/crypto.h"
#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr std::string_view kSuffix = "-cert.pub";

// "SHA256:…" of every pinned key, sorted, so that the same peer always gives the same option.
std::vector<std::string> pinned_fingerprints(const PeerRecord& peer) {
  std::vector<std::string> out;
  for (const auto& line : peer.ssh_host_keys) {
    auto words = split(line, ' ');
    if (words.size() < 2) continue;
    auto blob = base64_decode(words[1]);
    if (blob) out.push_back(fingerprint(*blob));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// Tells the credentials of an identity apart in audit logs; nothing counts up, so it says nothing else. 0 is
// for none.
uint64_t random_serial() {
  for (;;) {
    std::string bytes = random_bytes(sizeof(uint64_t));
    uint64_t serial = 0;
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(&serial));
    if (serial != 0) return serial;
  }
}

}  // namespace

Result<MintedCertificate, Refusal> mint_certificate(const Identity& identity, const PeerRecord& peer,
                                                    const Keys& keys, int64_t wall_time) {
  Credential credential;
  credential.serial = random_serial();
  credential.key_id = identity.issuer_name + " " + printable(identity.subject);
  credential.subject_key = keys.subject_key;
  credential.valid_after = static_cast<uint64_t>(std::max<int64_t>(0, wall_time - kCertificateBackdate));
  int64_t until = std::min(wall_time + kCertificateLifetime, identity.expires);
  credential.valid_before = static_cast<uint64_t>(std::max<int64_t>(0, until));
  credential.peer = peer.name;
  credential.peer_fingerprints = pinned_fingerprints(peer);
  if (credential.peer_fingerprints.empty()) {
    return Refusal{"no_host_keys", "peer " + peer.name + " has no pinned host key",
                   "the admin of the fabric must add ssh_host_keys to it"};
  }
  credential.token = identity.token.reveal();
  credential.binding_salt = identity.salt;
  credential.original_token = identity.original_token.reveal();
  std::string blob = sign_credential(credential, keys.user.of(identity.key).key);
  wipe(credential.token);
  wipe(credential.original_token);
  MintedCertificate out{certificate_line(blob, "qufabric:" + peer.name), until};
  wipe(blob);
  return out;
}

Status CertificateFiles::write(const std::string& host, const std::string& issuer_name,
                               const MintedCertificate& certificate) {
  std::string path = folder_ + "/" + host + std::string(kSuffix);
  if (auto written = replace_file(path, certificate.line, 0600); !written) return written;
  files_[host] = {issuer_name, certificate.valid_before};
  return Done{};
}

void CertificateFiles::remove(const std::string& host) const {
  std::string path = folder_ + "/" + host + std::string(kSuffix);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    log_warning("cannot remove " + path + ": " + std::strerror(errno));
  }
}

void CertificateFiles::remove_expired(int64_t wall_time) {
  std::erase_if(files_, [&](const auto& entry) {
    if (entry.second.valid_before > wall_time) return false;
    remove(entry.first);
    return true;
  });
}

void CertificateFiles::remove_of(const std::string& issuer_name) {
  std::erase_if(files_, [&](const auto& entry) {
    if (entry.second.issuer_name != issuer_name) return false;
    remove(entry.first);
    return true;
  });
}

void CertificateFiles::remove_all() {
  for (const auto& [host, file] : files_) remove(host);
  files_.clear();
}

std::optional<int64_t> CertificateFiles::first_expiry() const {
  std::optional<int64_t> first;
  for (const auto& [host, file] : files_) {
    if (!first || file.valid_before < *first) first = file.valid_before;
  }
  return first;
}

void CertificateFiles::remove_leftovers() const {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    std::string name = entry.path().filename().string();
    // also replace_file's temporary files, which end in six letters
    if (name.ends_with(kSuffix) || name.find("-cert.pub.") != std::string::npos ||
        name.starts_with("subject")) {
      ::unlink(entry.path().c_str());
    }
  }
}

}  // namespace qf
