// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/batch_mode.h"

#include "libqf/fd.h"
#include "libqf/parent.h"
#include "libqf/ssh_words.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr size_t kMostBytes = 4 << 20;  // of a command line; ARG_MAX is 2 MiB

}  // namespace

bool ssh_is_in_batch_mode() {
  auto ssh = parent_ssh();
  if (!ssh) return false;
  auto line = read_file("/proc/" + std::to_string(ssh->pid) + "/cmdline", kMostBytes);
  if (!line) return false;
  auto words = split(*line, '\0');
  if (!words.empty()) words.erase(words.begin());
  auto mode = option_value(read_client_words(*find_ssh_client("ssh"), words), "batchmode");
  return mode && (lower(*mode) == "yes" || lower(*mode) == "true");
}

}  // namespace qf
