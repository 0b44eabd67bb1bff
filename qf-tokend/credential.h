// SPDX-License-Identifier: Apache-2.0
// Minting the certificates that carry tokens, and the files in which ssh finds them:
// RUNTIME/ssh/HOST-cert.pub, one for each name that was used, replaced by rename, removed when it runs out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "libqf/peers_db.h"
#include "qf-tokend/identity.h"
#include "qf-tokend/keys.h"

namespace qf {

struct MintedCertificate {
  std::string line;          // "ssh-ed25519-cert-v01@openssh.com AAAA… COMMENT\n"
  int64_t valid_before = 0;  // seconds since the epoch
};

// For this peer only. Code "no_host_keys" when the peer has none: nothing could be pinned.
[[nodiscard]] Result<MintedCertificate, Refusal> mint_certificate(const Identity& identity,
                                                                  const PeerRecord& peer, const Keys& keys,
                                                                  int64_t wall_time);

class CertificateFiles {
 public:
  explicit CertificateFiles(std::string folder) : folder_(std::move(folder)) {}
  ~CertificateFiles() { remove_all(); }
  CertificateFiles(const CertificateFiles&) = delete;
  CertificateFiles& operator=(const CertificateFiles&) = delete;

  // `host`: checked by parse_request
  Status write(const std::string& host, const std::string& issuer_name, const MintedCertificate& certificate);
  void remove_expired(int64_t wall_time);
  void remove_of(const std::string& issuer_name);
  void remove_all();
  // When remove_expired() next has something to do, seconds since the epoch; nothing when there are no files.
  [[nodiscard]] std::optional<int64_t> first_expiry() const;
  // What a daemon that was killed has left.
  void remove_leftovers() const;
  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  struct File {
    std::string issuer_name;
    int64_t valid_before = 0;
  };
  void remove(const std::string& host) const;
  std::string folder_;
  std::map<std::string, File> files_;  // by host
};

}  // namespace qf
