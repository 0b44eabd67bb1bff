// SPDX-License-Identifier: Apache-2.0
#include "qf-up/fetch_document.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "libqf/child.h"
#include "libqf/folders.h"
#include "qf-sshd/memory_file.h"
#include "qf-sshd/message_socket.h"
#include "qf-sshd/settings.h"
#include "qf-up/machine.h"

namespace qf {

namespace {

constexpr auto kFetchDeadline = std::chrono::seconds(40);  // more than qf-keyfetch gives itself

Result<Message> answer_of_keyfetch(const DocumentRequest& request) {
  if (::geteuid() == 0) {
    if (auto made = ensure_system_users(); !made) return made.error();
  }
  auto ends = MessageSocket::pair();
  if (!ends) return ends.error();
  std::vector<std::string> words = {sibling_program("qf-keyfetch"), "--fd",
                                    std::to_string(ends->second.fd())};
  if (::geteuid() == 0) words.insert(words.end(), {"--user", kFetchUser});
  if (::fcntl(ends->second.fd(), F_SETFD, 0) != 0) return system_error("cannot hand on a socket");
  SpawnOptions options;
  options.death_signal = SIGKILL;
  auto null = open_file("/dev/null", O_RDWR);
  if (!null) return null.error();
  options.stdin_fd = null->get();
  options.stdout_fd = null->get();
  auto child = Child::spawn(words, options);
  if (!child) return child.error();
  ends->second.close();
  if (auto sent = ends->first.send(request); !sent) return sent.error();
  auto message = ends->first.receive(Clock::now() + kFetchDeadline);
  if (!message && message.error().kind == ErrorKind::kNotFound)
    return Error{ErrorKind::kSystem, 0, "qf-keyfetch has ended without an answer"};
  return message;
}

}  // namespace

Result<DocumentAnswer> fetch_document(const Choices& choices, const std::string& etag,
                                      const std::string& last_modified) {
  DocumentRequest request;
  request.url = choices.document;
  if (!choices.document_ca_file.empty()) request.ca_file = choices.document_ca_file;
  request.etag = etag;
  request.last_modified = last_modified;
  auto message = answer_of_keyfetch(request);
  if (!message) return message.error();
  auto reply = open_message<DocumentReply>(*message);
  if (!reply) return reply.error();
  DocumentAnswer answer{std::move(*reply), "", ""};
  if (!answer.reply.error.empty() || !answer.reply.changed) return answer;
  auto text = read_memory_file(message->fds[0].get(), kMostRemoteDocument);
  auto signature = read_memory_file(message->fds[1].get(), kMostSignature);
  if (!text) return text.error();
  if (!signature) return signature.error();
  answer.text = std::move(*text);
  answer.signature = std::move(*signature);
  return answer;
}

}  // namespace qf
