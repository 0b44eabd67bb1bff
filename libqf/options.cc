// SPDX-License-Identifier: Apache-2.0
#include "libqf/options.h"

#include <unistd.h>

#include <sstream>

#include "libqf/fd.h"
#include "libqf/log.h"

namespace po = boost::program_options;

namespace qf {

void add_folder_options(po::options_description& visible, FolderOptions& folders) {
  auto add = visible.add_options();
  add("config-dir", po::value(&folders.config)->value_name("FOLDER"), "instead of /etc/qufabric");
  add("state-dir", po::value(&folders.state)->value_name("FOLDER"), "instead of /var/lib/qufabric");
  add("runtime-dir", po::value(&folders.runtime)->value_name("FOLDER"), "where its sockets are");
}

po::variables_map parse_options(int argc, char** argv, const CommandLine& line) {
  auto add = line.visible.add_options();
  if (line.visible.find_nothrow("help", false) == nullptr) add("help,h", "print this");
  if (line.visible.find_nothrow("version", false) == nullptr) add("version", "print the version");
  po::options_description all;
  all.add(line.visible);
  std::vector<std::string> unexpected;
  po::positional_options_description positional;
  all.add_options()("word", po::value(line.words != nullptr ? line.words : &unexpected));
  positional.add("word", -1);
  auto style = po::command_line_style::unix_style ^ po::command_line_style::allow_guessing;
  po::variables_map values;
  try {
    po::store(po::command_line_parser(argc, argv).options(all).positional(positional).style(style).run(),
              values);
    po::notify(values);
  } catch (const po::error& e) {
    wrong_usage(line.program, e.what());
  }
  if (!unexpected.empty()) wrong_usage(line.program, "unexpected word " + quoted(unexpected.front()));
  if (values.count("help") == 0 && values.count("version") == 0) return values;
  std::ostringstream text;
  text << line.visible;
  std::string out = values.count("help") != 0 ? line.usage + text.str() : line.program + " " QF_VERSION "\n";
  std::exit(write_all(STDOUT_FILENO, out) ? kExitOk : kExitSystem);
}

void wrong_usage(const std::string& program, const std::string& text) {
  die(kExitUsage, text, "run " + program + " --help");
}

}  // namespace qf
