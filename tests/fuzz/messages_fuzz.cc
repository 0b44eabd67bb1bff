// SPDX-License-Identifier: Apache-2.0
// fuzz-group: sshd
//
// An input is a packet as it stands on the socket: the type, four bytes, and the body. It is opened as every
// message that net may send and as all others. Aborts when what was accepted does not encode to a message of
// the same length that opens again, or when a message is taken for one of another type.
#include <fcntl.h>

#include <cstdint>
#include <cstdlib>

#include "qf-sshd/listener_messages.h"
#include "qf-sshd/messages.h"

namespace {

template <class T>
int open_as(uint32_t type, const std::string& body) {
  qf::Message message;
  message.type = type;
  message.body = body;
  // numbers that are nobody's: Fd closes them again, which fails
  for (size_t i = 0; i < T::kFds; ++i) message.fds.emplace_back(1'000'000);
  auto opened = qf::open_message<T>(message);
  if (!opened) return 0;
  std::string again = qf::encode(*opened);
  // the members of a map may come in another order
  if (again.size() != body.size() || body.size() > T::kMostBytes) std::abort();
  auto twice = qf::decode<T>(again);
  if (!twice || qf::encode(*twice) != again) std::abort();
  return 1;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  uint32_t type = uint32_t{data[0]} << 24 | uint32_t{data[1]} << 16 | uint32_t{data[2]} << 8 | data[3];
  std::string body(reinterpret_cast<const char*>(data) + 4, size - 4);
  int accepted = open_as<qf::Hello>(type, body) + open_as<qf::AuthRequest>(type, body) +
                 open_as<qf::SessionRequest>(type, body) + open_as<qf::SignalRequest>(type, body) +
                 open_as<qf::SessionClose>(type, body) + open_as<qf::TunnelRequest>(type, body) +
                 open_as<qf::AuthReply>(type, body) + open_as<qf::SessionReply>(type, body) +
                 open_as<qf::SessionExit>(type, body) + open_as<qf::TunnelReply>(type, body) +
                 open_as<qf::Disconnect>(type, body) + open_as<qf::KeysWanted>(type, body) +
                 open_as<qf::KeysReply>(type, body) + open_as<qf::LoggedIn>(type, body) +
                 open_as<qf::FetchRequest>(type, body) + open_as<qf::FetchReply>(type, body) +
                 open_as<qf::DeviceLoginStart>(type, body) + open_as<qf::DeviceLoginCancel>(type, body) +
                 open_as<qf::DeviceLoginPrompt>(type, body) + open_as<qf::DeviceLoginEnd>(type, body);
  if (accepted > 1) std::abort();
  return 0;
}
