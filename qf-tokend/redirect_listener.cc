// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/redirect_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/text.h"
#include "qf-tokend/connection_owner.h"

namespace qf {

namespace {

constexpr size_t kMostParameters = 32;
constexpr int kBacklog = 16;
constexpr auto kAcceptPause = std::chrono::milliseconds(200);
constexpr std::string_view kEndOfHead = "\r\n\r\n";

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

// application/x-www-form-urlencoded; no control characters, which none of our parameters has.
std::optional<std::string> decode_parameter(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i] == '+' ? ' ' : text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      auto high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (!high || !low) return std::nullopt;
      c = static_cast<char>(*high * 16 + *low);
      i += 2;
    }
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return std::nullopt;
    out += c;
  }
  return out;
}

// A parameter must not come twice (RFC 6749 section 3.1).
std::optional<QueryParameters> decode_query(std::string_view query) {
  QueryParameters out;
  for (const auto& pair : split(query, '&')) {
    if (pair.empty()) continue;
    std::string_view text = pair;
    size_t equals = std::min(text.find('='), text.size());
    auto name = decode_parameter(text.substr(0, equals));
    auto value = decode_parameter(text.substr(std::min(equals + 1, text.size())));
    if (!name || !value || out.size() == kMostParameters || !out.emplace(*name, *value).second) {
      return std::nullopt;
    }
  }
  return out;
}

// The value of the only Host header (RFC 9112 section 3.2).
std::optional<std::string> host_of(std::string_view headers) {
  std::optional<std::string> host;
  for (const auto& line : split(headers, '\n')) {
    size_t colon = line.find(':');
    if (colon == std::string::npos || lower(line.substr(0, colon)) != "host") continue;
    if (host) return std::nullopt;
    host = std::string(trim(std::string_view(line).substr(colon + 1)));
  }
  return host;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

const char* reason_phrase(int status) {
  if (status == 200) return "OK";
  if (status == 403) return "Forbidden";
  if (status == 404) return "Not Found";
  return status == 405 ? "Method Not Allowed" : "Bad Request";
}

// The page loads nothing, and neither caches nor referrers learn the code that is in its address.
std::string page_answer(const RedirectPage& page) {
  std::string body =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + escape_html(page.title) +
      "</title><style>body{font:1.1em sans-serif;max-width:36em;margin:4em auto;padding:0 1em}</style></head>"
      "<body><h1>" +
      escape_html(page.title) + "</h1><p>" + escape_html(page.text) + "</p></body></html>\n";
  return "HTTP/1.1 " + std::to_string(page.status) + " " + reason_phrase(page.status) +
         "\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer"
         "\r\nX-Content-Type-Options: nosniff"
         "\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\r\n" +
         body;
}

// A few KiB fit into the socket's buffer; a client that has left needs no page.
void send_page(int fd, const RedirectPage& page) {
  std::string answer = page_answer(page);
  if (::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) return;
  ::shutdown(fd, SHUT_WR);
}

Result<Fd> listen_at(int family, const sockaddr* address, socklen_t length) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return system_error("cannot make a socket");
  int on = 1;
  // a fixed port is used again and again, and its last connections linger
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd.get(), address, length) != 0) return system_error("bind");
  if (::listen(fd.get(), kBacklog) != 0) return system_error("listen");
  return fd;
}

