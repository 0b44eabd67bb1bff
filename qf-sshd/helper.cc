// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/helper.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include "libqf/address.h"
#include "libqf/log.h"
#include "qf-sshd/helper_messages.h"
#include "qf-sshd/messages.h"

namespace qf {

namespace {

constexpr auto kConnectTime = std::chrono::seconds(120);  // all addresses of a name together
constexpr size_t kMostConnecting = 128;                   // at once; each has a thread while it waits
constexpr int kBacklog = 128;
constexpr uint32_t kFirstDisplay = 10;  // as sshd: below are real ones
constexpr uint32_t kLastDisplay = 1009;
constexpr uint16_t kDisplayPort = 6000;  // of display 0

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

struct Listening {
  std::vector<Fd> sockets;
  uint32_t number = 0;
  std::string path, error;
};

// What a thread has found.
struct Connected {
  uint32_t id = 0;
  Fd socket;
  std::string error;
};

Result<AddressList> resolve(const std::string& host, uint32_t port, int flags) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  int code =
      ::getaddrinfo(host.empty() ? nullptr : host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (code != 0) {
    return not_found("cannot resolve the name: " +
                     std::string(code == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(code)) +
                     " (names are looked up on the peer, not where ssh runs)");
  }
  return AddressList(found, &::freeaddrinfo);
}

void set_option(int fd, int level, int option) {
  int on = 1;
  static_cast<void>(::setsockopt(fd, level, option, &on, sizeof on));  // costs speed, nothing else
}

// ---- connecting, in a thread ------------------------------------------------------------------------------

Result<std::vector<std::string>> look_up(const std::string& host, uint32_t port) {
  auto found = resolve(host, port, 0);
  if (!found) return found.error();
  std::vector<std::string> addresses;
  for (const addrinfo* at = found->get(); at != nullptr; at = at->ai_next) {
    SocketAddress address;
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    address.length = at->ai_addrlen;
    addresses.push_back(address.address());
  }
  return addresses;
}

Connected connect_to(const HelperConnect& request) {
  Deadline deadline = Clock::now() + kConnectTime;
  auto addresses = request.addresses.empty() ? look_up(request.host, request.port)
                                             : Result<std::vector<std::string>>(request.addresses);
  if (!addresses) return {request.id, Fd(), addresses.error().text()};
  auto fd = dial(*addresses, static_cast<uint16_t>(request.port), deadline);
  if (!fd) return {request.id, Fd(), fd.error().text()};
  return {request.id, std::move(*fd), ""};
}

// What threads hand back to the loop. Outlives the loop for threads that still wait when it ends.
struct Results {
  std::mutex mutex;
  std::deque<Connected> done;
  Fd wake;
};

// ---- listening --------------------------------------------------------------------------------------------

// What the user can do about it.
std::string advice(int error) {
  switch (error) {
    case EACCES:
      return "ports below 1024 are root's: take a higher one";
    case EADDRINUSE:
      return "something on the peer has it: take another port, or 0 for any free one";
    case EADDRNOTAVAIL:
      return "the peer does not have this address: leave it out, or take localhost";
    default:
      return "";
  }
}

// On one line, as all that the helper says is shown.
std::string one_line(const Error& error) {
  return error.hint.empty() ? error.text() : error.text() + " (" + error.hint + ")";
}

Result<Fd> listen_at(const addrinfo& address, uint32_t port) {
  sockaddr_storage where = {};
  std::memcpy(&where, address.ai_addr, address.ai_addrlen);
  // sin_port and sin6_port are at the same place
  reinterpret_cast<sockaddr_in*>(&where)->sin_port = htons(static_cast<uint16_t>(port));
  Fd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
  set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY);  // accepted sockets inherit it
  if (address.ai_family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), address.ai_addrlen) != 0 ||
      ::listen(fd.get(), kBacklog) != 0) {
    Error error = system_error("cannot listen on port " + std::to_string(port));
    error.hint = advice(error.sys);
    return error;
  }
  return fd;
}

// On every address of the list, at most two, with the same port. `all`: one that is taken spoils the rest (a
// display is one number); else what works counts.
Listening listen_on_all(const addrinfo* addresses, uint32_t port, bool all) {
  Listening out;
  out.number = port;
  for (const addrinfo* at = addresses; at != nullptr && out.sockets.size() < 2; at = at->ai_next) {
    auto fd = listen_at(*at, out.number);
    if (!fd) {
      out.error = one_line(fd.error());
      // a machine without IPv6 is no reason to refuse
      if (all && fd.error().sys == EADDRINUSE) {
        out.sockets.clear();
        return out;
      }
      continue;
    }
    if (auto bound = local_address(fd->get()); out.number == 0 && bound) out.number = bound->port();
    out.sockets.push_back(std::move(*fd));
  }
  if (!out.sockets.empty()) out.error.clear();
  return out;
}

Listening listen_for(const HelperListen& request) {
  auto addresses = resolve(request.address, request.port, request.wildcard ? AI_PASSIVE : 0);
  if (!addresses) return {{}, 0, "", addresses.error().text()};
  return listen_on_all(addresses->get(), request.port, false);
}

Listening listen_display() {
  for (uint32_t display = kFirstDisplay; display <= kLastDisplay; ++display) {
    uint32_t port = kDisplayPort + display;
    auto addresses = resolve("", port, 0);
    if (!addresses) return {{}, 0, "", addresses.error().text()};
    auto listening = listen_on_all(addresses->get(), port, true);
    if (listening.sockets.empty()) continue;
    listening.number = display;
    return listening;
  }
  return {{}, 0, "", "no X11 display is free"};
}

