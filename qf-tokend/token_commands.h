// SPDX-License-Identifier: Apache-2.0
// The commands of qf-token, each a short talk with qf-tokend. Messages go to stderr, what was asked for to
// stdout. All return the exit code: 0, 1 for a negative answer, 71 when there is no talking to qf-tokend.
#pragma once

#include <string>

#include "libqf/folders.h"

namespace qf {

int token_login(const Folders& folders, const std::string& issuer, bool renew);
int token_show(const Folders& folders, const std::string& issuer, bool claims);
int token_status(const Folders& folders, const std::string& issuer, bool json);
int token_logout(const Folders& folders, const std::string& issuer);
int token_stop(const Folders& folders);

}  // namespace qf
