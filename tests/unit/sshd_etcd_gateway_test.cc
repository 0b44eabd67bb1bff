// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/etcd_gateway.h"

#include <gtest/gtest.h>

#include "libqf/base64.h"
#include "libqf/json.h"

namespace qf {
namespace {

const EtcdKeys kKeys = EtcdKeys::under("/qf");

TEST(EtcdGateway, KeysUnderAPrefix) {
  EXPECT_EQ(kKeys.first, "/qf/");
  EXPECT_EQ(kKeys.end, "/qf0");
}

TEST(EtcdGateway, Requests) {
  EXPECT_EQ(etcd_range_text("/qf/", kKeys, 256, 0),
            R"({"key":"L3FmLw==","range_end":"L3FmMA==","limit":"256"})");
  EXPECT_EQ(etcd_range_text("/qf/a", kKeys, 1, 9),
            R"({"key":"L3FmL2E=","range_end":"L3FmMA==","limit":"1","revision":"9"})");
  EXPECT_EQ(etcd_probe_text(kKeys), R"({"key":"L3FmLw==","range_end":"L3FmMA==","count_only":true})");
  EXPECT_EQ(etcd_watch_text(kKeys, 8),
            R"({"create_request":{"key":"L3FmLw==","range_end":"L3FmMA==","start_revision":"8"}})");
  EXPECT_EQ(etcd_login_text("u", "p\"w"), R"({"name":"u","password":"p\"w"})");
  EXPECT_EQ(etcd_txn_text(kKeys, 7, {{"/qf/a", "x"}}, {"/qf/b"}),
            R"({"compare":[{"key":"L3FmLw==","range_end":"L3FmMA==","target":"MOD","result":"LESS",)"
            R"("mod_revision":"8"}],"success":[{"request_put":{"key":"L3FmL2E=","value":"eA=="}},)"
            R"({"request_delete_range":{"key":"L3FmL2I="}}]})");
}

// As etcd 3.4.23 of Debian has answered.
TEST(EtcdGateway, ARange) {
  auto range = read_etcd_range(
      R"({"header":{"cluster_id":"10144879847569953045","member_id":"12428976124636271536","revision":"2",)"
      R"("raft_term":"2"},"kvs":[{"key":"L3EvYQ==","create_revision":"2","mod_revision":"2","version":"1",)"
      R"("value":"aGVsbG8="}],"more":true,"count":"1"})",
      1);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->header.cluster, "10144879847569953045");
  EXPECT_EQ(range->header.revision, 2U);
  ASSERT_EQ(range->pairs.size(), 1U);
  EXPECT_EQ(range->pairs[0].first, "/q/a");
  EXPECT_EQ(range->pairs[0].second, "hello");
  EXPECT_TRUE(range->more);
  // an empty value is left out, and so is the list when there is nothing
  range = read_etcd_range(R"({"header":{"cluster_id":"1","revision":5},"kvs":[{"key":"YQ=="}]})", 1);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->pairs[0].second, "");
  EXPECT_FALSE(range->more);
  range = read_etcd_range(R"({"header":{"cluster_id":"1","revision":"5"}})", 0);
  ASSERT_TRUE(range);
  EXPECT_TRUE(range->pairs.empty());
}

TEST(EtcdGateway, WhatIsNoRange) {
  const std::string head = R"({"header":{"cluster_id":"1","revision":"5"},)";
  for (const std::string& wrong :
       {std::string(),
        std::string("{}"),
        std::string("[]"),
        std::string(R"({"header":5})"),
        std::string(R"({"header":{"cluster_id":"1"}})"),
        std::string(R"({"header":{"cluster_id":"1","revision":"0"}})"),
        std::string(R"({"header":{"cluster_id":"1","revision":"-5"}})"),
        std::string(R"({"header":{"cluster_id":"1","revision":1.5}})"),
        std::string(R"({"header":{"cluster_id":"1","revision":"9223372036854775808"}})"),
        std::string(R"({"header":{"cluster_id":"x","revision":"5"}})"),
        head + R"("kvs":5})",
        head + R"("kvs":[5]})",
        head + R"("kvs":[{}]})",
        head + R"("kvs":[{"key":""}]})",
        head + R"("kvs":[{"key":"YQ"}]})",
        head + R"("kvs":[{"key":"YR=="}]})",
        head + R"("kvs":[{"key":5}]})",
        head + R"("kvs":[{"key":"YQ==","value":"a\n=="}]})",
        head + R"("kvs":[{"key":"YQ=="},{"key":"YQ=="}]})",
        head + R"("kvs":[{"key":"Yg=="},{"key":"YQ=="}]})",
        head + R"("more":true})",
        head + R"("more":1})",
        head + R"("a":1} x)"})
    EXPECT_FALSE(read_etcd_range(wrong, 256)) << wrong;
  EXPECT_FALSE(read_etcd_range(head + R"("kvs":[{"key":"YQ=="},{"key":"Yg=="}]})", 1));
}

