// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/protocol.h"

#include <algorithm>

#include "libqf/address.h"
#include "libqf/json.h"
#include "libqf/text.h"
#include "libqf/tokend_client.h"

namespace qf {

namespace {

constexpr int64_t kMostPid = 1 << 22;  // PID_MAX_LIMIT of Linux
constexpr size_t kMostStartDigits = 20;
constexpr size_t kMostIssuerBytes = 1024;
constexpr size_t kMostNonceBytes = 256;

// What an operation must have; the others of Request are read when they are there.
struct OperationRule {
  std::string_view name;
  Operation operation;
  bool peer, host, ssh, detection, nonce;
};
constexpr OperationRule kRules[] = {
    {"match", Operation::kMatch, true, true, false, false, false},
    {"detected", Operation::kDetected, true, true, false, true, false},
    {"confirm", Operation::kConfirm, true, false, true, false, false},
    {"credential", Operation::kCredential, true, true, false, false, false},
    {"login", Operation::kLogin, false, false, false, false, false},
    {"show", Operation::kShow, false, false, false, false, false},
    {"status", Operation::kStatus, false, false, false, false, false},
    {"logout", Operation::kLogout, false, false, false, false, false},
    {"stop", Operation::kStop, false, false, false, false, false},
    {"issue", Operation::kIssue, false, false, false, false, true},
    {"jwks", Operation::kJwks, false, false, false, false, false},
};

Refusal malformed(std::string message) {
  return {"malformed", std::move(message), ""};
}

using Fault = std::optional<Refusal>;

// A member that is there has the right type, or the request is refused: a typo must not change its meaning.
Fault read_text(const cJSON* object, const char* key, size_t most, std::string& out) {
  const cJSON* member = json_member(object, key);
  if (member == nullptr) return std::nullopt;
  auto text = json_string(object, key);
  if (!text || text->size() > most) {
    return malformed(std::string("\"") + key + "\" must be a string of at most " + std::to_string(most) +
                     " bytes");
  }
  out = *text;
  return std::nullopt;
}

Fault read_integer(const cJSON* object, const char* key, std::optional<int64_t>& out) {
  if (json_member(object, key) == nullptr) return std::nullopt;
  out = json_integer(object, key);
  if (!out) return malformed(std::string("\"") + key + "\" must be a whole number");
  return std::nullopt;
}

Fault read_flag(const cJSON* object, const char* key, bool& out) {
  if (json_member(object, key) == nullptr) return std::nullopt;
  auto flag = json_bool(object, key);
  if (!flag) return malformed(std::string("\"") + key + "\" must be true or false");
  out = *flag;
  return std::nullopt;
}

Fault read_ssh_process(const cJSON* object, bool required, Request& request) {
  std::optional<int64_t> pid;
  if (auto fault = read_integer(object, "pid", pid)) return fault;
  if (auto fault = read_text(object, "start", kMostStartDigits, request.start)) return fault;
  if (!pid && request.start.empty() && !required) return std::nullopt;
  if (!pid || *pid < 1 || *pid > kMostPid) return malformed("\"pid\" must be a process id");
  request.pid = *pid;
  if (!parse_number(request.start, UINT64_MAX)) return malformed("\"start\" must be a string of digits");
  return std::nullopt;
}

Fault read_place(const cJSON* object, const OperationRule& rule, Request& request) {
  if (auto fault = read_text(object, "peer", 253, request.peer)) return fault;
  if (auto fault = read_text(object, "host", 253, request.host)) return fault;
  // as ssh does with %h, which names the certificate file: an IPv6 address keeps its capitals
  if (!canonical_address(request.host)) request.host = lower(request.host);
  if ((rule.peer || !request.peer.empty()) && !valid_host_name(request.peer)) {
    return malformed("\"peer\" must be the name of a peer");
  }
  // the host becomes a file name, so nothing but a name or an address will do
  if ((rule.host || !request.host.empty()) && !valid_host_name(request.host) &&
      !canonical_address(request.host)) {
    return malformed("\"host\" must be a host name or an address");
  }
  return std::nullopt;
}

Fault read_detection(const cJSON* object, bool required, Request& request) {
  if (auto fault = read_text(object, "detection", 16, request.detection)) return fault;
  if (request.detection.empty() && !required) return std::nullopt;
  if (std::find(std::begin(kDetections), std::end(kDetections), request.detection) == std::end(kDetections)) {
    return malformed("\"detection\" must be jwt, no-jwt, other, closed or none");
  }
  return std::nullopt;
}

Fault read_members(const cJSON* object, const OperationRule& rule, Request& request) {
  if (auto fault = read_integer(object, "version", request.version)) return fault;
  if (auto fault = read_place(object, rule, request)) return fault;
  if (auto fault = read_ssh_process(object, rule.ssh, request)) return fault;
  if (auto fault = read_detection(object, rule.detection, request)) return fault;
  if (auto fault = read_text(object, "issuer", kMostIssuerBytes, request.issuer)) return fault;
  if (auto fault = read_text(object, "audience", kMostIssuerBytes, request.audience)) return fault;
  if (auto fault = read_text(object, "nonce", kMostNonceBytes, request.nonce)) return fault;
  if (rule.nonce && request.nonce.empty()) return malformed("\"nonce\" is missing");
  if (auto fault = read_flag(object, "interactive", request.interactive)) return fault;
  if (auto fault = read_flag(object, "browser", request.browser)) return fault;
  return read_flag(object, "renew", request.renew);
}

}  // namespace

Result<Request, Refusal> parse_request(std::string_view line) {
  auto json = parse_json(line);
  if (!json) return malformed("a request must be a JSON object on one line: " + json.error().what);
  if (!cJSON_IsObject(json->get())) return malformed("a request must be a JSON object on one line");
  Request request;
  // the version first: another version may have other operations
  if (auto fault = read_integer(json->get(), "version", request.version)) return *fault;
  if (request.version && *request.version != kTokendProtocolVersion) return request;
  auto name = json_string(json->get(), "op");
  if (!name) return malformed("\"op\" is missing or no string");
  for (const auto& rule : kRules) {
    if (rule.name != *name) continue;
    request.operation = rule.operation;
    if (auto fault = read_members(json->get(), rule, request)) return *fault;
    return request;
  }
  return Refusal{"unknown_op", "there is no operation \"" + name->substr(0, 64) + "\"", ""};
}

std::optional<Refusal> check_version(const Request& request, bool first) {
  if (!request.version && !first) return std::nullopt;
  if (!request.version) {
    return Refusal{"version", "the first request of a connection must have \"version\"", ""};
  }
  if (*request.version == kTokendProtocolVersion) return std::nullopt;
  return Refusal{"version",
                 "version " + std::to_string(*request.version) + " is not spoken here, only version " +
                     std::to_string(kTokendProtocolVersion),
                 "run qf-token stop, so that the installed qf-tokend is started"};
}

std::string refusal_line(const Refusal& refusal) {
  JsonWriter answer;
  answer.set("ok", false).set("error", refusal.code).set("message", refusal.message);
  if (!refusal.hint.empty()) answer.set("hint", refusal.hint);
  return answer.text();
}

}  // namespace qf
