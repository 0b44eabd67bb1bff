// SPDX-License-Identifier: Apache-2.0
// The names of the tunnel in the SSH protocol: the outer connection logs in under the one (RFC 4252 section
// 5) and asks for the other (RFC 4254 section 6.5). No OS user can have the name; fabric documents must not
// use it.
#pragma once

namespace qf {

inline constexpr const char* kTunnelUser = "qufabric-tunnel";
inline constexpr const char* kTunnelSubsystem = "qufabric-tunnel";

}  // namespace qf
