// SPDX-License-Identifier: Apache-2.0
// Authentication in net (RFC 4252): passes on what the client offers and carries out what the monitor
// decides.
#pragma once

#include <functional>
#include <string>

#include "qf-sshd/messages.h"
#include "qf-sshd/monitor_client.h"
#include "qf-sshd/net_window.h"

namespace qf {

class NetLogin {
 public:
  struct Plan {
    ssh_session session;  // borrowed
    MonitorClient& monitor;
    LongPath& path;  // is told how long the client's answers took
    bool password_offered = false;
    std::function<void(const std::string& banner)> refuse;     // shows it and ends the connection
    std::function<bool()> hides_banners;                       // the client does
    std::function<void(const std::string& reason)> break_off;  // for a client that breaks the protocol
  };
  explicit NetLogin(Plan plan);

  // A service or authentication request. It is answered when this returns, but for keyboard-interactive (RFC
  // 4256): then the monitor's AuthReply comes by itself, and is for answered(). A person may take minutes,
  // and whether the client is still there must be noticed meanwhile.
  void handle(SshMessage request);
  // False: nobody has asked.
  [[nodiscard]] bool answered(const AuthReply& reply);
  // No method is left, and a request that will get no other answer is refused.
  void turn_down();
  [[nodiscard]] bool begun() const { return service_accepted_; }
  [[nodiscard]] bool asked() const { return asked_; }  // an answer is to come
  [[nodiscard]] bool logged_in() const { return logged_in_; }
  [[nodiscard]] const std::string& user() const { return user_; }  // logged in as this one
  [[nodiscard]] bool tunnel() const { return tunnel_; }            // as the outer connection of a tunnel

 private:
  void take(SshMessage request);
  void accept_service(ssh_message request);
  void carry_out(const AuthReply& reply);
  void answer_with(int (*reply)(ssh_message));
  void show(const std::string& banner);

  Plan plan_;
  Deadline replied_ = Deadline::min();  // the time of the last answer to the client
  bool service_accepted_ = false;
  SshMessage waiting_;   // a request, for its answer
  AuthRequest request_;  // what it, or the last one, was about
  bool asked_ = false;   // the person has a prompt
  unsigned unreadable_ = 0;
  bool logged_in_ = false;
  std::string user_;
  bool tunnel_ = false;
};

}  // namespace qf
