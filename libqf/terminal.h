// SPDX-License-Identifier: Apache-2.0
// Where the person is: stderr when it is a terminal, else /dev/tty, for OpenSSH takes stderr away with
// ControlPersist. Without either there is nobody to ask. stdout is never written to: it is the connection.
#pragma once

#include <string>
#include <string_view>

#include "libqf/fd.h"

namespace qf {

// Why something cannot go on, for the person who asked for it.
struct Trouble {
  int exit_code = 1;
  std::string text;
  std::string hint;  // may be empty
};

class Terminal {
 public:
  [[nodiscard]] static Terminal find();
  // When this holds, which is asked at the first find() and not before, find() finds none, whatever there is.
  static void leave_alone_when(bool (*holds)());
  [[nodiscard]] static bool left_alone();
  [[nodiscard]] bool present() const { return fd_ >= 0; }
  // Control characters are removed; newlines stay.
  void show(std::string_view text) const;

  // Whether a line can be written over: it is one that moves its cursor.
  [[nodiscard]] bool can_rewrite() const;
  // Puts the text in the place of the line that the cursor is in and stays in it; an empty one clears it.
  void rewrite(std::string_view text) const;
  struct Size {
    int columns = 0, rows = 0;  // 0: unknown
  };
  [[nodiscard]] Size size() const;
  // By the locale of the environment (LC_ALL, LC_CTYPE, LANG).
  [[nodiscard]] static bool is_utf8();

 private:
  Fd owned_;
  int fd_ = -1;
};

// Whether nobody hears what is said: stderr leads nowhere and there is no terminal.
[[nodiscard]] bool nobody_hears();

// To stderr, and to /dev/tty when stderr leads nowhere. Returns the exit code.
int complain(const Trouble& trouble);

}  // namespace qf
