// SPDX-License-Identifier: Apache-2.0
// What qf-tokend says of an issuer (qf-tokend-protocol(7), "status"), for people.
#pragma once

#include <string>

#include "libqf/json.h"

namespace qf {

// "alice, good for 45 min, bound to this login's key"; not cleaned of control characters.
[[nodiscard]] std::string token_state(const cJSON* issuer);

}  // namespace qf
