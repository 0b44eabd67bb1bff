// SPDX-License-Identifier: Apache-2.0
// keyfetch's part for qf-up: the fabric document and its signature over https. What they say is qf-up's to
// judge. Runs in the role keyfetch (keyfetch.h), one request at a time.
#pragma once

#include <functional>

#include "libqf/http.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/message_socket.h"

namespace qf {

inline constexpr std::chrono::milliseconds kDocumentTime{30'000};  // document and signature together

class KeyfetchDocument {
 public:
  // `sent` hears how the sending of each reply went. All three outlive this.
  KeyfetchDocument(HttpClient& http, MessageSocket& asker, std::function<void(const Status&)> sent)
      : http_(http), asker_(asker), sent_(std::move(sent)) {}
  // False: not a message for this.
  bool take(const Message& message);

 private:
  void get(const std::string& url, size_t most_bytes, std::function<void(const HttpAnswer&)> next);
  void got_document(const HttpAnswer& answer);
  void fail(const Error& error, uint32_t retry_after = 0);
  void reply(const DocumentReply& head, std::string_view document, std::string_view signature);

  HttpClient& http_;
  MessageSocket& asker_;
  std::function<void(const Status&)> sent_;
  DocumentRequest request_;
  Deadline deadline_;
};

}  // namespace qf
