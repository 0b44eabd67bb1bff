// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/farewell.h"

#include <gtest/gtest.h>

#include <string>

#include "libqf/wire.h"

namespace qf {
namespace {

TEST(Disconnect, GoldenBytes) {
  // RFC 4253 sections 6 and 11.1: packet_length, padding_length, payload, padding
  EXPECT_EQ(disconnect_packet("no"), std::string("\0\0\0\x14"
                                                 "\x04"
                                                 "\x01"
                                                 "\0\0\0\x0b"
                                                 "\0\0\0\x02no"
                                                 "\0\0\0\0"
                                                 "\0\0\0\0",
                                                 24));
}

TEST(Disconnect, IsAWholeNumberOfBlocksAndLeaksNoMoreThanAKilobyte) {
  for (size_t length : {0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 399U, 1024U, 5000U}) {
    std::string text(length, 'x');
    std::string packet = disconnect_packet(text);
    EXPECT_EQ(packet.size() % 8, 0U);
    WireReader reader(packet);
    EXPECT_EQ(reader.uint32(), packet.size() - 4);
    uint8_t padding = reader.byte();
    EXPECT_GE(padding, 4);
    EXPECT_LT(padding, 12);
    EXPECT_EQ(reader.byte(), 1);
    EXPECT_EQ(reader.uint32(), 11U);
    EXPECT_EQ(reader.string(), text.substr(0, 1024));
    EXPECT_EQ(reader.string(), "");
    EXPECT_EQ(reader.rest().size(), padding);
  }
}

}  // namespace
}  // namespace qf
