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
constexpr size_t kMostText = 64 * 1024;
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

// A tree of what a stranger sends may take twenty times its bytes, so answers are read by their pieces, and
// only what is short becomes a tree. All of them are of a text that check_json() has passed.
using Piece = std::optional<std::string_view>;

Piece piece_of(std::string_view object, std::string_view key) {
  JsonPieces members(object);
  while (members.next()) {
    if (members.of_object() && members.key() == key) return members.value();
  }
  return std::nullopt;
}

bool is_object(std::string_view piece) {
  return trim(piece).starts_with('{');
}

Error wrong_piece(std::string_view key, const char* what) {
  return peer_error("\"" + std::string(key) + "\" is " + what);
}

// Without its quotes; one with escapes is none that is asked for so.
Piece quoted_piece(std::string_view piece) {
  if (piece.size() < 2 || !piece.starts_with('"')) return std::nullopt;
  return piece.substr(1, piece.size() - 2);
}

// An unsigned number, which protobuf's JSON writes as a string; left out it is 0.
Result<uint64_t> number_of(std::string_view object, const char* key, uint64_t most = kMostRevision) {
  auto piece = piece_of(object, key);
  if (!piece) return uint64_t{0};
  if (auto number = parse_number(quoted_piece(*piece).value_or(*piece), most)) return *number;
  return wrong_piece(key, "no number");
}

Result<bool> flag_of(std::string_view object, const char* key) {
  auto piece = piece_of(object, key);
  if (!piece || *piece == "false") return false;
  if (*piece == "true") return true;
  return wrong_piece(key, "neither true nor false");
}

Result<std::string> bytes_of(std::string_view object, const char* key) {
  auto piece = piece_of(object, key);
  if (!piece) return std::string();
  auto text = quoted_piece(*piece);
  auto bytes = text ? base64_decode(*text) : std::nullopt;
  if (!bytes) return wrong_piece(key, "no base64");
  return std::move(*bytes);
}

std::optional<std::string> text_of(std::string_view object, const char* key) {
  auto piece = piece_of(object, key);
  if (!piece || piece->size() > kMostText || !quoted_piece(*piece)) return std::nullopt;
  auto json = parse_checked_json(*piece);
  if (!json || ::cJSON_IsString(json->get()) == 0) return std::nullopt;
  return std::string((*json)->valuestring);
}

Status check_object(std::string_view text) {
  if (auto good = check_json(text); !good) return peer_error("it is not JSON: " + good.error().what);
  return is_object(text) ? Status(Done{}) : peer_error("it is no JSON object");
}

Result<EtcdHeader> header_of(std::string_view object) {
  auto header = piece_of(object, "header");
  if (!header || !is_object(*header)) return peer_error("it has no \"header\"");
  // a number without a sign, which may be beyond what a revision can be
  auto cluster = number_of(*header, "cluster_id", UINT64_MAX);
  if (!cluster) return cluster.error();
  auto revision = number_of(*header, "revision");
  if (!revision) return revision.error();
  return EtcdHeader{std::to_string(*cluster), *revision};
}

// A list that is left out is empty.
Result<JsonPieces> list_of(std::string_view object, const char* key) {
  auto list = piece_of(object, key);
  if (!list) return JsonPieces("[]");
  if (!list->starts_with('[')) return wrong_piece(key, "no list");
  return JsonPieces(*list);
}

std::string words(const std::string& text) {
  return printable(text.substr(0, kMostFaultWords));
}

std::optional<EtcdFault> fault_of(std::string_view object) {
  constexpr uint64_t kMostCode = 1000;
  const char* key = piece_of(object, "code") ? "code" : "grpc_code";
  auto code = number_of(object, key, kMostCode);
  // "error" is a text in one answer, and what is in a watch has "message" alone
  auto message = text_of(object, "message");
  if (!message) message = text_of(object, "error");
  if (!piece_of(object, key) || !code || !message) return std::nullopt;
  return EtcdFault{static_cast<int64_t>(*code), words(*message)};
}

