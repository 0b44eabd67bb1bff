// SPDX-License-Identifier: Apache-2.0
// Makes a pipe or socket of stdio non-blocking for a while: others may share its open file.
#pragma once

namespace qf {

class NonBlocking {
 public:
  // Leaves terminals, files and devices as they are.
  explicit NonBlocking(int fd);
  ~NonBlocking();
  NonBlocking(const NonBlocking&) = delete;
  NonBlocking& operator=(const NonBlocking&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace qf
