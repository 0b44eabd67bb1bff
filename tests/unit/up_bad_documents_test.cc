// SPDX-License-Identifier: Apache-2.0
// A document with every key, made bad in one place at a time and in every way: each must be refused with the
// JSON path of that place and a reason. What faults of a single kind say is in up_document_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "libqf/json.h"
#include "libqf/text.h"
#include "qf-up/document.h"
#include "qf-up/schema.h"
#include "tests/unit/up_every_key.h"

namespace qf {
namespace {

// A value in the document.
struct Site {
  std::vector<int> way;  // which child, from the root on
  std::string path;
  std::string key;  // empty in a list
  const cJSON* value = nullptr;
  bool name_chosen = false;  // its key is a name that the admin chose
};

bool keys_are_names(const std::string& path) {
  if (path == "$.user_groups" || path == "$.peer_groups") return true;
  return path.ends_with(".group_map") || path.ends_with(".required_claims") ||
         path.ends_with(".authorized_groups");
}

// All but what is in a key set, which has a format of its own, and in claims, which may be anything.
void collect(const cJSON* parent, const Site& at, std::vector<Site>& all) {
  if (at.path.ends_with(".jwks") || at.path.ends_with(".claims")) return;
  int index = 0;
  for (const cJSON* i = parent->child; i != nullptr; i = i->next, ++index) {
    Site site = at;
    site.way.push_back(index);
    site.value = i;
    site.key = i->string == nullptr ? "" : i->string;
    site.path += i->string == nullptr ? "[" + std::to_string(index) + "]" : "." + site.key;
    site.name_chosen = keys_are_names(at.path);
    all.push_back(site);
    collect(i, site, all);
  }
}

class UpBadDocuments : public testing::Test {
 protected:
  void SetUp() override {
    auto document = parse_json(test::kEveryKey);
    ASSERT_TRUE(document) << document.error().text();
    tree_ = std::move(*document);
    ASSERT_TRUE(read_document(json_text(tree_.get()))) << "good as it is";
    collect(tree_.get(), {{}, "$", "", nullptr, false}, sites_);
    ASSERT_GT(sites_.size(), 100U);
  }

  using Change = std::function<void(cJSON* parent, int index)>;
  // The text of the document with one place changed.
  std::string changed(const Site& site, const Change& change) {
    JsonPtr copy(::cJSON_Duplicate(tree_.get(), 1));
    cJSON* parent = copy.get();
    for (size_t i = 0; i + 1 < site.way.size(); ++i) parent = ::cJSON_GetArrayItem(parent, site.way[i]);
    change(parent, site.way.back());
    return json_text(copy.get());
  }
  std::string with_value(const Site& site, const std::string& json) {
    auto value = parse_json(json);
    EXPECT_TRUE(value) << json;
    return changed(site, [&](cJSON* parent, int index) {
      if (site.key.empty()) {
        ::cJSON_ReplaceItemInArray(parent, index, value->release());
      } else {
        ::cJSON_ReplaceItemInObjectCaseSensitive(parent, site.key.c_str(), value->release());
      }
    });
  }
  std::string renamed(const Site& site, const std::string& key) {
    return changed(site, [&](cJSON* parent, int index) {
      cJSON* value = ::cJSON_DetachItemFromArray(parent, index);
      ::cJSON_AddItemToObject(parent, key.c_str(), value);
    });
  }
  std::string without(const Site& site) {
    return changed(site, [](cJSON* parent, int index) { ::cJSON_DeleteItemFromArray(parent, index); });
  }

  std::vector<Fault> faults(const std::string& text) {
    auto document = read_document(text);
    if (document) return {};
    for (const auto& fault : document.error()) {
      EXPECT_TRUE(fault.path.starts_with("$")) << fault.text();
      EXPECT_FALSE(fault.what.empty()) << fault.path;
    }
    ++refused_;
    return document.error();
  }
  // Refused for `path` with a reason that has `part`.
  void refuses(const std::string& text, const std::string& path, const std::string& part,
               const std::string& what) {
    auto all = faults(text);
    for (const auto& fault : all) {
      if (fault.path == path && fault.what.find(part) != std::string::npos) return;
    }
    ADD_FAILURE() << path << ": " << what << " is not refused" << (all.empty() ? "" : " like that: ")
                  << (all.empty() ? "" : all[0].text());
  }

