// SPDX-License-Identifier: Apache-2.0
// Forwarding in net: connections that the client wants made (direct-tcpip), and sockets that are listened on
// for it (tcpip-forward, the agent's, X11's). net makes no socket itself: the monitor hands them in, or says
// why not. RFC 4254 section 7.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "qf-sshd/messages.h"
#include "qf-sshd/monitor_client.h"
#include "qf-sshd/net_stream.h"

namespace qf {

class NetForward {
 public:
  struct Plan {
    NetLoop loop;
    MonitorClient& monitor;
    size_t most_streams;                             // open at once; more wait unaccepted, or are refused
    std::function<void(const std::string&)> notice;  // tells the user why something was refused
  };
  explicit NetForward(Plan plan) : plan_(std::move(plan)) {}

  // A channel open request of type direct-tcpip; kept until the monitor has answered.
  void connect(SshMessage request);
  // A global request: tcpip-forward or cancel-tcpip-forward.
  void global_request(SshMessage request);
  void connected(const ConnectReply& reply, Fd socket);
  // A new policy withdraws the forward of this number: its sockets and the connections that it carries go.
  void withdraw(uint32_t id);
  // Sockets of a session: each connection to them becomes a channel while the session lasts.
  void add_agent(uint32_t session, Fd socket);
  void add_display(uint32_t session, std::vector<Fd> sockets, X11 x11);
  void session_ended(uint32_t session);

  // Moves bytes, accepts, opens channels; called after every turn of the loop.
  void turn(bool shared);
  // Milliseconds until turn() must be called even when nothing happens; -1: no need.
  [[nodiscard]] int patience() const;

  [[nodiscard]] bool overrun() const;
  [[nodiscard]] size_t streams() const { return streams_.size() + opening_.size() + connecting_.size(); }
  [[nodiscard]] size_t listening() const { return listeners_.size(); }
  [[nodiscard]] uint64_t bytes_in() const;
  [[nodiscard]] uint64_t bytes_out() const;

 private:
  // What the monitor is not asked for is in the audit log as well.
  void tell_refused(bool listen, const std::string& address, uint32_t port, const char* reason);
  enum class Kind { kForward, kAgent, kX11 };
  struct Listener {
    Kind kind = Kind::kForward;
    uint32_t id = 0;      // the monitor's name for a forward; of the session for the others
    std::string address;  // as the client asked for it
    uint32_t asked_port = 0, port = 0;
    X11 x11;
    std::vector<std::unique_ptr<Watched>> sockets;
    bool closing = false;
  };
  // A connection that is carried.
  struct Carried {
    std::unique_ptr<NetStream> stream;
    uint32_t forward = 0;  // the monitor's name for the forward that it belongs to; 0: of a session
    bool asked = false;    // the client asked for this very connection: the monitor hears of its end
  };
  // Accepted; its channel is not open yet.
  struct Opening {
    Kind kind = Kind::kForward;
    uint32_t forward = 0;  // as above
    // None: withdrawn. The client, which has been asked to open the channel, is waited for: it would keep
    // one that was given up before its answer came.
    std::unique_ptr<Watched> socket;
    std::string address;  // of the listener
    uint32_t port = 0;
    std::string source_address;
    uint32_t source_port = 0;
    std::string first;  // X11: read so far
    X11 x11;
    bool checked = false;
    Deadline deadline = Deadline::max();
    std::unique_ptr<NetStream> stream;
  };

  void listen(SshMessage request);
  [[nodiscard]] bool cancel(const std::string& address, uint32_t port);
  void accept_from(Listener& listener, Watched& socket);
  [[nodiscard]] bool check_setup(Opening& opening);
  enum class Progress { kWait, kOpen, kFailed };
  [[nodiscard]] Progress open_channel(Opening& opening);
  void advance_openings();
  std::list<Carried>::iterator end(std::list<Carried>::iterator carried);
  void tell_cancelled();

  Plan plan_;
  uint32_t next_id_ = 1;
  unsigned refusals_told_ = 0;
  std::map<uint32_t, SshMessage> connecting_;
  std::list<Listener> listeners_;
  std::list<Opening> opening_;
  std::list<Carried> streams_;
  // cancelled by the client; the monitor is told when what came through them is gone as well
  std::set<uint32_t> cancelled_;
  uint64_t ended_in_ = 0, ended_out_ = 0;  // bytes of streams that are gone
};

}  // namespace qf
