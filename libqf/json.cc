// SPDX-License-Identifier: Apache-2.0
// A scan of our own finds what cJSON would let pass, and where; only text without fault reaches cJSON. The
// scan holds nothing but the keys of the objects that are open.
#include "libqf/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <system_error>

#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostNumberLength = 60;   // cJSON reads 63 bytes and would stumble over the rest
constexpr double kMostWhole = 0x1p53;      // beyond it a double skips whole numbers
constexpr size_t kMostKeyInMessage = 100;  // bytes
constexpr size_t kMostKeys = 250'000;      // of the objects that are open: each takes a hundred bytes
constexpr std::string_view kSpace = " \t\r\n";

// The keys of one object. Most have a handful, which a list finds sooner than a tree.
class Keys {
 public:
  // False when it is there already.
  bool insert(std::string key) {
    if (!many_.empty()) return many_.insert(std::move(key)).second;
    if (std::find(few_.begin(), few_.end(), key) != few_.end()) return false;
    few_.push_back(std::move(key));
    if (few_.size() > kFew) many_.insert(few_.begin(), few_.end());
    return true;
  }
  [[nodiscard]] size_t count() const { return many_.empty() ? few_.size() : many_.size(); }

 private:
  static constexpr size_t kFew = 16;
  std::vector<std::string> few_;
  std::set<std::string> many_;  // all of them, when they are many
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool document() {
    if (text_.starts_with("\xef\xbb\xbf"))
      return fault("a byte order mark: save the text as UTF-8 without one");
    space();
    if (!value(0)) return false;
    space();
    return at_ == text_.size() || unexpected("nothing may follow the value");
  }

