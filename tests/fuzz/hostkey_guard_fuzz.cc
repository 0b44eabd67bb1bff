// SPDX-License-Identifier: Apache-2.0
// fuzz-group: proxy
//
// The start of an SSH connection as a hostile server sends it, to a client that offers two methods. Aborts
// when the guard lets something through that it should not: bytes that the server has not sent, or a reply
// without a pinned key. The first byte chooses the client's methods, the second the size of the pieces.
#include <cstdint>
#include <cstdlib>

#include "libqf/wire.h"
#include "qf-proxy/hostkey_guard.h"

namespace {

std::string packet(std::string_view payload) {
  size_t padding = 8 - (5 + payload.size()) % 8;
  if (padding < 4) padding += 8;
  qf::WireWriter writer;
  writer.uint32(static_cast<uint32_t>(1 + payload.size() + padding)).byte(static_cast<uint8_t>(padding));
  return writer.raw(payload).raw(std::string(padding, '\0')).bytes();
}

std::string client_start(bool group_exchange) {
  qf::WireWriter init;
  init.byte(20).raw(std::string(16, 'c'));
  init.string(group_exchange ? "diffie-hellman-group-exchange-sha256,curve25519-sha256"
                             : "curve25519-sha256,diffie-hellman-group-exchange-sha256");
  for (int i = 0; i < 9; ++i) init.string("none");
  return "SSH-2.0-client\r\n" + packet(init.byte(0).uint32(0).bytes());
}

// What the seeds pin: SSH wire form of an Ed25519 key of 32 times 'a'.
std::string pinned_key() {
  return qf::WireWriter().string("ssh-ed25519").string(std::string(32, 'a')).bytes();
}

// An independent look at what came through: no reply but with the pinned key.
void check_forwarded(std::string_view bytes, bool done) {
  size_t line = bytes.find('\n');
  if (line == std::string_view::npos) {
    if (!bytes.empty()) std::abort();
    return;
  }
  bytes.remove_prefix(line + 1);
  bool key_seen = false;
  while (!bytes.empty()) {
    qf::WireReader header(bytes);
    size_t length = header.uint32();
    size_t padding = header.byte();
    if (!header.ok() || bytes.size() < 4 + length) std::abort();  // only whole packets
    std::string_view payload = bytes.substr(5, length - 1 - padding);
    bytes.remove_prefix(4 + length);
    auto type = static_cast<uint8_t>(payload[0]);
    if (type == 21) {
      if (!key_seen || !done) std::abort();
      return;  // what follows is encrypted
    }
    if (payload.find(pinned_key()) == 5) key_seen = true;
    if (type == 33 && !key_seen) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  qf::HostKeyGuard guard({pinned_key()});
  if (!guard.from_client(client_start((data[0] & 1) != 0))) std::abort();
  size_t chunk = static_cast<size_t>(data[1]) + 1;
  std::string_view input(reinterpret_cast<const char*>(data) + 2, size - 2);
  std::string_view rest = input;
  std::string forwarded;
  while (!rest.empty()) {
    auto piece = rest.substr(0, chunk);
    rest.remove_prefix(piece.size());
    if (!guard.from_server(piece, forwarded)) break;
  }
  if (input.substr(0, forwarded.size()) != forwarded) std::abort();
  check_forwarded(forwarded, guard.done());

  // as the client's bytes they must only be read safely
  qf::HostKeyGuard other({pinned_key()});
  (void)bool(other.from_client(input));
  return 0;
}
