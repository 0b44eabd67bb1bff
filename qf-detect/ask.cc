// SPDX-License-Identifier: Apache-2.0
#include "qf-detect/ask.h"

#include "libqf/address.h"
#include "qf-detect/resolve.h"

namespace qf {

namespace {

bool ours(Detection detection) {
  return detection == Detection::kJwt || detection == Detection::kNoJwt;
}

// How much an answer says; of two equal ones the port that was asked for is reported.
int weight(Detection detection) {
  if (ours(detection)) return 3;
  if (detection == Detection::kOther) return 2;
  return detection == Detection::kClosed ? 1 : 0;
}

std::string summary(const ProbeResult& result) {
  if (!result.reason.empty()) return result.reason;
  return "port " + std::to_string(result.port) + ": " + result.identification.software;
}

}  // namespace

Report ask_host(const Folders& folders, const std::string& host, uint16_t port,
                std::chrono::milliseconds timeout) {
  auto start = Clock::now();
  Report report;
  report.host = host;
  report.result.port = port;
  auto target = resolve_target(folders, host, start + timeout);
  if (!target) {
    report.result.reason = target.error().text();
    return report;
  }
  report.peer = target->peer;
  if (port == kFabricPort) {
    report.result = probe(target->addresses, port, start + timeout);
    return report;
  }
  // A port that swallows packets must leave time for the other one.
  ProbeResult first =
      probe(target->addresses, kFabricPort, Clock::now() + (start + timeout - Clock::now()) / 2);
  if (ours(first.detection)) {
    report.result = std::move(first);
    return report;
  }
  report.result = probe(target->addresses, port, start + timeout);
  if (weight(report.result.detection) < weight(first.detection)) std::swap(report.result, first);
  if (!ours(report.result.detection)) report.other_reason = summary(first);
  return report;
}

}  // namespace qf
