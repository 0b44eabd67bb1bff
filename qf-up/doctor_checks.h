// SPDX-License-Identifier: Apache-2.0
// The checks of qf-up doctor, each with its own file of one concern. What several of them need is gathered
// once, in Patient. Network work has a deadline for each provider and each peer, and all of them are asked at
// the same time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libqf/folders.h"
#include "libqf/peers_db.h"
#include "libqf/probe.h"
#include "qf-up/choices.h"
#include "qf-up/doctor.h"
#include "qf-up/fabric.h"

namespace qf {

inline constexpr const char* kAsRoot = "run: sudo qf-up doctor";

struct Patient {
  Folders folders;
  Choices choices;
  PeersDb peers;  // of the document in force
  PeersMeta meta;
  std::vector<LoginRecord> issuers;
  std::vector<PeerRecord> asked;  // the peers to look at
  // The policies; nothing where this user may read neither policy.mdb nor the document that it was made of.
  std::optional<Fabric> fabric;
};

// The document in force, and the one that lies at its usual place.
void check_document(const Patient& patient, Findings& findings);

// Clock, discovery and key set of each issuer; a machine issuer's socket.
void check_issuers(const Patient& patient, Findings& findings);

// What a peer that was looked at has shown of itself.
struct PeerFound {
  PeerRecord record;
  ProbeResult probe;
  std::optional<std::string> host_key;  // that it offers, "ssh-ed25519 AAAA…"
};
[[nodiscard]] std::vector<PeerFound> look_at_peers(const std::vector<PeerRecord>& records);
void check_peers(const Patient& patient, const std::vector<PeerFound>& peers, Findings& findings);

// ssh itself, the Include, and whether our block is what counts for a peer.
void check_ssh(const Patient& patient, const std::vector<PeerFound>& peers, Findings& findings);

// Who is logged in at qf-tokend.
struct IssuerLogin {
  std::string issuer, subject;  // the issuer's name
};
struct TokendFound {
  int64_t pid = 0;      // 0: none answers
  std::string release;  // its version
  std::vector<IssuerLogin> logins;
};
[[nodiscard]] TokendFound check_tokend(const Patient& patient, Findings& findings);

// As which OS users the policies let me in.
void check_policy(const Patient& patient, const std::vector<PeerFound>& peers, const TokendFound& tokend,
                  Findings& findings);
// Peers that this machine may reach, at most `most`.
[[nodiscard]] std::vector<std::string> permitted_peers(const Fabric& fabric, const std::string& self,
                                                       size_t most);

// What a machine that serves needs; nothing where none is to run.
void check_server(const Patient& patient, Findings& findings);

// Programs of ours here, the daemon that runs, and the peers.
void check_versions(const Patient& patient, const std::vector<PeerFound>& peers, const TokendFound& tokend,
                    Findings& findings);

}  // namespace qf
