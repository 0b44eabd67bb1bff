// SPDX-License-Identifier: Apache-2.0
// Connections are served by forks of the listener. What the libraries load or look up when it is first used
// (OpenSSL's algorithms, NSS modules) would be loaded anew in every one of them, so it is used once before.
#pragma once

namespace qf {

// Cannot fail: what does not work here is said by who needs it.
void warm_up();

}  // namespace qf
