// SPDX-License-Identifier: Apache-2.0
#include "libqf/json.h"

#include <gtest/gtest.h>

#include <cmath>

namespace qf {
namespace {

std::string error_of(std::string_view text) {
  auto json = parse_json(text);
  return json ? "accepted" : json.error().what;
}

std::string same(std::string_view text) {
  auto json = parse_json(text);
  return json ? json_text(json->get()) : json.error().what;
}

TEST(Json, AcceptsWhatRfc8259Does) {
  for (std::string_view text : {"{}",
                                "[]",
                                "0",
                                "-0",
                                "1.5",
                                "1e3",
                                "1E-3",
                                "-1.25E+2",
                                "\"\"",
                                "true",
                                "false",
                                "null",
                                "[1,[2,[]]]",
                                R"({"a":{"b":[]},"c":null})",
                                " \t\r\n[ 1 , 2 ] \n",
                                R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00")",
                                "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
                                R"({"":1})",
                                R"({"a":1,"A":2})",
                                "\"\x7f\""}) {
    EXPECT_EQ(error_of(text), "accepted") << text;
  }
  EXPECT_EQ(same(R"(["\u0041\u00e9\ud83d\ude00"])"), "[\"A\xc3\xa9\xf0\x9f\x98\x80\"]");
  EXPECT_EQ(same(" { \"a\" : [ 1 , 2.5 ] } "), R"({"a":[1,2.5]})");
}

TEST(Json, SaysWhatIsWrongAndWhere) {
  struct Case {
    std::string_view text, error;
  };
  using namespace std::string_view_literals;
  for (const auto& c : {
           Case{"", "line 1 column 1: a value is missing"},
           {"  ", "line 1 column 3: a value is missing"},
           {"{} x", "line 1 column 4: nothing may follow the value"},
           {"{}\n{}", "line 2 column 1: nothing may follow the value"},
           {"{}\0"sv, "line 1 column 3: nothing may follow the value"},
           {"\0"sv, "line 1 column 1: not a value"},
           {"\xef\xbb\xbf{}", "line 1 column 1: a byte order mark: save the text as UTF-8 without one"},
           {"tru", "line 1 column 1: not a value"},
           {"truex", "line 1 column 5: nothing may follow the value"},
           {"NaN", "line 1 column 1: not a value"},
           {"Infinity", "line 1 column 1: not a value"},
           {"'a'", "line 1 column 1: a single quote: strings and keys are in double quotes"},
           {"{'a':1}", "line 1 column 2: a single quote: strings and keys are in double quotes"},
           {"[1, ]", "line 1 column 3: a comma before ]: none follows the last one"},
           {"[1,\n2\n,\n]", "line 3 column 1: a comma before ]: none follows the last one"},
           {"[1,}", "line 1 column 4: not a value"},
           {"[,]", "line 1 column 2: not a value"},
           {"{,}", "line 1 column 2: a key in double quotes is missing"},
           {"[1 2]", "line 1 column 4: a comma or ] is missing"},
           {"[1", "line 1 column 3: a comma or ] is missing"},
           {"[", "line 1 column 2: a value is missing"},
           {"{\"a\":1,}", "line 1 column 7: a comma before }: none follows the last one"},
           {"{\"a\":1,]", "line 1 column 8: a key in double quotes is missing"},
           {"{\"a\": {\"b\": [1,],}}", "line 1 column 15: a comma before ]: none follows the last one"},
           {"{a:1}", "line 1 column 2: a key in double quotes is missing"},
           {"{\"a\" 1}", "line 1 column 6: a colon is missing after the key"},
           {"{\"a\":}", "line 1 column 6: not a value"},
           {"{\"a\":1 \"b\":2}", "line 1 column 8: a comma or } is missing"},
           {"{\"a\":1", "line 1 column 7: a comma or } is missing"},
           {"[1] // no", "line 1 column 5: a comment, which JSON does not have"},
           {"// no\n[1]", "line 1 column 1: a comment, which JSON does not have"},
           {"{\"a\": 1 /* no */}", "line 1 column 9: a comment, which JSON does not have"},
           {"{\"a\": 1,\n  # no\n  \"b\": 2}", "line 2 column 3: a comment, which JSON does not have"},
           {"[1, // one\n2]", "line 1 column 5: a comment, which JSON does not have"},
           {"[1 / 2]", "line 1 column 4: a comma or ] is missing"},
           {"\"a", "line 1 column 1: the string does not end"},
           {"\"a\\", "line 1 column 3: not an escape"},
           {"\"\\x41\"", "line 1 column 2: not an escape"},
           {"\"\\u12\"", "line 1 column 2: not an escape"},
           {"\"\\u+123\"", "line 1 column 2: not an escape"},
           {"\"\\u 123\"", "line 1 column 2: not an escape"},
           {"\"a\nb\"", "line 1 column 3: a control character in a string"},
           {"\"a\tb\"", "line 1 column 3: a control character in a string"},
           {"\"a\0b\""sv, "line 1 column 3: a control character in a string"},
           {"\"a\\u0000b\"", "line 1 column 3: a NUL in a string"},
           {"\"\\ud83d\"", "line 1 column 2: half of a surrogate pair"},
           {"\"\\ud83dx\"", "line 1 column 2: half of a surrogate pair"},
           {"\"\\ud83d\\u0041\"", "line 1 column 2: half of a surrogate pair"},
           {"\"\\ude00\"", "line 1 column 2: half of a surrogate pair"},
           {"\"\xff\"", "line 1 column 2: not UTF-8"},
           {"\"\xc0\x80\"", "line 1 column 2: not UTF-8"},
           {"\"\xed\xa0\x80\"", "line 1 column 2: not UTF-8"},
           {"\"\xf4\x90\x80\x80\"", "line 1 column 2: not UTF-8"},
           {"\"\xe2\x82\"", "line 1 column 2: not UTF-8"},
           // columns are characters, not bytes
           {"[\"\xc3\xa9\xe2\x82\xac\", x]", "line 1 column 8: not a value"},
           {"{\n  \"a\": 1,\n  \"b\": 2,\n  \"a\": 3\n}", "line 4 column 3: duplicate key \"a\""},
           {"{\"a\":{\"b\":1},\"c\":[{\"d\":1,\"d\":1}]}", "line 1 column 26: duplicate key \"d\""},
           // the same key, written otherwise
           {R"({"ab":1,"\u0061b":2})", "line 1 column 9: duplicate key \"\\u0061b\""},
           {"{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}",
            "line 1 column 8: duplicate key \"\\ud83d\\ude00\""},
           {R"({"":1,"":2})", "line 1 column 7: duplicate key \"\""},
       }) {
    EXPECT_EQ(error_of(c.text), c.error) << c.text;
    auto json = parse_json(c.text);
    ASSERT_FALSE(json) << c.text;
    EXPECT_EQ(json.error().kind, ErrorKind::kPeer);
  }
}

// Each takes a hundred bytes while its object is open, which is many times what it is long.
TEST(Json, ObjectsThatAreOpenHaveTogetherNotMoreKeysThanMemoryBears) {
  auto object = [](int keys, const std::string& last) {
    std::string text = "{";
    for (int i = 0; i < keys; ++i) text += "\"" + std::to_string(i) + "\":0,";
    return text + "\"last\":" + last + "}";
  };
  EXPECT_EQ(error_of(object(249'999, "0")), "accepted");
  EXPECT_NE(error_of(object(250'000, "0")).find("too many keys"), std::string::npos);
  EXPECT_NE(error_of(object(150'000, object(150'000, "0"))).find("too many keys"), std::string::npos);
  EXPECT_EQ(error_of("[" + object(150'000, "0") + "," + object(150'000, "0") + "]"), "accepted");
}

TEST(Json, NumbersFollowTheGrammar) {
  for (std::string_view text : {"01", "-", "+1", ".5", "1.", "1.e3", "1e", "1e+", "0x10", "1_000", "--1",
                                "1.5.5", "-a", "00", "1e400", "-1e400", "1e-400"}) {
    EXPECT_NE(error_of(text), "accepted") << text;
  }
  EXPECT_EQ(error_of(std::string(60, '1')), "accepted");
  EXPECT_EQ(error_of(std::string(61, '1')), "line 1 column 1: a number that is too long or out of range");
  EXPECT_EQ(error_of("[" + std::string(1000, '1') + "]"),
            "line 1 column 2: a number that is too long or out of range");
}

TEST(Json, DepthIsBounded) {
  auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(error_of(nested(kJsonMostDepth)), "accepted");
  EXPECT_EQ(error_of(nested(kJsonMostDepth + 1)), "line 1 column 33: nested too deeply");
  EXPECT_EQ(error_of(std::string(1'000'000, '[')), "line 1 column 33: nested too deeply");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_EQ(error_of(objects), "line 1 column 161: nested too deeply");
}

TEST(Json, EveryTruncationIsRefused) {
  std::string text = R"({"a":[1.5,true,null,"x\u0041\ud83d\ude00"],"b":{"c":-1e3}})";
  ASSERT_EQ(error_of(text), "accepted");
  for (size_t length = 0; length < text.size(); ++length) {
    EXPECT_NE(error_of(text.substr(0, length)), "accepted") << length;
  }
}

// With a list in place of a set this would take minutes, which the time that tests/run prints would show.
TEST(Json, ADuplicateAmongManyKeysIsFound) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"key" + std::to_string(i) + "\":1,";
  EXPECT_EQ(error_of(text + "\"last\":1}"), "accepted");
  EXPECT_NE(error_of(text + "\"key0\":1}").find("duplicate key \"key0\""), std::string::npos);
}

TEST(Json, LongKeysAreNotRepeatedInMessages) {
  std::string key = "\"" + std::string(5000, 'k') + "\"";
  EXPECT_LT(error_of("{" + key + ":1," + key + ":2}").size(), 200U);
}

TEST(Json, MembersHaveTheirTypeOrAreNothing) {
  auto json = parse_json(
      R"({"s":"text","i":7,"f":1.5,"w":1.0,"e":1e3,"big":1e300,"top":9007199254740992,"over":9007199254740994,
          "neg":-5,"t":true,"n":null,"l":["a","b"],"m":["a",1],"none":[],"S":"upper"})");
  ASSERT_TRUE(json);
  const cJSON* o = json->get();
  EXPECT_EQ(json_string(o, "s"), "text");
  EXPECT_EQ(json_string(o, "S"), "upper");
  EXPECT_EQ(json_string(o, "i"), std::nullopt);
  EXPECT_EQ(json_string(o, "missing"), std::nullopt);
  EXPECT_EQ(json_integer(o, "i"), 7);
  EXPECT_EQ(json_integer(o, "neg"), -5);
  EXPECT_EQ(json_integer(o, "w"), 1);
  EXPECT_EQ(json_integer(o, "e"), 1000);
  EXPECT_EQ(json_integer(o, "top"), int64_t{1} << 53);
  for (const char* key : {"f", "big", "over", "s", "t", "n", "missing"})
    EXPECT_EQ(json_integer(o, key), std::nullopt) << key;
  EXPECT_EQ(json_bool(o, "t"), true);
  EXPECT_EQ(json_bool(o, "i"), std::nullopt);
  EXPECT_EQ(json_bool(o, "n"), std::nullopt);
  EXPECT_EQ(json_strings(o, "l"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(json_strings(o, "none"), std::vector<std::string>{});
  EXPECT_EQ(json_strings(o, "m"), std::nullopt);
  EXPECT_EQ(json_strings(o, "s"), std::nullopt);
  EXPECT_NE(json_member(o, "n"), nullptr);
  EXPECT_EQ(json_member(o, "T"), nullptr) << "keys are case-sensitive";
}

TEST(Json, MembersOfNoObjectAreNothing) {
  auto list = parse_json(R"(["s"])");
  ASSERT_TRUE(list);
  EXPECT_EQ(json_member(list->get(), "s"), nullptr);
  EXPECT_EQ(json_member(nullptr, "s"), nullptr);
  EXPECT_EQ(json_string(nullptr, "s"), std::nullopt);
  EXPECT_EQ(json_text(nullptr), "");
}

TEST(Json, WriterEscapesAndKeepsOrder) {
  JsonWriter writer;
  writer.set("op", "login").set("pid", 7).set("ok", true).set("no", false).set("big", int64_t{1} << 53);
  writer.set("list", std::vector<std::string>{"a\"b", "\n"}).set("inner", JsonWriter().set("x", "y").take());
  EXPECT_EQ(writer.text(), R"({"op":"login","pid":7,"ok":true,"no":false,"big":9007199254740992,)"
                           R"("list":["a\"b","\n"],"inner":{"x":"y"}})");
  EXPECT_EQ(writer.text().find('\n'), std::string::npos);
  EXPECT_EQ(JsonWriter().text(), "{}");
}

// Required claims are compared by this text: with cJSON's own 15 digits these would be equal.
TEST(Json, TextTellsLargeNumbersApart) {
  EXPECT_EQ(same("[9007199254740991,9007199254740990,-9007199254740992]"),
            "[9007199254740991,9007199254740990,-9007199254740992]");
  EXPECT_EQ(same("[1.0,1e3,-0,0.1,0.1000000000000001,1e300,1.5e-7]"),
            "[1,1000,0,0.1,0.1000000000000001,1e+300,1.5e-07]");
  EXPECT_EQ(same("[1700000000123456]"), "[1700000000123456]");
}

TEST(Json, WriterMakesOnlyWhatTheParserTakes) {
  using namespace std::string_view_literals;
  JsonWriter writer;
  writer.set("bad", "a\xff\x62"sv).set("nul", "a\0b"sv).set("control", "\x01\x1b[2J\x7f"sv).set("twice", 1);
  writer.set("twice", 2).set("list", std::vector<std::string>{"\xc0\x80"});
  auto json = parse_json(writer.text());
  ASSERT_TRUE(json) << json.error().what;
  EXPECT_EQ(json_string(json->get(), "bad"), "a\xef\xbf\xbd\x62");
  EXPECT_EQ(json_string(json->get(), "nul"), "a\xef\xbf\xbd\x62");
  EXPECT_EQ(json_string(json->get(), "control"), "\x01\x1b[2J\x7f");
  EXPECT_EQ(json_integer(json->get(), "twice"), 2);
}

std::vector<std::string> pieces_of(std::string_view text) {
  EXPECT_TRUE(check_json(text)) << text;
  std::vector<std::string> all;
  JsonPieces pieces(text);
  while (pieces.next())
    all.push_back((pieces.of_object() ? pieces.key() + "=" : "") + std::string(pieces.value()));
  EXPECT_FALSE(pieces.next()) << "the end stays the end";
  return all;
}

TEST(JsonPieces, AreWhatTheTextHas) {
  using Pieces = std::vector<std::string>;
  for (const char* none : {"[]", "{}", " [ ] ", "\n{ }\n", "1", "\"[1]\"", "null"})
    EXPECT_EQ(pieces_of(none), Pieces{});
  EXPECT_EQ(pieces_of("[1]"), Pieces{"1"});
  EXPECT_EQ(pieces_of(" [ -1.5e3 ,true,\tnull , \"a\" ,[],{ }\n] "),
            (Pieces{"-1.5e3", "true", "null", "\"a\"", "[]", "{ }"}));
  EXPECT_EQ(pieces_of(R"({"a":1 , "b" : [ {"c":"]}"} , 2],"":"x"})"),
            (Pieces{"a=1", R"(b=[ {"c":"]}"} , 2])", R"(="x")"}));
  EXPECT_EQ(pieces_of(R"(["a\"],\\","b\\"])"), (Pieces{R"("a\"],\\")", R"("b\\")"}));
  // a key is given as it means
  EXPECT_EQ(pieces_of(R"({"\u0061\"b":1})"), Pieces{"a\"b=1"});
}

// Every value of a tree is a piece, and reads back the same.
TEST(JsonPieces, AgreeWithTheTree) {
  constexpr std::string_view kText =
      R"({"a":[1,[2,{"b":"\u00e9"}],"x\\"],"c":{"d":null,"e f":[true,false]},"g":-0.5})";
  auto tree = parse_json(kText);
  ASSERT_TRUE(tree);
  JsonPieces pieces(kText);
  for (const cJSON* i = (*tree)->child; i != nullptr; i = i->next) {
    ASSERT_TRUE(pieces.next());
    EXPECT_EQ(pieces.key(), i->string);
    auto value = parse_checked_json(pieces.value());
    ASSERT_TRUE(value);
    EXPECT_EQ(json_text(value->get()), json_text(i));
  }
  EXPECT_FALSE(pieces.next());
}

}  // namespace
}  // namespace qf
