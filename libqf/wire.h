// SPDX-License-Identifier: Apache-2.0
// SSH data types (RFC 4251 section 5) as they stand in keys, certificates and packets. Reading is bounded by
// the buffer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace qf {

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}
  // After the first read that does not fit, everything reads as empty or zero and ok() is false.
  uint8_t byte();
  uint32_t uint32();
  uint64_t uint64();
  std::string_view string();  // points into the buffer
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  // All bytes used and none missing.
  [[nodiscard]] bool done() const { return ok_ && rest_.empty(); }

 private:
  std::string_view take(size_t count);
  std::string_view rest_;
  bool ok_ = true;
};

class WireWriter {
 public:
  WireWriter& byte(uint8_t value);
  WireWriter& uint32(uint32_t value);
  WireWriter& uint64(uint64_t value);
  WireWriter& string(std::string_view bytes);
  WireWriter& raw(std::string_view bytes);
  WireWriter& mpint(std::string_view big_endian);  // of a non-negative number
  [[nodiscard]] const std::string& bytes() const { return out_; }
  // For private keys: reserve enough first and no copy is left behind by growing, then take() and wipe().
  WireWriter& reserve(size_t count);
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace qf
