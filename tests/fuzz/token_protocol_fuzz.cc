// SPDX-License-Identifier: Apache-2.0
// fuzz-group: tokend
//
// Requests to qf-tokend. Aborts when one that was taken could name a file outside of its folder or holds
// something that no request may have, or when a refusal cannot be told to the client in one JSON line.
#include <cstdint>
#include <cstdlib>

#include "libqf/json.h"
#include "qf-tokend/protocol.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_refusal(const qf::Refusal& refusal) {
  require(!refusal.code.empty() && !refusal.message.empty());
  std::string line = qf::refusal_line(refusal);
  require(line.find('\n') == std::string::npos);
  require(static_cast<bool>(qf::parse_json(line)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto request = qf::parse_request(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!request) {
    check_refusal(request.error());
    return 0;
  }
  for (bool first : {true, false}) {
    if (auto refusal = qf::check_version(*request, first)) check_refusal(*refusal);
  }
  require(request->host.find('/') == std::string::npos && !request->host.starts_with("."));
  require(request->host.size() <= 253 && request->peer.size() <= 253);
  require(request->pid >= 0 && request->pid <= 1 << 22);
  require((request->pid == 0) == request->start.empty());
  return 0;
}
