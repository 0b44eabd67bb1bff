// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/farewell.h"

#include <poll.h>
#include <unistd.h>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/wire.h"
#include "qf-proxy/plain_packet.h"

namespace qf {

namespace {

constexpr uint32_t kByApplication = 11;  // SSH_DISCONNECT_BY_APPLICATION
constexpr size_t kMostText = 1024;       // bytes; OpenSSH shows 400
constexpr auto kReadTime = std::chrono::seconds(5);

// A client that finds its pipe closed while it writes does not read what we said: its words are taken until
// it leaves.
void let_client_read() {
  Deadline deadline = Clock::now() + kReadTime;
  char bytes[4096];
  while (wait_for(STDIN_FILENO, POLLIN, deadline)) {
    ssize_t n = ::read(STDIN_FILENO, bytes, sizeof bytes);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) return;
  }
}

}  // namespace

std::string disconnect_packet(std::string_view text) {
  WireWriter payload;
  payload.byte(kDisconnect).uint32(kByApplication).string(text.substr(0, kMostText)).string("");
  size_t filled = 4 + 1 + payload.bytes().size();  // the two lengths are part of what is padded
  size_t padding = kPlainBlock - filled % kPlainBlock;
  if (padding < kLeastPadding) padding += kPlainBlock;
  WireWriter packet;
  packet.uint32(static_cast<uint32_t>(1 + payload.bytes().size() + padding));
  packet.byte(static_cast<uint8_t>(padding)).raw(payload.bytes()).raw(std::string(padding, '\0'));
  return packet.take();
}

int give_up(const Trouble& trouble, ClientHas client) {
  complain(trouble);
  if (trouble.text.empty() || client == ClientHas::kEncryption || !nobody_hears()) return trouble.exit_code;
  std::string text = "qf-proxy: " + printable(trouble.text, true);
  if (!trouble.hint.empty()) text += "\nhint: " + printable(trouble.hint);
  std::string line = client == ClientHas::kNothing ? "SSH-2.0-qf-proxy\r\n" : "";
  if (write_all(STDOUT_FILENO, line + disconnect_packet(text), Clock::now() + kReadTime)) let_client_read();
  return trouble.exit_code;
}

}  // namespace qf
