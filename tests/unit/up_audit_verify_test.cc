// SPDX-License-Identifier: Apache-2.0
#include "qf-up/audit_verify.h"

#include <gtest/gtest.h>

#include <vector>

namespace qf::test {
namespace {

AuditText whole(const std::string& line) {
  return {line};
}

std::string body(size_t i) {
  return R"({"time":"2024-05-01T00:00:)" + std::to_string(10 + i) + R"(.000Z","event":"e)" +
         std::to_string(i) + "\"}";
}

// A good log of `count` lines from number `first` on.
std::vector<std::string> chain(size_t count, uint64_t first = 1,
                               std::string previous = std::string(kNoAuditLine)) {
  std::vector<std::string> lines;
  for (size_t i = 0; i < count; ++i) {
    lines.push_back(audit_line(first + i, previous, body(i)));
    previous = audit_hash(lines.back());
  }
  return lines;
}

AuditTail tail_of(const std::string& line) {
  AuditTail tail;
  tail.n = audit_place(line)->n;
  tail.hash = audit_hash(line);
  tail.first = 1;
  return tail;
}

struct Verdict {
  uint64_t line = 0;  // 0: no fault
  std::string what;
  AuditSummary summary;
};

Verdict verify(const std::vector<std::string>& lines, std::optional<AuditTail> tail = std::nullopt,
               const std::string& anchor = "", const std::string& fragment = "") {
  AuditVerifier verifier(std::move(tail), "log", anchor);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!verifier.add("log", i + 1, whole(lines[i]))) break;
  }
  if (!fragment.empty()) verifier.add("log", lines.size() + 1, {fragment, false});
  verifier.finish();
  const auto& fault = verifier.fault();
  return {fault ? fault->line : 0, fault ? fault->what : "", verifier.summary()};
}

constexpr size_t kLines = 8;

class AuditVerify : public ::testing::TestWithParam<bool> {
 protected:
  // With the tail of the good log, or without any.
  std::optional<AuditTail> tail() {
    return GetParam() ? std::optional<AuditTail>(tail_of(good_.back())) : std::nullopt;
  }
  const std::vector<std::string> good_ = chain(kLines);
};

TEST_P(AuditVerify, AGoodLog) {
  auto verdict = verify(good_, tail());
  EXPECT_EQ(verdict.line, 0U) << verdict.what;
  EXPECT_EQ(verdict.summary.lines, kLines);
  EXPECT_EQ(verdict.summary.first, 1U);
  EXPECT_EQ(verdict.summary.last, kLines);
  EXPECT_EQ(verdict.summary.since, "2024-05-01T00:00:10.000Z");
  EXPECT_EQ(verdict.summary.until, "2024-05-01T00:00:17.000Z");
  EXPECT_EQ(verdict.summary.hash, audit_hash(good_.back()));
  EXPECT_EQ(verify({}, std::nullopt).line, 0U);
}

// Every byte of every line: the line that was changed is named. Of the last one only the tail can tell.
TEST_P(AuditVerify, AChangedByteIsFoundInItsLine) {
  for (size_t k = 0; k < kLines; ++k) {
    for (size_t i = 0; i < good_[k].size(); ++i) {
      auto lines = good_;
      lines[k][i] = static_cast<char>(lines[k][i] ^ 1);
      auto verdict = verify(lines, tail());
      size_t previous = good_[k].find("\"previous\"") + 12;
      bool in_previous = i >= previous && i < previous + 64;
      if (k == kLines - 1 && !GetParam() && audit_place(lines[k]) && !in_previous &&
          audit_place(lines[k])->n == kLines) {
        EXPECT_EQ(verdict.line, 0U);
        continue;
      }
      // without a tail nobody knows which of the last two is wrong
      bool either = !GetParam() && k == kLines - 1 && in_previous;
      EXPECT_TRUE(verdict.line == k + 1 || (either && verdict.line == k)) << verdict.line << " " << lines[k];
    }
  }
}

TEST_P(AuditVerify, ARemovedLineIsFoundAndCounted) {
  for (size_t k = 1; k + 1 < kLines; ++k) {
    auto lines = good_;
    lines.erase(lines.begin() + static_cast<long>(k));
    auto verdict = verify(lines, tail());
    EXPECT_EQ(verdict.line, k + 1);
    EXPECT_NE(verdict.what.find("1 line is missing before this one"), std::string::npos) << verdict.what;
    EXPECT_NE(verdict.what.find("between 2024-05-01T00:00:1" + std::to_string(k - 1)), std::string::npos)
        << verdict.what;
  }
  auto lines = good_;
  lines.erase(lines.begin() + 2, lines.begin() + 5);
  EXPECT_NE(verify(lines, tail()).what.find("3 lines are missing"), std::string::npos);
}

