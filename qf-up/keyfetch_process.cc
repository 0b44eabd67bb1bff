// SPDX-License-Identifier: Apache-2.0
#include "qf-up/keyfetch_process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "libqf/folders.h"
#include "qf-sshd/settings.h"
#include "qf-up/machine.h"

namespace qf {

Result<KeyfetchProcess> KeyfetchProcess::start() {
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
  return KeyfetchProcess{std::move(ends->first), std::move(*child)};
}

Result<Message> KeyfetchProcess::receive(Deadline deadline) {
  auto message = socket.receive(deadline);
  if (!message && message.error().kind == ErrorKind::kNotFound)
    return Error{ErrorKind::kSystem, 0, "qf-keyfetch has ended without an answer"};
  return message;
}

}  // namespace qf
