// SPDX-License-Identifier: Apache-2.0
// The single-threaded loop behind a Unix socket: accepts clients, hands their lines to a LineService, sends
// what it answers, and lets the service wait for descriptors and times of its own. Bounded: at most so many
// clients, in all and of one user; when they are all there, the one that has been idle longest makes room. A
// client that breaks the protocol is told why and dropped, and only that client.
#pragma once

#include <poll.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "libqf/fd.h"
#include "libqf/systemd.h"
#include "qf-tokend/client_connection.h"
#include "qf-tokend/protocol.h"

namespace qf {

inline constexpr size_t kMostClients = 4096;
struct ServerLimits {
  size_t most_clients = kMostClients;
  size_t most_of_user = kMostClients;  // of one uid
};

inline constexpr auto kIdleTime = std::chrono::minutes(2);  // without a request

class Server;

// What answers the lines.
class LineService {
 public:
  virtual ~LineService() = default;
  // Whether this client may ask at all; a refusal is sent and the connection closed.
  virtual std::optional<Refusal> admit(const ucred& who) = 0;
  // Whether admit() looks at the process behind the pid: then who connected and has ended is refused, since
  // the pid may be another's by now. (Before Linux 6.5 nobody can tell.)
  [[nodiscard]] virtual bool judges_process() const { return false; }
  // A well-formed request of the right version. Answers with Server::answer, now or later; until the final
  // answer the client's next line waits.
  virtual void request(uint64_t client, const Request& request) = 0;
  virtual void gone(uint64_t client) = 0;
  // For waits of the service's own, as in HttpClient.
  virtual void add(std::vector<pollfd>&) {}
  [[nodiscard]] virtual Deadline deadline() { return Deadline::max(); }
  virtual void handle(const std::vector<pollfd>&) {}
};

class Server {
 public:
  // `listener`: a listening, non-blocking Unix stream socket at `path`. The loop ends on SIGTERM and SIGINT
  // (which the caller has blocked), stop(), and when somebody removes or replaces the socket at `path`.
  Server(Fd listener, std::string path, LineService& service, ServerLimits limits = {});
  // Whom the loop tells that it turns.
  void give_life_signs(const Notifier& notifier) { life_ = LifeSigns(notifier); }
  // kSystem when the loop cannot go on.
  Status run();
  void stop() { stopping_ = true; }
  // After run(): removes the socket at `path`, unless that is somebody else's by now.
  void remove_socket() const;

  // A final answer ends the request; a progress line does not. Unknown clients are ignored.
  void answer(uint64_t client, const std::string& line);
  void progress(uint64_t client, const std::string& line);
  [[nodiscard]] const ucred* who(uint64_t client) const;

 private:
  using Clients = std::unordered_map<uint64_t, ClientConnection>;
  void wait(std::vector<pollfd>& polled);
  void accept_clients();
  void admit_client(Fd fd);
  [[nodiscard]] size_t clients_of(uid_t uid) const;
  void make_room(std::optional<uid_t> uid);
  void serve(const std::vector<pollfd>& polled);
  void serve_lines(ClientConnection& client);
  void take_line(ClientConnection& client, const std::string& line);
  void drop(uint64_t client);
  void end_requests();
  void send(uint64_t client, const std::string& line, bool last);
  void sweep();
  void check_path();
  void finish_writing();

  Fd listener_;
  Fd signals_;
  std::string path_;
  ino_t inode_ = 0;
  Fd loss_;  // inotify(7) on the socket
  LineService& service_;
  ServerLimits limits_;
  Clients clients_;
  std::vector<uint64_t> polled_clients_;  // parallel to the last entries of the poll set
  size_t first_client_ = 0;               // index of the first client in the poll set
  uint64_t next_id_ = 1;
  Deadline next_sweep_;
  LifeSigns life_;
  Deadline accept_again_{};  // after running out of descriptors
  bool stopping_ = false;
};

}  // namespace qf
