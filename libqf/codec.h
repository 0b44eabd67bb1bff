// SPDX-License-Identifier: Apache-2.0
// Binary encoding of our own structs: messages between our processes and the records of peers.mdb and
// policy.mdb. A struct lists its members once, in
//     static void fields(auto& self, auto& visit) { visit(self.name, self.count); }
// and that one list drives encoding and decoding. Numbers are big-endian, strings and lists have a 32-bit
// length first (RFC 4251 section 5). Decoding fails on truncation, on trailing bytes and on a list longer
// than its own bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "libqf/result.h"

namespace qf {

class Encoder {
 public:
  template <class... Ts>
  void operator()(const Ts&... values) {
    (put(values), ...);
  }
  std::string take() { return std::move(out_); }

 private:
  void number(uint64_t value, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out_.push_back(static_cast<char>(value >> (8 * i)));
  }
  void put(const std::string& s) {
    number(s.size(), 4);
    out_ += s;
  }
  template <class T>
  void put(const std::vector<T>& list) {
    number(list.size(), 4);
    for (const auto& item : list) put(item);
  }
  template <class T>
  void put(const std::map<std::string, T>& map) {
    number(map.size(), 4);
    for (const auto& [key, value] : map) {
      put(key);
      put(value);
    }
  }
  template <class T>
  void put(const std::optional<T>& value) {
    number(value.has_value(), 1);
    if (value) put(*value);
  }
  template <class T>
  void put(const T& value) {
    if constexpr (std::is_enum_v<T>) {
      number(static_cast<uint64_t>(value), 4);
    } else if constexpr (std::is_integral_v<T>) {
      number(static_cast<uint64_t>(value), sizeof(T));
    } else {
      T::fields(value, *this);
    }
  }
  std::string out_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view in) : in_(in) {}
  template <class... Ts>
  void operator()(Ts&... values) {
    (get(values), ...);
  }
  // True when every byte was used and nothing was missing.
  [[nodiscard]] bool complete() const { return !failed_ && in_.empty(); }

 private:
  uint64_t number(size_t bytes) {
    if (failed_ || in_.size() < bytes) {
      failed_ = true;
      return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(in_[i]);
    in_.remove_prefix(bytes);
    return value;
  }
  // How many items a list claims; every item takes at least a byte, so a larger claim is a lie.
  size_t count() {
    uint64_t n = number(4);
    if (n > in_.size()) failed_ = true;
    return failed_ ? 0 : static_cast<size_t>(n);
  }
  void get(std::string& s) {
    size_t n = count();
    s.assign(in_.substr(0, n));
    in_.remove_prefix(n);
  }
  template <class T>
  void get(std::vector<T>& list) {
    size_t n = count();
    list.clear();
    for (size_t i = 0; i < n && !failed_; ++i) {
      T item{};
      get(item);
      list.push_back(std::move(item));
    }
  }
  template <class T>
  void get(std::map<std::string, T>& map) {
    size_t n = count();
    map.clear();
    for (size_t i = 0; i < n && !failed_; ++i) {
      std::string key;
      get(key);
      get(map[key]);
    }
    if (map.size() != n) failed_ = true;
  }
  template <class T>
  void get(std::optional<T>& value) {
    bool present = false;
    get(present);
    // by assignment: with emplace() g++ 12 warns of uninitialized members that are not
    T item{};
    if (present) get(item);
    value = present && !failed_ ? std::optional<T>(std::move(item)) : std::nullopt;
  }
  void get(bool& value) {
    uint64_t n = number(1);
    if (n > 1) failed_ = true;
    value = n == 1;
  }
  template <class T>
  void get(T& value) {
    if constexpr (std::is_enum_v<T>) {
      uint64_t n = number(4);
      // an enum that goes over the wire names its last value kLast
      if (n > static_cast<uint64_t>(T::kLast)) failed_ = true;
      value = failed_ ? T{} : static_cast<T>(n);
    } else if constexpr (std::is_integral_v<T>) {
      value = static_cast<T>(number(sizeof(T)));
    } else {
      T::fields(value, *this);
    }
  }
  std::string_view in_;
  bool failed_ = false;
};

template <class T>
[[nodiscard]] std::string encode(const T& value) {
  Encoder encoder;
  encoder(value);
  return encoder.take();
}

template <class T>
[[nodiscard]] Result<T> decode(std::string_view bytes) {
  T value{};
  Decoder decoder(bytes);
  decoder(value);
  if (!decoder.complete()) return peer_error("malformed record");
  return value;
}

}  // namespace qf
