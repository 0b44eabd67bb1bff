// SPDX-License-Identifier: Apache-2.0
#include "libqf/base64.h"

#include <gtest/gtest.h>

namespace qf {
namespace {

struct Example {
  std::string_view plain, encoded;
};
// RFC 4648 section 10
constexpr Example kExamples[] = {{"", ""},
                                 {"f", "Zg=="},
                                 {"fo", "Zm8="},
                                 {"foo", "Zm9v"},
                                 {"foob", "Zm9vYg=="},
                                 {"fooba", "Zm9vYmE="},
                                 {"foobar", "Zm9vYmFy"}};

TEST(Base64, PublishedExamples) {
  for (const auto& [plain, encoded] : kExamples) {
    EXPECT_EQ(base64(plain), encoded);
    EXPECT_EQ(base64_decode(encoded), plain);
    std::string_view bare = encoded.substr(0, encoded.find('='));
    EXPECT_EQ(base64url(plain), bare);
    EXPECT_EQ(base64url_decode(bare), plain);
  }
}

TEST(Base64, AlphabetsDiffer) {
  EXPECT_EQ(base64("\xfb\xff\xbf"), "+/+/");
  EXPECT_EQ(base64url("\xfb\xff\xbf"), "-_-_");
  EXPECT_EQ(base64_decode("-_-_"), std::nullopt);
  EXPECT_EQ(base64url_decode("+/+/"), std::nullopt);
}

TEST(Base64, EveryByteSurvives) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    bytes.push_back(static_cast<char>(i));
    EXPECT_EQ(base64_decode(base64(bytes)), bytes) << i;
    EXPECT_EQ(base64url_decode(base64url(bytes)), bytes) << i;
  }
}

TEST(Base64, RefusesWhatIsNotCanonical) {
  for (std::string_view text : {"Z", "Zg", "Zg=", "Zg===", "Zm9", "Zm9vY===", "=", "====", "Z===", "Zg==Zg==",
                                "Zm 9", "Zm9v\n", " Zm9v", "Zm9*", "Zh==", "Zm9=", "Zg=A"}) {
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
  }
  for (std::string_view text :
       {"Z", "Zg==", "Zg=", "Zm8=", "Zh", "Zm9", "Zm9vY", "Zm9v\n", "Zm9v.", "Zm9v\xff"})
    EXPECT_EQ(base64url_decode(text), std::nullopt) << text;
  EXPECT_EQ(base64url_decode(std::string_view("Zm\0v", 4)), std::nullopt);
}

}  // namespace
}  // namespace qf
