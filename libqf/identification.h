// SPDX-License-Identifier: Apache-2.0
// The SSH identification string (RFC 4253 section 4.2) and what ours says in it.
#pragma once

#include <string>
#include <string_view>

#include "libqf/fd.h"
#include "libqf/result.h"

namespace qf {

inline constexpr std::string_view kServerSoftware = "QuFabric-SSH-Server-";  // after "SSH-2.0-"
inline constexpr std::string_view kJwtRequired =
    "QuFabric-JWT-Required";                             // the comment where a JWT is wanted
inline constexpr size_t kMostIdentificationBytes = 255;  // with CR LF, RFC 4253 section 4.2
inline constexpr size_t kMostPreludeBytes = 16 * 1024;   // lines before it

// What qf-sshd sends, without "SSH-2.0-" and CR LF (libssh adds both).
[[nodiscard]] std::string server_identification(bool jwt_required);

enum class ServerKind { kQufabricJwt, kQufabricNoJwt, kOtherSsh };

struct Identification {
  std::string line;      // "SSH-2.0-…" without CR LF
  std::string software;  // printable
  ServerKind kind = ServerKind::kOtherSsh;
};

// Feeds on bytes as they arrive. Knows of lines before the identification string.
class IdentificationReader {
 public:
  enum class State { kMore, kFound, kNotSsh };
  // Takes bytes of `input` up to and including the identification line; `used` says how many. kFound and
  // kNotSsh are final: nothing is taken after them.
  State feed(std::string_view input, size_t& used);
  [[nodiscard]] const Identification& result() const { return result_; }

 private:
  State take(char c);
  State end_line();
  State state_ = State::kMore;
  std::string line_;
  size_t total_ = 0;
  Identification result_;
};

// Waits for the identification line of a connected TCP socket and leaves every byte in the socket, so that
// whoever gets the socket next reads it all again. kRefused: closed without a byte. kPeer: closed in the
// middle, or what came is not SSH. kTimeout. kSystem: the connection broke.
[[nodiscard]] Result<Identification> peek_identification(int fd, Deadline deadline);

}  // namespace qf