TEST_P(AuditVerify, AnInsertedCopyIsFound) {
  for (size_t from = 0; from < kLines; ++from) {
    for (size_t to = 0; to <= kLines; ++to) {
      auto lines = good_;
      lines.insert(lines.begin() + static_cast<long>(to), good_[from]);
      auto verdict = verify(lines, tail());
      // a copy beside its original: either of the two
      size_t wrong = to == from ? to + 2 : to + 1;
      EXPECT_NE(verdict.line, 0U) << from << " to " << to;
      // at the head there is nothing yet that it could not follow, and number 1 begins another chain
      EXPECT_TRUE(to == 0 || from == 0 || verdict.what.find("insert") != std::string::npos)
          << from << " to " << to << ": " << verdict.what;
      EXPECT_TRUE(to == 0 || verdict.line == wrong) << from << " to " << to << ": " << verdict.what;
    }
  }
}

// Made to fit what comes before it.
TEST_P(AuditVerify, AForgedLineIsFound) {
  for (size_t k = 1; k < kLines; ++k) {
    auto lines = good_;
    auto forged = audit_line(k + 1, audit_hash(good_[k - 1]), R"({"time":"x","event":"forged"})");
    lines.insert(lines.begin() + static_cast<long>(k), forged);
    auto verdict = verify(lines, tail());
    // of the last two only the tail knows
    EXPECT_TRUE(verdict.line == k + 1 || (!GetParam() && k + 1 == kLines && verdict.line == k + 2))
        << verdict.line << ": " << verdict.what;
    EXPECT_NE(verdict.what.find("inserted"), std::string::npos) << verdict.what;
  }
}

TEST_P(AuditVerify, AForeignLineIsFound) {
  for (size_t k = 0; k <= kLines; ++k) {
    auto lines = good_;
    lines.insert(lines.begin() + static_cast<long>(k), "rm -rf /");
    EXPECT_EQ(verify(lines, tail()).line, k + 1);
  }
}

TEST_P(AuditVerify, SwappedLinesAreFound) {
  for (size_t k = 1; k + 1 < kLines; ++k) {
    auto lines = good_;
    std::swap(lines[k], lines[k + 1]);
    auto verdict = verify(lines, tail());
    EXPECT_EQ(verdict.line, k + 1) << verdict.what;
    EXPECT_NE(verdict.what.find("moved"), std::string::npos) << verdict.what;
  }
}

INSTANTIATE_TEST_SUITE_P(Tails, AuditVerify, ::testing::Bool());

TEST(AuditVerifyEnds, LinesThatAreCutOffTheEnd) {
  auto good = chain(kLines);
  for (size_t kept = 1; kept < kLines; ++kept) {
    auto lines = good;
    lines.resize(kept);
    EXPECT_EQ(verify(lines).line, 0U) << "nobody can know";
    auto verdict = verify(lines, tail_of(good.back()));
    EXPECT_EQ(verdict.line, kept);
    EXPECT_NE(verdict.what.find(std::to_string(kLines - kept) + " line"), std::string::npos) << verdict.what;
    EXPECT_NE(verdict.what.find("missing after this one"), std::string::npos) << verdict.what;
    EXPECT_NE(verify(lines, std::nullopt, audit_hash(good.back())).line, 0U);
  }
  EXPECT_NE(verify({}, tail_of(good.back())).what, "");
}

TEST(AuditVerifyEnds, LinesThatAreCutOffTheHead) {
  auto good = chain(kLines);
  std::vector<std::string> lines(good.begin() + 3, good.end());
  auto verdict = verify(lines, tail_of(good.back()));
  EXPECT_EQ(verdict.line, 1U);
  EXPECT_NE(verdict.what.find("3 lines are missing before this one"), std::string::npos) << verdict.what;
  // a file that begins there by rotation
  auto tail = tail_of(good.back());
  tail.first = 4;
  verdict = verify(lines, tail);
  EXPECT_EQ(verdict.line, 0U) << verdict.what;
  EXPECT_EQ(verdict.summary.first, 4U);
}

TEST(AuditVerifyEnds, AnchorIsALineOfThePast) {
  auto good = chain(kLines);
  for (const auto& line : good) EXPECT_EQ(verify(good, std::nullopt, audit_hash(line)).line, 0U);
  auto verdict = verify(chain(kLines, 1, std::string(kNoAuditLine)), std::nullopt, audit_hash("other"));
  EXPECT_EQ(verdict.line, kLines);
  EXPECT_NE(verdict.what.find("hash"), std::string::npos);
}

