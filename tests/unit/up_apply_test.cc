// SPDX-License-Identifier: Apache-2.0
#include "qf-up/apply.h"

#include <sys/stat.h>

#include <filesystem>

#include "libqf/fd.h"
#include "libqf/peers_db.h"
#include "qf-up/commands.h"
#include "tests/unit/libqf_tools.h"
#include "tests/unit/up_tools.h"

namespace qf {
namespace {

using test::good_document;
using test::sample_document;
using test::sample_with;

class UpApply : public testing::Test {
 protected:
  void SetUp() override {
    folders_ = {scratch_.path("config"), scratch_.path("state"), ""};
    ASSERT_TRUE(lock_state(folders_));  // makes the folder
  }
  Status apply(const std::string& text) {
    Document document = good_document(text);
    if (auto good = check_serial(folders_, document); !good) return good;
    auto applied = apply_document(document, folders_, choices_);
    if (!applied) return applied.error();
    return Done{};
  }
  std::string content(const std::string& name) {
    auto text = read_file(folders_.state + "/" + name, 1 << 20);
    return text ? *text : "";
  }
  mode_t mode(const std::string& name) {
    struct stat st = {};
    EXPECT_EQ(::stat((folders_.state + "/" + name).c_str(), &st), 0) << name;
    return st.st_mode & 07777;
  }
  size_t files() {
    auto all = std::filesystem::directory_iterator(folders_.state);
    return static_cast<size_t>(std::distance(begin(all), end(all)));
  }

  test::Scratch scratch_;
  Folders folders_;
  Choices choices_;
};

TEST_F(UpApply, WritesAllFilesWithTheirModes) {
  ASSERT_TRUE(apply(sample_document()));
  EXPECT_EQ(mode("peers.mdb"), 0644U);
  EXPECT_EQ(mode("policy.mdb"), 0600U);
  EXPECT_EQ(mode("known_hosts"), 0644U);
  EXPECT_EQ(mode("choices.json"), 0644U);
  EXPECT_EQ(mode("99-qufabric.conf"), 0644U);
  EXPECT_EQ(mode("ssh_config"), 0644U);
  EXPECT_EQ(files(), 9U);  // and the set, the symlink to it, apply.lock
}

TEST_F(UpApply, SerialRules) {
  ASSERT_TRUE(apply(sample_document()));
  EXPECT_TRUE(apply(sample_document())) << "the same document again mends what is missing";
  auto older = apply(sample_with("\"serial\": 42", "\"serial\": 41"));
  ASSERT_FALSE(older);
  EXPECT_EQ(older.error().text(), "serial 41 is older than 42, which is in force");
  auto other = apply(sample_with("\"x-note\": \"top\"", "\"x-note\": \"changed\""));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().text(), "another document with serial 42 is in force");
  EXPECT_TRUE(apply(sample_with("\"serial\": 42", "\"serial\": 43")));
}

TEST_F(UpApply, SerialHoldsWhileEitherDatabaseIsThere) {
  ASSERT_TRUE(apply(sample_document()));
  for (const char* name : {"peers.mdb", "policy.mdb"}) {
    std::string path = folders_.state + "/" + name;
    std::filesystem::rename(path, path + ".away");
    EXPECT_FALSE(apply(sample_with("\"serial\": 42", "\"serial\": 41"))) << name;
    std::filesystem::rename(path + ".away", path);
  }
}

TEST_F(UpApply, AFailureLeavesTheOldState) {
  ASSERT_TRUE(apply(sample_document()));
  std::string peers = content("peers.mdb"), policy = content("policy.mdb"),
              config = content("99-qufabric.conf");
  choices_.ssh_config_file = scratch_.path("missing/99-qufabric.conf");
  EXPECT_FALSE(apply(sample_with("\"serial\": 42", "\"serial\": 43")));
  EXPECT_EQ(content("peers.mdb"), peers);
  EXPECT_EQ(content("policy.mdb"), policy);
  EXPECT_EQ(content("99-qufabric.conf"), config);
  EXPECT_EQ(files(), 9U);
  choices_.ssh_config_file.clear();
  std::filesystem::remove(folders_.known_hosts());
  std::filesystem::create_directory(folders_.known_hosts());
  EXPECT_FALSE(apply(sample_with("\"serial\": 42", "\"serial\": 43")));
  EXPECT_EQ(content("policy.mdb"), policy);
}

TEST_F(UpApply, SomebodyElsesConfigurationIsNotReplaced) {
  choices_.ssh_config_file = scratch_.path("config_of_ann");
  ASSERT_TRUE(write_file_atomically(choices_.ssh_config_file, "Host *\n", 0600));
  auto applied = apply(sample_document());
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().text().find("was not written by qf-up"), std::string::npos);
  EXPECT_EQ(files(), 1U);
}

TEST_F(UpApply, Self) {
  Document document = good_document(sample_document());
  auto self = find_self(document, "ANN-laptop");
  ASSERT_TRUE(self);
  EXPECT_EQ(*self, "Ann-Laptop");
  EXPECT_FALSE(find_self(document, "db2"));
}

TEST_F(UpApply, ChoicesAreRememberedAndSwitchedOff) {
  Invocation first;
  first.folders = folders_;
  first.self = "db1";
  first.ssh_jwt_cache_ttl = 3600;
  for (const auto& choice : bool_choices()) first.switches.emplace_back(&choice, true);
  auto chosen = choose(first);
  ASSERT_TRUE(chosen);
  choices_ = *chosen;
  ASSERT_TRUE(apply(sample_document()));

  Invocation second;
  second.folders = folders_;
  second.switches.emplace_back(&bool_choices()[1], false);
  auto again = choose(second);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->self, "db1");
  EXPECT_EQ(again->ssh_jwt_cache_ttl, 3600U);
  EXPECT_TRUE(again->allow_server_ssh);
  EXPECT_FALSE(again->enable_ssh_sftp);
  EXPECT_TRUE(again->enable_ssh_root);
  EXPECT_TRUE(again->no_pq_warning);
  std::vector<std::string> wanted;
  for (const auto& choice : bool_choices()) {
    if (choice.for_server && std::string(choice.flag) != "enable-ssh-sftp") {
      wanted.push_back(std::string("--") + choice.flag);
    }
  }
  EXPECT_GE(wanted.size(), 4U);
  EXPECT_EQ(server_flags(*again), wanted);
}

TEST_F(UpApply, DamagedChoicesAreAnError) {
  for (const char* text : {"", "[]", "{", R"({"ssh_jwt_cache_ttl":-1})"}) {
    ASSERT_TRUE(write_file_atomically(choices_path(folders_), text, 0644));
    EXPECT_FALSE(load_choices(folders_)) << text;
  }
}

}  // namespace
}  // namespace qf
