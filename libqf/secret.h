// SPDX-License-Identifier: Apache-2.0
// Bytes that must not be swapped out, dumped, copied by accident or logged. Memory is locked (mlock, best
// effort: the limit may be small) and left out of core dumps, and zeroed when freed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace qf {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret();

  // The only way to the bytes: easy to search for.
  [[nodiscard]] std::string_view reveal() const { return {data_, size_}; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] Secret clone() const { return Secret(reveal()); }

 private:
  void wipe();
  char* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;
};

// Zeroes the bytes of a string, its unused capacity included; the compiler cannot drop it.
void wipe(std::string& text);

// No core dump, no ptrace by the same user, no /proc/PID/mem: for processes that hold keys or tokens.
void make_undumpable();

}  // namespace qf
