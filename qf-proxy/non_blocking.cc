// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/non_blocking.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace qf {

NonBlocking::NonBlocking(int fd) {
  struct stat st = {};
  int flags = ::fcntl(fd, F_GETFL);
  if (::fstat(fd, &st) != 0 || flags < 0 || (flags & O_NONBLOCK) != 0) return;
  if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode)) return;
  if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0) fd_ = fd;
}

NonBlocking::~NonBlocking() {
  int flags = fd_ < 0 ? -1 : ::fcntl(fd_, F_GETFL);
  if (flags >= 0) (void)::fcntl(fd_, F_SETFL, flags & ~O_NONBLOCK);
}

}  // namespace qf
