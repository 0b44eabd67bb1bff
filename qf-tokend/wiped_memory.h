// SPDX-License-Identifier: Apache-2.0
// All memory that this program frees is zeroed first: what C++ (operator delete is replaced in this program),
// cJSON, libcurl and OpenSSL give back. Tokens pass through buffers of all of them, and the copies that each
// leaves behind would lie in the heap for as long as the daemon runs.
#pragma once

namespace qf {

// For cJSON, libcurl and OpenSSL; before any of them is used.
void wipe_all_memory();

}  // namespace qf
