// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace qf {

// Whether the ssh that runs us was told on its command line to ask nobody (-o BatchMode=yes, which scp -B,
// sftp -b and the completion of remote file names in shells pass on). A BatchMode in a configuration file
// cannot be seen from here.
[[nodiscard]] bool ssh_is_in_batch_mode();

}  // namespace qf
