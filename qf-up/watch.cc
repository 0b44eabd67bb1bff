// SPDX-License-Identifier: Apache-2.0
#include "qf-up/watch.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <list>
#include <optional>

#include "libqf/fd.h"
#include "libqf/log.h"
#include "libqf/signals.h"
#include "libqf/text.h"
#include "qf-up/text_table.h"

namespace qf {

namespace {

constexpr size_t kMostText = size_t{64} << 20;  // bytes of a part
// xterm's private modes: alternate screen, cursor, going on in the next line
constexpr const char* kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr const char* kLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr const char* kHome = "\x1b[H";
constexpr const char* kClearBelow = "\x1b[J";

bool is_screen() {
  const char* kind = ::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

// The terminal while it is ours. Its keys come to us one by one, and are not shown.
class Screen {
 public:
  void enter() {
    keys_ = ::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before_) == 0;
    if (keys_) {
      struct termios now = before_;
      now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      now.c_cc[VMIN] = 1;
      now.c_cc[VTIME] = 0;
      keys_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &now) == 0;
    }
    in_ = write_all(STDOUT_FILENO, kEnter) ? true : in_;
  }
  void leave() {
    if (!in_) return;
    in_ = false;
    static_cast<void>(write_all(STDOUT_FILENO, kLeave));
    if (keys_) ::tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }
  Screen() = default;
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen() { leave(); }

  [[nodiscard]] int keys() const { return keys_ ? STDIN_FILENO : -1; }
  // False: it is gone.
  [[nodiscard]] bool show(const std::string& text) const {
    struct winsize size = {};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
      size.ws_col = 80;
      size.ws_row = 24;
    }
    return static_cast<bool>(
        write_all(STDOUT_FILENO, kHome + screen_text(text, size.ws_col, size.ws_row) + kClearBelow));
  }

 private:
  struct termios before_ = {};
  bool keys_ = false, in_ = false;
};

class Watcher {
 public:
  Watcher(const WatchPlan& plan, Fd signals, sigset_t old_mask)
      : plan_(plan),
        signals_(std::move(signals)),
        old_mask_(old_mask),
        on_screen_(!plan.lines && is_screen()) {
    for (const auto& part : plan.parts) running_.push_back({&part, Clock::now(), {}, -1, "", "", false});
  }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher() {
    for (auto& part : running_) stop(part);
  }

  int run() {
    if (on_screen_) screen_.enter();
    while (!over_) turn();
    screen_.leave();
    if (signal_ != 0 && signal_ != SIGINT) {
      ::signal(signal_, SIG_DFL);
      ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
      ::raise(signal_);
    }
    return kExitOk;
  }

 private:
  struct Running {
    const WatchPart* part;
    Deadline next;
    Fd output;  // of its process; none: it does not run
    pid_t pid;
    std::string coming, text;
    bool made;  // once
  };

  static void stop(Running& part) {
    part.output.reset();
    if (part.pid < 0) return;
    ::kill(part.pid, SIGKILL);
    ::waitpid(part.pid, nullptr, 0);
    part.pid = -1;
  }