  JsonPtr tree_;
  std::vector<Site> sites_;
  size_t refused_ = 0;
};

TEST_F(UpBadDocuments, EveryKeyMisspelt) {
  for (const auto& site : sites_) {
    if (site.key.empty() || site.name_chosen) continue;
    std::string parent = site.path.substr(0, site.path.size() - site.key.size());
    std::string upper = site.key;
    upper[0] = static_cast<char>(upper[0] - 'a' + 'A');
    for (const auto& key : {site.key + "s", site.key.substr(1), "_" + site.key, upper})
      refuses(renamed(site, key), parent + key, "unknown key", "\"" + key + "\"");
  }
}

TEST_F(UpBadDocuments, EveryValueOfEveryOtherType) {
  // their words in messages
  const std::vector<std::pair<std::string, std::string>> values = {
      {"null", "null"},   {"true", "true or false"}, {"false", "true or false"},
      {"7", "a number"},  {"\"text\"", "a string"},  {"[]", "a list"},
      {"[[]]", "a list"}, {"{}", "an object"},       {R"({"a":{}})", "an object"}};
  auto type_of = [](const cJSON* value) { return cJSON_IsBool(value) ? cJSON_True : value->type & 0xff; };
  for (const auto& site : sites_) {
    for (const auto& [json, word] : values) {
      auto value = parse_json(json);
      ASSERT_TRUE(value);
      bool scalar = type_of(value->get()) != cJSON_NULL && cJSON_IsArray(value->get()) == 0 &&
                    cJSON_IsObject(value->get()) == 0;
      bool claim = site.path.find(".required_claims.") != std::string::npos;
      if (type_of(value->get()) == type_of(site.value) || (claim && scalar)) continue;
      refuses(with_value(site, json), site.path, "expected ", json);
    }
  }
  for (const auto& [json, word] : values) {
    if (!json.starts_with("{")) refuses(json, "$", "expected an object, found " + word, json);
  }
}

TEST_F(UpBadDocuments, EveryRequiredKeyMissing) {
  const std::set<std::string> required = {"$.format",
                                          "$.serial",
                                          "$.domain",
                                          "issuers[].name",
                                          "issuers[].issuer",
                                          "issuers[].audiences",
                                          "peers[].name",
                                          "peers[].addresses",
                                          "policies[].name",
                                          "policies[].action",
                                          "policies[].protocol",
                                          "policies[].sources",
                                          "policies[].destinations",
                                          "tests[].user",
                                          "tests[].from",
                                          "tests[].to",
                                          "tests[].login",
                                          "tests[].expect"};
  // by what else the object says
  const std::set<std::string> here = {"$.issuers[0].client.client_id",   "$.issuers[2].client.file",
                                      "$.issuers[3].client.command",     "$.policies[0].access",
                                      "$.policies[0].authorized_groups", "$.policies[1].ports"};
  size_t count = 0;
  for (const auto& site : sites_) {
    bool needed = here.contains(site.path) || required.contains(site.path);
    for (const std::string list : {"issuers", "peers", "policies", "tests"}) {
      size_t end = site.path.find("].");
      if (site.path.starts_with("$." + list + "[") && end != std::string::npos)
        needed = needed || required.contains(list + "[]" + site.path.substr(end + 1));
    }
    if (!needed) continue;
    ++count;
    refuses(without(site), site.path, "missing", "nothing");
  }
  EXPECT_EQ(count, 3 + 4 * 3 + 2 * 2 + 2 * 5 + 5 + here.size());
}

TEST_F(UpBadDocuments, EveryKeyTwice) {
  for (const auto& site : sites_) {
    if (site.key.empty()) continue;
    auto text = changed(site, [&](cJSON* parent, int index) {
      ::cJSON_AddItemToObject(parent, site.key.c_str(),
                              ::cJSON_Duplicate(::cJSON_GetArrayItem(parent, index), 1));
    });
    refuses(text, site.path, "duplicate key \"" + site.key + "\"", "the key twice");
  }
}

TEST_F(UpBadDocuments, EveryItemOfAListTwice) {
  for (const auto& site : sites_) {
    // arguments of a command may come twice
    if (!site.key.empty() || !cJSON_IsString(site.value) || site.path.find(".command[") != std::string::npos)
      continue;
    int count = 0;
    auto text = changed(site, [&](cJSON* parent, int index) {
      count = ::cJSON_GetArraySize(parent);
      ::cJSON_AddItemToArray(parent, ::cJSON_Duplicate(::cJSON_GetArrayItem(parent, index), 1));
    });
    refuses(text, site.path.substr(0, site.path.rfind('[')) + "[" + std::to_string(count) + "]", "duplicate",
            site.value->valuestring);
  }
}

TEST_F(UpBadDocuments, EveryStringEmptyOrWithWhatNoStringMayHold) {
  for (const auto& site : sites_) {
    if (!cJSON_IsString(site.value)) continue;
    bool claim = site.path.find(".required_claims.") != std::string::npos;
    if (!claim) refuses(with_value(site, R"("")"), site.path, "must not be empty", "an empty string");
    for (const char* escape : {R"(\n)", R"(\u001b)", R"(\u007f)"})
      refuses(with_value(site, "\"" + std::string(site.value->valuestring) + escape + "\""), site.path,
              "has the control character U+00", escape);
    // what is no UTF-8 is found before anything is made of the text
    std::string marked = with_value(site, R"("MARK")");
    for (const char* bytes : {"\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf5\x80\x80\x80"}) {
      std::string text = marked;
      refuses(text.replace(text.find("MARK"), 4, bytes), site.path, "not UTF-8", "no UTF-8");
    }
    refuses(std::string(marked).replace(marked.find("MARK"), 4, "\\u0000"), site.path, "a NUL in a string",
            "NUL");
  }
}

TEST_F(UpBadDocuments, EveryNumberThatIsNone) {
  size_t count = 0;
  for (const auto& site : sites_) {
    if (!cJSON_IsNumber(site.value)) continue;
    ++count;
    for (const char* number : {"-1", "0.5", "1e18", "-1e300"})
      refuses(with_value(site, number), site.path, "must be ", number);
    refuses(std::string(with_value(site, "123456789"))
                .replace(with_value(site, "123456789").find("123456789"), 9, "1e999"),
            site.path, "out of range", "1e999");
  }
  EXPECT_EQ(count, 6U) << "format, serial, max_token_age, clock_skew, redirect_port, max_session";
}

TEST_F(UpBadDocuments, EveryReferenceDanglingOrInOtherLetterCase) {
  size_t count = 0;
  for (const auto& site : sites_) {
    const std::string& path = site.path;
    bool member = (path.starts_with("$.user_groups.") && path.ends_with("]")) || path == "$.tests[0].user";
    bool list =
        path.ends_with("]") &&
        (path.starts_with("$.peer_groups.") || path.find("].issuers[") != std::string::npos ||
         path.find(".sources[") != std::string::npos || path.find(".destinations[") != std::string::npos);
    bool single = path.find(".group_map.") != std::string::npos || path == "$.tests[0].from" ||
                  path == "$.tests[0].to" || path == "$.tests[0].policy";
    if (member || list || single) {
      std::string name = site.value->valuestring;
      std::string rest = member ? name.substr(name.find(':')) : "";
      if (member) name.resize(name.find(':'));
      std::string other = lower(name) != name ? lower(name) : name;
      if (other == name) other[0] = static_cast<char>(other[0] - 'a' + 'A');
      for (const auto& wrong : {std::string("nobody"), name + "2", other})
        refuses(with_value(site, "\"" + wrong + rest + "\""), path, "no ", "\"" + wrong + rest + "\"");
      ++count;
    }
    if (path.starts_with("$.policies[0].authorized_groups.") && !path.ends_with("]")) {
      std::string parent = path.substr(0, path.size() - site.key.size());
      for (const auto& wrong : {std::string("nobody"), lower(site.key)})
        refuses(renamed(site, wrong), parent + wrong, "no user group \"" + wrong + "\"", wrong);
      ++count;
    }
  }
  EXPECT_EQ(count, 3 + 2 + 2 + 5 + 1 + 2 + 4U)
      << "members, group members, issuers, ends, group_map, groups, those of the test";
}

// What is referred to is taken away: the reference is the fault.
TEST_F(UpBadDocuments, EverythingThatIsReferredToMissing) {
  const std::vector<std::pair<std::string, std::string>> gone = {
      {"$.issuers[0]", "$.user_groups.DBAs[0]"},
      {"$.issuers[1]", "$.peers[0].issuers[1]"},
      {"$.user_groups.Developers", "$.issuers[0].group_map.eng"},
      {"$.user_groups.DBAs", "$.policies[0].authorized_groups.DBAs"},
      {"$.peer_groups.laptops", "$.policies[0].sources[0]"},
      {"$.peer_groups.databases", "$.policies[1].destinations[0]"},
      {"$.peers[0]", "$.peer_groups.databases[0]"},
      {"$.peers[1]", "$.policies[1].sources[0]"},
      {"$.issuers[0].email_domains", "$.policies[0].authorized_groups.Developers[1]"}};
  for (const auto& entry : gone) {
    const std::string& path = entry.first;  // a structured binding cannot be captured (C++17)
    auto site = std::find_if(sites_.begin(), sites_.end(), [&](const Site& s) { return s.path == path; });
    ASSERT_NE(site, sites_.end()) << path;
    refuses(without(*site), entry.second, "", "without " + path);
  }
}

// Every name once more, with another letter case: nobody could tell the two apart.
TEST_F(UpBadDocuments, EveryNameThatDiffersByLetterCaseOnly) {
  auto swap_case = [](std::string text) {
    for (char& c : text) {
      if (c >= 'a' && c <= 'z') {
        c = static_cast<char>(c - 'a' + 'A');
      } else if (c >= 'A' && c <= 'Z') {
        c = static_cast<char>(c - 'A' + 'a');
      }
    }
    return text;
  };
  size_t count = 0;
  for (const auto& site : sites_) {
    bool group = site.path.starts_with("$.user_groups.") || site.path.starts_with("$.peer_groups.");
    if (group && !site.path.ends_with("]")) {
      auto text = changed(site, [&](cJSON* parent, int) {
        ::cJSON_AddItemToObject(parent, swap_case(site.key).c_str(), ::cJSON_CreateArray());
      });
      std::string parent = site.path.substr(0, site.path.size() - site.key.size());
      refuses(text, parent + swap_case(site.key), "letter case", swap_case(site.key));
      ++count;
    }
    bool name = site.key == "name" && std::count(site.path.begin(), site.path.end(), '.') == 2;
    if (!name) continue;
    // the name of one before it in the list
    size_t open = site.path.find('['), close = site.path.find(']');
    int index = std::stoi(site.path.substr(open + 1, close - open - 1));
    if (index == 0) continue;
    std::string before = site.path;
    before.replace(open + 1, close - open - 1, std::to_string(index - 1));
    auto other = std::find_if(sites_.begin(), sites_.end(), [&](const Site& s) { return s.path == before; });
    ASSERT_NE(other, sites_.end()) << before;
    std::string taken = other->value->valuestring;
    refuses(with_value(site, "\"" + swap_case(taken) + "\""), site.path, "letter case", swap_case(taken));
    refuses(with_value(site, "\"" + taken + "\""), site.path, "two ", taken);
    ++count;
  }
  EXPECT_EQ(count, 4 + 3 + 1 + 1U) << "groups, issuers, peers, policies";
}

TEST_F(UpBadDocuments, EveryBeginningIsNoDocument) {
  std::string text = json_text(tree_.get());
  for (size_t length = 0; length < text.size(); length += 3)
    EXPECT_FALSE(faults(text.substr(0, length)).empty());
  for (const char* more : {"x", ",", "}", "{}", "\xef\xbb\xbf"})
    refuses(text + more, "$", "nothing may follow", more);
  refuses("\xef\xbb\xbf" + text, "$", "a byte order mark: save", "a byte order mark");
}

TEST_F(UpBadDocuments, DeepNesting) {
  for (size_t depth : {33, 1000, 1'000'000}) {
    for (const char* open : {"[", R"({"a":)"}) {
      std::string deep;
      for (size_t i = 0; i < depth; ++i) deep += open;
      auto site = std::find_if(sites_.begin(), sites_.end(), [](const Site& s) { return s.key == "domain"; });
      ASSERT_NE(site, sites_.end());
      std::string text = with_value(*site, R"("MARK")");
      auto all = faults(text.replace(text.find("\"MARK\""), 6, deep));
      ASSERT_EQ(all.size(), 1U);
      EXPECT_TRUE(all[0].path.starts_with("$.domain")) << all[0].path;
      EXPECT_NE(all[0].what.find("nested too deeply"), std::string::npos) << all[0].what;
    }
  }
}

}  // namespace
}  // namespace qf
