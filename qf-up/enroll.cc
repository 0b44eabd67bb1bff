// SPDX-License-Identifier: Apache-2.0
// qf-up enroll: this machine's entry for "peers" of the fabric document, as JSON. Changes nothing, but makes
// the host key when it is missing; with --publish the entry goes into the document in etcd.
#include <unistd.h>

#include <cstdio>

#include "libqf/interface.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/text.h"
#include "qf-up/apply.h"
#include "qf-up/commands.h"
#include "qf-up/enroll_publish.h"
#include "qf-up/machine.h"
#include "qf-up/names.h"

namespace po = boost::program_options;

namespace qf {

namespace {

constexpr const char* kEnrollProgram = "qf-up enroll";

struct EnrollOptions {
  std::string self, interface;
  FolderOptions folders;
  PublishOptions publish;
  bool client = false, to_publish = false, replace = false;
};

EnrollOptions read_enroll_options(int argc, char** argv) {
  EnrollOptions options;
  po::options_description visible("options");
  auto add = visible.add_options();
  add("self", po::value(&options.self)->value_name("NAME"),
      "name of the peer (default: the remembered one, or the host name)");
  add("interface", po::value(&options.interface)->value_name("NAME"),
      "interface of the fabric, whose addresses are the peer's (default: the remembered one)");
  add("client", po::bool_switch(&options.client), "no SSH server is to run here: no host key");
  add("publish", po::bool_switch(&options.to_publish),
      "put the entry into the document in etcd, where --document says, and sign that");
  add("replace", po::bool_switch(&options.replace),
      "with --publish: this machine takes the place of the one that has the name");
  add_publish_options(visible, options.publish);
  add_folder_options(visible, options.folders);
  parse_options(argc, argv,
                {kEnrollProgram,
                 "usage: qf-up enroll [--interface NAME] [--self NAME] [--client] [--publish --sign-key KEY] "
                 "[options]\nPrints this machine's entry for \"peers\" of the fabric document, or puts it "
                 "there.\nexit status: 0 printed or published, 71 the system failed, 78 it is refused and "
                 "nothing was written, 64 wrong usage\n",
                 visible});
  if (!options.to_publish &&
      (options.replace || !options.publish.sign_key.empty() || !options.publish.given.empty()))
    wrong_usage(kEnrollProgram, "--replace, --sign-key and --document... belong to --publish");
  if (!options.interface.empty() && !valid_interface_name(options.interface))
    wrong_usage(kEnrollProgram,
                "--interface must be the name of a network interface, not " + quoted(options.interface));
  return options;
}

// Up to its first dot.
std::string short_host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) return "";
  return std::string(name).substr(0, std::string_view(name).find('.'));
}

[[noreturn]] void ask_for_interface() {
  std::vector<std::string> there;
  if (auto all = all_interface_addresses()) {
    for (const auto& [interface, address] : *all) there.push_back(interface + " (" + address + ")");
  }
  die(kExitUsage, "which interface is the fabric's?",
      "give --interface NAME; this machine has " + (there.empty() ? "none" : join(there, ", ")));
}

// Those that a document takes.
Result<std::vector<std::string>> addresses_for_document(const std::string& interface) {
  auto all = interface_addresses(interface);
  if (!all) {
    Error error = all.error();
    error.kind = ErrorKind::kSystem;
    return with_hint(error, "bring it up, or name another one with --interface");
  }
  std::vector<std::string> addresses;
  for (const auto& address : *all) {
    if (auto good = peer_address_text(address)) addresses.push_back(*good);
  }
  if (addresses.empty())
    return with_hint(
        Error{ErrorKind::kSystem, 0, "the interface \"" + interface + "\" has no address for a peer"},
        "give it one, or name another one with --interface");
  return addresses;
}

}  // namespace

int command_enroll(int argc, char** argv) {
  auto options = read_enroll_options(argc, argv);
  Folders folders = options.folders.folders();
  auto choices = load_choices(folders);
  if (!choices) return fail(choices.error());
  if (options.interface.empty()) options.interface = choices->interface;
  if (options.self.empty()) options.self = choices->self;
  if (options.self.empty()) options.self = lower(short_host_name());
  if (auto fault = peer_name_fault(options.self))
    return fail(with_hint(input_error("\"" + options.self + "\" is no name for a peer: " + *fault),
                          "name it with --self NAME"));
  if (options.interface.empty()) ask_for_interface();
  auto addresses = addresses_for_document(options.interface);
  if (!addresses) return fail(addresses.error());
  std::vector<std::string> keys;
  if (!options.client) {
    auto lock = lock_state(folders);
    if (!lock) return fail(lock.error());
    auto lines = host_key_lines(folders);
    if (!lines) return fail(lines.error());
    keys = std::move(*lines);
  }
  OwnEntry own{options.self, std::move(*addresses), !options.client, std::move(keys)};
  if (options.to_publish) return publish_entry(folders, options.publish, own, options.replace);
  std::printf("%s\n", entry_text(entry_json(own).get()).c_str());
  return kExitOk;
}

}  // namespace qf