  void start(Running& part) {
    auto pipe = make_pipe();
    pid_t parent = ::getpid();
    pid_t pid = pipe ? ::fork() : -1;
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(kExitSystem);
      ::sigprocmask(SIG_SETMASK, &old_mask_, nullptr);
      ::dup2(pipe->second.get(), STDERR_FILENO);
      std::string text = part.part->make();
      ::_exit(write_all(pipe->second.get(), text) ? kExitOk : kExitSystem);
    }
    if (pid < 0) {
      done(part, "cannot start a process: " + system_error("fork").text() + "\n");
      return;
    }
    part.pid = pid;
    part.output = std::move(pipe->first);
    part.coming.clear();
  }

  void read(Running& part) {
    char chunk[65536];
    ssize_t n = ::read(part.output.get(), chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) return;
    if (n > 0 && part.coming.size() < kMostText)
      return void(part.coming.append(chunk, static_cast<size_t>(n)));
    stop(part);
    done(part, std::move(part.coming));
  }

  void done(Running& part, std::string text) {
    part.next = Clock::now() + part.part->every;
    part.made = true;
    if (part.part->take) {
      part.part->take(std::move(text));
    } else {
      part.text = std::move(text);
    }
    if (on_screen_) return draw();
    if (&part != &running_.front()) return;
    std::string block = plan_.lines ? "" : (blocks_++ > 0 ? "\n" : "") + title() + "\n";
    for (const auto& each : running_) block += each.text;
    if (!write_all(STDOUT_FILENO, block)) over_ = true;
  }

  [[nodiscard]] std::string title() const {
    std::time_t now = std::time(nullptr);
    struct tm local = {};
    ::localtime_r(&now, &local);
    char text[64] = {};
    size_t length = ::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
    return std::string(text, length) + "  " + plan_.title;
  }

  void draw() {
    std::string text = title() + (screen_.keys() >= 0 ? "  (q: quit)" : "") + "\n\n";
    for (const auto& part : running_) {
      if (!part.part->take) text += part.made ? part.text : "...\n";
    }
    if (!screen_.show(text)) over_ = true;
  }

  void turn() {
    // in a block there is nothing yet to stand in for what comes later
    bool others =
        std::all_of(std::next(running_.begin()), running_.end(), [](const auto& p) { return p.made; });
    Deadline wake = Deadline::max();
    std::vector<pollfd> polled = {{signals_.get(), POLLIN, 0}, {on_screen_ ? screen_.keys() : -1, POLLIN, 0}};
    for (auto& part : running_) {
      bool waits = !on_screen_ && &part == &running_.front() && !others;
      if (part.pid < 0 && !waits && Clock::now() >= part.next) start(part);
      if (part.pid < 0 && !waits) wake = std::min(wake, part.next);
      polled.push_back({part.output.get(), POLLIN, 0});
    }
    // whoever reads what we write may go
    if (!on_screen_) polled.push_back({STDOUT_FILENO, 0, 0});
    if (::poll(polled.data(), polled.size(), poll_timeout(wake)) < 0 && errno != EINTR) over_ = true;
    size_t index = 2;
    for (auto& part : running_) {
      if (polled[index++].revents != 0) read(part);
    }
    if (!on_screen_ && (polled.back().revents & (POLLERR | POLLHUP)) != 0) over_ = true;
    if (polled[1].revents != 0) read_keys();
    if (polled[0].revents != 0) read_signals();
  }

  void read_keys() {
    char keys[64];
    ssize_t n = ::read(STDIN_FILENO, keys, sizeof keys);
    if (n <= 0 && !(n < 0 && (errno == EINTR || errno == EAGAIN))) over_ = true;
    for (ssize_t i = 0; i < n; ++i) over_ = over_ || keys[i] == 'q' || keys[i] == 'Q';
  }

  void read_signals() {
    while (int number = next_signal(signals_)) {
      if (number == SIGWINCH || number == SIGCONT) {
        if (on_screen_) draw();
      } else if (number == SIGTSTP) {
        screen_.leave();
        ::raise(SIGSTOP);
        if (on_screen_) screen_.enter();
      } else {
        signal_ = number;
        over_ = true;
      }
    }
  }

  const WatchPlan& plan_;
  Fd signals_;
  sigset_t old_mask_;
  bool on_screen_;
  Screen screen_;
  std::list<Running> running_;
  size_t blocks_ = 0;
  int signal_ = 0;
  bool over_ = false;
};

}  // namespace

std::optional<std::chrono::milliseconds> parse_seconds(std::string_view text) {
  constexpr uint64_t kMostSeconds = 86'400;
  size_t point = text.find('.');
  auto whole = parse_number(text.substr(0, point), kMostSeconds);
  std::string_view tenth = point == std::string_view::npos ? "0" : text.substr(point + 1);
  auto part = parse_number(tenth, 9);
  if (!whole || !part || tenth.size() != 1) return std::nullopt;
  constexpr uint64_t kMillisecond = 1000, kTenth = 100;
  uint64_t all = *whole * kMillisecond + *part * kTenth;
  if (all == 0 || all > kMostSeconds * kMillisecond) return std::nullopt;
  return std::chrono::milliseconds(all);
}

std::string screen_text(const std::string& text, size_t columns, size_t rows) {
  auto lines = split(text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  if (rows == 0 || columns == 0) return "";
  if (lines.size() > rows) {
    size_t more = lines.size() - (rows - 1);
    lines.resize(rows - 1);
    lines.push_back("... and " + std::to_string(more) + " more lines");
  }
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    // ECMA-48: EL, erase to the end of the line
    out += (i > 0 ? "\r\n" : "") + cut_line(lines[i], columns) + "\x1b[K";
  }
  return out;
}

int watch(const WatchPlan& plan) {
  sigset_t before;
  auto signals = watch_signals({SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT}, &before);
  if (!signals) {
    say(signals.error().text());
    return kExitSystem;
  }
  return Watcher(plan, std::move(*signals), before).run();
}

}  // namespace qf
