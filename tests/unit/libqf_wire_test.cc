// SPDX-License-Identifier: Apache-2.0
#include "libqf/wire.h"

#include <gtest/gtest.h>

#include "libqf/crypto.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

TEST(Wire, WritesGoldenBytes) {
  WireWriter writer;
  writer.byte(7).uint32(0x01020304).uint64(0x05060708090a0b0c).string("testing").raw("!");
  EXPECT_EQ(hex(writer.bytes()),
            "07010203040506070809"
            "0a0b0c0000000774657374696e6721");
}

// The examples of RFC 4251 section 5, and zero bytes in front
TEST(Wire, WritesMpints) {
  auto mpint = [](const std::string& number) { return hex(WireWriter().mpint(test::unhex(number)).bytes()); };
  EXPECT_EQ(mpint(""), "00000000");
  EXPECT_EQ(mpint("0000"), "00000000");
  EXPECT_EQ(mpint("09a378f9b2e332a7"), "0000000809a378f9b2e332a7");
  EXPECT_EQ(mpint("80"), "000000020080");
  EXPECT_EQ(mpint("000080"), "000000020080");
  EXPECT_EQ(mpint("007f"), "000000017f");
}

TEST(Wire, ReadsBackWhatItWrites) {
  std::string bytes = WireWriter().byte(255).uint32(1U << 31).uint64(~0ULL).string("a\0b").string("").take();
  WireReader reader(bytes);
  EXPECT_EQ(reader.byte(), 255);
  EXPECT_EQ(reader.uint32(), 1U << 31);
  EXPECT_EQ(reader.uint64(), ~0ULL);
  EXPECT_EQ(reader.string(), "a");
  EXPECT_EQ(reader.string(), "");
  EXPECT_TRUE(reader.done());
}

TEST(Wire, EveryTruncationFails) {
  std::string bytes = WireWriter().byte(1).uint32(2).uint64(3).string("four").take();
  for (size_t length = 0; length < bytes.size(); ++length) {
    WireReader reader(std::string_view(bytes).substr(0, length));
    reader.byte();
    reader.uint32();
    reader.uint64();
    EXPECT_EQ(reader.string(), "") << length;
    EXPECT_FALSE(reader.ok()) << length;
    EXPECT_FALSE(reader.done()) << length;
  }
}

TEST(Wire, StaysFailed) {
  WireReader reader(std::string_view("\0\0\0\5abc", 7));
  EXPECT_EQ(reader.string(), "");
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.byte(), 0);
  EXPECT_EQ(reader.rest(), "");
  EXPECT_FALSE(reader.done());
}

TEST(Wire, OneByteTooManyIsNotDone) {
  WireReader reader(std::string_view("\1\2", 2));
  reader.byte();
  EXPECT_TRUE(reader.ok());
  EXPECT_FALSE(reader.done());
  EXPECT_EQ(reader.rest(), "\2");
}

TEST(Wire, LengthNearTheTopDoesNotOverflow) {
  WireReader reader(
      std::string_view("\xff\xff\xff\xff"
                       "abc",
                       7));
  EXPECT_EQ(reader.string(), "");
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace qf
