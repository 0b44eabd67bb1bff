// SPDX-License-Identifier: Apache-2.0
#include "qf-up/status_tokens.h"

#include "libqf/text.h"
#include "libqf/token_state.h"
#include "libqf/tokend_client.h"

namespace qf {

namespace {

constexpr auto kTokendPatience = std::chrono::seconds(2);

Colour login_colour(const cJSON* issuer) {
  std::string state = json_string(issuer, "state").value_or("");
  return state == "cached" || state == "refreshable" ? Colour::kGood : Colour::kNone;
}

}  // namespace

Result<JsonPtr> ask_tokend(const Folders& folders) {
  auto client = TokendClient::connect(folders);
  if (!client) return client.error();
  JsonWriter request;
  request.set("version", kTokendProtocolVersion).set("op", "status");
  if (auto sent = client->send(request.text()); !sent) return sent.error();
  auto answer = client->receive(Clock::now() + kTokendPatience);
  if (answer && json_bool(answer->get(), "ok") != true) return peer_error("qf-tokend does not say how it is");
  return answer;
}

std::vector<LabelledLine> token_lines(const Result<JsonPtr>& answer) {
  if (!answer) {
    bool none = answer.error().kind == ErrorKind::kNotFound || answer.error().sys == ENOENT;
    return {{"qf-tokend", none ? "none runs for this user" : "unknown, " + answer.error().text(),
             none ? Colour::kNone : Colour::kDoubtful}};
  }
  const cJSON* status = (*answer).get();
  int64_t ttl = json_integer(status, "ttl").value_or(0);
  std::vector<LabelledLine> lines = {
      {"qf-tokend",
       "runs for this user, pid " + std::to_string(json_integer(status, "pid").value_or(0)) +
           (ttl == 0 ? ", tokens are not kept" : ", keeps tokens for " + describe_seconds(ttl))}};
  const cJSON* issuer = nullptr;
  cJSON_ArrayForEach(issuer, json_member(status, "issuers")) {
    lines.push_back({"login", json_string(issuer, "name").value_or("") + ": " + token_state(issuer),
                     login_colour(issuer)});
  }
  return lines;
}

JsonPtr token_json(const Result<JsonPtr>& answer) {
  JsonWriter out;
  if (!answer) {
    bool none = answer.error().kind == ErrorKind::kNotFound || answer.error().sys == ENOENT;
    out.set("running", JsonPtr(none ? ::cJSON_CreateFalse() : ::cJSON_CreateNull()));
    if (!none) out.set("error", answer.error().text());
    return out.take();
  }
  const cJSON* status = (*answer).get();
  out.set("running", true).set("pid", json_integer(status, "pid").value_or(0));
  out.set("ttl", json_integer(status, "ttl").value_or(0));
  JsonPtr issuers(::cJSON_CreateArray());
  const cJSON* issuer = nullptr;
  cJSON_ArrayForEach(issuer, json_member(status, "issuers")) {
    JsonWriter one;
    one.set("name", json_string(issuer, "name").value_or(""));
    one.set("state", json_string(issuer, "state").value_or(""));
    if (auto subject = json_string(issuer, "subject")) one.set("subject", *subject);
    if (auto left = json_integer(issuer, "ttl_left")) one.set("ttl_left", *left);
    if (auto bound = json_bool(issuer, "bound")) one.set("bound", *bound);
    ::cJSON_AddItemToArray(issuers.get(), one.take().release());
  }
  out.set("issuers", std::move(issuers));
  return out.take();
}

}  // namespace qf
