// SPDX-License-Identifier: Apache-2.0
#include "qf-up/live_status.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "libqf/log.h"
#include "libqf/text.h"
#include "libqf/unix_socket.h"
#include "qf-up/text_table.h"

namespace qf {

namespace {

constexpr const char* kSocket = "/sshd-status.sock";
constexpr auto kPatience = std::chrono::seconds(10);  // the server waits 2 s for monitors that do not answer
constexpr size_t kMostAnswer = 64 << 20;              // bytes

Result<std::string> read_all(int fd, Deadline deadline) {
  std::string text;
  char chunk[65536];
  for (;;) {
    if (auto ready = wait_for(fd, POLLIN, deadline); !ready) return ready.error();
    ssize_t n = ::read(fd, chunk, sizeof chunk);
    if (n == 0) return text;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read from qf-sshd");
    text.append(chunk, static_cast<size_t>(n));
    if (text.size() > kMostAnswer) return peer_error("qf-sshd does not stop talking");
  }
}

using Row = std::array<std::string, 9>;
constexpr std::array<const char*, 9> kHead = {"IDENTITY", "OS USER",  "FROM", "SINCE", "METHOD",
                                              "RUNS",     "FORWARDS", "IN",   "OUT"};

std::string text_of(const cJSON* object, const char* key, const char* otherwise = "-") {
  std::string text = printable(json_string(object, key).value_or(""));
  return text.empty() ? otherwise : text;
}

int64_t number_of(const cJSON* object, const char* key) {
  return json_integer(object, key).value_or(0);
}

// Seconds are enough for people.
std::string time_of(const cJSON* object) {
  std::string text = text_of(object, "since");
  size_t dot = text.find('.');
  return dot == std::string::npos ? text : text.substr(0, dot) + "Z";
}

std::string runs(const cJSON* session) {
  std::string kind = text_of(session, "kind");
  std::string command = text_of(session, "command", "");
  return kind != "exec" ? kind : command.empty() ? "a command" : command;
}

Row connection_row(const cJSON* connection) {
  Row row;
  std::string address = text_of(connection, "address");
  bool v6 = address.find(':') != std::string::npos;
  row[2] = text_of(connection, "peer", "no peer") + " " + (v6 ? "[" + address + "]" : address) + ":" +
           std::to_string(number_of(connection, "port"));
  row[3] = time_of(connection);
  bool answers = json_bool(connection, "answers").value_or(false);
  bool logged_in = json_bool(connection, "logged_in").value_or(false);
  row[0] = text_of(connection, "identity", answers ? logged_in ? "-" : "not logged in" : "does not answer");
  row[1] = text_of(connection, "os_user");
  row[4] = text_of(connection, "method");
  if (json_bool(connection, "tunnel").value_or(false)) row[4] += ", tunnel";
  row[5] = "-";
  row[6] = answers ? std::to_string(number_of(connection, "forwards")) : "-";
  row[7] = answers ? short_bytes(number_of(connection, "bytes_in")) : "-";
  row[8] = answers ? short_bytes(number_of(connection, "bytes_out")) : "-";
  return row;
}

void add_rows(std::vector<Row>& rows, const cJSON* connection) {
  Row row = connection_row(connection);
  const cJSON* sessions = json_member(connection, "sessions");
  const cJSON* session = nullptr;
  size_t before = rows.size();
  cJSON_ArrayForEach(session, sessions) {
    row[3] = time_of(session);
    row[5] = runs(session);
    row[7] = short_bytes(number_of(session, "bytes_in"));
    row[8] = short_bytes(number_of(session, "bytes_out"));
    rows.push_back(row);
  }
  if (rows.size() == before) rows.push_back(row);
  if (int64_t more = number_of(connection, "more_sessions"); more > 0) {
    row[5] = std::to_string(more) + " more";
    row[7] = row[8] = "-";
    rows.push_back(row);
  }
}

}  // namespace

Result<std::string> ask_server_text(const Folders& folders, const std::string& socket) {
  auto runtime = server_runtime(folders, false);
  if (!runtime && runtime.error().sys == ENOENT) return not_found("no qf-sshd was ever started here");
  if (!runtime) return runtime.error();
  auto fd = connect_unix(*runtime + socket, ::geteuid());
  if (!fd && fd.error().kind == ErrorKind::kNotFound) return not_found("no qf-sshd runs here");
  if (!fd) return fd.error();
  return read_all(fd->get(), Clock::now() + kPatience);
}

Result<JsonPtr> ask_server(const Folders& folders) {
  auto text = ask_server_text(folders, kSocket);
  if (!text) return text.error();
  auto json = parse_json(trim(*text));
  if (!json) return peer_error("qf-sshd does not talk sense: " + json.error().text());
  if (!cJSON_IsArray(json_member(json->get(), "connections")))
    return peer_error("qf-sshd does not say what lives there");
  return json;
}

std::string short_bytes(int64_t bytes) {
  constexpr std::array<const char*, 6> kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  char text[32] = {};
  std::snprintf(text, sizeof text, value < 9.95 ? "%.1f %s" : "%.0f %s", value, kUnits[unit]);
  return text;
}

std::string live_table(const cJSON* status, bool colours) {
  std::vector<Row> rows;
  const cJSON* connection = nullptr;
  cJSON_ArrayForEach(connection, json_member(status, "connections")) add_rows(rows, connection);
  if (rows.empty()) return "no connections\n";
  std::vector<TableRow> table(1);
  for (const char* name : kHead) table[0].push_back({name, Colour::kHead});
  for (const auto& row : rows) {
    auto& cells = table.emplace_back();
    for (const auto& text : row) cells.push_back({text});
  }
  return table_text(table, colours);
}

LiveCount count_live(const cJSON* status) {
  LiveCount count;
  const cJSON* connection = nullptr;
  cJSON_ArrayForEach(connection, json_member(status, "connections")) {
    ++count.connections;
    if (json_bool(connection, "logged_in").value_or(false)) ++count.logged_in;
    count.sessions +=
        ::cJSON_GetArraySize(json_member(connection, "sessions")) + number_of(connection, "more_sessions");
  }
  return count;
}

}  // namespace qf
