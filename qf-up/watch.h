// SPDX-License-Identifier: Apache-2.0
// qf-up status --watch: shows the same again and again. On a terminal in place, on its alternate screen,
// until q or a signal; the terminal is then as it was. Elsewhere one block after the other. Each part is made
// by a process of its own: one that waits for something holds up neither the others nor the keys, and nothing
// of it stays.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qf {

struct WatchPart {
  std::chrono::milliseconds every;    // from its end to its next start
  std::function<std::string()> make;  // in the process of its own; what it says on stderr is shown too
  std::function<void(std::string)> take = {};  // here; none: it is shown
};

struct WatchPlan {
  std::string title;             // of the screen
  std::vector<WatchPart> parts;  // in a block, the first one's turn comes when all others have been made once
  bool lines = false;            // a line each time (JSON): no terminal's matter, no lines between
};

// Returns the exit code: 0 after q, SIGINT, or when nobody reads any more. Ends by SIGTERM and SIGHUP as a
// program does that does not know them, once the terminal is as it was.
[[nodiscard]] int watch(const WatchPlan& plan);

// "2", "0.5": seconds from 0.1 to 86400, tenths at the least.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_seconds(std::string_view text);

// What a screen of this size shows: lines cut to its width, and how many there are more at its end.
[[nodiscard]] std::string screen_text(const std::string& text, size_t columns, size_t rows);

}  // namespace qf
