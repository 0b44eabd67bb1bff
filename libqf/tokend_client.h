// SPDX-License-Identifier: Apache-2.0
// Talking to qf-tokend: one JSON object a line over a Unix socket in the user's runtime folder
// (qf-tokend-protocol(7)). Light: qf-detect uses it on every ssh.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libqf/fd.h"
#include "libqf/folders.h"
#include "libqf/json.h"
#include "libqf/result.h"
#include "libqf/unix_socket.h"

namespace qf {

inline constexpr int kTokendProtocolVersion = 1;
inline constexpr size_t kMostTokendLine = 256 * 1024;  // bytes, newline included
inline constexpr const char* kTokendSocket = "tokend.sock";
inline constexpr const char* kMachineIssuerSocket = "machine-issuer.sock";

// Where a machine issuer may listen. The first one that answers is used: the user's own, then the system's.
[[nodiscard]] std::vector<std::string> machine_sockets(const Folders& folders, const std::string& runtime);

class TokendClient {
 public:
  // kNotFound when no daemon listens. The other side must run under our own uid (SO_PEERCRED).
  [[nodiscard]] static Result<TokendClient> connect(const Folders& folders);
  // As above, but starts qf-tokend when none listens (parallel callers end up with one daemon).
  [[nodiscard]] static Result<TokendClient> connect_or_start(const Folders& folders);

  // Adds nothing: `line` is a whole JSON object, "version" included in the first one of a connection.
  [[nodiscard]] Status send(std::string_view line);
  // The next line, parsed; kTimeout, kPeer (malformed), kSystem (daemon gone).
  [[nodiscard]] Result<JsonPtr> receive(Deadline deadline);
  // Whether receive() has a whole line already; else poll fd() for it.
  [[nodiscard]] bool has_line() const { return buffer_.find('\n') != std::string::npos; }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit TokendClient(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
  std::string buffer_;
};

}  // namespace qf
