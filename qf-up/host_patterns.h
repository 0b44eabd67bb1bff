// SPDX-License-Identifier: Apache-2.0
// A few ssh_config patterns that cover many host names. They may match more than the names: qf-detect --match
// looks at the exact one afterwards.
#pragma once

#include <string>
#include <vector>

namespace qf {

// `hosts`: lower-case names and canonical addresses. Each of the lists needs a Match host of its own, since a
// negated pattern ("!*.*") narrows everything in its list.
[[nodiscard]] std::vector<std::vector<std::string>> host_patterns(const std::vector<std::string>& hosts,
                                                                  const std::string& domain);

}  // namespace qf
