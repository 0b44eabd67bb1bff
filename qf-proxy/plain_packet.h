// SPDX-License-Identifier: Apache-2.0
// The frame of a packet before keys are exchanged, RFC 4253 section 6.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qf {

constexpr size_t kPlainBlock = 8;    // of the cipher "none": a packet's length is a multiple
constexpr size_t kLeastPacket = 16;  // bytes
constexpr size_t kLeastPadding = 4;  // bytes
constexpr uint8_t kDisconnect = 1;   // SSH_MSG_DISCONNECT

}  // namespace qf