TEST(EtcdGateway, ATransactionAndAToken) {
  auto done =
      read_etcd_txn(R"({"header":{"cluster_id":"1","revision":"5"},"succeeded":true,"responses":[{}]})");
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->done);
  EXPECT_EQ(done->revision, 5U);
  done = read_etcd_txn(R"({"header":{"cluster_id":"1","revision":"5"}})");
  ASSERT_TRUE(done);
  EXPECT_FALSE(done->done);
  EXPECT_FALSE(read_etcd_txn(R"({"succeeded":true})"));
  EXPECT_FALSE(read_etcd_txn(R"({"header":{"revision":"5"},"succeeded":"true"})"));
  EXPECT_EQ(*read_etcd_token(R"({"header":{},"token":"abc.12"})"), "abc.12");
  for (const char* wrong :
       {"{}", R"({"token":""})", R"({"token":5})", R"({"token":"a b"})", R"({"token":"a\r\nb"})"})
    EXPECT_FALSE(read_etcd_token(wrong)) << wrong;
  EXPECT_FALSE(read_etcd_token("{\"token\":\"" + std::string(20'000, 'a') + "\"}"));
}

TEST(EtcdGateway, Faults) {
  auto fault = read_etcd_fault(
      R"({"error":"etcdserver: permission denied","message":"etcdserver: permission denied","code":7})");
  ASSERT_TRUE(fault);
  EXPECT_TRUE(fault->is(EtcdCode::kDenied));
  EXPECT_TRUE(fault->says("permission denied"));
  EXPECT_FALSE(read_etcd_fault("404 page not found"));
  EXPECT_FALSE(read_etcd_fault(R"({"code":7})"));
  EXPECT_FALSE(read_etcd_fault(R"({"error":"x"})"));
  fault = read_etcd_fault(R"({"error":"a\u001b[31mb","code":2})");
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->message.find('\x1b'), std::string::npos);
  fault = read_etcd_fault("{\"error\":\"" + std::string(5000, 'a') + "\",\"code\":2}");
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->message.size(), 300U);
}

TEST(EtcdGateway, LinesOfAWatch) {
  auto news = read_etcd_news(R"({"result":{"header":{"cluster_id":"1","revision":"5"},"created":true}})");
  ASSERT_TRUE(news);
  EXPECT_TRUE(news->created);
  EXPECT_TRUE(news->events.empty());
  news = read_etcd_news(
      R"({"result":{"header":{"cluster_id":"1","revision":"4"},"events":[{"kv":{"key":"YQ==","mod_revision":"3",)"
      R"("value":"Yg=="}},{"type":"DELETE","kv":{"key":"Yw==","mod_revision":"4"}}]}})");
  ASSERT_TRUE(news);
  ASSERT_EQ(news->events.size(), 2U);
  EXPECT_EQ(news->events[0].key, "a");
  EXPECT_EQ(*news->events[0].value, "b");
  EXPECT_EQ(news->events[0].revision, 3U);
  EXPECT_EQ(news->events[1].key, "c");
  EXPECT_FALSE(news->events[1].value);
  news = read_etcd_news(
      R"({"result":{"header":{"cluster_id":"1","member_id":"1","raft_term":"2"},"canceled":true,"compact_revision":"4"}})");
  ASSERT_TRUE(news);
  EXPECT_TRUE(news->canceled && news->compacted);
  news = read_etcd_news(
      R"({"result":{"header":{"cluster_id":"1"},"created":true,"canceled":true,"cancel_reason":"rpc error"}})");
  ASSERT_TRUE(news);
  EXPECT_TRUE(news->canceled && !news->compacted);
  EXPECT_EQ(news->reason, "rpc error");
  news = read_etcd_news(
      R"({"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader","http_status":"Service Unavailable"}})");
  ASSERT_TRUE(news);
  ASSERT_TRUE(news->fault);
  EXPECT_TRUE(news->fault->is(EtcdCode::kUnavailable));
}

TEST(EtcdGateway, WhatIsNoLineOfAWatch) {
  const std::string head = R"({"result":{"header":{"cluster_id":"1","revision":"5"},)";
  for (const std::string& wrong :
       {std::string("{}"), std::string("[1]"), std::string(R"({"result":5})"),
        std::string(R"({"result":{}})"), std::string(R"({"error":5})"), std::string(R"({"error":{}})"),
        head + R"("created":1}})", head + R"("events":5}})", head + R"("events":[5]}})",
        head + R"("events":[{}]}})", head + R"("events":[{"kv":{"key":"YQ=="}}]}})",
        head + R"("events":[{"type":"MOVE","kv":{"key":"YQ==","mod_revision":"3"}}]}})",
        head + R"("events":[{"kv":{"key":"Y","mod_revision":"3"}}]}})", head + R"("compact_revision":"x"}})"})
    EXPECT_FALSE(read_etcd_news(wrong)) << wrong;
}

}  // namespace
}  // namespace qf
