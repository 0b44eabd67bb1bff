// SPDX-License-Identifier: Apache-2.0
// The loopback end of a browser login (RFC 8252 section 7.3): a socket on 127.0.0.1, or [::1] where there is
// no other, that takes one kind of HTTP request, the redirect that brings the authorization response, and
// answers with a plain page. Only the user's own processes and root's get so far: the address of a login is
// in the arguments of the browser, where others can read it. All of it is bounded, in bytes, in connections
// and in time, and nothing is believed: the caller checks the state.
#pragma once

#include <poll.h>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libqf/fd.h"
#include "libqf/result.h"

namespace qf {

using QueryParameters = std::map<std::string, std::string>;

inline constexpr size_t kMostRedirectBytes = 16 * 1024;  // of a request's head
inline constexpr std::string_view kRedirectPath = "/callback";

// What a request asks, with the status to answer when it is not the redirect: 400 (malformed, another Host),
// 404 (another path), 405 (another method).
struct RedirectRequest {
  int status = 200;
  QueryParameters parameters;
};
// `head`: the bytes up to and including the empty line. `authority`: ours, "127.0.0.1:PORT"; another Host is
// a page of elsewhere that has our address under its own name.
[[nodiscard]] RedirectRequest parse_redirect_request(std::string_view head, std::string_view authority);

// A page for people; both texts are escaped.
struct RedirectPage {
  int status = 200;
  std::string title, text;
};

class RedirectListener {
 public:
  static constexpr size_t kMostConnections = 16;
  static constexpr auto kHeadTime = std::chrono::seconds(10);  // for a whole request

  // port 0: any that is free. kSystem when the port is taken.
  [[nodiscard]] static Result<RedirectListener> open(uint16_t port);

  [[nodiscard]] std::string redirect_uri() const {
    return "http://" + authority_ + std::string(kRedirectPath);
  }

  void add(std::vector<pollfd>& polled) const;
  [[nodiscard]] Deadline deadline() const;
  // Serves the connections; the parameters of a redirect that has come. The caller answers it with answer(),
  // at once or later; until then no other request is read.
  std::optional<QueryParameters> handle(const std::vector<pollfd>& polled, Deadline now);
  void answer(const RedirectPage& page);

 private:
  struct Connection {
    Fd fd;
    std::string head;
    Deadline until;
  };
  RedirectListener(Fd listener, std::string authority)
      : listener_(std::move(listener)), authority_(std::move(authority)) {}
  void accept_connections(Deadline now);
  // False: the connection is done with.
  bool serve(Connection& connection, std::optional<QueryParameters>& redirect);

  Fd listener_;
  std::string authority_;
  std::vector<Connection> connections_;
  Fd waiting_;               // brought the redirect, waits for its page
  Deadline accept_again_{};  // after running out of descriptors
};

}  // namespace qf
