// SPDX-License-Identifier: Apache-2.0
// The users of this system that the jailed roles run as (conf/sysusers.d).
#pragma once

namespace qf {

inline constexpr const char* kNetUser = "qufabric";
inline constexpr const char* kFetchUser = "qufabric-fetch";

}  // namespace qf
