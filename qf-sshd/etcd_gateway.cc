// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/etcd_gateway.h"

#include "libqf/base64.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostFaultWords = 300;
constexpr size_t kMostToken = 16 * 1024;  // one that is a JWT has an RSA signature and a user's name
constexpr uint64_t kMostRevision = INT64_MAX;

JsonWriter key_writer(const EtcdKeys& keys, const std::string& from) {
  JsonWriter writer;
  writer.set("key", base64(from)).set("range_end", base64(keys.end));
  return writer;
}

void append(cJSON* list, JsonPtr item) {
  if (::cJSON_AddItemToArray(list, item.get()) == 0) std::abort();  // out of memory
  static_cast<void>(item.release());
}

// An unsigned number, which protobuf's JSON writes as a string; left out it is 0.
Result<uint64_t> number_of(const cJSON* object, const char* key) {
  const cJSON* value = json_member(object, key);
  if (value == nullptr) return uint64_t{0};
  if (cJSON_IsString(value) != 0) {
    if (auto number = parse_number(value->valuestring, kMostRevision)) return *number;
  } else if (auto number = json_integer(object, key); number && *number >= 0) {
    return static_cast<uint64_t>(*number);
  }
  return peer_error(std::string("\"") + key + "\" is no number");
}

Result<bool> flag_of(const cJSON* object, const char* key) {
  if (json_member(object, key) == nullptr) return false;
  if (auto value = json_bool(object, key)) return *value;
  return peer_error(std::string("\"") + key + "\" is neither true nor false");
}

Result<std::string> bytes_of(const cJSON* object, const char* key) {
  const cJSON* value = json_member(object, key);
  if (value == nullptr) return std::string();
  auto bytes = cJSON_IsString(value) != 0 ? base64_decode(value->valuestring) : std::nullopt;
  if (!bytes) return peer_error(std::string("\"") + key + "\" is no base64");
  return std::move(*bytes);
}

Result<JsonPtr> object_of(std::string_view text) {
  auto json = parse_json(text);
  if (!json) return peer_error("it is not JSON: " + json.error().what);
  if (cJSON_IsObject(json->get()) == 0) return peer_error("it is no JSON object");
  return json;
}

Result<EtcdHeader> header_of(const cJSON* object) {
  const cJSON* header = json_member(object, "header");
  if (header == nullptr || cJSON_IsObject(header) == 0) return peer_error("it has no \"header\"");
  auto cluster = number_of(header, "cluster_id");
  // a number without a sign, which may be beyond what a revision can be
  std::string name = json_string(header, "cluster_id").value_or("");
  if (!cluster && !parse_number(name, UINT64_MAX)) return cluster.error();
  auto revision = number_of(header, "revision");
  if (!revision) return revision.error();
  return EtcdHeader{name, *revision};
}

// A list that is left out is empty.
Result<const cJSON*> list_of(const cJSON* object, const char* key) {
  const cJSON* list = json_member(object, key);
  if (list == nullptr) return static_cast<const cJSON*>(nullptr);
  if (cJSON_IsArray(list) == 0) return peer_error(std::string("\"") + key + "\" is no list");
  return static_cast<const cJSON*>(list->child);
}

std::string words(const std::string& text) {
  return printable(text.substr(0, kMostFaultWords));
}

std::optional<EtcdFault> fault_of(const cJSON* object) {
  EtcdFault fault;
  auto code = json_integer(object, "code");
  if (!code) code = json_integer(object, "grpc_code");
  // "error" is a text in one answer, and what is in a watch has "message" alone
  auto message = json_string(object, "message");
  if (!message) message = json_string(object, "error");
  if (!code || !message) return std::nullopt;
  fault.code = *code;
  fault.message = words(*message);
  return fault;
}

Result<EtcdEvent> event_of(const cJSON* object) {
  const cJSON* kv = json_member(object, "kv");
  if (kv == nullptr || cJSON_IsObject(kv) == 0) return peer_error("an event has no \"kv\"");
  std::string type = json_string(object, "type").value_or("PUT");
  if (type != "PUT" && type != "DELETE") return peer_error("an event of an unknown type");
  EtcdEvent event;
  auto key = bytes_of(kv, "key");
  if (!key) return key.error();
  auto value = bytes_of(kv, "value");
  if (!value) return value.error();
  auto revision = number_of(kv, "mod_revision");
  if (!revision) return revision.error();
  if (*revision == 0) return peer_error("an event has no revision");
  event.key = std::move(*key);
  event.revision = *revision;
  if (type == "PUT") event.value = std::move(*value);
  return event;
}

Status add_events(const cJSON* result, EtcdNews& news) {
  auto first = list_of(result, "events");
  if (!first) return first.error();
  for (const cJSON* item = *first; item != nullptr; item = item->next) {
    auto event = event_of(item);
    if (!event) return event.error();
    news.events.push_back(std::move(*event));
  }
  return Done{};
}

}  // namespace