// ---- the agent's socket -----------------------------------------------------------------------------------

// A folder that only the user can enter, with one socket; removed with this object.
class AgentFolder {
 public:
  static Result<std::unique_ptr<AgentFolder>> make() {
    char name[] = "/tmp/ssh-XXXXXXXXXX";
    if (::mkdtemp(name) == nullptr) return system_error("cannot make a folder for the agent's socket");
    return std::unique_ptr<AgentFolder>(new AgentFolder(name));
  }
  ~AgentFolder() {
    ::unlink(path_.c_str());
    ::rmdir(folder_.c_str());
  }
  AgentFolder(const AgentFolder&) = delete;
  AgentFolder& operator=(const AgentFolder&) = delete;

  Result<Fd> listen() const {
    sockaddr_un where = {};
    where.sun_family = AF_UNIX;
    std::copy(path_.begin(), path_.end(), where.sun_path);
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return system_error("cannot make a socket");
    mode_t before = ::umask(0177);
    bool bound = ::bind(fd.get(), reinterpret_cast<sockaddr*>(&where), sizeof where) == 0;
    ::umask(before);
    if (!bound || ::listen(fd.get(), kBacklog) != 0) return system_error("cannot listen at " + path_);
    return fd;
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  explicit AgentFolder(std::string folder)
      : folder_(std::move(folder)), path_(folder_ + "/agent." + std::to_string(::getpid())) {}
  std::string folder_, path_;
};

// ---- the role ---------------------------------------------------------------------------------------------

class Helper {
 public:
  explicit Helper(MessageSocket monitor)
      : monitor_(std::move(monitor)), null_(open_file("/dev/null", O_RDWR)) {}

  int run() {
    results_->wake = Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!results_->wake || !null_) die(kExitSystem, "cannot start: out of descriptors");
    for (;;) {
      pollfd polled[] = {{monitor_.fd(), POLLIN, 0}, {results_->wake.get(), POLLIN, 0}};
      if (::poll(polled, 2, -1) < 0 && errno != EINTR) die(kExitSystem, system_error("poll").text());
      if (polled[1].revents != 0) hand_over();
      if (polled[0].revents == 0) continue;
      auto message = monitor_.receive(Clock::now());
      if (!message) return kExitOk;  // the monitor is gone
      if (!handle(*message)) die(kExitBug, "the monitor sent a message that is none of this role's");
    }
  }

 private:
  bool handle(const Message& message) {
    if (auto connect = open_message<HelperConnect>(message)) return start_connect(*connect), true;
    if (auto listen = open_message<HelperListen>(message))
      return answer(listen->id, listen_for(*listen)), true;
    if (auto display = open_message<HelperDisplay>(message))
      return answer(display->id, listen_display()), true;
    if (auto agent = open_message<HelperAgent>(message)) return make_agent(agent->id), true;
    auto release = open_message<HelperRelease>(message);
    if (release) agents_.erase(release->id);
    return static_cast<bool>(release);
  }

  void start_connect(const HelperConnect& request) {
    if (connecting_ >= kMostConnecting)
      return answer({request.id, Fd(), "too many connections are being made"});
    auto work = [results = results_, request] {
      auto connected = connect_to(request);
      std::lock_guard lock(results->mutex);
      results->done.push_back(std::move(connected));
      uint64_t one = 1;
      static_cast<void>(!::write(results->wake.get(), &one, sizeof one));
    };
    // the one place where the library's exception is caught: the user's limit of processes is reached
    try {
      std::thread(work).detach();
      ++connecting_;
    } catch (const std::system_error& error) {
      answer({request.id, Fd(), std::string("cannot start a thread: ") + error.what()});
    }
  }

  void hand_over() {
    uint64_t count = 0;
    static_cast<void>(!::read(results_->wake.get(), &count, sizeof count));
    std::deque<Connected> done;
    {
      std::lock_guard lock(results_->mutex);
      done.swap(results_->done);
    }
    for (const auto& connected : done) {
      --connecting_;
      answer(connected);
    }
  }

  void make_agent(uint32_t id) {
    auto folder = AgentFolder::make();
    auto socket = folder ? (*folder)->listen() : Result<Fd>(folder.error());
    if (!socket) return answer(id, {{}, 0, "", socket.error().text()});
    Listening listening;
    listening.path = (*folder)->path();
    listening.sockets.push_back(std::move(*socket));
    agents_[id] = std::move(*folder);
    answer(id, listening);
  }

  void answer(const Connected& connected) {
    int fd = connected.socket ? connected.socket.get() : null_->get();
    sent(monitor_.send(HelperConnected{connected.id, connected.error}, {fd}));
  }
  void answer(uint32_t id, const Listening& listening) {
    std::vector<int> fds;
    for (const auto& socket : listening.sockets) fds.push_back(socket.get());
    auto count = static_cast<uint32_t>(fds.size());
    fds.resize(HelperListening::kFds, null_->get());
    sent(monitor_.send(HelperListening{id, count, listening.number, listening.path, listening.error}, fds));
  }
  static void sent(const Status& status) {
    if (!status) die(kExitSystem, status.error().text());
  }

  MessageSocket monitor_;
  Result<Fd> null_;
  std::shared_ptr<Results> results_ = std::make_shared<Results>();
  size_t connecting_ = 0;
  std::map<uint32_t, std::unique_ptr<AgentFolder>> agents_;
};

}  // namespace

int helper_role(MessageSocket monitor) {
  return Helper(std::move(monitor)).run();
}

}  // namespace qf
