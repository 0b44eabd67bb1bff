// SPDX-License-Identifier: Apache-2.0
#include "qf-up/document_keys.h"

#include <gtest/gtest.h>

#include "libqf/crypto.h"
#include "libqf/json.h"
#include "qf-up/document.h"
#include "qf-up/enroll_publish.h"
#include "qf-up/etcd_place.h"

namespace qf {
namespace {

const std::string kText = R"({
  "format": 1, "serial": 7, "domain": "fabric.example",
  "peers": [ {"name": "b", "addresses": ["10.0.0.2"]}, {"name":"a", "addresses":["10.0.0.1"]} ],
  "peer_groups": {"all of \"us\"": ["a", "b"]},
  "policies": []
})";

SplitDocument split() {
  auto split = split_document(kText);
  EXPECT_TRUE(split);
  return std::move(*split);
}

// The same values, the lists aside, which come in the order of their names.
std::string canonical(const std::string& text) {
  auto json = parse_json(text);
  EXPECT_TRUE(json) << text;
  return json ? json_text(json->get()) : "";
}

TEST(DocumentKeys, SplitAndAssembledAreOneDocument) {
  auto parts = split();
  EXPECT_EQ(parts.parts.size(), 3U);
  EXPECT_EQ(parts.parts["peers/a"], R"({"name":"a", "addresses":["10.0.0.1"]})");
  EXPECT_EQ(parts.parts["peer_groups/all of \"us\""], R"(["a", "b"])");
  EXPECT_TRUE(has_parts(parts.root));
  EXPECT_FALSE(has_parts(kText));
  auto whole = assemble_document(parts.root, parts.parts);
  ASSERT_TRUE(whole);
  EXPECT_EQ(canonical(*whole),
            R"({"format":1,"serial":7,"domain":"fabric.example",)"
            R"("peers":[{"name":"a","addresses":["10.0.0.1"]},{"name":"b","addresses":["10.0.0.2"]}],)"
            R"("peer_groups":{"all of \"us\"":["a","b"]}})");
  // again the same pieces: what is published twice changes no key
  auto again = split_document(*whole);
  ASSERT_TRUE(again);
  EXPECT_EQ(canonical(again->root), canonical(parts.root));
  EXPECT_EQ(again->parts, parts.parts);
}

TEST(DocumentKeys, TheDigestIsThatOfSha256sum) {
  DocumentParts parts = {{"peers/a", "x"}, {"peers/B", "y"}};
  std::string lines = hex(sha256("y")) + "  peers/B\n" + hex(sha256("x")) + "  peers/a\n";
  EXPECT_EQ(root_with_parts("{}", parts),
            "{\n  \"parts\": {\"count\":2,\"sha256\":\"" + hex(sha256(lines)) + "\"}}");
}

TEST(DocumentKeys, AnyChangeOfThePartsIsRefused) {
  auto good = split();
  auto refused_with = [&](const DocumentParts& parts) {
    auto whole = assemble_document(good.root, parts);
    return !whole && whole.error().kind == ErrorKind::kRefused;
  };
  for (const auto& [key, value] : good.parts) {
    auto parts = good.parts;
    parts.erase(key);
    EXPECT_TRUE(refused_with(parts)) << "without " << key;
    parts["peers/c"] = value;
    EXPECT_TRUE(refused_with(parts)) << "moved " << key;
    parts = good.parts;
    parts[key] += " ";
    EXPECT_TRUE(refused_with(parts)) << "changed " << key;
    parts = good.parts;
    parts[key + "2"] = value;
    EXPECT_TRUE(refused_with(parts)) << "copied " << key;
  }
  EXPECT_TRUE(refused_with({}));
}

TEST(DocumentKeys, PartsThatAreWrongAreRefusedThoughTheRootNamesThem) {
  const std::string root = R"({"format": 1})";
  for (const auto& [key, value] :
       std::map<std::string, std::string>{{"peers/a", "{}"},
                                          {"peers/a", R"({"name":"b"})"},
                                          {"peers/", R"({"name":""})"},
                                          {"peers/a\nb", R"({"name":"a\nb"})"},
                                          {"policies/a", R"({"name":"a"}, {"name":"b"})"},
                                          {"user_groups/a", "[] ]"},
                                          {"user_groups/a\xff", "[]"},
                                          {"issuers/a", R"({"name":"a"})"},
                                          {"tests", "[]"}}) {
    auto whole = assemble_document(root_with_parts(root, {{key, value}}), {{key, value}});
    ASSERT_FALSE(whole) << key << " " << value;
    EXPECT_EQ(whole.error().kind, ErrorKind::kInput) << key;
  }
  DocumentParts good = {{"peers/a", R"({"name":"a"})"}};
  EXPECT_TRUE(assemble_document(root_with_parts(root, good), good));
  EXPECT_FALSE(assemble_document(root_with_parts(R"({"peers": []})", good), good));
  for (const char* parts : {"5", "{}", R"({"count":1})", R"({"count":"1","sha256":"x"})",
                            R"({"count":1,"sha256":"x","more":1})", R"({"count":1.5,"sha256":"x"})"})
    EXPECT_EQ(assemble_document(with_member(root, "parts", parts), good).error().kind, ErrorKind::kInput)
        << parts;
}

// It is a document as it stands, or nothing at all, and then the reader of documents says what.
TEST(DocumentKeys, ARootWithoutPartsIsTheDocument) {
  for (const char* text : {"{}", "", "[", "[1]", R"({"a":1})"}) {
    auto whole = assemble_document(text, {{"peers/a", "x"}});
    ASSERT_TRUE(whole);
    EXPECT_EQ(*whole, text);
  }
  // and a reader that knows nothing of parts does not take a root for one
  auto faults = read_document(split().root);
  ASSERT_FALSE(faults);
}

