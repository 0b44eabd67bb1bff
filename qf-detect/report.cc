// SPDX-License-Identifier: Apache-2.0
#include "qf-detect/report.h"

#include "libqf/json.h"
#include "libqf/log.h"

namespace qf {

namespace {

std::string finding(const ProbeResult& result) {
  std::string software = " (" + result.identification.software + ")";
  switch (result.detection) {
    case Detection::kJwt:
      return "QuFabric SSH server, JWT required" + software;
    case Detection::kNoJwt:
      return "QuFabric SSH server, no JWT required" + software;
    case Detection::kOther:
      return "another SSH server" + software;
    case Detection::kClosed:
      return "closes connections without a word: this source is not allowed, it has too many connections, or "
             "it is no SSH "
             "server";
    case Detection::kNone:
      return "no SSH server: " + result.reason;
  }
  std::abort();
}

}  // namespace

int detection_exit_code(Detection detection) {
  switch (detection) {
    case Detection::kJwt:
      return 0;
    case Detection::kNoJwt:
      return 1;
    case Detection::kOther:
      return 2;
    case Detection::kClosed:
    case Detection::kNone:
      return 3;
  }
  std::abort();
}

std::string report_text(const Report& report) {
  std::string text = printable(report.host) + " port " + std::to_string(report.result.port) + ": " +
                     printable(finding(report.result)) + "\n";
  if (!report.other_reason.empty()) text += "  also: " + printable(report.other_reason) + "\n";
  return text;
}

std::string report_json(const Report& report) {
  JsonWriter json;
  json.set("host", printable(report.host));
  if (!report.peer.empty()) json.set("peer", report.peer);
  json.set("port", static_cast<int>(report.result.port));
  if (!report.result.address.empty()) json.set("address", report.result.address);
  json.set("detection", detection_word(report.result.detection));
  if (!report.result.identification.line.empty()) {
    json.set("software", report.result.identification.software);
    json.set("identification", printable(report.result.identification.line));
  }
  if (!report.result.reason.empty()) json.set("reason", printable(report.result.reason));
  if (!report.other_reason.empty()) json.set("other_reason", printable(report.other_reason));
  return json.text() + "\n";
}

}  // namespace qf
