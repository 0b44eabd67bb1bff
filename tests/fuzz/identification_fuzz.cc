// SPDX-License-Identifier: Apache-2.0
//
// The identification line of a server. The first byte says where the input is cut in two; aborts when the two
// halves give another answer than the whole, or when an answer breaks a limit or has a control character.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "libqf/identification.h"

namespace {

using State = qf::IdentificationReader::State;

void check_found(const qf::Identification& found) {
  if (!found.line.starts_with("SSH-") || found.line.size() > qf::kMostIdentificationBytes) std::abort();
  auto harmless = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; };
  if (!std::all_of(found.software.begin(), found.software.end(), harmless)) std::abort();
  if (found.kind == qf::ServerKind::kOtherSsh) return;
  // a line that goes on to clients
  if (!found.line.starts_with("SSH-2.0-QuFabric-SSH-Server-") ||
      !std::all_of(found.line.begin(), found.line.end(), [](char c) { return c >= ' ' && c <= '~'; }))
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  size_t cut = std::min<size_t>(data[0], input.size());

  qf::IdentificationReader whole;
  size_t used = 0;
  State state = whole.feed(input, used);
  if (used > input.size()) std::abort();
  if (used > qf::kMostPreludeBytes + qf::kMostIdentificationBytes) std::abort();
  if (state == State::kMore && used != input.size()) std::abort();
  if (state == State::kFound) check_found(whole.result());

  qf::IdentificationReader parts;
  size_t first = 0, second = 0;
  State again = parts.feed(input.substr(0, cut), first);
  if (again == State::kMore) again = parts.feed(input.substr(cut), second);
  if (again != state || first + second != used || parts.result().line != whole.result().line ||
      parts.result().kind != whole.result().kind)
    std::abort();
  return 0;
}
