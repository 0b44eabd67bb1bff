// SPDX-License-Identifier: Apache-2.0
// The machine issuer: for machines without an identity provider. Signs key-bound tokens whose subject is the
// caller's user name on this machine, as the kernel says it (SO_PEERCRED). As root it is the system's service
// and serves every user, but refuses root (unless told otherwise), uids without a passwd entry and callers
// from another pid or user namespace, whose uids mean other people, and bounds how often each user asks. As
// an ordinary user it serves that user.
#pragma once

#include <string>

#include "libqf/crypto.h"
#include "libqf/folders.h"
#include "qf-tokend/issue_rate.h"
#include "qf-tokend/server.h"

namespace qf {

struct MachineIssuerOptions {
  Folders folders;
  std::string issuer;    // iss; empty: qufabric-machine:HOSTNAME
  std::string audience;  // aud
  bool allow_root = false;
  bool foreground = false;
};

inline constexpr const char* kMachineAudience = "qufabric";
inline constexpr int64_t kMachineTokenLife = 600;  // seconds

class MachineIssuer final : public LineService {
 public:
  MachineIssuer(MachineIssuerOptions options, SigningKey key);
  void attach(Server& server) { server_ = &server; }

  std::optional<Refusal> admit(const ucred& who) override;
  [[nodiscard]] bool judges_process() const override { return true; }
  void request(uint64_t client, const Request& request) override;
  void gone(uint64_t) override {}

  // The signed token for this user; the parts of issue() that need no socket.
  [[nodiscard]] Result<std::string, Refusal> sign(const Request& request, const std::string& user,
                                                  int64_t wall_time) const;
  [[nodiscard]] std::string key_set() const;

 private:
  void issue(uint64_t client, const Request& request);
  void log_refusal(const ucred& who, const std::string& why);
  [[nodiscard]] static Refusal too_often(uid_t uid, const IssueRate::TooOften& often);
  MachineIssuerOptions options_;
  SigningKey key_;
  std::string kid_;
  IssueRate rate_;
  IssueRate refusals_;  // that are logged
  Server* server_ = nullptr;
};

// Both return the exit code.
int run_machine_issuer(MachineIssuerOptions options);
int print_machine_key_set(const MachineIssuerOptions& options);

}  // namespace qf
