// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/keyfetch_document.h"

#include <algorithm>

#include "libqf/log.h"
#include "qf-sshd/memory_file.h"

namespace qf {

namespace {

constexpr size_t kMostDocumentWords = 1000;  // of an error and of a hint; DocumentReply has room for more
constexpr std::chrono::milliseconds kDocumentConnectTime{5'000};
constexpr long kHttpOk = 200, kHttpNotModified = 304, kHttpNotFound = 404;

uint32_t wait_of(const HttpAnswer& answer) {
  return static_cast<uint32_t>(std::max<int64_t>(0, answer.retry_after.value_or(0)));
}

}  // namespace

bool KeyfetchDocument::take(const Message& message) {
  if (message.type != static_cast<uint32_t>(DocumentRequest::kType)) return false;
  auto request = open_message<DocumentRequest>(message);
  if (!request) {
    sent_(request.error());
    return true;
  }
  request_ = std::move(*request);
  deadline_ = Clock::now() + kDocumentTime;
  get(request_.url, kMostRemoteDocument, [this](const HttpAnswer& answer) { got_document(answer); });
  return true;
}

void KeyfetchDocument::get(const std::string& url, size_t most_bytes,
                           std::function<void(const HttpAnswer&)> next) {
  HttpRequest wanted;
  wanted.url = url;
  wanted.ca_file = request_.ca_file.value_or("");
  wanted.ca_setting = "--document-ca-file";
  wanted.accept = "*/*";
  // the signature is of that very document: it is asked for anew
  if (url == request_.url) {
    wanted.etag = request_.etag;
    wanted.last_modified = request_.last_modified;
  }
  auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
  wanted.limits.most_bytes = most_bytes;
  // to libcurl 0 is no limit
  wanted.limits.total_time = std::max(left, std::chrono::milliseconds(1));
  wanted.limits.connect_time = std::min(kDocumentConnectTime, wanted.limits.total_time);
  http_.start(std::move(wanted), [this, url, next = std::move(next)](Result<HttpAnswer> answer) {
    if (!answer) return fail(answer.error());
    bool same = answer->status == kHttpNotModified && url == request_.url;
    if (answer->status == kHttpOk || same) return next(*answer);
    Error error = peer_error(url_host(url) + " answers with HTTP status " + std::to_string(answer->status) +
                             " for " + url);
    if (answer->status == kHttpNotFound && url != request_.url)
      error.hint = "sign the document (ssh-keygen -Y sign -n qufabric-document) and put the signature there";
    fail(error, wait_of(*answer));
  });
}

void KeyfetchDocument::got_document(const HttpAnswer& answer) {
  DocumentReply head;
  head.etag = answer.etag;
  head.last_modified = answer.last_modified;
  if (answer.status == kHttpNotModified) return reply(head, "", "");
  head.changed = true;
  get(request_.url + ".sig", kMostSignature,
      [this, head, document = answer.body](const HttpAnswer& signature) {
        reply(head, document, signature.body);
      });
}

void KeyfetchDocument::fail(const Error& error, uint32_t retry_after) {
  DocumentReply head;
  head.error = printable(error.text().substr(0, kMostDocumentWords));
  head.hint = printable(error.hint.substr(0, kMostDocumentWords));
  head.retry_after = retry_after;
  reply(head, "", "");
}

void KeyfetchDocument::reply(const DocumentReply& head, std::string_view document,
                             std::string_view signature) {
  auto first = make_memory_file(document);
  auto second = make_memory_file(signature);
  if (!first) return sent_(first.error());
  if (!second) return sent_(second.error());
  sent_(asker_.send(head, {first->get(), second->get()}));
}

}  // namespace qf