TEST(DocumentKeys, MembersAreReplacedInTheirPlace) {
  EXPECT_EQ(with_member("{ \"a\" : 1 , \"b\":2}", "a", "[3]"), "{ \"a\" : [3] , \"b\":2}");
  EXPECT_EQ(with_member("{\n  \"a\": 1\n}\n", "b", "2"), "{\n  \"a\": 1,\n  \"b\": 2\n}\n");
  EXPECT_EQ(canonical(with_member(" { } ", "b", "2")), R"({"b":2})");
}

TEST(DocumentKeys, TwoOfOneNameAreNoKeys) {
  EXPECT_FALSE(split_document(R"({"peers":[{"name":"a"},{"name":"a"}]})"));
  EXPECT_FALSE(split_document(R"({"peers":[{}]})"));
  EXPECT_FALSE(split_document("[]"));
}

// ---- enroll --publish

OwnEntry own_entry() {
  return {"db9", {"10.0.0.9"}, true, {"ssh-ed25519 AAAAnew", "ssh-ed25519 AAAAnext"}};
}

KeptDocument document_with(const std::string& peers, bool apart) {
  std::string text = R"({"format":1,"serial":7,"peers":)" + peers + "}";
  if (!apart) return {text, "sig", {}};
  auto parts = split_document(text);
  EXPECT_TRUE(parts);
  return {parts->root, "sig", parts->parts};
}

std::string whole_of(const KeptDocument& document) {
  auto whole = assemble_document(document.text, document.parts);
  EXPECT_TRUE(whole) << whole.error().text();
  return whole ? canonical(*whole) : "";
}

class OwnEntries : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(BothForms, OwnEntries, ::testing::Bool());

TEST_P(OwnEntries, AddedWithTheNextSerial) {
  auto next = with_own_entry(document_with(R"([{"name":"a"}])", GetParam()), own_entry(), false);
  ASSERT_TRUE(next);
  EXPECT_EQ(
      whole_of(*next),
      R"({"format":1,"serial":8,"peers":[{"name":"a"},{"name":"db9","addresses":["10.0.0.9"],"ssh":true,)"
      R"("version":")" QF_VERSION R"(","ssh_host_keys":["ssh-ed25519 AAAAnew","ssh-ed25519 AAAAnext"]}]})");
  EXPECT_EQ(next->signature, "");
  auto again = with_own_entry(*next, own_entry(), false);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->text, next->text);
  EXPECT_EQ(again->parts, next->parts);
}

TEST_P(OwnEntries, WhatAnAdminHasWrittenStays) {
  auto there = document_with(
      R"([{"name":"db9","addresses":["10.0.0.8"],"ssh":false,"tags":["x"],"ssh_host_keys":["ssh-ed25519 AAAAnew"]}])",
      GetParam());
  auto next = with_own_entry(there, own_entry(), false);
  ASSERT_TRUE(next);
  EXPECT_EQ(
      whole_of(*next),
      R"({"format":1,"serial":8,"peers":[{"name":"db9","addresses":["10.0.0.9"],"ssh":false,"tags":["x"],)"
      R"("ssh_host_keys":["ssh-ed25519 AAAAnew","ssh-ed25519 AAAAnext"],"version":")" QF_VERSION R"("}]})");
}

TEST_P(OwnEntries, AnotherMachinesNameIsNotTaken) {
  for (const char* entry :
       {R"({"name":"db9","addresses":["10.0.0.9"],"ssh_host_keys":["ssh-ed25519 AAAAother"]})",
        R"({"name":"DB9","addresses":["10.0.0.8"],"ssh_host_keys":[]})"}) {
    auto there = document_with("[" + std::string(entry) + "]", GetParam());
    auto next = with_own_entry(there, own_entry(), false);
    ASSERT_FALSE(next) << entry;
    EXPECT_EQ(next.error().kind, ErrorKind::kRefused);
    EXPECT_TRUE(with_own_entry(there, own_entry(), true)) << entry;
  }
  auto client = document_with(R"([{"name":"db9","addresses":["10.0.0.9"],"ssh_host_keys":[]}])", GetParam());
  EXPECT_TRUE(with_own_entry(client, own_entry(), false));
}

// ---- where it is

TEST(EtcdPlace, Urls) {
  auto place = parse_etcd_url("etcd://h,127.0.0.1:1,[::1]:5,[fd00::1]/a/b");
  ASSERT_TRUE(place);
  EXPECT_EQ(place->hosts, (std::vector<std::string>{"h:2379", "127.0.0.1:1", "[::1]:5", "[fd00::1]:2379"}));
  EXPECT_EQ(place->prefix, "/a/b");
  EXPECT_EQ(etcd_members(*place, false),
            (std::vector<std::string>{"https://h:2379", "http://127.0.0.1:1", "http://[::1]:5",
                                      "https://[fd00::1]:2379"}));
  EXPECT_EQ(etcd_members(*place, true)[1], "https://127.0.0.1:1");
  for (const char* wrong :
       {"etcd://",        "etcd:///x",    "etcd://h",          "etcd://h/",    "etcd://h/x/",
        "etcd://h//x",    "etcd://u@h/x", "etcd://h:/x",       "etcd://h:0/x", "etcd://h:65536/x",
        "etcd://h:1:2/x", "etcd://h,/x",  "etcd://h,h:2379/x", "etcd://h/x?a", "etcd://h/x#a",
        "etcd://h/x%41",  "etcd://::1/x", "etcd://[::1/x",     "etcd://[]/x",  "https://h/x"})
    EXPECT_FALSE(parse_etcd_url(wrong)) << wrong;
}

}  // namespace
}  // namespace qf
