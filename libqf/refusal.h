// SPDX-License-Identifier: Apache-2.0
// Why somebody gets no token, in words for them.
#pragma once

#include <string>

namespace qf {

struct Refusal {
  std::string code;  // one word for programs (qf-tokend-protocol(7))
  std::string message;
  std::string hint;  // what to do; empty: nothing
};

}  // namespace qf