TEST(AuditVerifyEnds, ALogThatWasMadeAnew) {
  auto good = chain(kLines);
  auto other = good;
  other.resize(3);
  auto more = chain(kLines, 4, audit_hash(other.back()));
  more[0] = audit_line(4, audit_hash(other.back()), R"({"time":"y","event":"rewritten"})");
  auto rewritten = other;
  std::string previous = audit_hash(other.back());
  for (uint64_t n = 4; n < 20; ++n) {
    rewritten.push_back(audit_line(n, previous, R"({"time":"y","event":"rewritten"})"));
    previous = audit_hash(rewritten.back());
  }
  EXPECT_EQ(verify(rewritten).line, 0U) << "the chain has no key";
  EXPECT_NE(verify(rewritten, tail_of(good.back())).line, 0U);
  // two chains in one file
  auto two = good;
  two.insert(two.end(), good.begin(), good.end());
  auto verdict = verify(two);
  EXPECT_EQ(verdict.line, kLines + 1);
  EXPECT_NE(verdict.what.find("another chain begins here"), std::string::npos) << verdict.what;
}

TEST(AuditVerifyCrash, ALineThatTheTailHasNotYet) {
  auto good = chain(kLines);
  auto verdict = verify(good, tail_of(good[kLines - 2]));
  EXPECT_EQ(verdict.line, 0U) << verdict.what;
  EXPECT_TRUE(verdict.summary.tail_behind);
}

TEST(AuditVerifyCrash, ALineThatWasNeverWrittenToItsEnd) {
  auto good = chain(kLines);
  auto next = audit_line(kLines + 1, audit_hash(good.back()), body(1));
  for (size_t i = 1; i < next.size(); ++i) {
    auto verdict = verify(good, tail_of(good.back()), "", next.substr(0, i));
    EXPECT_EQ(verdict.line, 0U) << verdict.what;
    EXPECT_EQ(verdict.summary.cut, 1U);
    EXPECT_EQ(verify(good, tail_of(next), "", next.substr(0, i)).line, kLines + 1) << "it was whole once";
    EXPECT_EQ(verify(good, std::nullopt, "", next.substr(0, i)).line, kLines + 1);
  }
  EXPECT_EQ(verify(good, tail_of(good.back()), "", "foreign").line, kLines + 1);
  // and the log was rotated then
  AuditVerifier verifier(std::nullopt, "log");
  for (size_t i = 0; i < 4; ++i) verifier.add("log.1", i + 1, whole(good[i]));
  verifier.add("log.1", 5, {next.substr(0, 10), false});
  for (size_t i = 4; i < kLines; ++i) verifier.add("log", i - 3, whole(good[i]));
  verifier.finish();
  EXPECT_FALSE(verifier.fault());
  EXPECT_EQ(verifier.summary().cut, 1U);
}

TEST(AuditVerifyFiles, AMissingFileIsNamedByTheNextOne) {
  auto good = chain(kLines);
  AuditVerifier verifier(std::nullopt, "log");
  for (size_t i = 0; i < 2; ++i) verifier.add("log.2", i + 1, whole(good[i]));
  for (size_t i = 5; i < kLines; ++i) verifier.add("log", i - 4, whole(good[i]));
  verifier.finish();
  ASSERT_TRUE(verifier.fault());
  EXPECT_EQ(verifier.fault()->file, "log");
  EXPECT_EQ(verifier.fault()->line, 1U);
  EXPECT_NE(verifier.fault()->what.find("3 lines are missing"), std::string::npos);
}

// What has no place is no line of the log, wherever it stands, and however it ends.
TEST(AuditVerifyForged, LinesWithoutAPlaceWithoutAnEndAndWithoutMeasure) {
  const auto good = chain(kLines);
  auto before = good;
  before.insert(before.begin(), R"({"time":"2024-01-01T00:00:00.000Z","event":"login"})");
  EXPECT_EQ(verify(before).line, 1U);
  auto forged = audit_line(kLines + 7, audit_hash("x"), body(1));
  EXPECT_EQ(verify(good, tail_of(good.back()), "", forged).line, kLines + 1);
  AuditVerifier long_one(std::nullopt, "log");
  EXPECT_FALSE(long_one.add("log", 1, {good[0], true, true}));
  EXPECT_NE(long_one.fault()->what.find("longer than any"), std::string::npos);
}

TEST(AuditVerifyCrash, ALineThatLacksItsLastByteAlone) {
  auto good = chain(kLines);
  auto next = audit_line(kLines + 1, audit_hash(good.back()), body(1));
  auto verdict = verify(good, tail_of(good.back()), "", next);
  EXPECT_EQ(verdict.line, 0U) << verdict.what;
  EXPECT_EQ(verdict.summary.cut_place, "log:" + std::to_string(kLines + 1));
}

}  // namespace
}  // namespace qf::test