std::string etcd_range_text(const std::string& from, const EtcdKeys& keys, uint64_t limit,
                            uint64_t revision) {
  JsonWriter writer = key_writer(keys, from);
  writer.set("limit", std::to_string(limit));
  if (revision != 0) writer.set("revision", std::to_string(revision));
  return writer.text();
}

std::string etcd_probe_text(const EtcdKeys& keys) {
  JsonWriter writer = key_writer(keys, keys.first);
  return writer.set("count_only", true).text();
}

std::string etcd_watch_text(const EtcdKeys& keys, uint64_t from_revision) {
  JsonWriter create = key_writer(keys, keys.first);
  // no progress_notify: until 3.4.25 and 3.5.8 it may name revisions whose events are still to come
  create.set("start_revision", std::to_string(from_revision));
  return JsonWriter().set("create_request", create.take()).text();
}

std::string etcd_login_text(const std::string& user, const std::string& password) {
  return JsonWriter().set("name", user).set("password", password).text();
}

std::string etcd_txn_text(const EtcdKeys& keys, uint64_t revision,
                          const std::map<std::string, std::string>& puts,
                          const std::vector<std::string>& deletes) {
  JsonWriter compare = key_writer(keys, keys.first);
  compare.set("target", "MOD").set("result", "LESS").set("mod_revision", std::to_string(revision + 1));
  JsonPtr compares(::cJSON_CreateArray()), operations(::cJSON_CreateArray());
  append(compares.get(), compare.take());
  for (const auto& [key, value] : puts) {
    JsonWriter put;
    put.set("key", base64(key)).set("value", base64(value));
    append(operations.get(), JsonWriter().set("request_put", put.take()).take());
  }
  for (const auto& key : deletes) {
    JsonWriter gone;
    gone.set("key", base64(key));
    append(operations.get(), JsonWriter().set("request_delete_range", gone.take()).take());
  }
  return JsonWriter().set("compare", std::move(compares)).set("success", std::move(operations)).text();
}

Result<EtcdRange> read_etcd_range(std::string_view text) {
  auto json = object_of(text);
  if (!json) return json.error();
  EtcdRange range;
  auto header = header_of(json->get());
  if (!header) return header.error();
  if (header->revision == 0) return peer_error("it has no revision");
  range.header = std::move(*header);
  auto more = flag_of(json->get(), "more");
  if (!more) return more.error();
  range.more = *more;
  auto first = list_of(json->get(), "kvs");
  if (!first) return first.error();
  for (const cJSON* item = *first; item != nullptr; item = item->next) {
    auto key = bytes_of(item, "key");
    if (!key) return key.error();
    auto value = bytes_of(item, "value");
    if (!value) return value.error();
    if (key->empty()) return peer_error("a key is empty");
    if (!range.pairs.empty() && range.pairs.back().first >= *key)
      return peer_error("its keys are not in order");
    range.pairs.emplace_back(std::move(*key), std::move(*value));
  }
  if (range.more && range.pairs.empty()) return peer_error("it has no keys and says that there are more");
  return range;
}

Result<EtcdTxn> read_etcd_txn(std::string_view text) {
  auto json = object_of(text);
  if (!json) return json.error();
  auto header = header_of(json->get());
  if (!header) return header.error();
  auto done = flag_of(json->get(), "succeeded");
  if (!done) return done.error();
  return EtcdTxn{header->revision, *done};
}

Result<std::string> read_etcd_token(std::string_view text) {
  auto json = object_of(text);
  if (!json) return json.error();
  auto token = json_string(json->get(), "token");
  // it goes into a header
  if (!token || token->empty() || token->size() > kMostToken || !is_visible_ascii(*token))
    return peer_error("it has no \"token\" of visible ASCII");
  return std::move(*token);
}

std::optional<EtcdFault> read_etcd_fault(std::string_view text) {
  auto json = object_of(text);
  if (!json) return std::nullopt;
  return fault_of(json->get());
}

Result<EtcdNews> read_etcd_news(std::string_view line) {
  auto json = object_of(line);
  if (!json) return json.error();
  EtcdNews news;
  if (const cJSON* error = json_member(json->get(), "error"); error != nullptr) {
    news.fault = cJSON_IsObject(error) != 0 ? fault_of(error) : fault_of(json->get());
    if (!news.fault) return peer_error("it has an \"error\" that says nothing");
    return news;
  }
  const cJSON* result = json_member(json->get(), "result");
  if (result == nullptr || cJSON_IsObject(result) == 0) return peer_error("it has no \"result\"");
  auto header = header_of(result);
  if (!header) return header.error();
  news.header = std::move(*header);
  auto created = flag_of(result, "created");
  if (!created) return created.error();
  auto canceled = flag_of(result, "canceled");
  if (!canceled) return canceled.error();
  auto compacted = number_of(result, "compact_revision");
  if (!compacted) return compacted.error();
  news.created = *created;
  news.canceled = *canceled;
  news.compacted = *canceled && *compacted != 0;
  news.reason = words(json_string(result, "cancel_reason").value_or(""));
  if (auto added = add_events(result, news); !added) return added.error();
  return news;
}

}  // namespace qf