Result<Fd> listen_ipv4(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return listen_at(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

Result<Fd> listen_ipv6(uint16_t port) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = in6addr_loopback;
  return listen_at(AF_INET6, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// sin_port and sin6_port are at the same place.
uint16_t port_of(int fd) {
  sockaddr_in6 address = {};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.sin6_port);
}

}  // namespace

RedirectRequest parse_redirect_request(std::string_view head, std::string_view authority) {
  size_t end = head.find("\r\n");
  if (end == std::string_view::npos) return {400, {}};
  auto words = split(head.substr(0, end), ' ');
  if (words.size() != 3 || !words[2].starts_with("HTTP/1.")) return {400, {}};
  if (host_of(head.substr(end + 2)) != authority) return {400, {}};
  if (words[0] != "GET") return {405, {}};
  std::string_view target = words[1];
  size_t question = std::min(target.find('?'), target.size());
  if (target.substr(0, question) != kRedirectPath) return {404, {}};
  auto parameters = decode_query(target.substr(std::min(question + 1, target.size())));
  if (!parameters) return {400, {}};
  return {200, std::move(*parameters)};
}

Result<RedirectListener> RedirectListener::open(uint16_t port) {
  auto fd = listen_ipv4(port);
  bool ipv6 = !fd && (fd.error().sys == EADDRNOTAVAIL || fd.error().sys == EAFNOSUPPORT);
  if (ipv6) fd = listen_ipv6(port);
  if (!fd) return fd.error();
  uint16_t bound = port_of(fd->get());
  std::string authority = std::string(ipv6 ? "[::1]:" : "127.0.0.1:") + std::to_string(bound);
  return RedirectListener(std::move(*fd), std::move(authority));
}

void RedirectListener::add(std::vector<pollfd>& polled) const {
  if (Clock::now() >= accept_again_) polled.push_back({listener_.get(), POLLIN, 0});
  if (waiting_) return;  // not even for POLLHUP and POLLERR, which poll(2) reports unasked
  for (const auto& connection : connections_) polled.push_back({connection.fd.get(), POLLIN, 0});
}

Deadline RedirectListener::deadline() const {
  Deadline soonest = Clock::now() < accept_again_ ? accept_again_ : Deadline::max();
  for (const auto& connection : connections_) soonest = std::min(soonest, connection.until);
  return soonest;
}

void RedirectListener::accept_connections(Deadline now) {
  for (size_t i = 0; i < kMostConnections; ++i) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd && errno != EAGAIN) accept_again_ = now + kAcceptPause;
    if (!fd) return;
    // root may do anything here anyway, and stands for what forwards connections (ssh -L, WSL)
    auto owner = connection_owner(fd.get());
    if (!owner || (*owner != ::geteuid() && *owner != 0)) {
      send_page(fd.get(), {403, "not yours", "this login belongs to another user of this machine"});
      continue;
    }
    // the oldest one goes: browsers open connections that they never use
    if (connections_.size() == kMostConnections) connections_.erase(connections_.begin());
    connections_.push_back({std::move(fd), "", now + kHeadTime});
  }
}

bool RedirectListener::serve(Connection& connection, std::optional<QueryParameters>& redirect) {
  char buffer[4096];
  ssize_t n = ::recv(connection.fd.get(), buffer, sizeof buffer, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) return false;
  connection.head.append(buffer, static_cast<size_t>(n));
  size_t end = connection.head.find(kEndOfHead);
  bool whole = end != std::string::npos;
  if (!whole && connection.head.size() <= kMostRedirectBytes) return true;
  auto request = whole ? parse_redirect_request(
                             std::string_view(connection.head).substr(0, end + kEndOfHead.size()), authority_)
                       : RedirectRequest{400, {}};
  if (request.status == 200) {
    redirect = std::move(request.parameters);
    waiting_ = std::move(connection.fd);
  } else {
    send_page(connection.fd.get(), {request.status, "nothing here", "this address is for one login only"});
  }
  return false;
}

std::optional<QueryParameters> RedirectListener::handle(const std::vector<pollfd>& polled, Deadline now) {
  auto ready = [&](int fd) {
    return std::any_of(polled.begin(), polled.end(),
                       [&](const pollfd& p) { return p.fd == fd && p.revents != 0; });
  };
  std::optional<QueryParameters> redirect;
  std::erase_if(connections_, [&](Connection& connection) {
    if (!redirect && !waiting_ && ready(connection.fd.get()) && !serve(connection, redirect)) return true;
    return now >= connection.until;
  });
  if (ready(listener_.get())) accept_connections(now);
  return redirect;
}

void RedirectListener::answer(const RedirectPage& page) {
  if (!waiting_) return;
  send_page(waiting_.get(), page);
  waiting_.reset();
}

}  // namespace qf
