// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace qf {

// When the tests of qf-tokend take place, seconds since 1970.
inline constexpr int64_t kNow = 1'800'000'000;

}  // namespace qf
