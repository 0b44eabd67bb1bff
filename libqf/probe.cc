// SPDX-License-Identifier: Apache-2.0
#include "libqf/probe.h"

#include <algorithm>
#include <array>

#include "libqf/address.h"

namespace qf {

namespace {

struct Word {
  Detection detection;
  std::string_view word;
};
constexpr std::array<Word, 5> kWords = {{{Detection::kJwt, "jwt"},
                                         {Detection::kNoJwt, "no-jwt"},
                                         {Detection::kOther, "other"},
                                         {Detection::kClosed, "closed"},
                                         {Detection::kNone, "none"}}};

Detection detection_of(ServerKind kind) {
  switch (kind) {
    case ServerKind::kQufabricJwt:
      return Detection::kJwt;
    case ServerKind::kQufabricNoJwt:
      return Detection::kNoJwt;
    case ServerKind::kOtherSsh:
      return Detection::kOther;
  }
  std::abort();
}

}  // namespace

std::string_view detection_word(Detection detection) {
  auto found = std::find_if(kWords.begin(), kWords.end(), [&](auto& w) { return w.detection == detection; });
  if (found == kWords.end()) std::abort();
  return found->word;
}

std::optional<Detection> parse_detection(std::string_view word) {
  auto found = std::find_if(kWords.begin(), kWords.end(), [&](auto& w) { return w.word == word; });
  if (found == kWords.end()) return std::nullopt;
  return found->detection;
}

ProbeResult probe(const std::vector<std::string>& addresses, uint16_t port, Deadline deadline) {
  ProbeResult out;
  out.port = port;
  auto fd = dial(addresses, port, deadline);
  if (!fd) {
    out.reason = fd.error().text();
    out.sys = fd.error().sys;
    return out;
  }
  if (auto address = peer_address(fd->get())) out.address = address->address();
  if (auto source = local_address(fd->get())) out.source = source->address();
  auto found = peek_identification(fd->get(), deadline);
  if (found) {
    out.detection = detection_of(found->kind);
    out.identification = std::move(*found);
  } else {
    out.detection = found.error().kind == ErrorKind::kRefused ? Detection::kClosed : Detection::kNone;
    out.reason = "port " + std::to_string(port) + ": " + found.error().text();
  }
  return out;
}

}  // namespace qf
