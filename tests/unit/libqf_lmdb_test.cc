// SPDX-License-Identifier: Apache-2.0
#include "libqf/lmdb.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "libqf/fd.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

struct Pair {
  std::string name;
  uint32_t number = 0;
  static void fields(auto& self, auto& visit) { visit(self.name, self.number); }
};

LmdbReader open_or_abort(const std::string& path) {
  auto reader = LmdbReader::open(path);
  if (!reader) std::abort();
  return std::move(*reader);
}

TEST(Lmdb, WritesAndFinds) {
  test::Scratch scratch;
  std::string path = scratch.path("x.mdb");
  ASSERT_TRUE(write_lmdb(path, {{"a", "1"}, {"b", ""}, {std::string("c\0d", 3), "3"}, {"\xff", "4"}}, 0640));
  LmdbReader reader = open_or_abort(path);
  EXPECT_EQ(reader.find("a"), "1");
  EXPECT_EQ(reader.find("b"), "");
  EXPECT_EQ(reader.find(std::string_view("c\0d", 3)), "3");
  EXPECT_EQ(reader.find("\xff"), "4");
  EXPECT_EQ(reader.find("c"), std::nullopt);
  EXPECT_EQ(reader.find(""), std::nullopt);
  EXPECT_EQ(reader.find(std::string(512, 'k')), std::nullopt);
  struct stat st = {};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0640U);
}

TEST(Lmdb, OnlyTheFileItselfIsLeft) {
  test::Scratch scratch;
  ASSERT_TRUE(write_lmdb(scratch.path("x.mdb"), {{"a", "1"}}, 0600));
  { LmdbReader reader = open_or_abort(scratch.path("x.mdb")); }
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(scratch.path())) ++files;
  EXPECT_EQ(files, 1U) << "no lock file, no temporary";
}

TEST(Lmdb, EmptyIsADatabaseToo) {
  test::Scratch scratch;
  ASSERT_TRUE(write_lmdb(scratch.path("x.mdb"), {}, 0600));
  EXPECT_EQ(open_or_abort(scratch.path("x.mdb")).find("a"), std::nullopt);
}

TEST(Lmdb, MissingIsNotFound) {
  auto reader = LmdbReader::open("/no/such.mdb");
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().kind, ErrorKind::kNotFound);
}

