// SPDX-License-Identifier: Apache-2.0
// Command lines, the same way in every program: long options of Boost.Program_options, no guessing of half
// words,
// --help and --version, exit code 64 and a hint for wrong usage.
#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

#include "libqf/folders.h"

namespace qf {

struct FolderOptions {
  std::string config, state, runtime;
  [[nodiscard]] Folders folders() const { return find_folders(config, state, runtime); }
};
// --config-dir, --state-dir, --runtime-dir
void add_folder_options(boost::program_options::options_description& visible, FolderOptions& folders);

struct CommandLine {
  std::string program;
  std::string usage;                                     // before the options in --help
  boost::program_options::options_description& visible;  // --help and --version are added if missing
  std::vector<std::string>* words = nullptr;  // arguments that are no options; null: there are none
};
// Fills the variables that the options are bound to. Exits for --help, --version and wrong usage.
boost::program_options::variables_map parse_options(int argc, char** argv, const CommandLine& line);

[[noreturn]] void wrong_usage(const std::string& program, const std::string& text);

}  // namespace qf
