// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/options.h"

#include "libqf/log.h"
#include "libqf/options.h"

namespace qf {

namespace {

namespace po = boost::program_options;

struct Given {
  FolderOptions folders;
  std::vector<std::string> words;
  int fd = -1;
};

}  // namespace

ProxyOptions read_proxy_options(int argc, char** argv, const std::string& program, const char* usage) {
  Given given;
  po::options_description visible("options");
  add_folder_options(visible, given.folders);
  if (program == "qf-tunnel")
    visible.add_options()("fd", po::value(&given.fd)->value_name("N"), "the connected socket");
  parse_options(argc, argv, {program, usage, visible, &given.words});
  if (given.words.size() != 2 || given.words[0].empty())
    wrong_usage(program, "expected HOST and PORT and nothing else");
  const auto& port = given.words[1];
  if (port != "22" && port != "22022")
    die(kExitUsage, "port " + port + " is none of ours: 22 and 22022 are",
        "connect without it: ssh -o ProxyCommand=none");
  return {given.folders.folders(), given.words[0], port, given.fd};
}

}  // namespace qf
