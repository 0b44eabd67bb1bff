// SPDX-License-Identifier: Apache-2.0
// A policy.mdb for tests, written from the records directly, in a folder of its own that goes with it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "libqf/policy_db.h"
#include "tests/unit/libqf_tools.h"

namespace qf {

class PolicyWriter {
 public:
  // In the document's order. Names starting with '@' are peer groups.
  PolicyWriter& policy(const PolicyRecord& record, const std::vector<std::string>& sources,
                       const std::vector<std::string>& destinations) {
    uint32_t id = next_id_++;
    records_[policy_key(id)] = encode(record);
    for (const auto& name : sources) lists_["src:" + side(name)].items.push_back(id);
    for (const auto& name : destinations) lists_["dst:" + side(name)].items.push_back(id);
    return *this;
  }
  PolicyWriter& issuer(const IssuerRecord& record) {
    meta_.issuers.push_back(record.name);
    records_["issuer:" + record.name] = encode(record);
    return *this;
  }
  PolicyWriter& member(const std::string& issuer, const std::string& subject, const std::string& group) {
    users_[user_key(issuer, subject)].items.push_back(group);
    return user_group(group);
  }
  PolicyWriter& user_group(const std::string& name) {
    records_[group_key(name)] = encode(StringList{});
    return *this;
  }
  PolicyWriter& raw(const std::string& key, const std::string& value) {
    overrides_[key] = value;
    return *this;
  }
  [[nodiscard]] PolicyDb open() {
    auto all = records_;
    meta_.serial = 1;
    all["meta"] = encode(meta_);
    for (const auto& [key, list] : lists_) all[key] = encode(list);
    for (const auto& [key, list] : users_) all[key] = encode(list);
    for (const auto& [key, value] : overrides_) all[key] = value;
    std::string path = folder_.path("policy.mdb");
    auto written = write_lmdb(path, all, 0600);
    EXPECT_TRUE(written) << written.error().text();
    auto db = PolicyDb::open(path);
    if (!db) std::abort();
    return std::move(*db);
  }

 private:
  static std::string side(const std::string& name) {
    return name.starts_with('@') ? "g:" + name.substr(1) : "p:" + name;
  }
  test::Scratch folder_;
  PolicyMeta meta_;
  std::map<std::string, std::string> records_, overrides_;
  std::map<std::string, IdList> lists_;
  std::map<std::string, StringList> users_;
  uint32_t next_id_ = 0;
};

inline PolicyRecord tcp_policy(const std::string& name, uint16_t first, uint16_t last, bool allow = true) {
  PolicyRecord policy;
  policy.name = name;
  policy.allow = allow;
  policy.protocol = PolicyProtocol::kTcp;
  policy.ports = {{first, last}};
  return policy;
}

using GroupUsers = std::map<std::string, std::vector<std::string>>;

inline PolicyRecord ssh_policy(const std::string& name, bool full, GroupUsers groups = {},
                               bool allow = true) {
  PolicyRecord policy;
  policy.name = name;
  policy.allow = allow;
  policy.full_access = full;
  policy.authorized_groups = std::move(groups);
  return policy;
}

inline PolicyRecord disabled(PolicyRecord policy) {
  policy.enabled = false;
  return policy;
}

}  // namespace qf
