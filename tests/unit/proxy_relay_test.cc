// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/relay.h"

#include <fcntl.h>
#include <signal.h>

#include <future>
#include <random>

#include "qf-proxy/pump.h"
#include "tests/unit/detect_tools.h"
#include "tests/unit/proxy_tools.h"

namespace qf {
namespace {

using namespace test;

// What stdio of a ProxyCommand may be.
enum class Stdio { kPipes, kSocketpair };

struct Rig {
  Fd in, out;               // the relay's
  Fd to_relay, from_relay;  // the client's
  Fd near, far;             // the TCP connection: the relay's end, the peer's end

  explicit Rig(Stdio stdio) {
    ::signal(SIGPIPE, SIG_IGN);
    if (stdio == Stdio::kPipes) {
      auto up = make_pipe(), down = make_pipe();
      in = std::move(up->first);
      to_relay = std::move(up->second);
      from_relay = std::move(down->first);
      out = std::move(down->second);
    } else {
      auto pair = make_socketpair(SOCK_STREAM);
      in = std::move(pair->first);
      out = *duplicate(in.get());
      to_relay = std::move(pair->second);
      from_relay = *duplicate(to_relay.get());
    }
    auto tcp = tcp_pair();
    near = std::move(tcp.first);
    far = std::move(tcp.second);
  }

