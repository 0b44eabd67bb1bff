// SPDX-License-Identifier: Apache-2.0
// qf-up's own numbers: what is not known is left out, and what must not stay so is an alarm.
#include "qf-up/metrics.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

bool has(const std::string& text, const std::string& line) {
  return text.find("\n" + line + "\n") != std::string::npos;
}
bool has_sample(const std::string& text, const std::string& name) {
  return text.find("\n" + name + " ") != std::string::npos ||
         text.find("\n" + name + "{") != std::string::npos;
}

TEST(UpMetrics, WhatIsNotKnownIsLeftOut) {
  UpFacts facts;
  facts.now = 1000;
  std::string text = up_metrics(facts);
  for (const char* name :
       {"qufabric_up", "qufabric_sshd_up", "qufabric_sshd_restarts_total", "qufabric_document_serial",
        "qufabric_document_expires_time_seconds", "qufabric_redirect_in_place", "qufabric_source_failures"}) {
    EXPECT_FALSE(has_sample(text, name)) << name;
    EXPECT_NE(text.find(std::string("# TYPE ") + name + " "), std::string::npos) << name;
  }
  // an alert that waits for 1 must see the 0
  for (const char* kind : {"document", "expired", "redirect"})
    EXPECT_TRUE(has(text, std::string("qufabric_alarm{kind=\"") + kind + "\"} 0")) << kind;
  EXPECT_TRUE(has(text, "qufabric_metrics_time_seconds 1000"));
}

TEST(UpMetrics, WhatIsKnownIsTold) {
  UpFacts facts;
  facts.now = 1000;
  facts.up = true;
  facts.server_up = false;
  facts.restarts = 3;
  facts.meta.emplace();
  facts.meta->serial = 42;
  facts.meta->peers = 7;
  facts.applied = 900;
  facts.expires = 2000;
  facts.redirect = true;
  facts.source.emplace();
  facts.source->failures = 0;
  facts.source->last_success = 990;
  std::string text = up_metrics(facts);
  for (const char* line :
       {"qufabric_up 1", "qufabric_sshd_up 0", "qufabric_sshd_restarts_total 3",
        "qufabric_document_serial 42", "qufabric_document_peers 7",
        "qufabric_document_applied_time_seconds 900", "qufabric_document_expires_time_seconds 2000",
        "qufabric_redirect_in_place 1", "qufabric_source_last_success_time_seconds 990",
        "qufabric_source_failures 0", "qufabric_alarm{kind=\"document\"} 0",
        "qufabric_alarm{kind=\"expired\"} 0", "qufabric_alarm{kind=\"redirect\"} 0"})
    EXPECT_TRUE(has(text, line)) << line;
}

TEST(UpMetrics, WhatMustNotStaySoIsAnAlarm) {
  UpFacts facts;
  facts.now = 2000;
  facts.expires = 2000;
  facts.redirect = false;
  facts.source.emplace();
  facts.source->error = "the signature is not good";
  facts.source->failures = 4;
  std::string text = up_metrics(facts);
  for (const char* kind : {"document", "expired", "redirect"})
    EXPECT_TRUE(has(text, std::string("qufabric_alarm{kind=\"") + kind + "\"} 1")) << kind;
  EXPECT_TRUE(has(text, "qufabric_redirect_in_place 0"));
  EXPECT_TRUE(has(text, "qufabric_source_failures 4"));
  // the reason is for people: status and the log have it
  EXPECT_EQ(text.find("signature"), std::string::npos);
}

}  // namespace
}  // namespace qf
