// SPDX-License-Identifier: Apache-2.0
// Columns for people, and colours where they help: on a terminal alone, never in a pipe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace qf {

enum class Colour {
  kNone,
  kHead,      // bold: the names of columns, labels
  kGood,      // green
  kDoubtful,  // yellow
  kBad,       // red: something must not stay so
};

// Text as it is or between the terminal's sequences for the colour (ECMA-48 SGR).
[[nodiscard]] std::string painted(std::string_view text, Colour colour, bool colours);

// Whether standard output is a terminal that has colours, and its user wants them (NO_COLOR, TERM=dumb).
[[nodiscard]] bool colours_wanted();

struct TableCell {
  std::string text;
  Colour colour = Colour::kNone;
};
using TableRow = std::vector<TableCell>;

// A line for each row, its cells below each other with two spaces between; the last one is not padded.
// Control characters are removed.
[[nodiscard]] std::string table_text(const std::vector<TableRow>& rows, bool colours);

// "label:  text" below each other. A line without a label stands by itself, whole.
struct LabelledLine {
  std::string label, text;
  Colour colour = Colour::kNone;  // of the text
};
[[nodiscard]] std::string labelled_text(const std::vector<LabelledLine>& lines, bool colours);

// Characters, not bytes, since a name may hold any; sequences that colour are none.
[[nodiscard]] size_t text_width(std::string_view text);
// The line up to this many characters, and no colour beyond its end.
[[nodiscard]] std::string cut_line(std::string_view line, size_t most);

}  // namespace qf
