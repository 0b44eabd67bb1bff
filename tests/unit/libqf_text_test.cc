// SPDX-License-Identifier: Apache-2.0
#include "libqf/text.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

using Strings = std::vector<std::string>;

TEST(Text, LowerIsAsciiOnly) {
  EXPECT_EQ(lower("AbZ-09@[`{\xc3\x84"), "abz-09@[`{\xc3\x84");
}

TEST(Text, SplitAndJoin) {
  EXPECT_EQ(split("", ','), Strings{""});
  EXPECT_EQ(split("a", ','), Strings{"a"});
  EXPECT_EQ(split(",a,,b,", ','), (Strings{"", "a", "", "b", ""}));
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(join({"a"}, ", "), "a");
  EXPECT_EQ(join({"a", "", "b"}, ", "), "a, , b");
  // equal parts are told apart by place, not by content
  EXPECT_EQ(join({"a", "a"}, ","), "a,a");
}

TEST(Text, Trim) {
  EXPECT_EQ(trim(" \t a b \r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Text, VisibleAscii) {
  EXPECT_TRUE(is_visible_ascii(""));
  EXPECT_TRUE(is_visible_ascii("!aZ09~"));
  for (std::string_view text : {" ", "a b", "a\n", "\t", "\x1f", "\x7f", "\x80", "\xff", "\xc3\xa4"}) {
    EXPECT_FALSE(is_visible_ascii(text)) << text;
  }
  EXPECT_FALSE(is_visible_ascii(std::string_view("a\0b", 3)));
}

TEST(Text, ParseNumber) {
  EXPECT_EQ(parse_number("0", 10), 0U);
  EXPECT_EQ(parse_number("007", 10), 7U);
  EXPECT_EQ(parse_number("10", 10), 10U);
  EXPECT_EQ(parse_number("11", 10), std::nullopt);
  EXPECT_EQ(parse_number("9", 5), std::nullopt);
  EXPECT_EQ(parse_number("0", 0), 0U);
  EXPECT_EQ(parse_number("1", 0), std::nullopt);
  EXPECT_EQ(parse_number("65535", 65535), 65535U);
  EXPECT_EQ(parse_number("65536", 65535), std::nullopt);
  EXPECT_EQ(parse_number("18446744073709551615", UINT64_MAX), UINT64_MAX);
  for (std::string_view text : {"", "-1", "+1", " 1", "1 ", "1x", "0x1", "18446744073709551616",
                                "99999999999999999999", "184467440737095516150"}) {
    EXPECT_EQ(parse_number(text, UINT64_MAX), std::nullopt) << text;
  }
}

// The table of Unicode 3.9, "Well-Formed UTF-8 Byte Sequences", at its edges
TEST(Text, Utf8) {
  for (std::string_view text : {"a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                                "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(utf8_length(text), text.size()) << text;
    EXPECT_TRUE(valid_utf8(text));
    for (size_t length = 1; length < text.size(); ++length)
      EXPECT_EQ(utf8_length(text.substr(0, length)), 0U);
  }
  for (std::string_view text : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf",
                                "\xed\xa0\x80", "\xed\xbf\xbf", "\xe2\x82\x41", "\xf0\x8f\xbf\xbf",
                                "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xfe"}) {
    EXPECT_EQ(utf8_length(text), 0U) << text;
    EXPECT_FALSE(valid_utf8(text));
    EXPECT_FALSE(valid_utf8("ab" + std::string(text)));
  }
  EXPECT_EQ(utf8_length(""), 0U);
  EXPECT_TRUE(valid_utf8(""));
  EXPECT_TRUE(valid_utf8(std::string_view("a\0b", 3)));
}

TEST(Text, EqualSecrets) {
  EXPECT_TRUE(equal_secrets("", ""));
  EXPECT_TRUE(equal_secrets("abc", "abc"));
  EXPECT_FALSE(equal_secrets("abc", "abd"));
  EXPECT_FALSE(equal_secrets("abc", "xbc"));
  EXPECT_FALSE(equal_secrets("abc", "ab"));
  EXPECT_FALSE(equal_secrets("", "a"));
  EXPECT_FALSE(equal_secrets(std::string_view("a\0b", 3), std::string_view("a\0c", 3)));
}

TEST(Text, NearSpellings) {
  EXPECT_TRUE(near_spelling("db1", "DB1"));
  EXPECT_TRUE(near_spelling("ann-laptop", "Ann-Laptp"));
  EXPECT_TRUE(near_spelling("database", "databsae"));
  EXPECT_FALSE(near_spelling("database", "mail"));
  EXPECT_FALSE(near_spelling("ab", "xy"));
  EXPECT_TRUE(near_spelling("crop", "corp")) << "two that changed places are one";
  EXPECT_TRUE(near_spelling("chekc", "check"));
  EXPECT_FALSE(near_spelling("Devs", "DBAs"));
  EXPECT_FALSE(near_spelling("a", "b"));
  EXPECT_FALSE(near_spelling("db1", ""));
}

TEST(Text, NearestSpelling) {
  const std::vector<std::string> known = {"sources", "destinations", "name", "up", "apply", "check"};
  EXPECT_EQ(nearest_spelling("destinatons", known), "destinations");
  EXPECT_EQ(nearest_spelling("Sources", known), "sources");
  EXPECT_EQ(nearest_spelling("chekc", known), "check");
  EXPECT_EQ(nearest_spelling("nam", known), "name");
  EXPECT_EQ(nearest_spelling("frobnicate", known), "");
  EXPECT_EQ(nearest_spelling("xy", known), "");
  EXPECT_EQ(nearest_spelling("", known), "");
  // the least apart, not the first
  EXPECT_EQ(nearest_spelling("aply", {"alloy", "apply"}), "apply");
  EXPECT_EQ(nearest_spelling("aply", {}), "");
}

TEST(Text, HostNames) {
  for (std::string_view name : {"db1", "db1.fabric.example", "100.119.4.2", "a_b-c", "9", "A"})
    EXPECT_TRUE(valid_host_name(name)) << name;
  EXPECT_TRUE(valid_host_name(std::string(253, 'a')));
  EXPECT_FALSE(valid_host_name(std::string(254, 'a')));
  for (std::string_view name : {"", "-a", ".a", "_a", "a b", "a\"b", "a,b", "a*", "a?", "!a", "a%h", "a\nb",
                                "fd00::68", "a/b", "\xc3\xa9", "a#", "a'", "a\\b"}) {
    EXPECT_FALSE(valid_host_name(name)) << name;
  }
  EXPECT_FALSE(valid_host_name(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace qf