TEST(Lmdb, WhatIsNoDatabaseIsAnError) {
  test::Scratch scratch;
  std::string path = scratch.path("x.mdb");
  for (const std::string& content : {std::string("{}"), std::string(100'000, 'x'), std::string(8192, '\0')}) {
    ASSERT_TRUE(replace_file(path, content, 0600));
    auto reader = LmdbReader::open(path);
    ASSERT_FALSE(reader) << content.size();
    EXPECT_EQ(reader.error().kind, ErrorKind::kSystem);
  }
}

TEST(Lmdb, RecordsAreDecodedStrictly) {
  test::Scratch scratch;
  std::string path = scratch.path("x.mdb");
  std::string good = encode(Pair{"n", 7});
  ASSERT_TRUE(write_lmdb(path, {{"good", good}, {"long", good + "x"}, {"short", good.substr(1)}}, 0600));
  LmdbReader reader = open_or_abort(path);
  auto pair = reader.get<Pair>("good");
  ASSERT_TRUE(pair);
  EXPECT_EQ(pair->number, 7U);
  EXPECT_EQ(reader.get<Pair>("none").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(reader.get<Pair>("long").error().kind, ErrorKind::kPeer);
  EXPECT_EQ(reader.get<Pair>("short").error().kind, ErrorKind::kPeer);
}

TEST(Lmdb, AReaderKeepsTheOldFile) {
  test::Scratch scratch;
  std::string path = scratch.path("x.mdb");
  ASSERT_TRUE(write_lmdb(path, {{"a", "old"}}, 0600));
  LmdbReader before = open_or_abort(path);
  std::string_view value = *before.find("a");
  ASSERT_TRUE(write_lmdb(path, {{"a", "new"}}, 0600));
  EXPECT_EQ(value, "old");
  EXPECT_EQ(before.find("a"), "old");
  EXPECT_EQ(open_or_abort(path).find("a"), "new");
}

// As qf-sshd does on each change of policy.mdb
TEST(Lmdb, AReaderCanBeReplaced) {
  test::Scratch scratch;
  std::string path = scratch.path("x.mdb");
  ASSERT_TRUE(write_lmdb(path, {{"a", "old"}}, 0600));
  LmdbReader reader = open_or_abort(path);
  for (int round = 0; round < 50; ++round) {
    ASSERT_TRUE(write_lmdb(path, {{"a", std::to_string(round)}}, 0600));
    reader = open_or_abort(path);
    EXPECT_EQ(reader.find("a"), std::to_string(round));
  }
  LmdbReader moved = std::move(reader);
  EXPECT_EQ(moved.find("a"), "49");
}

// To read on behind its end would end the process.
TEST(Lmdb, AFileThatWasCutOffIsRefused) {
  test::Scratch scratch;
  std::map<std::string, std::string> records;
  for (int i = 0; i < 3000; ++i) records["key " + std::to_string(i)] = std::string(30, 'v');
  std::string path = scratch.path("x.mdb");
  ASSERT_TRUE(write_lmdb(path, records, 0600));
  auto size = static_cast<off_t>(std::filesystem::file_size(path));
  for (off_t left :
       {off_t{0}, off_t{100}, off_t{4096}, off_t{5000}, off_t{8192}, size / 2, size - 4096, size - 1}) {
    ASSERT_TRUE(write_lmdb(path, records, 0600));
    ASSERT_EQ(::truncate(path.c_str(), left), 0);
    EXPECT_FALSE(LmdbReader::open(path)) << left << " of " << size;
  }
  auto cut = LmdbReader::open(path);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().text(),
            path + " is cut off: " + std::to_string(size - 1) + " bytes of " + std::to_string(size));
}

TEST(Lmdb, ReadersNeedNoRightToWrite) {
  test::Scratch scratch;
  ASSERT_TRUE(write_lmdb(scratch.path("x.mdb"), {{"a", "1"}}, 0444));
  ASSERT_EQ(::chmod(scratch.path().c_str(), 0500), 0);
  EXPECT_EQ(open_or_abort(scratch.path("x.mdb")).find("a"), "1");
  ASSERT_EQ(::chmod(scratch.path().c_str(), 0700), 0);
}

TEST(Lmdb, ManyRecordsAndAwkwardSizes) {
  test::Scratch scratch;
  std::map<std::string, std::string> records;
  for (int i = 0; i < 20'000; ++i)
    records["key " + std::to_string(i)] = std::string(static_cast<size_t>(i % 50), 'v');
  // sizes about LMDB's pages of 4096 bytes, which waste the most
  for (size_t size : {1'400U, 2'000U, 2'030U, 2'100U, 4'080U, 4'081U, 8'177U})
    for (int i = 0; i < 500; ++i)
      records[std::to_string(size) + "/" + std::to_string(i)] = std::string(size, 'w');
  records["large"] = std::string(20'000'000, 'x');
  records[std::string(511, 'k')] = "longest key";
  auto written = write_lmdb(scratch.path("x.mdb"), records, 0600);
  ASSERT_TRUE(written) << written.error().text();
  LmdbReader reader = open_or_abort(scratch.path("x.mdb"));
  for (const auto& [key, value] : records) ASSERT_EQ(reader.find(key), value) << key.substr(0, 40);
}

// More than one transaction takes, so that the file is written in several.
TEST(Lmdb, ManyMegabytesAreWrittenInPieces) {
  test::Scratch scratch;
  std::string path = scratch.path("x.mdb");
  constexpr int kRecords = 1'000'000;
  auto key = [](int i) { return "key " + std::to_string(10'000'000 + i); };
  auto written = write_sorted_lmdb(
      path,
      [&](const RecordSink& sink) -> Status {
        for (int i = 0; i < kRecords; ++i) {
          if (auto put = sink(key(i), std::to_string(i)); !put) return put;
        }
        return Done{};
      },
      0600);
  ASSERT_TRUE(written) << written.error().text();
  LmdbReader reader = open_or_abort(path);
  for (int i = 0; i < kRecords; ++i) ASSERT_EQ(reader.find(key(i)), std::to_string(i));
}

TEST(Lmdb, WhatComesOutOfOrderIsRefused) {
  test::Scratch scratch;
  std::string path = scratch.path("x.mdb");
  ASSERT_TRUE(write_lmdb(path, {{"a", "old"}}, 0600));
  auto written = write_sorted_lmdb(
      path,
      [](const RecordSink& sink) -> Status {
        if (auto put = sink("b", "1"); !put) return put;
        return sink("a", "2");
      },
      0600);
  EXPECT_FALSE(written);
  EXPECT_EQ(open_or_abort(path).find("a"), "old");
}

TEST(Lmdb, BadKeysFailAndChangeNothing) {
  test::Scratch scratch;
  std::string path = scratch.path("x.mdb");
  ASSERT_TRUE(write_lmdb(path, {{"a", "old"}}, 0600));
  EXPECT_FALSE(write_lmdb(path, {{std::string(512, 'k'), ""}}, 0600));
  EXPECT_FALSE(write_lmdb(path, {{"", "x"}}, 0600));
  EXPECT_FALSE(write_lmdb(scratch.path("none/x.mdb"), {{"a", "x"}}, 0600));
  EXPECT_EQ(open_or_abort(path).find("a"), "old");
  size_t files = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(scratch.path())) ++files;
  EXPECT_EQ(files, 1U);
}

TEST(Lmdb, ABareFileNameIsInThisFolder) {
  test::Scratch scratch;
  auto here = std::filesystem::current_path();
  std::filesystem::current_path(scratch.path());
  auto written = write_lmdb("x.mdb", {{"a", "1"}}, 0600);
  std::filesystem::current_path(here);
  ASSERT_TRUE(written) << written.error().text();
  EXPECT_EQ(open_or_abort(scratch.path("x.mdb")).find("a"), "1");
}

}  // namespace
}  // namespace qf
