// SPDX-License-Identifier: Apache-2.0
// RUNTIME/sshd-status.sock (0600, the uid at the other end is checked): who connects gets one JSON object on
// one line, what lives on this server, and the end of the stream. RUNTIME/metrics.sock, likewise, gives its
// numbers (server_metrics.h). Nothing is read from clients; few are served at once, and a slow one is dropped
// after a while.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "libqf/fd.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/roster.h"

struct pollfd;

namespace qf {

inline constexpr const char* kStatusSocket = "sshd-status.sock";
inline constexpr const char* kMetricsSocket = "metrics.sock";

class StatusServer {
 public:
  [[nodiscard]] Status open(const std::string& path);
  [[nodiscard]] Status open_metrics(const std::string& path);

  void poll(std::vector<pollfd>& polled) const;
  // Takes new clients, asks the monitors for them, writes; `polled` as poll() left it, from `first` on.
  void serve(const std::vector<pollfd>& polled, size_t first, Roster& roster);
  // A monitor's answer.
  void report(Connection& connection, const ConnectionReport& report) const;
  // Ends the round when all monitors have answered or its time is over. `listening`: addresses.
  // `metrics` makes the text of metrics.sock, when somebody wants it.
  void turn(Deadline now, Roster& roster, const std::vector<std::string>& listening,
            const std::function<std::string()>& metrics = {});
  // Has the monitors say how things are, as a client does; busy() until they have, or did not in time.
  void ask(Roster& roster) {
    if (!busy()) begin_round(roster);
  }
  [[nodiscard]] bool busy() const { return round_until_ != Deadline::max(); }
  [[nodiscard]] Deadline deadline() const;

 private:
  struct Client {
    Fd fd;
    std::shared_ptr<const std::string> text;  // null: waits for the round's end
    size_t written = 0;
    Deadline until;
    bool metrics;  // of metrics.sock
  };
  void accept_clients(const Fd& door, bool metrics);
  void begin_round(Roster& roster);
  // False: done with it.
  [[nodiscard]] static bool write(Client& client);

  Fd door_, metrics_door_;
  std::list<Client> clients_;
  uint32_t round_ = 0;
  Deadline round_until_ = Deadline::max();  // max: none is under way
};

// The answer, without newline.
[[nodiscard]] std::string status_text(const std::list<Connection>& connections,
                                      const std::vector<std::string>& listening);

}  // namespace qf
