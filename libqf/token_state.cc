// SPDX-License-Identifier: Apache-2.0
#include "libqf/token_state.h"

#include "libqf/text.h"

namespace qf {

std::string token_state(const cJSON* issuer) {
  std::string state = json_string(issuer, "state").value_or("");
  if (state == "logging_in") return "a login is going on";
  bool prompt = json_bool(issuer, "prompt").value_or(true);
  if (state != "cached" && state != "refreshable")
    return prompt ? "no token" : "no token yet; the next connection gets one without asking";
  bool bound = json_bool(issuer, "bound").value_or(false);
  return json_string(issuer, "subject").value_or("") + ", good for " +
         describe_seconds(json_integer(issuer, "ttl_left").value_or(0)) +
         (state == "refreshable" ? ", to be refreshed by the next connection" : "") +
         (bound ? ", bound to this login's key" : ", a bearer token");
}

}  // namespace qf
