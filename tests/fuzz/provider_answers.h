// SPDX-License-Identifier: Apache-2.0
// What the fuzz targets of providers' answers share: the issuer that is asked, and what every refusal must
// be.
#pragma once

#include <cstdlib>
#include <initializer_list>
#include <string>
#include <string_view>

#include "libqf/peers_db.h"
#include "qf-tokend/protocol.h"

inline void require(bool condition) {
  if (!condition) std::abort();
}

inline qf::LoginRecord corp() {
  qf::LoginRecord record;
  record.name = "corp";
  record.issuer = "https://idp.example";
  record.client_id = "c";
  return record;
}

// One of the codes, and text for a person that names the issuer and cannot draw on a terminal.
inline void check_refusal(const qf::Refusal& refusal, std::initializer_list<std::string_view> codes) {
  bool known = false;
  for (std::string_view code : codes) known = known || refusal.code == code;
  require(known);
  require(refusal.message.starts_with("issuer corp (https://idp.example): "));
  require(refusal.message.size() < 2000);
  for (const std::string* text : {&refusal.message, &refusal.hint}) {
    for (char c : *text) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
}
