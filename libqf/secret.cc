// SPDX-License-Identifier: Apache-2.0
// Each secret has pages of its own, so that locking and freeing one never touches another. Without memory for
// it the program aborts; without the right to lock it goes on.
#include "libqf/secret.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "libqf/log.h"

namespace qf {

namespace {

void warn_unlocked() {
  static bool said = false;
  if (!std::exchange(said, true))
    log_warning("memory for secrets cannot be locked (RLIMIT_MEMLOCK): they may be swapped out");
}

}  // namespace

Secret::Secret(std::string_view bytes) {
  if (bytes.empty()) return;
  auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  size_t mapped = (bytes.size() + page - 1) / page * page;
  void* memory = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  // Both best effort: RLIMIT_MEMLOCK may be used up, and an old kernel may know no MADV_DONTDUMP.
  if (::mlock(memory, mapped) != 0) warn_unlocked();
  (void)::madvise(memory, mapped, MADV_DONTDUMP);
  std::memcpy(memory, bytes.data(), bytes.size());
  data_ = static_cast<char*>(memory);
  size_ = bytes.size();
  mapped_ = mapped;
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe();
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  mapped_ = std::exchange(other.mapped_, 0);
  return *this;
}

Secret::~Secret() {
  wipe();
}

void Secret::wipe() {
  if (data_ == nullptr) return;
  ::explicit_bzero(data_, mapped_);
  ::munmap(data_, mapped_);
  data_ = nullptr;
  size_ = mapped_ = 0;
}

void wipe(std::string& text) {
  // within the capacity, so this never moves the bytes
  text.resize(text.capacity());
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

void make_undumpable() {
  struct rlimit none = {0, 0};
  // PR_SET_DUMPABLE cannot fail with these arguments, and a core limit may always be lowered
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || ::setrlimit(RLIMIT_CORE, &none) != 0) std::abort();
}

}  // namespace qf