Result<EtcdEvent> event_of(std::string_view object) {
  auto kv = piece_of(object, "kv");
  if (!kv || !is_object(*kv)) return peer_error("an event has no \"kv\"");
  std::string_view type = piece_of(object, "type").value_or("\"PUT\"");
  if (type != "\"PUT\"" && type != "\"DELETE\"") return peer_error("an event of an unknown type");
  EtcdEvent event;
  auto key = bytes_of(*kv, "key");
  if (!key) return key.error();
  auto value = bytes_of(*kv, "value");
  if (!value) return value.error();
  auto revision = number_of(*kv, "mod_revision");
  if (!revision) return revision.error();
  if (*revision == 0) return peer_error("an event has no revision");
  event.key = std::move(*key);
  event.revision = *revision;
  if (type == "\"PUT\"") event.value = std::move(*value);
  return event;
}

Status add_events(std::string_view result, EtcdNews& news) {
  auto events = list_of(result, "events");
  if (!events) return events.error();
  while (events->next()) {
    auto event = event_of(events->value());
    if (!event) return event.error();
    news.events.push_back(std::move(*event));
  }
  return Done{};
}

Status add_pairs(std::string_view text, size_t most, EtcdRange& range) {
  auto pairs = list_of(text, "kvs");
  if (!pairs) return pairs.error();
  while (pairs->next()) {
    if (range.pairs.size() == most) return peer_error("it has more keys than were asked for");
    auto key = bytes_of(pairs->value(), "key");
    if (!key) return key.error();
    auto value = bytes_of(pairs->value(), "value");
    if (!value) return value.error();
    if (key->empty()) return peer_error("a key is empty");
    if (!range.pairs.empty() && range.pairs.back().first >= *key)
      return peer_error("its keys are not in order");
    range.pairs.emplace_back(std::move(*key), std::move(*value));
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

Result<EtcdRange> read_etcd_range(std::string_view text, size_t most) {
  if (auto good = check_object(text); !good) return good.error();
  EtcdRange range;
  auto header = header_of(text);
  if (!header) return header.error();
  if (header->revision == 0) return peer_error("it has no revision");
  range.header = std::move(*header);
  auto more = flag_of(text, "more");
  if (!more) return more.error();
  range.more = *more;
  if (auto added = add_pairs(text, most, range); !added) return added.error();
  if (range.more && range.pairs.empty()) return peer_error("it has no keys and says that there are more");
  return range;
}

Result<EtcdTxn> read_etcd_txn(std::string_view text) {
  if (auto good = check_object(text); !good) return good.error();
  auto header = header_of(text);
  if (!header) return header.error();
  auto done = flag_of(text, "succeeded");
  if (!done) return done.error();
  return EtcdTxn{header->revision, *done};
}

Result<std::string> read_etcd_token(std::string_view text) {
  if (auto good = check_object(text); !good) return good.error();
  auto token = text_of(text, "token");
  // it goes into a header
  if (!token || token->empty() || token->size() > kMostToken || !is_visible_ascii(*token))
    return peer_error("it has no \"token\" of visible ASCII");
  return std::move(*token);
}

std::optional<EtcdFault> read_etcd_fault(std::string_view text) {
  if (!check_object(text)) return std::nullopt;
  return fault_of(text);
}

Result<EtcdNews> read_etcd_news(std::string_view line) {
  if (auto good = check_object(line); !good) return good.error();
  EtcdNews news;
  if (auto error = piece_of(line, "error")) {
    news.fault = is_object(*error) ? fault_of(*error) : fault_of(line);
    if (!news.fault) return peer_error("it has an \"error\" that says nothing");
    return news;
  }
  auto result = piece_of(line, "result");
  if (!result || !is_object(*result)) return peer_error("it has no \"result\"");
  auto header = header_of(*result);
  if (!header) return header.error();
  news.header = std::move(*header);
  auto created = flag_of(*result, "created");
  if (!created) return created.error();
  auto canceled = flag_of(*result, "canceled");
  if (!canceled) return canceled.error();
  auto compacted = number_of(*result, "compact_revision");
  if (!compacted) return compacted.error();
  news.created = *created;
  news.canceled = *canceled;
  news.compacted = *canceled && *compacted != 0;
  news.reason = words(text_of(*result, "cancel_reason").value_or(""));
  if (auto added = add_events(*result, news); !added) return added.error();
  return news;
}

}  // namespace qf
