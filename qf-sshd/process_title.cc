// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/process_title.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "libqf/log.h"

namespace qf {

namespace {

struct Space {
  char* start = nullptr;
  size_t size = 0;
};

// Linux puts the strings of argv and environ one behind the other; the first one elsewhere ends the space.
Space find_space(int argc, char** argv) {
  if (argc < 1) return {};
  Space space{argv[0], 0};
  auto extend = [&](const char* text) {
    if (text == space.start + space.size) space.size += std::strlen(text) + 1;
  };
  for (int i = 0; i < argc; ++i) extend(argv[i]);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    char* copy = ::strdup(*variable);
    if (copy == nullptr) break;
    extend(*variable);
    *variable = copy;  // for the life of the process
  }
  return space;
}

// The first call says where it is.
const Space& title_space(int argc = 0, char** argv = nullptr) {
  static const Space kSpace = find_space(argc, argv);
  return kSpace;
}

}  // namespace

void keep_title_space(int argc, char** argv) {
  static_cast<void>(title_space(argc, argv));
}

void set_title(const std::string& title) {
  const Space& space = title_space();
  if (space.size == 0) return;
  std::string text = "qf-sshd: " + printable(title);
  size_t length = std::min(text.size(), space.size - 1);
  std::memcpy(space.start, text.data(), length);
  std::memset(space.start + length, 0, space.size - length);
}

std::string role_title(const std::string& role, const std::string& user) {
  return user.empty() ? "[" + role + "]" : user + " [" + role + "]";
}

}  // namespace qf
