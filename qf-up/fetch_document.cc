// SPDX-License-Identifier: Apache-2.0
#include "qf-up/fetch_document.h"

#include "qf-sshd/memory_file.h"
#include "qf-up/etcd_place.h"
#include "qf-up/etcd_session.h"
#include "qf-up/keyfetch_process.h"

namespace qf {

namespace {

constexpr auto kFetchDeadline = std::chrono::seconds(40);  // more than qf-keyfetch gives itself

Result<Message> answer_of_keyfetch(const DocumentRequest& request) {
  auto process = KeyfetchProcess::start();
  if (!process) return process.error();
  if (auto sent = process->socket.send(request); !sent) return sent.error();
  return process->receive(Clock::now() + kFetchDeadline);
}

Result<DocumentAnswer> fetch_from_etcd(const Choices& choices) {
  auto session = EtcdSession::open(choices, false);
  if (!session) return session.error();
  auto snapshot = session->next(Clock::now() + kEtcdFirstAnswer);
  if (!snapshot) return snapshot.error();
  return etcd_answer(std::move(*snapshot), choices);
}

}  // namespace

Result<DocumentAnswer> etcd_answer(EtcdSnapshot snapshot, const Choices& choices) {
  auto document = document_of(std::move(snapshot), choices.document);
  if (!document) return document.error();
  DocumentAnswer answer;
  answer.reply.changed = true;
  answer.document = std::move(*document);
  return answer;
}

Result<DocumentAnswer> fetch_document(const Choices& choices, const std::string& etag,
                                      const std::string& last_modified) {
  if (is_etcd_url(choices.document)) return fetch_from_etcd(choices);
  DocumentRequest request;
  request.url = choices.document;
  if (!choices.document_ca_file.empty()) request.ca_file = choices.document_ca_file;
  request.etag = etag;
  request.last_modified = last_modified;
  auto message = answer_of_keyfetch(request);
  if (!message) return message.error();
  auto reply = open_message<DocumentReply>(*message);
  if (!reply) return reply.error();
  DocumentAnswer answer{std::move(*reply), {}};
  if (!answer.reply.error.empty() || !answer.reply.changed) return answer;
  auto text = read_memory_file(message->fds[0].get(), kMostRemoteDocument);
  auto signature = read_memory_file(message->fds[1].get(), kMostSignature);
  if (!text) return text.error();
  if (!signature) return signature.error();
  answer.document.text = std::move(*text);
  answer.document.signature = std::move(*signature);
  return answer;
}

}  // namespace qf
