// SPDX-License-Identifier: Apache-2.0
#include "qf-up/source_record.h"

#include <unistd.h>

#include <algorithm>

#include "libqf/codec.h"
#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/text.h"
#include "qf-sshd/listener_messages.h"

namespace qf {

namespace {

constexpr size_t kMostRecord = 65536;
constexpr mode_t kForAll = 0644;
constexpr mode_t kForUs = 0600;  // a document may hold client secrets
constexpr std::string_view kKeptHead = "qufabric-kept-document 1 ";
constexpr std::string_view kKeptPartsHead = "qufabric-kept-document 2\n";

// What follows the second head.
struct KeptParts {
  std::string text, signature;
  DocumentParts parts;
  static void fields(auto& self, auto& visit) { visit(self.signature, self.text, self.parts); }
};

std::string kept_path(const Folders& folders) {
  return folders.state + "/document.kept";
}

}  // namespace

std::string source_record_path(const Folders& folders) {
  return folders.state + "/document-source.json";
}

SourceRecord load_source_record(const Folders& folders, const std::string& url) {
  SourceRecord none;
  none.url = url;
  auto text = read_file(source_record_path(folders), kMostRecord);
  if (!text) return none;
  auto json = parse_json(*text);
  if (!json || json_string(json->get(), "url").value_or("") != url) return none;
  auto words = [&](const char* key) { return json_string(json->get(), key).value_or(""); };
  auto number = [&](const char* key) {
    return std::max<int64_t>(0, json_integer(json->get(), key).value_or(0));
  };
  SourceRecord record;
  record.url = url;
  record.hash = words("hash");
  record.etag = words("etag");
  record.last_modified = words("last_modified");
  record.signer = words("signer");
  record.serial = number("serial");
  record.expires = number("expires");
  record.last_attempt = number("last_attempt");
  record.last_success = number("last_success");
  record.error = words("error");
  record.hint = words("hint");
  record.error_since = number("error_since");
  record.failures = number("failures");
  record.retry_after = number("retry_after");
  return record;
}

Status save_source_record(const Folders& folders, const SourceRecord& record) {
  JsonWriter writer;
  writer.set("url", record.url).set("hash", record.hash).set("etag", record.etag);
  writer.set("last_modified", record.last_modified).set("signer", record.signer);
  writer.set("serial", record.serial).set("expires", record.expires);
  writer.set("last_attempt", record.last_attempt).set("last_success", record.last_success);
  writer.set("error", record.error).set("hint", record.hint).set("error_since", record.error_since);
  writer.set("failures", record.failures).set("retry_after", record.retry_after);
  return write_file_atomically(source_record_path(folders), writer.text() + "\n", kForAll);
}

Result<KeptDocument> load_kept(const Folders& folders) {
  std::string path = kept_path(folders);
  auto text = read_file(path, kMostEtcdBytes + kMostSignature);
  if (!text && text.error().sys == ENOENT) return not_found("no document is kept");
  if (!text) return text.error();
  if (text->starts_with(kKeptPartsHead)) {
    auto kept = decode<KeptParts>(std::string_view(*text).substr(kKeptPartsHead.size()));
    if (!kept) return input_error(path + " is damaged");
    return KeptDocument{std::move(kept->text), std::move(kept->signature), std::move(kept->parts)};
  }
  size_t end = text->find('\n');
  if (!text->starts_with(kKeptHead) || end == std::string::npos) return input_error(path + " is damaged");
  auto length =
      parse_number(std::string_view(*text).substr(kKeptHead.size(), end - kKeptHead.size()), kMostSignature);
  size_t body = end + 1;
  if (!length || *length > text->size() - body) return input_error(path + " is damaged");
  return KeptDocument{text->substr(body + *length), text->substr(body, *length), {}};
}

Status save_kept(const Folders& folders, const KeptDocument& kept) {
  if (!kept.parts.empty()) {
    std::string body = encode(KeptParts{kept.text, kept.signature, kept.parts});
    return write_file_atomically(kept_path(folders), std::string(kKeptPartsHead) + body, kForUs);
  }
  std::string head = std::string(kKeptHead) + std::to_string(kept.signature.size()) + "\n";
  return write_file_atomically(kept_path(folders), head + kept.signature + kept.text, kForUs);
}

void forget_source(const Folders& folders) {
  ::unlink(source_record_path(folders).c_str());
  ::unlink(kept_path(folders).c_str());
}

std::chrono::milliseconds source_delay(const SourceRecord& record, int64_t interval, double chance) {
  constexpr int64_t kMillisecond = 1000;
  int64_t seconds = interval;
  int64_t most = std::max(interval, kMostBackOff);
  for (int64_t i = 1; i < record.failures && seconds < most; ++i) seconds = std::min(seconds * 2, most);
  double part = 1.0 - 0.2 * std::clamp(chance, 0.0, 1.0);
  auto delay = static_cast<int64_t>(static_cast<double>(seconds * kMillisecond) * part);
  // nobody comes before the server wants it
  delay = std::max(delay, std::min(record.retry_after, kMostRetryAfter) * kMillisecond);
  return std::chrono::milliseconds(delay);
}

}  // namespace qf
