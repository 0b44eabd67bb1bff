// SPDX-License-Identifier: Apache-2.0
#include "libqf/wire.h"

#include <algorithm>

namespace qf {

std::string_view WireReader::take(size_t count) {
  if (!ok_ || count > rest_.size()) {
    ok_ = false;
    rest_ = {};
    return {};
  }
  std::string_view taken = rest_.substr(0, count);
  rest_.remove_prefix(count);
  return taken;
}

namespace {

uint64_t big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

}  // namespace

uint8_t WireReader::byte() {
  return static_cast<uint8_t>(big_endian(take(1)));
}

uint32_t WireReader::uint32() {
  return static_cast<uint32_t>(big_endian(take(4)));
}

uint64_t WireReader::uint64() {
  return big_endian(take(8));
}

std::string_view WireReader::string() {
  return take(uint32());
}

WireWriter& WireWriter::byte(uint8_t value) {
  out_.push_back(static_cast<char>(value));
  return *this;
}

WireWriter& WireWriter::uint32(uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out_.push_back(static_cast<char>(value >> shift));
  return *this;
}

WireWriter& WireWriter::uint64(uint64_t value) {
  uint32(static_cast<uint32_t>(value >> 32));
  return uint32(static_cast<uint32_t>(value));
}

WireWriter& WireWriter::string(std::string_view bytes) {
  uint32(static_cast<uint32_t>(bytes.size()));
  return raw(bytes);
}

WireWriter& WireWriter::raw(std::string_view bytes) {
  out_.append(bytes);
  return *this;
}

WireWriter& WireWriter::mpint(std::string_view big_endian) {
  big_endian.remove_prefix(std::min(big_endian.find_first_not_of('\0'), big_endian.size()));
  // the top bit is the sign: a leading zero byte keeps the number positive
  bool padded = !big_endian.empty() && (static_cast<unsigned char>(big_endian[0]) & 0x80) != 0;
  uint32(static_cast<uint32_t>(big_endian.size() + (padded ? 1 : 0)));
  if (padded) byte(0);
  return raw(big_endian);
}

WireWriter& WireWriter::reserve(size_t count) {
  out_.reserve(count);
  return *this;
}

}  // namespace qf
