// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/daemon.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "libqf/log.h"
#include "libqf/tokend_client.h"
#include "qf-tokend/server.h"
#include "qf-tokend/startup.h"
#include "qf-tokend/token_service.h"

namespace qf {

namespace {

constexpr auto kOtherDaemonTime = std::chrono::seconds(5);
constexpr auto kRetry = std::chrono::milliseconds(20);

// Another daemon holds the lock: fine for who only wants one to run, once that one listens.
[[noreturn]] void leave_to_other(const DaemonOptions& options) {
  if (options.foreground) {
    die(kExitNegative, "qf-tokend is already running", "to end it, run qf-token stop");
  }
  Deadline until = Clock::now() + kOtherDaemonTime;
  while (!TokendClient::connect(options.folders)) {
    if (Clock::now() >= until) {
      die(kExitSystem, "another qf-tokend holds the lock but does not listen",
          "end that process, then try again");
    }
    std::this_thread::sleep_for(kRetry);
  }
  say("qf-tokend is already running");
  std::exit(kExitOk);
}

// ~/.qufabric/ssh, the path in the generated ssh_config, leads to the runtime folder. Made beside and
// renamed, so that it is there at every moment.
Status link_ssh_folder(const std::string& target) {
  auto home = home_folder();
  if (!home) return home.error();
  std::string base = *home + "/.qufabric";
  if (auto made = make_folder(base, 0700); !made) return made;
  std::string link = base + "/ssh";
  struct stat st = {};
  if (::lstat(link.c_str(), &st) == 0 && !S_ISLNK(st.st_mode)) {
    return input_error(link + " is in the way: qf-tokend keeps a symlink there");
  }
  std::string temporary = link + ".new";
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0 || ::rename(temporary.c_str(), link.c_str()) != 0) {
    return system_error("cannot set the symlink " + link);
  }
  return Done{};
}

std::string make_ssh_folder(const std::string& runtime) {
  std::string folder = runtime + "/ssh";
  if (auto made = make_folder(folder, 0700); !made) die(kExitSystem, made.error().text());
  CertificateFiles(folder).remove_leftovers();
  return folder;
}

}  // namespace

int run_daemon(const DaemonOptions& options) {
  ServerLimits limits = harden_process();
  Activation activation = take_activation();
  Background background = Background::begin(options.foreground);
  auto runtime = user_runtime(options.folders, true);
  if (!runtime) die(kExitSystem, runtime.error().text(), runtime.error().hint);
  std::string socket = *runtime + "/" + kTokendSocket;
  auto lock = take_lock(*runtime + "/tokend.lock", activation, socket);
  if (!lock && lock.error().kind == ErrorKind::kRefused) leave_to_other(options);
  if (!lock) die(kExitSystem, lock.error().text());

  std::string ssh_folder = make_ssh_folder(*runtime);
  auto keys = make_keys(ssh_folder);
  if (!keys) die(kExitSystem, keys.error().text());
  std::string key_file = keys->key_file;
  Status linked = options.folders.runtime_named() ? Status(Done{}) : link_ssh_folder(ssh_folder);
  if (!linked && linked.error().kind == ErrorKind::kInput) {
    die(kExitSystem, linked.error().text(), "move it away, then try again");
  }
  auto listener = activation.listen(socket, 0600);
  if (!listener) die(kExitSystem, listener.error().text());

  TokenService service(
      {options.folders.peers_mdb(), ssh_folder, options.ttl, machine_sockets(options.folders, *runtime)},
      std::move(*keys));
  Server server(std::move(*listener), socket, service, limits);
  service.attach(server);
  open_log("qf-tokend", !options.foreground);
  background.ready();
  activation.notifier().ready();
  server.give_life_signs(activation.notifier());
  log_info("listening at " + socket);
  // a home that cannot be written costs the direct path, not the login
  if (!linked) log_warning(linked.error().text() + ": connections will go through the tunnel");
  auto ended = server.run();
  activation.notifier().stopping();
  if (!activation.handed()) server.remove_socket();
  ::unlink(key_file.c_str());
  // before our end closes the connection of the qf-token stop that waits for it
  lock->reset();
  if (!ended) log_error(ended.error().text());
  log_info("ended");
  return ended ? kExitOk : kExitSystem;
}

}  // namespace qf
