// SPDX-License-Identifier: Apache-2.0
#include "libqf/identification.h"

#include "tests/unit/detect_tools.h"

namespace qf {
namespace {

using State = IdentificationReader::State;
using test::in_seconds;

State read_all(std::string_view bytes, Identification& out, size_t& used) {
  IdentificationReader reader;
  auto state = reader.feed(bytes, used);
  out = reader.result();
  return state;
}

ServerKind kind_of(const std::string& line) {
  Identification found;
  size_t used = 0;
  EXPECT_EQ(read_all(line + "\r\n", found, used), State::kFound) << line;
  EXPECT_EQ(found.line, line);
  return found.kind;
}

TEST(Identification, GoldenLines) {
  EXPECT_EQ(server_identification(true), "QuFabric-SSH-Server-" QF_VERSION " QuFabric-JWT-Required");
  EXPECT_EQ(server_identification(false), "QuFabric-SSH-Server-" QF_VERSION);
  EXPECT_EQ(kind_of("SSH-2.0-" + server_identification(true)), ServerKind::kQufabricJwt);
  EXPECT_EQ(kind_of("SSH-2.0-" + server_identification(false)), ServerKind::kQufabricNoJwt);
}

TEST(Identification, OfOthers) {
  for (const auto* line :
       {"SSH-2.0-OpenSSH_9.2p1 Debian-2", "SSH-1.99-Cisco-1.25", "SSH-2.0-", "SSH-",
        "SSH-2.0-QuFabric-SSH-Server-", "SSH-2.0-QuFabric-SSH-Server", "SSH-2.0-qufabric-ssh-server-0.61.0",
        "SSH-1.99-QuFabric-SSH-Server-0.61.0", "SSH-2.0-OpenSSH QuFabric-JWT-Required",
        "SSH-2.0-QuFabric-SSH-Server-0.61.0\x1b[2J QuFabric-JWT-Required"}) {
    EXPECT_EQ(kind_of(line), ServerKind::kOtherSsh) << line;
  }
}

TEST(Identification, CommentsAreWords) {
  EXPECT_EQ(kind_of("SSH-2.0-QuFabric-SSH-Server-0.62.0 new QuFabric-JWT-Required x"),
            ServerKind::kQufabricJwt);
  EXPECT_EQ(kind_of("SSH-2.0-QuFabric-SSH-Server-0.61.0 QuFabric-JWT-Required2"), ServerKind::kQufabricNoJwt);
}

TEST(Identification, SoftwareIsPrintable) {
  Identification found;
  size_t used = 0;
  ASSERT_EQ(read_all("SSH-2.0-a\x1b[31mb c\r\n", found, used), State::kFound);
  EXPECT_EQ(found.software, "a?[31mb");
}

TEST(Identification, UsedEndsAtTheLine) {
  std::string line = "SSH-2.0-x\r\n";
  Identification found;
  size_t used = 0;
  ASSERT_EQ(read_all(line + "binary packet", found, used), State::kFound);
  EXPECT_EQ(used, line.size());
  ASSERT_EQ(read_all("SSH-2.0-x\nmore", found, used), State::kFound) << "LF alone ends a line too";
  EXPECT_EQ(used, 10U);
  EXPECT_EQ(found.line, "SSH-2.0-x");
}

TEST(Identification, LinesBeforeIt) {
  Identification found;
  size_t used = 0;
  std::string text = "welcome\r\n\r\n SSH-2.0-not at the start\r\nXSSH-2.0-y\nSSH-2.0-z\r\n";
  ASSERT_EQ(read_all(text, found, used), State::kFound);
  EXPECT_EQ(found.line, "SSH-2.0-z");
  EXPECT_EQ(used, text.size());
}

TEST(Identification, EverySplitGivesTheSame) {
  std::string text = "a line\r\nSSH-2.0-QuFabric-SSH-Server-0.61.0 QuFabric-JWT-Required\r\nrest";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    IdentificationReader reader;
    size_t first = 0, second = 0;
    auto state = reader.feed(std::string_view(text).substr(0, cut), first);
    if (state == State::kMore) state = reader.feed(std::string_view(text).substr(cut), second);
    ASSERT_EQ(state, State::kFound) << cut;
    EXPECT_EQ(first + second, text.size() - 4) << cut;
    EXPECT_EQ(reader.result().kind, ServerKind::kQufabricJwt) << cut;
  }
}

TEST(Identification, EveryTruncationIsUnfinished) {
  std::string text = "SSH-2.0-QuFabric-SSH-Server-0.61.0\r\n";
  for (size_t cut = 0; cut < text.size(); ++cut) {
    Identification found;
    size_t used = 0;
    EXPECT_EQ(read_all(text.substr(0, cut), found, used), State::kMore) << cut;
  }
}

TEST(Identification, TheLongestLine) {
  Identification found;
  size_t used = 0;
  std::string most = "SSH-2.0-" + std::string(kMostIdentificationBytes - 10, 'x');
  EXPECT_EQ(read_all(most + "\r\n", found, used), State::kFound);
  EXPECT_EQ(used, kMostIdentificationBytes);
  EXPECT_EQ(read_all(most + "x\r\n", found, used), State::kNotSsh);
  EXPECT_EQ(read_all("SSH-" + std::string(1 << 20, 'x'), found, used), State::kNotSsh);
  EXPECT_LE(used, kMostIdentificationBytes) << "gives up without waiting for the end";
}

TEST(Identification, BoundOnWhatComesBefore) {
  Identification found;
  size_t used = 0;
  EXPECT_EQ(read_all(std::string(1 << 20, 'x'), found, used), State::kNotSsh);
  EXPECT_LE(used, kMostPreludeBytes + 1);
  std::string lines;
  while (lines.size() + 100 <= kMostPreludeBytes) lines += std::string(98, 'y') + "\r\n";
  EXPECT_EQ(read_all(lines + "SSH-2.0-z\r\n", found, used), State::kFound);
  EXPECT_EQ(read_all(lines + lines + "SSH-2.0-z\r\n", found, used), State::kNotSsh);
}

TEST(Identification, FinalStatesTakeNothing) {
  IdentificationReader reader;
  size_t used = 0;
  ASSERT_EQ(reader.feed("SSH-2.0-z\n", used), State::kFound);
  EXPECT_EQ(reader.feed("SSH-2.0-other\n", used), State::kFound);
  EXPECT_EQ(used, 0U);
  EXPECT_EQ(reader.result().line, "SSH-2.0-z");
}

TEST(PeekIdentification, LeavesEveryByte) {
  auto pair = test::tcp_pair();
  std::string sent = "hello\r\nSSH-2.0-QuFabric-SSH-Server-0.61.0\r\nbinary";
  test::put(pair.second.get(), sent);
  auto found = peek_identification(pair.first.get(), in_seconds(5));
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(found->kind, ServerKind::kQufabricNoJwt);
  std::string left(sent.size(), '\0');
  ASSERT_TRUE(wait_for(pair.first.get(), POLLIN, in_seconds(5)));
  EXPECT_EQ(::recv(pair.first.get(), left.data(), left.size(), MSG_WAITALL),
            static_cast<ssize_t>(sent.size()));
  EXPECT_EQ(left, sent);
  // and a single further byte wakes a reader again
  test::put(pair.second.get(), "x");
  EXPECT_TRUE(wait_for(pair.first.get(), POLLIN, in_seconds(5)));
}

TEST(PeekIdentification, ByteByByteWithoutSpinning) {
  auto pair = test::tcp_pair();
  std::thread writer([&] {
    for (char c : std::string("SSH-2.0-slow\r\n")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      test::put(pair.second.get(), {&c, 1});
    }
  });
  struct timespec before = {}, after = {};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  auto found = peek_identification(pair.first.get(), in_seconds(10));
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  writer.join();
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(found->line, "SSH-2.0-slow");
  auto spent = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1'000'000;
  EXPECT_LT(spent, 100) << "milliseconds of processor for 280 of waiting";
}

TEST(PeekIdentification, Failures) {
  auto outcome = [](std::string_view text, bool close) {
    auto pair = test::tcp_pair();
    test::put(pair.second.get(), text);
    if (close) pair.second.reset();
    auto found =
        peek_identification(pair.first.get(), Clock::now() + std::chrono::milliseconds(close ? 5000 : 200));
    EXPECT_FALSE(found);
    return found ? ErrorKind::kInput : found.error().kind;
  };
  EXPECT_EQ(outcome("", true), ErrorKind::kRefused);
  EXPECT_EQ(outcome("SSH-2.0-", true), ErrorKind::kPeer);
  EXPECT_EQ(outcome("garbage\n", true), ErrorKind::kPeer);
  EXPECT_EQ(outcome(std::string(100'000, 'x'), false), ErrorKind::kPeer);
  EXPECT_EQ(outcome("", false), ErrorKind::kTimeout);
  EXPECT_EQ(outcome("garbage\n", false), ErrorKind::kTimeout);
}

TEST(PeekIdentification, ResetWithoutAByteIsARefusal) {
  auto pair = test::tcp_pair();
  struct linger hard = {1, 0};
  ASSERT_EQ(::setsockopt(pair.second.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
  pair.second.reset();
  auto found = peek_identification(pair.first.get(), in_seconds(5));
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::kRefused);
}

}  // namespace
}  // namespace qf
