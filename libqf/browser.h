// SPDX-License-Identifier: Apache-2.0
// Opening a web page for the person who sits here: by the programs that the person runs, never by a daemon.
#pragma once

#include <optional>
#include <string>

#include "libqf/child.h"
#include "libqf/result.h"

namespace qf {

// Whether there is a display (DISPLAY or WAYLAND_DISPLAY), this is no ssh session, whose display would be
// somewhere else than the loopback address, and a program to open pages with is installed.
[[nodiscard]] bool can_open_browser();
// The absolute path of that program: of $BROWSER, whose entries (separated by colons) are names or paths, the
// first that there is; else xdg-open.
[[nodiscard]] std::optional<std::string> browser_program();
// https, or http to a loopback host; kInput otherwise, kNotFound when there is no program. The child lives on
// when it is left (Child::leave()).
[[nodiscard]] Result<Child> open_browser(const std::string& url);

}  // namespace qf