  // The relay in a thread; its descriptors close with its end, as those of a process do.
  std::future<Status> start(HostKeyGuard* guard = nullptr,
                            std::chrono::milliseconds key_exchange = kKeyExchangeTime) {
    return std::async(std::launch::async, [this, guard, key_exchange] {
      Status status = relay({in.get(), out.get(), near.get()}, guard, key_exchange);
      in.reset();
      out.reset();
      near.reset();
      return status;
    });
  }
  void client_leaves() {
    to_relay.reset();
    from_relay.reset();
  }
};

std::string random_bytes(size_t count, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::string out(count, '\0');
  for (size_t i = 0; i + 8 <= count; i += 8) {
    uint64_t word = generator();
    ::memcpy(out.data() + i, &word, 8);
  }
  return out;
}

std::string read_until_end(int fd) {
  std::string out;
  std::vector<char> chunk(1 << 16);
  for (;;) {
    ssize_t n = ::read(fd, chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return out;
    out.append(chunk.data(), static_cast<size_t>(n));
  }
}

std::string read_exactly(int fd, size_t count) {
  std::string out;
  while (out.size() < count) {
    char chunk[4096];
    ssize_t n = ::read(fd, chunk, std::min(sizeof chunk, count - out.size()));
    if (n <= 0) return out;
    out.append(chunk, static_cast<size_t>(n));
  }
  return out;
}

bool ended(const std::future<Status>& future, int milliseconds = 5000) {
  return future.wait_for(std::chrono::milliseconds(milliseconds)) == std::future_status::ready;
}

void exchange(const Rig& rig, int messages) {
  for (int i = 0; i < messages; ++i) {
    ASSERT_TRUE(write_all(rig.to_relay.get(), "ping"));
    ASSERT_EQ(read_exactly(rig.far.get(), 4), "ping");
    put(rig.far.get(), "pong!");
    ASSERT_EQ(read_exactly(rig.from_relay.get(), 5), "pong!");
  }
}

void expect_sleep() {
  auto before = processor_time(CLOCK_PROCESS_CPUTIME_ID);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_LT(processor_time(CLOCK_PROCESS_CPUTIME_ID) - before, std::chrono::milliseconds(100)) << "of 500";
}

class Relay : public ::testing::TestWithParam<Stdio> {};
INSTANTIATE_TEST_SUITE_P(Stdio, Relay, ::testing::Values(Stdio::kPipes, Stdio::kSocketpair),
                         [](const auto& value) {
                           return value.param == Stdio::kPipes ? "pipes" : "socketpair";
                         });

TEST_P(Relay, SmallMessagesBothWays) {
  Rig rig(GetParam());
  auto relay = rig.start();
  exchange(rig, 100);
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

TEST_P(Relay, SleepsWhenShortMessagesAreOver) {
  Rig rig(GetParam());
  auto relay = rig.start();
  exchange(rig, 1000);
  expect_sleep();
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

TEST_P(Relay, MuchBothWaysAtOnce) {
  Rig rig(GetParam());
  std::string up = random_bytes(24 << 20, 1), down = random_bytes(24 << 20, 2);
  auto relay = rig.start();
  auto client_writes = std::async(std::launch::async, [&] {
    EXPECT_TRUE(write_all(rig.to_relay.get(), up));
    if (GetParam() == Stdio::kPipes) {
      rig.to_relay.reset();
    } else {
      ::shutdown(rig.to_relay.get(), SHUT_WR);
    }
  });
  auto peer_reads = std::async(std::launch::async, [&] { return read_until_end(rig.far.get()) == up; });
  auto peer_writes = std::async(std::launch::async, [&] { put(rig.far.get(), down); });
  EXPECT_EQ(read_exactly(rig.from_relay.get(), down.size()), down);
  client_writes.get();
  peer_writes.get();
  EXPECT_TRUE(peer_reads.get()) << "all of it and then its end";
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

TEST_P(Relay, TheEndOfTheClientsSideIsAHalfClose) {
  Rig rig(GetParam());
  auto relay = rig.start();
  ASSERT_TRUE(write_all(rig.to_relay.get(), "question"));
  if (GetParam() == Stdio::kPipes) {
    rig.to_relay.reset();
  } else {
    ::shutdown(rig.to_relay.get(), SHUT_WR);
  }
  EXPECT_EQ(read_until_end(rig.far.get()), "question");
  EXPECT_FALSE(ended(relay, 100));
  put(rig.far.get(), "answer");
  EXPECT_EQ(read_exactly(rig.from_relay.get(), 6), "answer") << "the other direction goes on";
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

TEST_P(Relay, ASlowSinkGetsAllBeforeTheEnd) {
  Rig rig(GetParam());
  std::string down = random_bytes(8 << 20, 3);
  auto relay = rig.start();
  auto peer = std::async(std::launch::async, [&] {
    put(rig.far.get(), down);
    rig.far.reset();
  });
  std::string got;
  while (got.size() < (1 << 20)) {
    got += read_exactly(rig.from_relay.get(), 65536);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  got += read_until_end(rig.from_relay.get());
  peer.get();
  EXPECT_EQ(got, down);
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

// Of which a peer may send as many as it likes: splice(2) takes nothing at one.
TEST_P(Relay, UrgentBytesOfThePeerStopNothing) {
  Rig rig(GetParam());
  auto relay = rig.start();
  exchange(rig, 10);
  for (unsigned i = 0; i < 3; ++i) {
    std::string before = random_bytes(1 << 16, i), after = random_bytes(1 << 16, i + 10);
    put(rig.far.get(), before);
    ASSERT_EQ(::send(rig.far.get(), "U", 1, MSG_OOB | MSG_NOSIGNAL), 1);
    put(rig.far.get(), after);
    ASSERT_EQ(read_exactly(rig.from_relay.get(), before.size() + after.size()), before + after);
  }
  exchange(rig, 10);
  expect_sleep();
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

TEST_P(Relay, ABlockedDirectionDoesNotSpinNorBlockTheOther) {
  Rig rig(GetParam());
  auto relay = rig.start();
  // Until nothing moves any more: the client does not read.
  ASSERT_TRUE(set_nonblocking(rig.far.get(), true));
  std::string block(1 << 16, 'x');
  for (int idle = 0; idle < 20;) {
    if (::send(rig.far.get(), block.data(), block.size(), MSG_NOSIGNAL) > 0) {
      idle = 0;
    } else {
      ++idle;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  expect_sleep();
  ASSERT_TRUE(write_all(rig.to_relay.get(), "still here"));
  ASSERT_TRUE(set_nonblocking(rig.far.get(), false));
  EXPECT_EQ(read_exactly(rig.far.get(), 10), "still here");
  rig.client_leaves();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

TEST_P(Relay, EndsWithTheClientAfterItsLastWords) {
  Rig rig(GetParam());
  auto relay = rig.start();
  ASSERT_TRUE(write_all(rig.to_relay.get(), "goodbye"));
  rig.client_leaves();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
  EXPECT_EQ(read_until_end(rig.far.get()), "goodbye");
}

TEST_P(Relay, ABrokenConnectionIsAnError) {
  Rig rig(GetParam());
  auto relay = rig.start();
  struct linger hard = {1, 0};
  ASSERT_EQ(::setsockopt(rig.far.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  auto status = relay.get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kSystem);
  EXPECT_EQ(status.error().sys, ECONNRESET);
}

TEST_P(Relay, LeavesStdioAsItWas) {
  Rig rig(GetParam());
  Fd in = *duplicate(rig.in.get()), out = *duplicate(rig.out.get());
  auto relay = rig.start();
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_EQ(::fcntl(in.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(out.get(), F_GETFL) & O_NONBLOCK, 0);
}

// With the guard.

std::string server_start() {
  return kServerLine + kexinit(kCurve);
}

TEST_P(Relay, GuardedUntilTheKeysThenFree) {
  Rig rig(GetParam());
  HostKeyGuard guard({host_key('a')});
  auto relay = rig.start(&guard);
  // pipelined: the client does not wait for the server's line
  std::string up = kClientLine + kexinit(kCurve) + packet("\x1e" + std::string(36, 'q'));
  ASSERT_TRUE(write_all(rig.to_relay.get(), up));
  EXPECT_EQ(read_exactly(rig.far.get(), up.size()), up);
  std::string down = server_start() + reply(31, host_key('a')) + newkeys() + random_bytes(3 << 20, 4);
  auto peer = std::async(std::launch::async, [&] { put(rig.far.get(), down); });
  EXPECT_EQ(read_exactly(rig.from_relay.get(), down.size()), down);
  peer.get();
  std::string more = random_bytes(3 << 20, 5);
  auto client = std::async(std::launch::async, [&] { EXPECT_TRUE(write_all(rig.to_relay.get(), more)); });
  EXPECT_EQ(read_exactly(rig.far.get(), more.size()), more);
  client.get();
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

TEST_P(Relay, AWrongKeyEndsItBeforeTheClientSeesIt) {
  Rig rig(GetParam());
  HostKeyGuard guard({host_key('a')});
  auto relay = rig.start(&guard);
  ASSERT_TRUE(write_all(rig.to_relay.get(), kClientLine + kexinit(kCurve)));
  put(rig.far.get(), server_start() + reply(31, host_key('b')));
  ASSERT_TRUE(ended(relay));
  auto status = relay.get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kRefused);
  std::string seen = read_until_end(rig.from_relay.get());
  EXPECT_EQ(seen.find(host_key('b')), std::string::npos);
  EXPECT_TRUE(server_start().starts_with(seen));
}

TEST_P(Relay, APeerThatClosesInTheKeyExchange) {
  Rig rig(GetParam());
  HostKeyGuard guard({host_key('a')});
  auto relay = rig.start(&guard);
  put(rig.far.get(), server_start());
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
  EXPECT_EQ(read_until_end(rig.from_relay.get()), server_start());
}

TEST_P(Relay, AClientThatLeavesInTheKeyExchange) {
  Rig rig(GetParam());
  HostKeyGuard guard({host_key('a')});
  auto relay = rig.start(&guard);
  ASSERT_TRUE(write_all(rig.to_relay.get(), kClientLine));
  rig.client_leaves();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

TEST_P(Relay, APeerThatDripsInTheKeyExchange) {
  Rig rig(GetParam());
  HostKeyGuard guard({host_key('a')});
  auto relay = rig.start(&guard, std::chrono::milliseconds(200));
  ASSERT_TRUE(write_all(rig.to_relay.get(), kClientLine + kexinit(kCurve)));
  put(rig.far.get(), server_start());
  const std::string ignore = packet(std::string("\2\0\0\0\0", 5));  // SSH_MSG_IGNORE
  Deadline until = Clock::now() + std::chrono::seconds(5);
  while (!ended(relay, 10) && Clock::now() < until) {
    static_cast<void>(::send(rig.far.get(), ignore.data(), ignore.size(), MSG_NOSIGNAL));
  }
  if (!ended(relay, 0)) rig.client_leaves();
  auto status = relay.get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kTimeout);
}

TEST_P(Relay, ASilentPeerInTheKeyExchange) {
  Rig rig(GetParam());
  HostKeyGuard guard({host_key('a')});
  auto relay = rig.start(&guard, std::chrono::milliseconds(200));
  if (!ended(relay)) rig.client_leaves();
  auto status = relay.get();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind, ErrorKind::kTimeout);
}

// A person who is asked about something, or a session: as long as they like.
TEST_P(Relay, AfterTheKeyExchangeThereIsNoDeadline) {
  Rig rig(GetParam());
  HostKeyGuard guard({host_key('a')});
  auto relay = rig.start(&guard, std::chrono::milliseconds(1000));
  std::string up = kClientLine + kexinit(kCurve);
  ASSERT_TRUE(write_all(rig.to_relay.get(), up));
  EXPECT_EQ(read_exactly(rig.far.get(), up.size()), up);
  std::string down = server_start() + reply(31, host_key('a')) + newkeys();
  put(rig.far.get(), down);
  EXPECT_EQ(read_exactly(rig.from_relay.get(), down.size()), down);
  EXPECT_FALSE(ended(relay, 1200));
  rig.far.reset();
  ASSERT_TRUE(ended(relay));
  EXPECT_TRUE(relay.get());
}

// Anything else as stdio.

TEST(RelayOfFiles, FileInAndFileOut) {
  Scratch scratch;
  std::string up = random_bytes(300'000, 6), down = random_bytes(300'000, 7);
  ASSERT_TRUE(replace_file(scratch.path("in"), up, 0600));
  Fd in = *open_file(scratch.path("in"), O_RDONLY);
  Fd out = *open_file(scratch.path("out"), O_WRONLY | O_CREAT, 0600);
  auto tcp = tcp_pair();
  auto done = std::async(std::launch::async, [&] {
    return relay({in.get(), out.get(), tcp.first.get()}, nullptr);
  });
  EXPECT_EQ(read_until_end(tcp.second.get()), up);
  put(tcp.second.get(), down);
  tcp.second.reset();
  ASSERT_TRUE(ended(done));
  EXPECT_TRUE(done.get());
  EXPECT_EQ(*read_file(scratch.path("out"), 1 << 20), down);
}

TEST(RelayDeparture, SaysWhetherTheClientLeftByItselfAndWhatItHadSent) {
  for (bool client_first : {true, false}) {
    auto up = make_pipe(), down = make_pipe();
    auto tcp = tcp_pair();
    Departure departure;
    auto done = std::async(std::launch::async, [&] {
      Status status = relay({up->first.get(), down->second.get(), tcp.first.get()}, nullptr, kKeyExchangeTime,
                            &departure);
      tcp.first.reset();
      return status;
    });
    ASSERT_TRUE(write_all(up->second.get(), random_bytes(12'344, 1)));
    if (client_first) {
      up->second.reset();
      down->first.reset();
      EXPECT_EQ(read_until_end(tcp.second.get()).size(), 12'344U);
    } else {
      std::string taken(12'344, '\0');
      EXPECT_EQ(::recv(tcp.second.get(), taken.data(), taken.size(), MSG_WAITALL), 12'344);
      tcp.second.reset();
    }
    ASSERT_TRUE(ended(done));
    EXPECT_TRUE(done.get());
    EXPECT_EQ(departure.by_itself, client_first);
    EXPECT_EQ(departure.sent, 12'344U);
  }
}

TEST(RelayOfFiles, NothingIn) {
  Fd in = *open_file("/dev/null", O_RDONLY);
  auto down = make_pipe();
  auto tcp = tcp_pair();
  auto done = std::async(std::launch::async, [&] {
    Status status = relay({in.get(), down->second.get(), tcp.first.get()}, nullptr);
    down->second.reset();
    return status;
  });
  EXPECT_EQ(read_until_end(tcp.second.get()), "");
  put(tcp.second.get(), "greeting");
  tcp.second.reset();
  EXPECT_EQ(read_until_end(down->first.get()), "greeting");
  ASSERT_TRUE(ended(done));
  EXPECT_TRUE(done.get());
}

TEST(Pump, PipesAreWidened) {
  auto pipe = make_pipe();
  widen_pipe(pipe->first.get());
  EXPECT_EQ(::fcntl(pipe->first.get(), F_GETPIPE_SZ), static_cast<int>(kPumpBytes));
}

}  // namespace
}  // namespace qf
