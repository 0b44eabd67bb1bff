// SPDX-License-Identifier: Apache-2.0
#include "libqf/codec.h"

#include <gtest/gtest.h>

#include "libqf/crypto.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

enum class Colour { kRed, kBlue, kLast = kBlue };

struct Inner {
  std::string name;
  bool on = false;
  static void fields(auto& self, auto& visit) { visit(self.name, self.on); }
};

struct Record {
  uint8_t small = 0;
  uint16_t port = 0;
  uint32_t count = 0;
  uint64_t serial = 0;
  std::string text;
  Colour colour = Colour::kRed;
  std::vector<Inner> list;
  std::map<std::string, std::vector<std::string>> map;
  std::optional<std::string> maybe;
  std::optional<uint32_t> missing;

  static void fields(auto& self, auto& visit) {
    visit(self.small, self.port, self.count, self.serial, self.text, self.colour, self.list, self.map,
          self.maybe, self.missing);
  }
};

struct List {
  std::vector<std::string> items;
  static void fields(auto& self, auto& visit) { visit(self.items); }
};
struct Map {
  std::map<std::string, uint8_t> items;
  static void fields(auto& self, auto& visit) { visit(self.items); }
};
struct Only {
  Colour colour = Colour::kRed;
  bool on = false;
  static void fields(auto& self, auto& visit) { visit(self.colour, self.on); }
};
struct Maybe {
  std::optional<uint8_t> value;
  static void fields(auto& self, auto& visit) { visit(self.value); }
};

Record example() {
  Record record;
  record.small = 1;
  record.port = 0x0203;
  record.count = 0x04050607;
  record.serial = 0x08090a0b0c0d0e0f;
  record.text = std::string("a\0b", 3);
  record.colour = Colour::kBlue;
  record.list = {{"x", true}, {"", false}};
  record.map = {{"k", {"v"}}, {"l", {}}};
  record.maybe = "m";
  return record;
}

constexpr std::string_view kGolden =
    "01"
    "0203"
    "04050607"
    "08090a0b0c0d0e0f"
    "00000003610062"
    "00000001"
    "00000002"
    "0000000178"
    "01"
    "00000000"
    "00"
    "00000002"
    "000000016b"
    "00000001"
    "0000000176"
    "000000016c"
    "00000000"
    "01"
    "000000016d"
    "00";

TEST(Codec, GoldenBytes) {
  EXPECT_EQ(hex(encode(example())), kGolden);
}

TEST(Codec, RoundTrip) {
  auto record = decode<Record>(test::unhex(kGolden));
  ASSERT_TRUE(record);
  EXPECT_EQ(hex(encode(*record)), kGolden);
  EXPECT_EQ(record->list.at(0).name, "x");
  EXPECT_EQ(record->map.at("k"), std::vector<std::string>{"v"});
  EXPECT_EQ(record->maybe, "m");
  EXPECT_EQ(record->missing, std::nullopt);
}

TEST(Codec, EveryTruncationFails) {
  std::string bytes = test::unhex(kGolden);
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(decode<Record>(std::string_view(bytes).substr(0, length))) << length;
}

TEST(Codec, OneByteTooManyFails) {
  EXPECT_FALSE(decode<Record>(test::unhex(kGolden) + '\0'));
}

// Decoding never makes more than the bytes can hold, whatever they claim.
TEST(Codec, LyingCountsFail) {
  for (const char* bytes : {"ffffffff", "ffffffff00000000",
                            "00000002"
                            "00000000",
                            "00000001"
                            "ffffffff",
                            "00000001"}) {
    EXPECT_FALSE(decode<List>(test::unhex(bytes))) << bytes;
    EXPECT_FALSE(decode<Map>(test::unhex(bytes))) << bytes;
  }
  EXPECT_TRUE(decode<List>(test::unhex("00000000")));
}

TEST(Codec, ValuesOutOfRangeFail) {
  EXPECT_TRUE(decode<Only>(test::unhex("0000000101")));
  EXPECT_FALSE(decode<Only>(test::unhex("0000000201"))) << "past kLast";
  EXPECT_FALSE(decode<Only>(test::unhex("ffffffff01")));
  EXPECT_FALSE(decode<Only>(test::unhex("0000000102"))) << "a bool is 0 or 1";
  EXPECT_TRUE(decode<Maybe>(test::unhex("0107")));
  EXPECT_FALSE(decode<Maybe>(test::unhex("0207")));
  EXPECT_FALSE(decode<Maybe>(test::unhex("0007")));
}

TEST(Codec, DoubledKeysOfAMapFail) {
  EXPECT_TRUE(
      decode<Map>(test::unhex("00000002"
                              "0000000161"
                              "01"
                              "0000000162"
                              "02")));
  EXPECT_FALSE(
      decode<Map>(test::unhex("00000002"
                              "0000000161"
                              "01"
                              "0000000161"
                              "02")));
}

}  // namespace
}  // namespace qf
