// SPDX-License-Identifier: Apache-2.0
#include "qf-tokend/machine_issuer.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "libqf/base64.h"
#include "libqf/json.h"
#include "libqf/jwk.h"
#include "libqf/jwt.h"
#include "libqf/log.h"
#include "libqf/tokend_client.h"
#include "qf-tokend/machine_key.h"
#include "qf-tokend/startup.h"

namespace qf {

namespace {

constexpr std::string_view kNoncePrefix = "qf1.";
constexpr size_t kNonceDigest = 43;  // base64url of 32 bytes

std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0) die(kExitSystem, system_error("gethostname").text());
  return name;
}

// Empty: the uid has no passwd entry.
std::string user_name(uid_t uid) {
  struct passwd entry = {};
  struct passwd* found = nullptr;
  std::string buffer(16384, '\0');
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? "" : found->pw_name;
}

// Whether a process lives in our own namespace of that kind; not when it cannot be seen.
bool same_namespace(pid_t pid, const char* kind) {
  struct stat theirs = {}, ours = {};
  std::string path = "/proc/" + std::to_string(pid) + "/ns/" + kind;
  std::string own = std::string("/proc/self/ns/") + kind;
  return ::stat(path.c_str(), &theirs) == 0 && ::stat(own.c_str(), &ours) == 0 &&
         theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

// Made at the first start and kept: the fabric document names its public half.
SigningKey machine_key(const Folders& folders) {
  auto key = load_or_make_machine_key(folders.state + "/machine-issuer.pem");
  if (key) return std::move(*key);
  const Error& error = key.error();
  if (error.kind == ErrorKind::kInput) die(kExitConfig, error.text(), error.hint);
  die(kExitSystem, error.text(), "name a folder of your own with --state-dir");
}

// RUNTIME/machine-issuer.sock: the system's runtime folder when we are root.
std::string issuer_runtime(const Folders& folders) {
  if (::geteuid() != 0) {
    auto runtime = user_runtime(folders, true);
    if (!runtime) die(kExitSystem, runtime.error().text(), runtime.error().hint);
    return *runtime;
  }
  std::string runtime = system_runtime(folders);
  if (auto made = make_folder(runtime, 0755); !made) die(kExitSystem, made.error().text());
  return runtime;
}

bool is_binding_nonce(std::string_view nonce) {
  if (!nonce.starts_with(kNoncePrefix) || nonce.size() != kNoncePrefix.size() + kNonceDigest) return false;
  return base64url_decode(nonce.substr(kNoncePrefix.size())).has_value();
}

}  // namespace

MachineIssuer::MachineIssuer(MachineIssuerOptions options, SigningKey key)
    : options_(std::move(options)), key_(std::move(key)) {
  if (options_.issuer.empty()) options_.issuer = "qufabric-machine:" + host_name();
  if (options_.audience.empty()) options_.audience = kMachineAudience;
  auto thumbprint = jwk_thumbprint(key_.public_jwk());
  if (!thumbprint) std::abort();  // our own key
  kid_ = *thumbprint;
}

// Judged when the client connects: its process is still the one that connected.
std::optional<Refusal> MachineIssuer::admit(const ucred& who) {
  auto refuse = [&](const std::string& why, const std::string& hint = "") {
    log_refusal(who, why);
    return Refusal{"refused", why, hint};
  };
  bool system = ::geteuid() == 0;
  if (!system && who.uid != ::geteuid()) {
    return refuse("this machine issuer serves uid " + std::to_string(::geteuid()) + " only");
  }
  if (system && who.uid == 0 && !options_.allow_root) {
    return refuse("the machine issuer gives no token to root",
                  "become an ordinary user, or run it with --allow-root");
  }
  if (who.pid <= 0) return refuse("the caller is in another pid namespace");
  // Only root may look at a process that is not dumpable, which qf-tokend is.
  for (const char* kind : {"pid", "user"}) {
    if (system && !same_namespace(who.pid, kind)) {
      return refuse(std::string("the caller is in another ") + kind + " namespace");
    }
  }
  return std::nullopt;
}

// Whoever is refused may come again at once: that must not fill the log.
void MachineIssuer::log_refusal(const ucred& who, const std::string& why) {
  auto often = refusals_.take(who.uid, Clock::now());
  if (often && !often->log) return;
  log_warning("uid " + std::to_string(who.uid) + ", process " + std::to_string(who.pid) +
              " is refused: " + why +
              (often ? " (" + std::to_string(often->refused) + " times since this was last said)" : ""));
}

void MachineIssuer::request(uint64_t client, const Request& request) {
  if (request.operation == Operation::kIssue) return issue(client, request);
  if (request.operation == Operation::kJwks) {
    auto keys = parse_json(key_set());
    if (!keys) std::abort();  // we wrote it
    return server_->answer(client, JsonWriter().set("ok", true).set("jwks", std::move(*keys)).text());
  }
  server_->answer(client, refusal_line({"unknown_op", "this is the machine issuer: it knows issue and jwks",
                                        "the socket of qf-tokend is tokend.sock"}));
}

