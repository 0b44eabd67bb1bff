// SPDX-License-Identifier: Apache-2.0
#include "libqf/log.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

TEST(Log, PrintableKeepsText) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("plain ~text!"), "plain ~text!");
  EXPECT_EQ(printable("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc2\xa0"),
            "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xc2\xa0");
}

TEST(Log, PrintableRemovesControlCharacters) {
  for (int c = 0; c < 0x20; ++c) EXPECT_EQ(printable(std::string(1, static_cast<char>(c))), "?") << c;
  EXPECT_EQ(printable("\x7f"), "?");
  for (int c = 0x80; c < 0xa0; ++c)  // C1, as UTF-8
    EXPECT_EQ(printable(std::string("\xc2") + static_cast<char>(c)), "?") << c;
  EXPECT_EQ(printable("a\x1b[2Jb\r\nc"), "a?[2Jb??c");
}

// U+2028 and U+2029 end lines, U+202A..U+202E and U+2066..U+2069 turn text round, others are not seen
TEST(Log, PrintableRemovesSeparatorsAndBidiControls) {
  for (int c = 0xa8; c <= 0xae; ++c)
    EXPECT_EQ(printable(std::string("\xe2\x80") + static_cast<char>(c)), "?") << c;
  for (int c = 0xa6; c <= 0xa9; ++c)
    EXPECT_EQ(printable(std::string("\xe2\x81") + static_cast<char>(c)), "?") << c;
  for (const char* unseen : {"\u200b", "\u200f", "\u2060", "\u061c", "\ufeff", "\U000e0041"})
    EXPECT_EQ(printable(unseen), "?") << unseen;
  for (const char* harmless :
       {"\u2026", "\u00a0", "\u061b", "\u200a", "\u2010", "\u2027", "\u205f", "\u206a", "\U0001f600"})
    EXPECT_EQ(printable(harmless), harmless);
}

TEST(Log, PrintableReplacesBrokenUtf8ByteByByte) {
  EXPECT_EQ(printable("a\xff\xfe"
                      "b"),
            "a??b");
  EXPECT_EQ(printable("\xc0\x8a"), "??") << "an overlong newline";
  EXPECT_EQ(printable("\xe2\x82"), "??");
  EXPECT_EQ(printable("\x9b"
                      "2J"),
            "?2J")
      << "C1 as one byte, for terminals that do not speak UTF-8";
  EXPECT_EQ(printable("\xed\xa0\x80"), "???");
}

TEST(Log, NewlinesStayWhenAsked) {
  EXPECT_EQ(printable("a\nb\tc", true), "a\nb?c");
  EXPECT_EQ(printable("a\nb", false), "a?b");
}

TEST(Log, QuotedTextsEndWhereTheySeemTo) {
  EXPECT_EQ(quoted("corp:ann"), R"("corp:ann")");
  EXPECT_EQ(quoted(R"(ann" as "root)"), R"("ann\" as \"root")");
  EXPECT_EQ(quoted(R"(a\)"), R"("a\\")");
  EXPECT_EQ(quoted("a\nb"), R"("a?b")");
  EXPECT_EQ(quoted("abcdef", 3), "\"abc…\"");
}

TEST(Log, OnStandardErrorAfterSyslogWasLeft) {
  testing::internal::CaptureStderr();
  open_log("qf-x", true);
  log_to_standard_error();
  log_info("here");
  open_log("qf-x");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "qf-x: here\n");
}

TEST(Log, MessagesAreOneCleanLine) {
  testing::internal::CaptureStderr();
  open_log("qf-x", false, LogLevel::kInfo);
  log_debug("not shown");
  log_info("user \"a\nqf-x: forged\"");
  log_error("worse");
  say("what happened", "run qf-x --help");
  say("no hint");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "qf-x: user \"a?qf-x: forged\"\n"
            "qf-x: worse\n"
            "qf-x: what happened\n"
            "hint: run qf-x --help\n"
            "qf-x: no hint\n");
}

TEST(Log, DieSaysAndExits) {
  EXPECT_EXIT(die(kExitUsage, "no such flag", "run qf-x --help"), testing::ExitedWithCode(64),
              "no such flag\nhint: run qf-x --help");
}

}  // namespace
}  // namespace qf
