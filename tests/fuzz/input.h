// SPDX-License-Identifier: Apache-2.0
// What a fuzz target of many operations does with the bytes that it is given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace qf {

// What does not hold ends the target, which libFuzzer reports with the input.
inline void must(bool condition) {
  if (!condition) std::abort();
}

// The input, taken piece by piece; zeros when it is used up.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(reinterpret_cast<const char*>(data), size) {}
  [[nodiscard]] bool empty() const { return data_.empty(); }
  uint8_t byte() {
    if (data_.empty()) return 0;
    auto value = static_cast<uint8_t>(data_[0]);
    data_.remove_prefix(1);
    return value;
  }
  // A length and so many bytes; one length in eight stands for a long text.
  std::string text() {
    uint8_t length = byte();
    if (length >= 224) return std::string(size_t{1} << (length - 224) / 2, static_cast<char>(byte()));
    std::string out(data_.substr(0, length));
    data_.remove_prefix(out.size());
    return out;
  }

 private:
  std::string_view data_;
};

}  // namespace qf
