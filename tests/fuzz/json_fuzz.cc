// SPDX-License-Identifier: Apache-2.0
//
// Strict JSON. Aborts when the scan lets something pass that cJSON refuses, or when the text of a value does
// not read back as the same value.
#include <cstdint>
#include <cstdlib>

#include "libqf/json.h"
#include "libqf/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto json = qf::parse_json(text);
  if (!json) {
    if (json.error().kind != qf::ErrorKind::kPeer) std::abort();
    return 0;
  }
  std::string once = qf::json_text(json->get());
  if (!qf::valid_utf8(once)) std::abort();
  auto again = qf::parse_json(once);
  if (!again || qf::json_text(again->get()) != once) std::abort();
  for (const cJSON* item = json->get()->child; item != nullptr; item = item->next) {
    if (item->string == nullptr) continue;
    if (qf::json_member(json->get(), item->string) != item) std::abort();  // no key hides another
  }
  return 0;
}
