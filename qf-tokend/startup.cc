// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/startup.h"

#include <cjson/cJSON.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>

#include "libqf/log.h"
#include "libqf/secret.h"
#include "qf-tokend/server.h"

namespace qf {

namespace {

// The first process: waits for a byte (the daemon listens) or the daemon's end.
[[noreturn]] void follow(pid_t daemon, Fd ready) {
  char byte = 0;
  ssize_t n = 0;
  do {
    n = ::read(ready.get(), &byte, 1);
  } while (n < 0 && errno == EINTR);
  if (n == 1) ::_exit(kExitOk);
  int status = 0;
  while (::waitpid(daemon, &status, 0) < 0 && errno == EINTR) {
  }
  ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : kExitSystem);
}

void wipe_and_free(void* memory) {
  if (memory == nullptr) return;
  ::explicit_bzero(memory, ::malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

Background Background::begin(bool foreground) {
  if (foreground) return Background(Fd());
  auto ends = make_pipe();
  if (!ends) die(kExitSystem, ends.error().text());
  pid_t pid = ::fork();
  if (pid < 0) die(kExitSystem, system_error("cannot start a process").text());
  if (pid > 0) {
    ends->second.reset();
    follow(pid, std::move(ends->first));
  }
  ::setsid();
  return Background(std::move(ends->second));
}

void Background::ready() {
  if (!parent_) return;
  auto nowhere = open_file("/dev/null", O_RDWR);
  if (nowhere) {
    for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nowhere->get(), fd);
  }
  if (::chdir("/") != 0) log_warning("cannot leave the folder that this was started in");
  // a first process that is gone already needs no word
  (void)write_all(parent_.get(), "r");
  parent_.reset();
}

Result<Fd> take_lock(const std::string& path) {
  auto lock = open_lock_file(path);
  if (!lock) return lock.error();
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) == 0) return std::move(*lock);
  if (errno == EWOULDBLOCK) return refused("another process holds " + path);
  return system_error("cannot lock " + path);
}

Result<Fd> listen_unix(const std::string& path, mode_t mode) {
  std::string temporary = path + ".new";
  sockaddr_un at = {};
  at.sun_family = AF_UNIX;
  if (temporary.size() >= sizeof at.sun_path) {
    return input_error("the socket's path " + path + " is too long: at most " +
                       std::to_string(sizeof at.sun_path - 5) + " bytes");
  }
  std::copy(temporary.begin(), temporary.end(), at.sun_path);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  ::unlink(temporary.c_str());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) != 0) {
    return system_error("cannot bind " + path);
  }
  if (::chmod(temporary.c_str(), mode) != 0 || ::listen(fd.get(), kMostClients) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0) {
    Error error = system_error("cannot listen at " + path);
    ::unlink(temporary.c_str());
    return error;
  }
  return fd;
}

void harden_process() {
  make_undumpable();
  ::umask(077);
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
  struct rlimit files = {};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = std::min<rlim_t>(files.rlim_max, kMostClients + 256);
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) log_warning("cannot raise the limit of descriptors");
  }
  cJSON_Hooks hooks = {std::malloc, wipe_and_free};
  ::cJSON_InitHooks(&hooks);
}

}  // namespace qf
