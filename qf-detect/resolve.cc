// SPDX-License-Identifier: Apache-2.0
#include "qf-detect/resolve.h"

#include <netdb.h>

#include <memory>

#include "libqf/address.h"
#include "libqf/peers_db.h"

namespace qf {

namespace {

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

struct Question {
  std::string host;
  addrinfo hints{};
  gaicb request{};
};

// getaddrinfo alone knows no deadline: a dead name server costs it 10 s and more.
Result<std::unique_ptr<addrinfo, FreeAddresses>> look_up(const std::string& host, Deadline deadline) {
  // Left to the resolver's thread when it does not answer in time: it may still write here.
  auto question = std::make_unique<Question>();
  question->host = host;
  question->hints.ai_socktype = SOCK_STREAM;
  question->request.ar_name = question->host.c_str();
  question->request.ar_request = &question->hints;
  gaicb* requests[] = {&question->request};
  int code = ::getaddrinfo_a(GAI_NOWAIT, requests, 1, nullptr);
  if (code == 0) {
    struct timespec left = {};
    int milliseconds = poll_timeout(deadline);
    left.tv_sec = milliseconds / 1000;
    left.tv_nsec = (milliseconds % 1000) * 1'000'000L;
    ::gai_suspend(requests, 1, &left);
    code = ::gai_error(requests[0]);
  }
  if (code == EAI_INPROGRESS) {
    (void)question.release();
    return timeout_error("the resolver did not answer for \"" + host + "\" in time");
  }
  if (code != 0) return not_found("cannot resolve \"" + host + "\": " + ::gai_strerror(code));
  return std::unique_ptr<addrinfo, FreeAddresses>(question->request.ar_result);
}

}  // namespace

Result<Target> resolve_target(const Folders& folders, const std::string& host, Deadline deadline) {
  Target target;
  if (auto db = PeersDb::open(folders.peers_mdb())) {
    if (auto peer = db->find_peer(host)) return Target{peer->name, peer->addresses};
  }
  if (auto address = canonical_address(host)) return Target{"", {*address}};
  auto list = look_up(host, deadline);
  if (!list) return list.error();
  for (const addrinfo* entry = list->get(); entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST] = {};
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    if (auto address = canonical_address(text)) target.addresses.push_back(*address);
  }
  if (target.addresses.empty()) return not_found("\"" + host + "\" has no address that can be used");
  return target;
}

}  // namespace qf
