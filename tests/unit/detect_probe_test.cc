// SPDX-License-Identifier: Apache-2.0
#include "libqf/probe.h"

#include "qf-detect/ask.h"
#include "qf-detect/report.h"
#include "tests/unit/detect_tools.h"

namespace qf {
namespace {

using std::chrono::milliseconds;
using test::hang;
using test::put;
using test::says;
using test::Server;

ProbeResult probe_server(Server::Serve serve, int limit = 5000) {
  Server server(std::move(serve));
  return probe({"127.0.0.1"}, server.port(), Clock::now() + milliseconds(limit));
}

TEST(Probe, Words) {
  for (auto detection :
       {Detection::kJwt, Detection::kNoJwt, Detection::kOther, Detection::kClosed, Detection::kNone}) {
    EXPECT_EQ(parse_detection(detection_word(detection)), detection);
  }
  EXPECT_EQ(parse_detection("JWT"), std::nullopt);
  EXPECT_EQ(parse_detection(""), std::nullopt);
}

TEST(Probe, Servers) {
  EXPECT_EQ(probe_server(says("SSH-2.0-QuFabric-SSH-Server-0.61.0 QuFabric-JWT-Required\r\n")).detection,
            Detection::kJwt);
  EXPECT_EQ(probe_server(says("SSH-2.0-QuFabric-SSH-Server-0.61.0\r\n")).detection, Detection::kNoJwt);
  auto other = probe_server(says("SSH-2.0-OpenSSH_9.2\r\n"));
  EXPECT_EQ(other.detection, Detection::kOther);
  EXPECT_EQ(other.identification.software, "OpenSSH_9.2");
  EXPECT_EQ(other.address, "127.0.0.1");
  EXPECT_EQ(other.source, "127.0.0.1");
  EXPECT_EQ(probe_server(says("hello\r\nyou\r\nSSH-2.0-OpenSSH_9.2\r\n")).detection, Detection::kOther);
}

TEST(Probe, ClosingWithoutAByte) {
  auto result = probe_server([](int, int) {});
  EXPECT_EQ(result.detection, Detection::kClosed);
}

TEST(Probe, NothingListens) {
  uint16_t port = Server([](int, int) {}).port();
  auto result = probe({"127.0.0.1"}, port, test::in_seconds(5));
  EXPECT_EQ(result.detection, Detection::kNone);
  EXPECT_NE(result.reason.find("refused"), std::string::npos) << result.reason;
  EXPECT_TRUE(result.address.empty());
}

// Each of them must be answered right and within the deadline: without one the probe would wait for ever, or
// long enough to see the end of the identification line.
TEST(Probe, HostileServers) {
  auto answered = [](const char* what, Server::Serve serve) {
    auto result = probe_server(std::move(serve), 400);
    EXPECT_EQ(result.detection, Detection::kNone) << what;
    EXPECT_FALSE(result.reason.empty()) << what;
  };
  answered("silence", [](int, int over) { hang(over); });
  answered("garbage", says(std::string("\0\1\2\3\xff\xfe\n", 7)));
  answered("1 MB without a newline", says(std::string(1 << 20, 'A')));
  answered("1 MB after SSH-", says("SSH-2.0-" + std::string(1 << 20, 'A')));
  answered("lines without end", [](int fd, int over) {
    for (int i = 0; i < 100'000; ++i) put(fd, "another line\r\n");
    hang(over);
  });
  answered("half a line, then the end", [](int fd, int) { put(fd, "SSH-2.0-QuFabric"); });
  answered("a byte now and then", [](int fd, int over) {
    for (char c : std::string("SSH-2.0-QuFabric-SSH-Server-0.61.0\r\n")) {
      put(fd, {&c, 1});
      pollfd polled = {over, POLLIN, 0};
      if (::poll(&polled, 1, 100) != 0) return;
    }
  });
}

TEST(Ask, TheNamedPortWhenTheFabricPortIsSilent) {
  test::Scratch scratch;
  auto folders = find_folders(scratch.path(), scratch.path(), scratch.path());
  std::string address = test::own_address(0);
  Server sshd(says("SSH-2.0-OpenSSH_9.2\r\n"), address);
  auto report = ask_host(folders, address, sshd.port(), milliseconds(5000));
  EXPECT_EQ(report.result.detection, Detection::kOther);
  EXPECT_EQ(report.result.port, sshd.port());
  EXPECT_NE(report.other_reason.find("22022"), std::string::npos);
  EXPECT_EQ(detection_exit_code(report.result.detection), 2);
}

TEST(Ask, TheFabricPortFirst) {
  test::Scratch scratch;
  auto folders = find_folders(scratch.path(), scratch.path(), scratch.path());
  std::string address = test::own_address(0);
  Server ours(says("SSH-2.0-QuFabric-SSH-Server-0.61.0\r\n"), address, kFabricPort);
  Server sshd(says("SSH-2.0-OpenSSH_9.2\r\n"), address);
  auto report = ask_host(folders, address, sshd.port(), milliseconds(5000));
  EXPECT_EQ(report.result.detection, Detection::kNoJwt);
  EXPECT_EQ(report.result.port, kFabricPort);
  EXPECT_EQ(sshd.accepted(), 0U) << "the other port is left alone";
}

TEST(Ask, ASilentFabricPortLeavesTimeForTheOther) {
  test::Scratch scratch;
  auto folders = find_folders(scratch.path(), scratch.path(), scratch.path());
  std::string address = test::own_address(0);
  Server silent([](int, int over) { hang(over); }, address, kFabricPort);
  Server sshd(says("SSH-2.0-OpenSSH_9.2\r\n"), address);
  auto before = Clock::now();
  auto report = ask_host(folders, address, sshd.port(), milliseconds(600));
  EXPECT_EQ(report.result.detection, Detection::kOther);
  EXPECT_LT(Clock::now() - before, milliseconds(1200));
}

TEST(Report, TextAndJson) {
  Report report;
  report.host = "db1\x1b[2J";
  report.peer = "db1";
  report.result.detection = Detection::kJwt;
  report.result.port = 22022;
  report.result.address = "100.119.230.104";
  report.result.identification.line = "SSH-2.0-QuFabric-SSH-Server-0.61.0 QuFabric-JWT-Required";
  report.result.identification.software = "QuFabric-SSH-Server-0.61.0";
  EXPECT_EQ(report_text(report),
            "db1?[2J port 22022: QuFabric SSH server, JWT required (QuFabric-SSH-Server-0.61.0)\n");
  auto json = parse_json(report_json(report));
  ASSERT_TRUE(json);
  EXPECT_EQ(json_string(json->get(), "detection"), "jwt");
  EXPECT_EQ(json_string(json->get(), "peer"), "db1");
  EXPECT_EQ(json_string(json->get(), "address"), "100.119.230.104");
  EXPECT_EQ(json_integer(json->get(), "port"), 22022);
  EXPECT_EQ(json_string(json->get(), "identification"), report.result.identification.line);
}

TEST(Report, ExitCodes) {
  EXPECT_EQ(detection_exit_code(Detection::kJwt), 0);
  EXPECT_EQ(detection_exit_code(Detection::kNoJwt), 1);
  EXPECT_EQ(detection_exit_code(Detection::kOther), 2);
  EXPECT_EQ(detection_exit_code(Detection::kClosed), 3);
  EXPECT_EQ(detection_exit_code(Detection::kNone), 3);
}

}  // namespace
}  // namespace qf
