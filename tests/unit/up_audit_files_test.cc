// SPDX-License-Identifier: Apache-2.0
#include "qf-up/audit_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "tests/unit/libqf_tools.h"

namespace qf::test {
namespace {

using Names = std::vector<std::string>;

TEST(RotatedNames, OldestFirst) {
  EXPECT_EQ(rotated_names("audit.log", {"audit.log", "audit.log.1", "audit.log.10.gz", "audit.log.2.gz"}),
            (Names{"audit.log.10.gz", "audit.log.2.gz", "audit.log.1"}));
  EXPECT_EQ(
      rotated_names("audit.log", {"audit.log-20240502", "audit.log-20240501.gz", "audit.log.1",
                                  "audit.log-20240501-1714566896"}),
      (Names{"audit.log-20240501.gz", "audit.log-20240501-1714566896", "audit.log-20240502", "audit.log.1"}));
  EXPECT_EQ(
      rotated_names("audit.log", {"audit.tail", "audit.log.", "audit.log.x", "audit.log-", "audit.log.1.tmp",
                                  "audit.log.gz", "other.log.1", "audit.log-x", "audit.logs.1"}),
      Names{});
}

class AuditFilesTest : public ::testing::Test {
 protected:
  std::string put(const std::string& name, const std::string& text, bool compressed = false) {
    std::string path = scratch_.path(name);
    if (compressed) {
      gzFile file = ::gzopen(path.c_str(), "wb");
      EXPECT_EQ(::gzwrite(file, text.data(), static_cast<unsigned>(text.size())),
                static_cast<int>(text.size()));
      ::gzclose(file);
    } else {
      auto fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
      EXPECT_TRUE(fd && write_all(fd->get(), text));
    }
    return path;
  }
  static Names all(AuditReader& reader) {
    Names lines;
    for (;;) {
      auto line = reader.next();
      if (!line) return {line.error().text()};
      if (!*line) return lines;
      lines.push_back((*line)->text + ((*line)->complete ? "" : "…"));
    }
  }
  Names all_of(const std::string& path) {
    auto reader = AuditReader::open(path);
    return reader ? all(*reader) : Names{reader.error().text()};
  }
  Scratch scratch_;
};

TEST_F(AuditFilesTest, LinesOfAnyLength) {
  EXPECT_EQ(all_of(put("a", "")), Names{});
  EXPECT_EQ(all_of(put("a", "\n")), Names{""});
  EXPECT_EQ(all_of(put("a", "x\n\ny")), (Names{"x", "", "y…"}));
  for (size_t length : {65535U, 65536U, 65537U, 131072U, 1'000'000U}) {
    std::string text(length, 'x');
    EXPECT_EQ(all_of(put("a", text + "\nb\n")), (Names{text.substr(0, kMostAuditLineBytes), "b"}));
  }
}

TEST_F(AuditFilesTest, CompressedOnes) {
  std::string text;
  Names lines;
  for (int i = 0; i < 20'000; ++i) {
    lines.push_back("line " + std::to_string(i));
    text += lines.back() + "\n";
  }
  std::string path = put("a.gz", text, true);
  EXPECT_EQ(all_of(path), lines);
  // every way in which it can be short
  auto bytes = read_file(path, 1 << 24);
  ASSERT_TRUE(bytes);
  for (size_t cut : {size_t{1}, size_t{8}, bytes->size() / 2, bytes->size() - 12}) {
    auto short_lines = all_of(put("short.gz", bytes->substr(0, bytes->size() - cut)));
    EXPECT_NE(short_lines, lines) << cut;
    EXPECT_NE(short_lines.back().find("short.gz"), std::string::npos) << cut << short_lines.back();
  }
  std::string broken = *bytes;
  broken[broken.size() / 2] = static_cast<char>(broken[broken.size() / 2] ^ 0x55);
  EXPECT_NE(all_of(put("broken.gz", broken)).back().find("broken.gz"), std::string::npos);
}

TEST_F(AuditFilesTest, WhatIsAppendedLaterDoesNotCount) {
  std::string path = put("a", "one\ntwo\n");
  auto reader = AuditReader::open(path);
  ASSERT_TRUE(reader);
  reader->read_at_most(8);
  auto fd = open_file(path, O_WRONLY | O_APPEND);
  ASSERT_TRUE(fd && write_all(fd->get(), "three\n"));
  EXPECT_EQ(all(*reader), (Names{"one", "two"}));
}

TEST_F(AuditFilesTest, TheLogWithItsRotatedFilesAndItsTail) {
  AuditTail tail;
  tail.n = 7;
  std::string log = put("audit.log", "c\n");
  put("audit.log.1", "b\n");
  put("audit.log.2.gz", "a\n", true);
  put("audit.tail", audit_tail_text(tail));
  auto files = open_audit_log(log);
  ASSERT_TRUE(files) << files.error().text();
  ASSERT_EQ(files->readers.size(), 3U);
  Names lines;
  for (auto& reader : files->readers) lines.push_back(all(reader).at(0));
  EXPECT_EQ(lines, (Names{"a", "b", "c"}));
  ASSERT_TRUE(files->tail);
  EXPECT_EQ(files->tail->n, 7U);
  // rotated, and nothing written since
  ASSERT_EQ(::unlink(log.c_str()), 0);
  files = open_audit_log(log);
  ASSERT_TRUE(files);
  EXPECT_EQ(files->readers.size(), 2U);
  EXPECT_TRUE(files->tail);
  // these alone: the tail is that of another file
  files = open_audit_files({scratch_.path("audit.log.1")});
  ASSERT_TRUE(files);
  EXPECT_FALSE(files->tail);
}

TEST_F(AuditFilesTest, WhatCannotBeRead) {
  EXPECT_EQ(open_audit_log(scratch_.path("audit.log")).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(open_audit_log(scratch_.path("missing/audit.log")).error().sys, ENOENT);
  EXPECT_EQ(open_audit_files({scratch_.path("missing")}).error().sys, ENOENT);
  EXPECT_NE(open_audit_files({scratch_.path()}).error().text().find("is no regular file"), std::string::npos);
  put("audit.tail", "nonsense");
  auto files = open_audit_files({put("audit.log", "x\n")});
  ASSERT_TRUE(files);
  EXPECT_FALSE(files->tail);
}

}  // namespace
}  // namespace qf::test
