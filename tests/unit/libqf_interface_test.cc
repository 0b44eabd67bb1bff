// SPDX-License-Identifier: Apache-2.0
#include "libqf/interface.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace qf {
namespace {

TEST(InterfaceName, Whitelist) {
  for (const char* good : {"lo", "wg0", "eth0.12", "br-lan", "wlp2s0@x", "fifteen-letters"})
    EXPECT_TRUE(valid_interface_name(good)) << good;
  for (const char* bad : {"", ".", "..", "a/b", "a b", "wg*", "a:1", "sixteen-letters-", "a\n", "\"", "ä"})
    EXPECT_FALSE(valid_interface_name(bad)) << bad;
}

TEST(Interface, LoopbackHasItsAddress) {
  auto there = interface_addresses("lo");
  ASSERT_TRUE(there);
  EXPECT_NE(std::find(there->begin(), there->end(), "127.0.0.1"), there->end());
  auto all = all_interface_addresses();
  ASSERT_TRUE(all);
  for (const auto& entry : *all) EXPECT_NE(entry.interface, "lo");
}

TEST(Interface, AddressesThatAreOnIt) {
  EXPECT_EQ(*addresses_on({"192.0.2.1", "fd00::1"}, ""), (std::vector<std::string>{"192.0.2.1", "fd00::1"}));
  EXPECT_EQ(*addresses_on({"192.0.2.1", "::ffff:127.0.0.1"}, "lo"), std::vector<std::string>{"127.0.0.1"});
}

TEST(Interface, NoneIsAnErrorThatMayPass) {
  auto none = addresses_on({"192.0.2.1"}, "lo");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kSystem);
  EXPECT_EQ(none.error().what.find(
                "none of this peer's addresses (192.0.2.1) is on the interface \"lo\", which has "),
            0U);
  auto missing = addresses_on({"127.0.0.1"}, "qf-missing0");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::kSystem);
  EXPECT_EQ(missing.error().text(), "there is no interface \"qf-missing0\" now");
}

}  // namespace
}  // namespace qf
