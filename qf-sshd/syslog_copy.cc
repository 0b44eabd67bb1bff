// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/syslog_copy.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <ctime>

#include "libqf/fd.h"
#include "libqf/log.h"

namespace qf {

void send_to_syslog(const std::string& socket, int priority, const char* name, std::string_view text) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, socket.c_str(), socket.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return log_debug(system_error("cannot copy an audit line to syslog").text());
  std::time_t now = std::time(nullptr);
  std::tm local = {};
  char when[32] = {};
  // "Nov  8 07:04:17", in this language (RFC 3164 section 4.1.2)
  if (::localtime_r(&now, &local) != nullptr) std::strftime(when, sizeof when, "%h %e %T", &local);
  std::string message =
      "<" + std::to_string(priority) + ">" + when + " " + name + "[" + std::to_string(::getpid()) + "]: ";
  message += text;
  if (::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address),
               sizeof address) < 0)
    log_debug(system_error("cannot copy an audit line to syslog").text());
}

}  // namespace qf
