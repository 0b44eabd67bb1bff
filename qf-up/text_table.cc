// SPDX-License-Identifier: Apache-2.0
#include "qf-up/text_table.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "libqf/log.h"

namespace qf {

namespace {

constexpr const char* kPlain = "\x1b[0m";
constexpr size_t kBetween = 2;  // columns

const char* sequence(Colour colour) {
  switch (colour) {
    case Colour::kNone:
      return "";
    case Colour::kHead:
      return "\x1b[1m";
    case Colour::kGood:
      return "\x1b[32m";
    case Colour::kDoubtful:
      return "\x1b[33m";
    case Colour::kBad:
      return "\x1b[1;31m";
  }
  std::abort();
}

// Bytes of the colour sequence that text starts with; 0: none. Only ours come here, printable() has removed
// others.
size_t sequence_length(std::string_view text) {
  if (!text.starts_with("\x1b[")) return 0;
  size_t end = text.find('m');
  return end == std::string_view::npos ? text.size() : end + 1;
}

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

std::string spaces(size_t from, size_t to) {
  return std::string(to > from ? to - from : 0, ' ');
}

}  // namespace

std::string painted(std::string_view text, Colour colour, bool colours) {
  if (!colours || colour == Colour::kNone || text.empty()) return std::string(text);
  return sequence(colour) + std::string(text) + kPlain;
}

bool colours_wanted() {
  const char* terminal = ::getenv("TERM");
  const char* none = ::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (none == nullptr || *none == '\0') && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

size_t text_width(std::string_view text) {
  size_t width = 0;
  for (size_t i = 0; i < text.size();) {
    if (size_t length = sequence_length(text.substr(i)); length > 0) {
      i += length;
      continue;
    }
    if (!continues_character(text[i])) ++width;
    ++i;
  }
  return width;
}

std::string table_text(const std::vector<TableRow>& rows, bool colours) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], text_width(printable(row[i].text)));
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      std::string text = printable(row[i].text);
      out += painted(text, row[i].colour, colours);
      if (i + 1 < row.size()) out += spaces(text_width(text), widths[i] + kBetween);
    }
    out += "\n";
  }
  return out;
}

std::string labelled_text(const std::vector<LabelledLine>& lines, bool colours) {
  size_t widest = 0;
  for (const auto& line : lines) {
    if (!line.label.empty()) widest = std::max(widest, text_width(line.label) + 1);
  }
  std::string out;
  for (const auto& line : lines) {
    if (!line.label.empty()) {
      std::string label = line.label + ":";
      out += painted(label, Colour::kHead, colours) + spaces(text_width(label), widest + kBetween);
    }
    out += painted(printable(line.text), line.colour, colours) + "\n";
  }
  return out;
}

std::string cut_line(std::string_view line, size_t most) {
  std::string out;
  size_t width = 0;
  bool coloured = false;
  for (size_t i = 0; i < line.size();) {
    if (size_t length = sequence_length(line.substr(i)); length > 0) {
      coloured = line.substr(i, length) != kPlain;
      out += line.substr(i, length);
      i += length;
      continue;
    }
    if (!continues_character(line[i]) && ++width > most) break;
    out += line[i++];
  }
  if (coloured && width > most) out += kPlain;
  return out;
}

}  // namespace qf
