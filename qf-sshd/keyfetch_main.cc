// SPDX-License-Identifier: Apache-2.0
// qf-keyfetch: the role keyfetch as a program of its own (libexec), so that no other process of the server
// has libcurl and all that it loads in its memory. Started by qf-sshd's listener; see keyfetch.h and
// qf-keyfetch(8).
#include <unistd.h>

#include <boost/program_options.hpp>
#include <iostream>

#include "libqf/log.h"
#include "qf-sshd/account.h"
#include "qf-sshd/keyfetch.h"

namespace po = boost::program_options;

int main(int argc, char** argv) {
  qf::open_log("qf-keyfetch");
  qf::Settings settings;
  int fd = -1;
  po::options_description options(
      "usage: qf-keyfetch --fd N [--user NAME] [--syslog]\n\nStarted by qf-sshd.\n\noptions");
  auto add = options.add_options();
  add("fd", po::value(&fd)->value_name("N"), "the socket to the listener");
  std::string user;
  add("user", po::value(&user)->value_name("NAME"), "become this system user");
  add("syslog", po::bool_switch(&settings.use_syslog), "log to syslog");
  add("help", "print this");
  add("version", "print the version");
  po::variables_map values;
  try {
    po::store(po::command_line_parser(argc, argv).options(options).positional({}).run(), values);
    po::notify(values);
  } catch (const po::error& error) {
    qf::die(qf::kExitUsage, error.what(), "run qf-keyfetch --help");
  }
  if (values.count("help") != 0) return std::cout << options, qf::kExitOk;
  if (values.count("version") != 0) return std::cout << "qf-keyfetch " QF_VERSION "\n", qf::kExitOk;
  if (fd < 3) qf::die(qf::kExitUsage, "--fd names no socket", "qf-sshd starts this program; see qf-sshd(8)");
  qf::open_log("qf-keyfetch", settings.use_syslog);
  settings.privileged = ::geteuid() == 0;
  if (settings.privileged) {
    auto account = qf::find_account(user);
    if (!account || account->uid == 0) qf::die(qf::kExitConfig, "--user names no system user but root");
    settings.fetch_uid = account->uid;
    settings.fetch_gid = account->gid;
  }
  return qf::keyfetch_role(settings, qf::MessageSocket(qf::Fd(fd)));
}
