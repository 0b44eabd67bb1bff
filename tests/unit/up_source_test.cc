// SPDX-License-Identifier: Apache-2.0
#include "qf-up/source.h"

#include <sys/stat.h>

#include "libqf/fd.h"
#include "qf-up/signature.h"
#include "tests/unit/libqf_tools.h"

namespace qf {
namespace {

using std::chrono::milliseconds;

TEST(Source, DelaysDoubleUpToABoundAndHearTheServer) {
  SourceRecord record;
  EXPECT_EQ(source_delay(record, 60, 0), milliseconds(60'000));
  EXPECT_EQ(source_delay(record, 60, 1), milliseconds(48'000));
  const std::vector<int64_t> after = {60, 60, 120, 240, 480, 900, 900};
  for (size_t i = 0; i < after.size(); ++i) {
    record.failures = static_cast<int64_t>(i);
    EXPECT_EQ(source_delay(record, 60, 0), milliseconds(after[i] * 1000)) << i;
  }
  record.failures = int64_t{1} << 60;
  EXPECT_EQ(source_delay(record, 1, 0), milliseconds(900'000));
  EXPECT_EQ(source_delay(record, 86'400, 0), milliseconds(86'400'000));
  record.failures = 1;
  record.retry_after = 100;
  EXPECT_EQ(source_delay(record, 60, 1), milliseconds(100'000));
  record.retry_after = 86'400;
  EXPECT_EQ(source_delay(record, 60, 1), milliseconds(3'600'000));
}

TEST(Source, MomentsAreStrict) {
  EXPECT_EQ(parse_moment("2027-01-31T00:00:00Z"), 1801353600);
  EXPECT_EQ(moment_text(1801353600), "2027-01-31T00:00:00Z");
  EXPECT_TRUE(parse_moment("9999-12-31T23:59:59Z"));
  for (const char* wrong :
       {"", "2027-01-31", "2027-01-31T00:00:00", "2027-01-31T00:00:00z", "2027-01-31 00:00:00Z",
        "2027-02-29T00:00:00Z", "2027-13-01T00:00:00Z", "2027-01-31T24:00:00Z", "2027-01-31T00:00:60Z",
        "2027-01-31T00:00:00Z ", " 2027-01-31T00:00:00Z", "2027-1-31T00:00:00Z", "2027-01-31T00:00:00+00:00",
        "2027-01-31T00:00:00.5Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "+2027-01-31T00:00:00Z"})
    EXPECT_FALSE(parse_moment(wrong)) << wrong;
}

class SourceFiles : public ::testing::Test {
 protected:
  Folders folders() {
    Folders all;
    all.state = scratch_.path();
    return all;
  }
  std::string kept() { return scratch_.path("document.kept"); }
  test::Scratch scratch_;
};

TEST_F(SourceFiles, TheKeptDocumentComesBackAsItWas) {
  EXPECT_EQ(load_kept(folders()).error().kind, ErrorKind::kNotFound);
  for (const std::string& text : {std::string("{}"), std::string(), std::string("\n\0x\r\n", 5)}) {
    ASSERT_TRUE(save_kept(folders(), {text, "sig\nnature\n", {}}));
    auto back = load_kept(folders());
    ASSERT_TRUE(back);
    EXPECT_EQ(back->text, text);
    EXPECT_EQ(back->signature, "sig\nnature\n");
  }
  struct stat st = {};
  ASSERT_EQ(::stat(kept().c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);
}

TEST_F(SourceFiles, ADocumentInPartsComesBackWithThem) {
  KeptDocument document{"root", "sig\nnature\n", {{"peers/a", "x\n"}, {"policies/b", std::string("\0y", 2)}}};
  ASSERT_TRUE(save_kept(folders(), document));
  auto back = load_kept(folders());
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, document);
  std::string bytes = *read_file(kept(), 1000);
  for (size_t i = bytes.find('\n') + 1; i < bytes.size(); ++i) {
    ASSERT_TRUE(write_file_atomically(kept(), bytes.substr(0, i), 0600));
    EXPECT_EQ(load_kept(folders()).error().kind, ErrorKind::kInput) << i;
  }
  ASSERT_TRUE(write_file_atomically(kept(), bytes + "x", 0600));
  EXPECT_FALSE(load_kept(folders()));
  // and one of a single text replaces it
  ASSERT_TRUE(save_kept(folders(), {"text", "sig", {}}));
  EXPECT_EQ(load_kept(folders())->text, "text");
  EXPECT_TRUE(load_kept(folders())->parts.empty());
}

TEST(Source, ChoicesThatGoTogether) {
  Choices choices;
  choices.document_user_file = choices.document_cert_file = "/x";
  EXPECT_TRUE(check_source(choices));
  choices.document = "https://h/x";
  EXPECT_FALSE(check_source(choices));
  choices.document_signers = "/s";
  EXPECT_FALSE(check_source(choices));
  choices.document = "etcd://h/x";
  EXPECT_FALSE(check_source(choices));
  choices.document_key_file = "/k";
  EXPECT_TRUE(check_source(choices));
  choices.document = "https://h/x";
  EXPECT_FALSE(check_source(choices));
  choices.document_key_file = choices.document_cert_file = choices.document_user_file = "";
  EXPECT_TRUE(check_source(choices));
}

TEST_F(SourceFiles, ADamagedKeptDocumentIsNone) {
  for (const char* text :
       {"", "\n", "{}", "qufabric-kept-document 1 ", "qufabric-kept-document 1 5",
        "qufabric-kept-document 1 5\nabcd", "qufabric-kept-document 1 -1\nabcd",
        "qufabric-kept-document 1 99999999999999999999\nabcd", "qufabric-kept-document 2 1\nabcd"}) {
    ASSERT_TRUE(write_file_atomically(kept(), text, 0600));
    EXPECT_EQ(load_kept(folders()).error().kind, ErrorKind::kInput) << text;
  }
}

TEST_F(SourceFiles, TheRecordIsOfOneUrl) {
  SourceRecord record;
  record.url = "https://h/a";
  record.hash = "h";
  record.error = "e";
  record.failures = 3;
  ASSERT_TRUE(save_source_record(folders(), record));
  EXPECT_EQ(load_source_record(folders(), "https://h/a").failures, 3);
  EXPECT_EQ(load_source_record(folders(), "https://h/a").error, "e");
  EXPECT_EQ(load_source_record(folders(), "https://h/b").failures, 0);
  EXPECT_EQ(load_source_record(folders(), "https://h/b").url, "https://h/b");
  ASSERT_TRUE(write_file_atomically(source_record_path(folders()),
                                    R"({"url":"https://h/a","failures":-5,"last_success":"x"})", 0644));
  EXPECT_EQ(load_source_record(folders(), "https://h/a").failures, 0);
}

TEST_F(SourceFiles, SignersThatOthersCouldWriteAreNone) {
  std::string path = scratch_.path("signers");
  EXPECT_FALSE(read_signers(path));
  ASSERT_TRUE(write_file_atomically(path, "x", 0644));
  EXPECT_EQ(*read_signers(path), "x");
  for (mode_t mode : {0664U, 0646U}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    EXPECT_EQ(read_signers(path).error().kind, ErrorKind::kInput);
  }
  EXPECT_FALSE(read_signers(scratch_.path()));
  EXPECT_FALSE(read_signers("/dev/null"));
}

}  // namespace
}  // namespace qf