void MachineIssuer::issue(uint64_t client, const Request& request) {
  const ucred* who = server_->who(client);
  if (who == nullptr) return;
  if (auto often = rate_.take(who->uid, Clock::now())) {
    return server_->answer(client, refusal_line(too_often(who->uid, *often)));
  }
  std::string user = user_name(who->uid);
  auto token = sign(request, user, static_cast<int64_t>(::time(nullptr)));
  if (!token) {
    log_warning("uid " + std::to_string(who->uid) + " is refused: " + token.error().message);
    return server_->answer(client, refusal_line(token.error()));
  }
  log_info("token for " + user);
  std::string line = JsonWriter().set("ok", true).set("token", *token).text();
  server_->answer(client, line);
  wipe(line);
  wipe(*token);
}

// Said once a minute: a loop of a user's must not fill the log.
Refusal MachineIssuer::too_often(uid_t uid, const IssueRate::TooOften& often) {
  std::string who = "uid " + std::to_string(uid);
  if (often.log) {
    log_warning(who + " asks for too many tokens: " + std::to_string(often.refused) + " refused");
  }
  return {"busy",
          who + " has asked for too many tokens (one a second, " + std::to_string(IssueRate::kBurst) +
              " at once)",
          "try again in " + std::to_string(often.again.count()) + " s"};
}

Result<std::string, Refusal> MachineIssuer::sign(const Request& request, const std::string& user,
                                                 int64_t wall_time) const {
  if (user.empty()) return Refusal{"refused", "the caller's uid has no passwd entry", ""};
  if (!request.issuer.empty() && request.issuer != options_.issuer) {
    return Refusal{"no_issuer",
                   "this machine issuer is \"" + options_.issuer + "\", not \"" + request.issuer + "\"",
                   "the issuer's entry in fabric.json and qf-tokend's --issuer must agree"};
  }
  if (!request.audience.empty() && request.audience != options_.audience) {
    return Refusal{
        "no_issuer",
        "this machine issuer's audience is \"" + options_.audience + "\", not \"" + request.audience + "\"",
        "the issuer's entry in fabric.json and qf-tokend's --audience must agree"};
  }
  // without one it would be a bearer token, which we never sign
  if (!is_binding_nonce(request.nonce)) {
    return Refusal{"malformed", "\"nonce\" must bind the token to a key (qf1.…)", ""};
  }
  JsonWriter claims;
  claims.set("iss", options_.issuer).set("sub", user).set("aud", options_.audience);
  claims.set("iat", wall_time).set("exp", wall_time + kMachineTokenLife).set("nonce", request.nonce);
  claims.set("jti", base64url(random_bytes(16)));
  return sign_jwt(key_, kid_, claims.text());
}

std::string MachineIssuer::key_set() const {
  return key_set_json(key_, kid_);
}

int run_machine_issuer(MachineIssuerOptions options) {
  ServerLimits limits = harden_process();
  // every local user may come, and none takes the place of the others
  if (::geteuid() == 0) limits.most_of_user = std::max<size_t>(1, limits.most_clients / 8);
  Activation activation = take_activation();
  Background background = Background::begin(options.foreground);
  std::string runtime = issuer_runtime(options.folders);
  std::string socket = runtime + "/" + kMachineIssuerSocket;
  auto lock = take_lock(runtime + "/machine-issuer.lock", activation, socket);
  if (!lock && lock.error().kind == ErrorKind::kRefused) {
    die(kExitNegative, "a machine issuer is already running: " + lock.error().text());
  }
  if (!lock) die(kExitSystem, lock.error().text());
  SigningKey key = machine_key(options.folders);
  // any local user may ask the system's; what they get depends on who they are
  auto listener = activation.listen(socket, ::geteuid() == 0 ? 0666 : 0600);
  if (!listener) die(kExitSystem, listener.error().text());
  bool foreground = options.foreground;
  MachineIssuer issuer(std::move(options), std::move(key));
  Server server(std::move(*listener), socket, issuer, limits);
  issuer.attach(server);
  open_log("qf-tokend", !foreground);
  background.ready();
  activation.notifier().ready();
  server.give_life_signs(activation.notifier());
  log_info("machine issuer listening at " + socket);
  auto ended = server.run();
  activation.notifier().stopping();
  if (!activation.handed()) server.remove_socket();
  if (!ended) log_error(ended.error().text());
  return ended ? kExitOk : kExitSystem;
}

int print_machine_key_set(const MachineIssuerOptions& options) {
  static_cast<void>(harden_process());
  MachineIssuer issuer(options, machine_key(options.folders));
  std::cout << issuer.key_set() << "\n";
  return std::cout.flush() ? kExitOk : kExitSystem;
}

}  // namespace qf
