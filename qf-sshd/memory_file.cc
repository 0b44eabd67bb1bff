// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/memory_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace qf {

namespace {
constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
}

Result<Fd> make_memory_file(std::string_view content) {
  Fd fd(::memfd_create("qufabric", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return system_error("cannot make a memory file");
  if (auto written = write_all(fd.get(), content); !written) return written.error();
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return system_error("cannot seal a memory file");
  return fd;
}

Result<std::string> read_memory_file(int fd, size_t limit) {
  if ((::fcntl(fd, F_GET_SEALS) & kSeals) != kSeals) return peer_error("not a sealed memory file");
  struct stat st = {};
  if (::fstat(fd, &st) != 0) return system_error("cannot look at a memory file");
  auto size = static_cast<size_t>(st.st_size);
  if (size > limit) return peer_error("longer than " + std::to_string(limit) + " bytes");
  std::string content(size, '\0');
  size_t done = 0;
  while (done < size) {
    ssize_t n = ::pread(fd, content.data() + done, size - done, static_cast<off_t>(done));
    if (n <= 0) return system_error("cannot read a memory file");
    done += static_cast<size_t>(n);
  }
  return content;
}

}  // namespace qf
