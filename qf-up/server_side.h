// SPDX-License-Identifier: Apache-2.0
// What the machine of a destination adds to the fabric document: known when it is this one.
#pragma once

#include <string>
#include <vector>

#include "qf-up/choices.h"
#include "qf-up/question.h"

namespace qf {

// Elsewhere the document alone is asked, as if root were enabled; `notes` get what a person should know.
[[nodiscard]] ServerSide server_side(const Choices& choices, const std::string& peer,
                                     const std::string& login, std::vector<std::string>& notes);

}  // namespace qf
