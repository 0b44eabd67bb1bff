// SPDX-License-Identifier: Apache-2.0
#include "qf-up/etcd_session.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libqf/fd.h"
#include "libqf/secret.h"
#include "libqf/text.h"
#include "qf-sshd/memory_file.h"
#include "qf-up/etcd_place.h"

namespace qf {

namespace {

constexpr size_t kMostPem = 48 * 1024;
constexpr size_t kMostUserFile = 1024;
constexpr auto kWriteAnswer = std::chrono::seconds(30);

// The bits of `closed` must not be set in the mode of a file that holds a secret.
Result<std::string> read_secret(const std::string& path, mode_t closed, size_t most) {
  auto file = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!file) return file.error();
  struct stat st = {};
  if (::fstat(file->get(), &st) != 0) return system_error("cannot look at " + path);
  if (!S_ISREG(st.st_mode)) return input_error(path + " is not a file");
  if ((st.st_mode & closed) != 0)
    return with_hint(input_error(path + " is a secret, and others can read or write it"),
                     "run: chmod 600 " + for_shell(path));
  return read_file("/proc/self/fd/" + std::to_string(file->get()), most);
}

Status add_user(const std::string& path, EtcdRequest& request) {
  constexpr mode_t kOthers = 0077;
  auto text = read_secret(path, kOthers, kMostUserFile);
  if (!text) return text.error();
  std::string line = text->substr(0, text->find('\n'));
  wipe(*text);
  if (line.ends_with('\r')) line.pop_back();
  size_t colon = line.find(':');
  bool good = colon != std::string::npos && colon > 0;
  if (good) {
    request.user = line.substr(0, colon);
    request.password = line.substr(colon + 1);
  }
  wipe(line);
  if (good) return Done{};
  return input_error("the first line of " + path + " (--document-user-file) is not USER:PASSWORD");
}

Status add_certificate(const Choices& choices, EtcdRequest& request) {
  auto certificate = read_file(choices.document_cert_file, kMostPem);
  if (!certificate) return certificate.error();
  // a group for those who use etcd is customary
  constexpr mode_t kEverybody = 0007;
  auto key = read_secret(choices.document_key_file, kEverybody, kMostPem);
  if (!key) return key.error();
  request.certificate = std::move(*certificate);
  request.key = std::move(*key);
  return Done{};
}

}  // namespace

Result<EtcdRequest> etcd_request(const Choices& choices, bool watch) {
  auto place = parse_etcd_url(choices.document);
  if (!place) return place.error();
  EtcdRequest request;
  bool tls = !choices.document_ca_file.empty() || !choices.document_cert_file.empty();
  request.members = etcd_members(*place, tls);
  request.prefix = place->prefix;
  request.watch = watch;
  if (!choices.document_ca_file.empty()) request.ca_file = choices.document_ca_file;
  if (!choices.document_cert_file.empty()) {
    if (auto added = add_certificate(choices, request); !added) return added.error();
  }
  if (!choices.document_user_file.empty()) {
    if (auto added = add_user(choices.document_user_file, request); !added) return added.error();
  }
  return request;
}

Result<EtcdSession> EtcdSession::open(const Choices& choices, bool watch) {
  auto request = etcd_request(choices, watch);
  if (!request) return request.error();
  auto process = KeyfetchProcess::start();
  if (!process) return process.error();
  auto sent = process->socket.send(*request);
  wipe(request->key);
  wipe(request->password);
  if (!sent) return sent.error();
  return EtcdSession(std::move(*process));
}

Result<EtcdSnapshot> EtcdSession::next(Deadline deadline) {
  auto message = process_.receive(deadline);
  if (!message) return message.error();
  auto reply = open_message<EtcdReply>(*message);
  if (!reply) return reply.error();
  if (!reply->error.empty()) return Error{ErrorKind::kSystem, 0, reply->error, reply->hint};
  auto bytes = read_memory_file(message->fds[0].get(), kMostEtcdBytes);
  if (!bytes) return bytes.error();
  return decode<EtcdSnapshot>(*bytes);
}

Result<EtcdWritten> EtcdSession::write(uint64_t revision, const EtcdChanges& changes) {
  auto file = make_memory_file(encode(changes));
  if (!file) return file.error();
  if (auto sent = process_.socket.send(EtcdWrite{revision}, {file->get()}); !sent) return sent.error();
  auto message = process_.receive(Clock::now() + kWriteAnswer);
  if (!message) return message.error();
  return open_message<EtcdWritten>(*message);
}

Result<KeptDocument> document_of(EtcdSnapshot snapshot, const std::string& place) {
  KeptDocument document;
  bool root = false, signature = false;
  for (auto& pair : snapshot.pairs) {
    if (pair.key == kRootKey) {
      root = true;
      document.text = std::move(pair.value);
    } else if (pair.key == kSignatureKey) {
      signature = true;
      document.signature = std::move(pair.value);
    } else {
      document.parts.emplace(std::move(pair.key), std::move(pair.value));
    }
  }
  if (!root || !signature)
    return with_hint(
        not_found(std::string("there is no key ") + (root ? kSignatureKey : kRootKey) + " under " + place),
        "put a document there: qf-up publish FILE --sign-key KEY");
  return document;
}

}  // namespace qf
