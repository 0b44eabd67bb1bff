// SPDX-License-Identifier: Apache-2.0
#include "libqf/server_limits.h"

#include <gtest/gtest.h>

namespace qf::test {
namespace {

TEST(ServerLimits, Numbers) {
  EXPECT_EQ(limit_fault("login-grace-time", "120"), "");
  EXPECT_EQ(limit_fault("login-grace-time", "2m"),
            "--login-grace-time must be a number from 1 to 86400, not \"2m\"");
  for (const char* text : {"", "0", "-1", "86401", "1 ", "99999999999999999999", "0x10"})
    EXPECT_NE(limit_fault("login-grace-time", text), "") << text;
  EXPECT_EQ(limit_fault("client-alive-interval", "0"), "");
  EXPECT_EQ(limit_range("verbose"), std::nullopt);
}

TEST(ServerLimits, Startups) {
  EXPECT_EQ(parse_startups("10:30:100"), (std::array{10U, 30U, 100U}));
  EXPECT_EQ(parse_startups("10"), (std::array{10U, 100U, 10U}));
  for (const char* text : {"", "0", "10:20", "100:30:30", "1:101:2", "a:b:c", "1:2:3:4", "1::2", ":"})
    EXPECT_EQ(parse_startups(text), std::nullopt) << text;
  EXPECT_NE(limit_fault("max-startups", "10:20"), "");
}

TEST(ServerLimits, NetBlocks) {
  EXPECT_EQ(parse_net_blocks("24:64"), (std::array{24U, 64U}));
  for (const char* text : {"", "24", "33:64", "24:129", "24:64:1", "24:", ":64"})
    EXPECT_EQ(parse_net_blocks(text), std::nullopt) << text;
}

TEST(ServerLimits, GatewayPorts) {
  EXPECT_EQ(limit_fault("gateway-ports", "yes"), "");
  EXPECT_EQ(limit_fault("gateway-ports", "5"),
            "--gateway-ports must be no, clientspecified or yes, not \"5\"");
}

}  // namespace
}  // namespace qf::test
