// SPDX-License-Identifier: Apache-2.0
// Columns, colours and the screen of qf-up status --watch.
#include "qf-up/text_table.h"

#include <gtest/gtest.h>

#include "qf-up/watch.h"

namespace qf {
namespace {

TEST(TextTable, CellsStandBelowEachOther) {
  EXPECT_EQ(table_text({{{"A"}, {"LONG NAME"}, {"C"}}, {{"a long cell"}, {"b"}, {"last"}}}, false),
            "A            LONG NAME  C\n"
            "a long cell  b          last\n");
  EXPECT_EQ(table_text({}, false), "");
  EXPECT_EQ(table_text({{{"one"}, {"two"}}, {{"alone"}}}, false), "one    two\nalone\n");
}

TEST(TextTable, CharactersCountAndNotBytesOrColours) {
  EXPECT_EQ(text_width("münchen"), 7U);
  EXPECT_EQ(text_width("\x1b[31mred\x1b[0m"), 3U);
  EXPECT_EQ(table_text({{{"ü", Colour::kGood}, {"x"}}, {{"ab"}, {"y"}}}, true),
            "\x1b[32mü\x1b[0m   x\n"
            "ab  y\n");
}

TEST(TextTable, WhatComesFromOutsideDrawsNothing) {
  EXPECT_EQ(table_text({{{"\x1b[2Ja\nb"}, {"\x9b"}}}, true), "?[2Ja?b  ?\n");
  EXPECT_EQ(labelled_text({{"x", "a\nALARM: forged"}}, false), "x:  a?ALARM: forged\n");
}

TEST(TextTable, LabelledLinesAndThoseThatStandAlone) {
  EXPECT_EQ(labelled_text({{"a", "1"}, {"", "ALARM: much longer than all labels"}, {"longer", "2"}}, false),
            "a:       1\n"
            "ALARM: much longer than all labels\n"
            "longer:  2\n");
  EXPECT_EQ(labelled_text({{"", "ALARM: x", Colour::kBad}}, true), "\x1b[1;31mALARM: x\x1b[0m\n");
}

TEST(TextTable, LinesAreCutByCharacters) {
  EXPECT_EQ(cut_line("abc", 3), "abc");
  EXPECT_EQ(cut_line("abcd", 3), "abc");
  EXPECT_EQ(cut_line("üöä", 2), "üö");
  EXPECT_EQ(cut_line("abc", 0), "");
  // the colour ends where the line does
  EXPECT_EQ(cut_line("\x1b[31mabcd\x1b[0m", 2), "\x1b[31mab\x1b[0m");
  EXPECT_EQ(cut_line("\x1b[31mab\x1b[0m", 2), "\x1b[31mab\x1b[0m");
}

TEST(Watch, TheScreenIsNeverLeft) {
  EXPECT_EQ(screen_text("a\nb\n", 9, 9), "a\x1b[K\r\nb\x1b[K");
  EXPECT_EQ(screen_text("long line\nb\n", 4, 2), "long\x1b[K\r\nb\x1b[K");
  EXPECT_EQ(screen_text("a\nb\nc\nd\n", 40, 3), "a\x1b[K\r\nb\x1b[K\r\n... and 2 more lines\x1b[K");
  EXPECT_EQ(screen_text("a\nb\n", 40, 1), "... and 2 more lines\x1b[K");
  EXPECT_EQ(screen_text("a\n", 0, 0), "");
  EXPECT_EQ(screen_text("", 9, 9), "");
}

TEST(Watch, Seconds) {
  using std::chrono::milliseconds;
  EXPECT_EQ(parse_seconds("2"), milliseconds(2000));
  EXPECT_EQ(parse_seconds("0.5"), milliseconds(500));
  EXPECT_EQ(parse_seconds("86400"), milliseconds(86'400'000));
  for (const char* bad :
       {"", "0", "0.0", ".5", "1.", "1.55", "-1", "+1", "1e3", "x", "86400.1", "86401", " 1", "nan"})
    EXPECT_FALSE(parse_seconds(bad)) << bad;
}

}  // namespace
}  // namespace qf
