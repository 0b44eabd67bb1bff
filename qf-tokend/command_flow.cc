// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/command_flow.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/folders.h"
#include "libqf/jwt.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr const char* kFileHint =
    "\"file\" of the issuer's client must be a file with a token for you: is it there, and who renews it?";
constexpr const char* kCommandHint = "run \"command\" of the issuer's client by hand to see what is wrong";
constexpr size_t kMostPrinted = kMostTokenBytes + 1024;  // a token and white space around it, bytes
constexpr size_t kMostComplaint = 4096;                  // of its standard error, bytes
constexpr auto kReapTime = std::chrono::milliseconds(20);
constexpr size_t kMostQuoted = 300;  // of that in a message, bytes
// Reads the file $1; a folder is left to cat to complain of.
constexpr const char* kReadFile =
    "if [ -e \"$1\" ] && ! [ -f \"$1\" ] && ! [ -d \"$1\" ]; then echo \": it is no regular file\" >&2; exit "
    "1; fi; "
    "exec /bin/cat -- \"$1\"";

// What a program says last is usually why it gave up.
std::string last_line(std::string_view text) {
  text = trim(text);
  size_t newline = text.rfind('\n');
  if (newline != std::string_view::npos) text.remove_prefix(newline + 1);
  return printable(text.substr(0, kMostQuoted));
}

// A killed process that waits for a dead file system does not end; nobody waits for it. It is reaped when the
// next one is abandoned.
void abandon(Child child) {
  static auto& abandoned = *new std::vector<Child>;  // never destroyed: that would wait
  if (!child.wait(Clock::now() + kReapTime)) abandoned.push_back(std::move(child));
  std::erase_if(abandoned, [](Child& old) { return static_cast<bool>(old.wait(Clock::now())); });
}

bool is_ready(const std::vector<pollfd>& polled, int fd) {
  return std::any_of(polled.begin(), polled.end(),
                     [&](const pollfd& p) { return p.fd == fd && p.revents != 0; });
}

}  // namespace

CommandFlow::~CommandFlow() {
  stop_command();
  wipe(printed_);
}

std::string CommandFlow::what() const {
  return record_.flow == LoginFlow::kFile ? "the token file " + record_.file
                                          : "the command " + record_.command.front();
}

Result<std::vector<std::string>> CommandFlow::arguments() const {
  if (record_.flow == LoginFlow::kCommand) {
    // through a shell, which is executed at once: executing a program of a dead file system may take for ever
    std::vector<std::string> out = {"/bin/sh", "-c", "exec \"$@\"", "sh"};
    out.insert(out.end(), record_.command.begin(), record_.command.end());
    return out;
  }
  std::string path = record_.file;
  if (path.starts_with("~/")) {
    auto home = home_folder();
    if (!home) return home.error();
    path.replace(0, 1, *home);
  }
  return std::vector<std::string>{"/bin/sh", "-c", kReadFile, "sh", path};
}

void CommandFlow::start() {
  auto wanted = arguments();
  if (!wanted) return fail(what() + ": " + wanted.error().text());
  if (auto spawned = spawn(*wanted); !spawned) return fail(spawned.error().text());
  deadline_ = services_.now() + kTime;
}

Status CommandFlow::spawn(const std::vector<std::string>& arguments) {
  auto pipes = ChildPipes::make();
  if (!pipes) return pipes.error();
  for (int fd : {pipes->out.first.get(), pipes->err.first.get()}) {
    if (auto set = set_nonblocking(fd, true); !set) return set;
  }
  SpawnOptions options = pipes->options();
  options.detached = true;  // a session of its own, so that all that it starts can be ended
  options.environment = {"QF_ISSUER=" + record_.issuer,
                         "QF_AUDIENCE=" + (record_.audiences.empty() ? "" : record_.audiences.front()),
                         "QF_NONCE=" + request_.nonce};
  auto child = Child::spawn(arguments, options);
  if (!child) return child.error();
  child_ = std::move(*child);
  out_ = std::move(pipes->out.first);
  err_ = std::move(pipes->err.first);
  return Done{};
}

void CommandFlow::add(std::vector<pollfd>& polled) const {
  if (done_ || !child_) return;
  for (int fd : {out_.get(), err_.get(), child_->fd()}) {
    if (fd >= 0) polled.push_back({fd, POLLIN, 0});
  }
}

void CommandFlow::event(const std::vector<pollfd>& polled) {
  if (done_ || !child_) return;
  if (is_ready(polled, out_.get())) drain(out_, printed_, kMostPrinted);
  if (is_ready(polled, err_.get())) drain(err_, complaint_, kMostComplaint);
  if (too_long_) return fail(what() + " gives more than " + std::to_string(kMostPrinted) + " bytes");
  if (is_ready(polled, child_->fd())) return ended();
  if (services_.now() >= deadline_) {
    fail(what() + " gave no token within " + std::to_string(std::chrono::seconds(kTime).count()) + " s");
  }
}

void CommandFlow::drain(Fd& pipe, std::string& into, size_t most) {
  char buffer[4096];
  for (;;) {
    ssize_t n = ::read(pipe.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) break;
    into.append(buffer, static_cast<size_t>(n));
    ::explicit_bzero(buffer, static_cast<size_t>(n));
    if (into.size() <= most) continue;
    if (&into == &printed_) too_long_ = true;
    into.erase(0, into.size() - most);  // the end of what it complains of is what counts
    if (too_long_) break;
  }
  pipe.reset();
}

void CommandFlow::ended() {
  auto status = child_->wait(Clock::now());
  if (!status && status.error().kind == ErrorKind::kTimeout) return;
  // what it has left behind in the pipes; something that it started may still hold them
  if (out_) drain(out_, printed_, kMostPrinted);
  if (err_) drain(err_, complaint_, kMostComplaint);
  if (!status) return fail(status.error().text());
  if (too_long_) return fail(what() + " gives more than " + std::to_string(kMostPrinted) + " bytes");
  if (*status != 0) return failed(*status);
  std::string_view token = trim(printed_);
  // in a pipeline it is not the first program that failed whose status counts
  if (token.empty()) return fail(what() + " gives nothing" + complaint());
  if (token.size() > kMostTokenBytes) {
    return fail(what() + " gives more than a token of " + std::to_string(kMostTokenBytes) + " bytes");
  }
  finish(TokenGrant{Secret(token)});
}

std::string CommandFlow::complaint() const {
  std::string why = last_line(complaint_);
  return why.empty() ? "" : ": " + why;
}

void CommandFlow::failed(int status) {
  if (record_.flow == LoginFlow::kCommand) {
    return fail(what() + " " + describe_exit(status) + complaint());
  }
  std::string why = last_line(complaint_);
  // cat's words are "/bin/cat: FILE: REASON"
  size_t reason = why.rfind(": ");
  fail(what() + ": " + (reason == std::string::npos ? "it cannot be read" : why.substr(reason + 2)));
}

void CommandFlow::stop_command() {
  if (!child_) return;
  // its process group, which is its session's; the leader is not reaped before, so the number is still its
  // own
  if (!child_->status()) ::kill(-child_->pid(), SIGKILL);
  abandon(std::move(*child_));
  child_.reset();
}

void CommandFlow::fail(const std::string& why) {
  finish(Refusal{"provider", "issuer " + record_.name + ": " + why,
                 record_.flow == LoginFlow::kFile ? kFileHint : kCommandHint});
}

void CommandFlow::finish(Result<TokenGrant, Refusal> result) {
  if (done_) return;
  done_ = true;
  stop_command();
  wipe(printed_);
  static_cast<void>(listener_.flow_done(std::move(result)));
}

}  // namespace qf