  [[nodiscard]] Error error() const {
    size_t line = 1, column = 1;
    for (char c : text_.substr(0, fault_at_)) {
      if (c == '\n') {
        ++line;
        column = 1;
      } else if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) {  // a UTF-8 character counts once
        ++column;
      }
    }
    return peer_error("line " + std::to_string(line) + " column " + std::to_string(column) + ": " + fault_);
  }

 private:
  bool fault(std::string what, size_t at) {
    fault_ = std::move(what);
    fault_at_ = at;
    return false;
  }
  bool fault(std::string what) { return fault(std::move(what), at_); }
  // Something else than what JSON wants here. What people often write in its place is called by its name.
  bool unexpected(const char* wanted) {
    std::string_view rest = text_.substr(at_);
    if (rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with("#"))
      return fault("a comment, which JSON does not have");
    if (rest.starts_with("'")) return fault("a single quote: strings and keys are in double quotes");
    return fault(wanted);
  }
  // After a comma, and the white space behind it: whether the object or list ends here. The comma is the
  // fault.
  bool trailing_comma(char end, size_t comma) {
    if (next() != end) return false;
    static_cast<void>(fault(std::string("a comma before ") + end + ": none follows the last one", comma));
    return true;
  }

  // '\0' at the end; a NUL in the text is no token either, so that the two need not be told apart
  [[nodiscard]] char next() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool skip(char c) {
    if (next() != c) return false;
    ++at_;
    return true;
  }
  void space() { at_ = std::min(text_.find_first_not_of(kSpace, at_), text_.size()); }

  bool value(int depth) {
    switch (next()) {
      case '{':
      case '[':
        if (depth == kJsonMostDepth) return fault("nested too deeply");
        return next() == '{' ? object(depth + 1) : array(depth + 1);
      case '"':
        return string(nullptr);
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool object(int depth) {
    ++at_;
    space();
    if (skip('}')) return true;
    Keys keys;
    size_t comma = text_.size();  // the one before, if any
    do {
      space();
      size_t start = at_;
      std::string key;
      if (comma < at_ && trailing_comma('}', comma)) return false;
      if (next() != '"') return unexpected("a key in double quotes is missing");
      if (!string(&key)) return false;
      // the key as it was written: it has no control characters, the decoded one may
      std::string_view written = text_.substr(start, at_ - start);
      if (!keys.insert(std::move(key))) {
        return fault(
            "duplicate key " + (written.size() > kMostKeyInMessage ? "(a long one)" : std::string(written)),
            start);
      }
      if (++open_keys_ > kMostKeys) return fault("too many keys", start);
      space();
      if (!skip(':')) return unexpected("a colon is missing after the key");
      space();
      if (!value(depth)) return false;
      space();
      comma = at_;
    } while (skip(','));
    open_keys_ -= keys.count();
    return skip('}') || unexpected("a comma or } is missing");
  }

  bool array(int depth) {
    ++at_;
    space();
    if (skip(']')) return true;
    size_t comma = text_.size();  // the one before, if any
    do {
      space();
      if (comma < at_ && trailing_comma(']', comma)) return false;
      if (!value(depth)) return false;
      space();
      comma = at_;
    } while (skip(','));
    return skip(']') || unexpected("a comma or ] is missing");
  }

  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return fault("not a value");
    at_ += expected.size();
    return true;
  }

  size_t digits() {
    size_t start = at_;
    while (next() >= '0' && next() <= '9') ++at_;
    return at_ - start;
  }

  bool number() {
    size_t start = at_;
    if (at_ == text_.size()) return fault("a value is missing");
    bool negative = skip('-');
    if (!skip('0') && digits() == 0)
      return negative ? fault("not a number", start) : unexpected("not a value");
    if (skip('.') && digits() == 0) return fault("not a number", start);
    if (skip('e') || skip('E')) {
      if (!skip('+')) skip('-');
      if (digits() == 0) return fault("not a number", start);
    }
    std::string_view written = text_.substr(start, at_ - start);
    double value = 0;
    auto read = std::from_chars(written.data(), written.data() + written.size(), value);
    if (written.size() > kMostNumberLength || read.ec != std::errc{})
      return fault("a number that is too long or out of range", start);
    return true;
  }

  // Means itself in a string.
  static bool is_plain(char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
  }

  // Appends to `decoded` when not null.
  bool string(std::string* decoded) {
    size_t start = at_++;
    for (;;) {
      size_t plain = at_;
      while (at_ < text_.size() && is_plain(text_[at_])) ++at_;
      if (decoded != nullptr) decoded->append(text_, plain, at_ - plain);
      if (at_ == text_.size()) return fault("the string does not end", start);
      char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c == '\\') {
        if (!escape(decoded)) return false;
        continue;
      }
      size_t length = utf8_length(text_.substr(at_, 4));
      if (length == 0) return fault("not UTF-8");
      if (static_cast<unsigned char>(c) < 0x20) return fault("a control character in a string");
      if (decoded != nullptr) decoded->append(text_, at_, length);
      at_ += length;
    }
  }

  bool escape(std::string* decoded) {
    constexpr std::string_view kLetters = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    size_t start = at_++;
    if (skip('u')) return unicode_escape(decoded, start);
    size_t which = kLetters.find(next());
    if (at_ == text_.size() || which == std::string_view::npos) return fault("not an escape", start);
    ++at_;
    if (decoded != nullptr) decoded->push_back(kMeanings[which]);
    return true;
  }

  // Four hexadecimal digits; -1 when there are not.
  int32_t hex_unit() {
    uint32_t unit = 0;
    std::string_view written = text_.substr(at_, 4);
    auto read = std::from_chars(written.data(), written.data() + written.size(), unit, 16);
    if (written.size() != 4 || read.ptr != written.data() + 4) return -1;
    at_ += 4;
    return static_cast<int32_t>(unit);
  }

  bool unicode_escape(std::string* decoded, size_t start) {
    int32_t point = hex_unit();
    if (point < 0) return fault("not an escape", start);
    if (point == 0) return fault("a NUL in a string", start);
    if (point >= 0xdc00 && point <= 0xdfff) return fault("half of a surrogate pair", start);
    if (point >= 0xd800 && point <= 0xdbff) {
      int32_t low = skip('\\') && skip('u') ? hex_unit() : -1;
      if (low < 0xdc00 || low > 0xdfff) return fault("half of a surrogate pair", start);
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    if (decoded != nullptr) append_utf8(*decoded, static_cast<uint32_t>(point));
    return true;
  }

  static void append_utf8(std::string& out, uint32_t point) {
    auto put = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (point < 0x80) return put(point);
    if (point < 0x800) {
      put(0xc0 | point >> 6);
    } else {
      if (point < 0x10000) {
        put(0xe0 | point >> 12);
      } else {
        put(0xf0 | point >> 18);
        put(0x80 | (point >> 12 & 0x3f));
      }
      put(0x80 | (point >> 6 & 0x3f));
    }
    put(0x80 | (point & 0x3f));
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t open_keys_ = 0;
  std::string fault_;
  size_t fault_at_ = 0;
};

// ---- a text that the scan has passed ----------------------------------------------------------------------

// The end of the string that starts with the quote at `at`, one past its closing quote.
size_t end_of_string(std::string_view text, size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

// The end of the value that starts at `at`.
size_t end_of_value(std::string_view text, size_t at) {
  if (text[at] != '{' && text[at] != '[')
    return text[at] == '"' ? end_of_string(text, at)
                           : std::min(text.find_first_of(",]} \t\r\n", at), text.size());
  for (size_t depth = 0; at < text.size();) {
    if (text[at] == '"') {
      at = end_of_string(text, at);
      continue;
    }
    if (text[at] == '{' || text[at] == '[') ++depth;
    if ((text[at] == '}' || text[at] == ']') && --depth == 0) return at + 1;
    ++at;
  }
  return at;
}

// What the string means that is written so, quotes included.
std::string meaning(std::string_view written) {
  if (written.find('\\') == std::string_view::npos) return std::string(written.substr(1, written.size() - 2));
  auto value = parse_checked_json(written);
  return value ? (*value)->valuestring : std::string();
}

// cJSON holds C strings and prints bytes as they are: what it cannot hold becomes U+FFFD.
std::string clean(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  while (!value.empty()) {
    size_t length = utf8_length(value);
    if (length == 0 || value[0] == '\0') {
      out += "\xef\xbf\xbd";
      length = 1;
    } else {
      out += value.substr(0, length);
    }
    value.remove_prefix(length);
  }
  return out;
}

// cJSON prints 15 digits when they are near enough; here different numbers must stay different.
std::string exact_number(double value) {
  if (std::fabs(value) <= kMostWhole && value == std::floor(value))
    return std::to_string(static_cast<int64_t>(value));
  char text[32];  // the shortest form that reads back the same has at most 24 characters
  auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

// Turns the numbers of a tree into their text. As deep as the tree: parse_json() bounds that.
void write_numbers(cJSON* value) {
  if (::cJSON_IsNumber(value) != 0) {
    std::string text = exact_number(value->valuedouble);
    value->type = cJSON_Raw;
    value->valuestring = static_cast<char*>(::cJSON_malloc(text.size() + 1));
    if (value->valuestring == nullptr) std::abort();
    std::memcpy(value->valuestring, text.c_str(), text.size() + 1);
  }
  for (cJSON* item = value->child; item != nullptr; item = item->next) write_numbers(item);
}

void add(cJSON* object, const char* key, cJSON* value) {
  // set() twice with one key would make a duplicate, which our own parser refuses
  ::cJSON_DeleteItemFromObjectCaseSensitive(object, key);
  if (value == nullptr || ::cJSON_AddItemToObject(object, key, value) == 0) std::abort();
}

}  // namespace

Result<JsonPtr> parse_json(std::string_view text) {
  if (auto good = check_json(text); !good) return good.error();
  return parse_checked_json(text);
}

Status check_json(std::string_view text) {
  Scanner scanner(text);
  if (!scanner.document()) return scanner.error();
  return Done{};
}

Result<JsonPtr> parse_checked_json(std::string_view text) {
  JsonPtr json(::cJSON_ParseWithLengthOpts(text.data(), text.size(), nullptr, 0));
  if (json == nullptr) return Error{ErrorKind::kSystem, ENOMEM, "cannot read JSON"};
  return json;
}

JsonPieces::JsonPieces(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  of_object_ = text.starts_with('{');
  if (of_object_ || text.starts_with('[')) rest_ = text.substr(1);
}

bool JsonPieces::next() {
  // before a piece stands white space, and a comma but for the first
  rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n,"), rest_.size()));
  if (rest_.empty() || rest_[0] == ']' || rest_[0] == '}') {
    rest_ = {};
    return false;
  }
  if (of_object_) {
    size_t end = end_of_string(rest_, 0);
    key_ = meaning(rest_.substr(0, end));
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n:", end), rest_.size()));
  }
  size_t end = end_of_value(rest_, 0);
  value_ = rest_.substr(0, end);
  rest_.remove_prefix(value_.size());
  return true;
}

const cJSON* json_member(const cJSON* object, const char* key) {
  return ::cJSON_IsObject(object) != 0 ? ::cJSON_GetObjectItemCaseSensitive(object, key) : nullptr;
}

std::optional<std::string> json_string(const cJSON* object, const char* key) {
  const cJSON* value = json_member(object, key);
  if (::cJSON_IsString(value) == 0) return std::nullopt;
  return std::string(value->valuestring);
}

std::optional<int64_t> json_integer(const cJSON* object, const char* key) {
  const cJSON* value = json_member(object, key);
  if (::cJSON_IsNumber(value) == 0) return std::nullopt;
  double number = value->valuedouble;
  if (!(std::fabs(number) <= kMostWhole) || number != std::floor(number)) return std::nullopt;
  return static_cast<int64_t>(number);
}

std::optional<bool> json_bool(const cJSON* object, const char* key) {
  const cJSON* value = json_member(object, key);
  if (::cJSON_IsBool(value) == 0) return std::nullopt;
  return ::cJSON_IsTrue(value) != 0;
}

std::optional<std::vector<std::string>> json_strings(const cJSON* object, const char* key) {
  const cJSON* list = json_member(object, key);
  if (::cJSON_IsArray(list) == 0) return std::nullopt;
  std::vector<std::string> strings;
  for (const cJSON* item = list->child; item != nullptr; item = item->next) {
    if (::cJSON_IsString(item) == 0) return std::nullopt;
    strings.emplace_back(item->valuestring);
  }
  return strings;
}

std::string json_text(const cJSON* value) {
  if (value == nullptr) return "";
  JsonPtr copy(::cJSON_Duplicate(value, 1));
  if (copy == nullptr) std::abort();
  write_numbers(copy.get());
  char* text = ::cJSON_PrintUnformatted(copy.get());
  if (text == nullptr) std::abort();
  std::string out(text);
  ::cJSON_free(text);
  return out;
}

JsonWriter::JsonWriter() : object_(::cJSON_CreateObject()) {
  if (object_ == nullptr) std::abort();
}

JsonWriter& JsonWriter::set(const char* key, std::string_view value) {
  add(object_.get(), key, ::cJSON_CreateString(clean(value).c_str()));
  return *this;
}

JsonWriter& JsonWriter::set(const char* key, int64_t value) {
  add(object_.get(), key, ::cJSON_CreateNumber(static_cast<double>(value)));
  return *this;
}

JsonWriter& JsonWriter::set(const char* key, bool value) {
  add(object_.get(), key, ::cJSON_CreateBool(value ? 1 : 0));
  return *this;
}

JsonWriter& JsonWriter::set(const char* key, const std::vector<std::string>& values) {
  JsonPtr list(::cJSON_CreateArray());
  for (const auto& value : values) {
    cJSON* item = ::cJSON_CreateString(clean(value).c_str());
    if (item == nullptr || ::cJSON_AddItemToArray(list.get(), item) == 0) std::abort();
  }
  return set(key, std::move(list));
}

JsonWriter& JsonWriter::set(const char* key, JsonPtr value) {
  add(object_.get(), key, value.release());
  return *this;
}

std::string JsonWriter::text() const {
  return json_text(object_.get());
}

}  // namespace qf
