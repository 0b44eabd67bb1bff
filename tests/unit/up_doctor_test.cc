// SPDX-License-Identifier: Apache-2.0
#include "qf-up/doctor.h"

#include <gtest/gtest.h>

#include "libqf/json.h"

namespace qf {
namespace {

Findings some_findings() {
  Findings findings;
  findings.ok("ssh", "", "is there");
  findings.note("document", "", "a newer one", "run: qf-up apply");
  findings.wrong("peer", "db1\x1b[2J", "no answer\nforged  line", "is it up?\x07");
  return findings;
}

TEST(Doctor, ColumnsAreAlignedAndHintsStandBelow) {
  EXPECT_EQ(findings_text(some_findings().all(), false),
            "ok     ssh                is there\n"
            "note   document           a newer one\n"
            "       hint: run: qf-up apply\n"
            "wrong  peer      db1?[2J  no answer?forged  line\n"
            "       hint: is it up??\n");
}

TEST(Doctor, ColoursAreAroundTheVerdictAlone) {
  Findings findings;
  findings.ok("ssh", "a", "text");
  findings.note("ssh", "a", "text", "hint");
  findings.wrong("ssh", "a", "text", "hint");
  EXPECT_EQ(findings_text(findings.all(), true),
            "\x1b[32mok   \x1b[0m  ssh  a  text\n"
            "\x1b[33mnote \x1b[0m  ssh  a  text\n       hint: hint\n"
            "\x1b[1;31mwrong\x1b[0m  ssh  a  text\n       hint: hint\n");
  EXPECT_EQ(findings_text({}, true), "");
}

TEST(Doctor, ANoteIsNothingWrong) {
  Findings findings;
  findings.note("login", "", "nobody", "log in");
  EXPECT_FALSE(findings.has_wrong());
  EXPECT_TRUE(some_findings().has_wrong());
}

TEST(Doctor, JsonHasTheSame) {
  auto json = parse_json(findings_json(some_findings()));
  ASSERT_TRUE(json);
  EXPECT_EQ(json_bool(json->get(), "ok"), false);
  const cJSON* checks = json_member(json->get(), "checks");
  ASSERT_EQ(cJSON_GetArraySize(checks), 3);
  const cJSON* last = cJSON_GetArrayItem(checks, 2);
  EXPECT_EQ(json_string(last, "check"), "peer");
  EXPECT_EQ(json_string(last, "verdict"), "wrong");
  EXPECT_EQ(json_string(last, "subject"), "db1?[2J");
  EXPECT_EQ(json_string(last, "text"), "no answer?forged  line");
  EXPECT_EQ(json_string(last, "hint"), "is it up??");
  EXPECT_EQ(json_string(cJSON_GetArrayItem(checks, 0), "hint"), "");
}

}  // namespace
}  // namespace qf
