// SPDX-License-Identifier: Apache-2.0
#include "qf-proxy/outer_session.h"

#include <poll.h>

#include <algorithm>
#include <array>

#include "libqf/base64.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-proxy/hostkey_guard.h"

namespace qf {

namespace {

constexpr auto kStepDeadline = std::chrono::seconds(30);  // for each step of the handshake
// Fastest first where the processor has AES; the inner session chooses its own.
static_assert(int{SSH_ERROR} == int{SSH_AUTH_ERROR});
constexpr const char* kCiphers =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr,aes128-ctr";

Trouble library_trouble(const std::string& what) {
  return {kExitSystem, "libssh " + std::string(::ssh_version(0)) + ": " + what, ""};
}

bool set_options(ssh_session session, const PeerRecord& peer, int fd) {
  bool no_config = false;
  std::string algorithms = host_key_algorithms(peer.ssh_host_keys);
  const std::array<std::pair<ssh_options_e, const void*>, 11> options = {
      {{SSH_OPTIONS_PROCESS_CONFIG, &no_config},
       {SSH_OPTIONS_HOST, peer.name.c_str()},
       {SSH_OPTIONS_USER, kTunnelUser},
       {SSH_OPTIONS_FD, &fd},
       {SSH_OPTIONS_KNOWNHOSTS, "/dev/null"},
       {SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null"},
       {SSH_OPTIONS_HOSTKEYS, algorithms.c_str()},
       {SSH_OPTIONS_CIPHERS_C_S, kCiphers},
       {SSH_OPTIONS_CIPHERS_S_C, kCiphers},
       {SSH_OPTIONS_COMPRESSION_C_S, "none"},
       {SSH_OPTIONS_COMPRESSION_S_C, "none"}}};
  return std::all_of(options.begin(), options.end(), [&](const auto& option) {
    return ::ssh_options_set(session, option.first, option.second) == SSH_OK;
  });
}

// The subject key with the certificate attached, as libssh wants it for a login.
SshHandle<ssh_key> load_credential(const IssuedCredential& credential) {
  ssh_key key = nullptr, certificate = nullptr;
  if (::ssh_pki_import_privkey_file(credential.key_file.c_str(), "", nullptr, nullptr, &key) != SSH_OK)
    return {};
  SshHandle<ssh_key> owned(key);
  auto words = split(credential.certificate, ' ');
  ssh_keytypes_e type = ::ssh_key_type_from_name(words[0].c_str());
  if (words.size() < 2 || type == SSH_KEYTYPE_UNKNOWN) return {};
  if (::ssh_pki_import_cert_base64(words[1].c_str(), type, &certificate) != SSH_OK) return {};
  SshHandle<ssh_key> owned_certificate(certificate);
  if (::ssh_pki_copy_cert_to_privkey(certificate, key) != SSH_OK) return {};
  return owned;
}

}  // namespace

std::string host_key_algorithms(const std::vector<std::string>& host_keys) {
  std::vector<std::string> names;
  auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const auto& line : host_keys) {
    std::string type = line.substr(0, line.find(' '));
    if (type == "ssh-rsa") {  // signs with SHA-2 (RFC 8332)
      add("rsa-sha2-512");
      add("rsa-sha2-256");
    } else if (!type.empty()) {
      add(type);
    }
  }
  // The others too, so that a wrong key of another type is named and not just a failed negotiation.
  for (const auto* name : {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
                           "rsa-sha2-512", "rsa-sha2-256"})
    add(name);
  return join(names, ",");
}

Trouble OuterSession::broken(const std::string& what) const {
  // a peer's own words may be in it
  std::string why = printable(trim(::ssh_get_error(session_.get())));
  return {kExitSystem, place_ + ": " + what + (why.empty() ? "" : ": " + why), "try again"};
}

// Repeats a step of libssh's until it no longer says "again"; waits for the connection in between.
template <class Step>
Result<int, Trouble> OuterSession::drive(const ClientWatch& watch, int again, Step step) {
  Deadline deadline = Clock::now() + kStepDeadline;
  for (;;) {
    int code = step();
    if (code != again) return code;
    // libssh goes on saying "again" after the other side has left
    if (::ssh_is_connected(session_.get()) == 0 || ::ssh_get_fd(session_.get()) < 0) return SSH_ERROR;
    bool writes = (::ssh_get_poll_flags(session_.get()) & SSH_WRITE_PENDING) != 0;
    auto wake = watch.wait(::ssh_get_fd(session_.get()), static_cast<short>(POLLIN | (writes ? POLLOUT : 0)),
                           deadline);
    if (!wake) return wake.error();
    // also of a peer that never leaves off sending what means nothing
    if (*wake == ClientWatch::Wake::kTimeout || Clock::now() >= deadline)
      return Trouble{kExitNegative, place_ + " does not go on with the SSH handshake", "try again"};
  }
}

Result<OuterSession, Trouble> OuterSession::open(const PeerRecord& peer, PeerConnection connection,
                                                 const ClientWatch& watch) {
  SshHandle<ssh_session> handle(::ssh_new());
  if (!handle) return library_trouble("no memory");
  OuterSession outer(std::move(handle), connection.place);
  ssh_session session = outer.session();
  if (!set_options(session, peer, connection.fd.get())) return library_trouble(::ssh_get_error(session));
  (void)connection.fd.release();  // ssh_free() closes it
  ::ssh_set_blocking(session, 0);
  auto code = outer.drive(watch, SSH_AGAIN, [&] { return ::ssh_connect(session); });
  if (!code) return code.error();
  if (*code != SSH_OK) return outer.broken("the key exchange failed");
  if (auto checked = outer.check_host_key(peer); !checked) return checked.error();
  return outer;
}

Result<Done, Trouble> OuterSession::check_host_key(const PeerRecord& peer) {
  ssh_key key = nullptr;
  char* text = nullptr;
  if (::ssh_get_server_publickey(session(), &key) != SSH_OK) return broken("no host key");
  SshHandle<ssh_key> owned(key);
  if (::ssh_pki_export_pubkey_base64(key, &text) != SSH_OK) return broken("the host key cannot be read");
  SshHandle<char*> owned_text(text);
  auto blob = base64_decode(text);
  auto pinned = host_key_blobs(peer.ssh_host_keys);
  if (blob && std::find(pinned.begin(), pinned.end(), *blob) != pinned.end()) return Done{};
  return wrong_host_key(place_, std::string(::ssh_key_type_to_char(::ssh_key_type(key))) + " " + text);
}

Result<Done, Trouble> OuterSession::enter(const IssuedCredential& credential, const Terminal& terminal,
                                          const ClientWatch& watch) {
  if (auto in = log_in(credential, terminal, watch); !in) return in.error();
  return open_channel(watch);
}

Result<Done, Trouble> OuterSession::log_in(const IssuedCredential& credential, const Terminal& terminal,
                                           const ClientWatch& watch) {
  auto key = load_credential(credential);
  if (!key) {
    return Trouble{kExitSystem, "the credential of qf-tokend cannot be loaded from " + credential.key_file,
                   "has qf-tokend ended? try again"};
  }
  auto code = drive(watch, SSH_AUTH_AGAIN,
                    [&] { return ::ssh_userauth_publickey(session(), kTunnelUser, key.get()); });
  if (!code) return code.error();
  SshHandle<char*> banner(::ssh_get_issue_banner(session()));
  if (*code == SSH_AUTH_SUCCESS) {
    if (banner) terminal.show(trim(banner.get()));
    return Done{};
  }
  if (banner)
    return Trouble{kExitNegative, place_ + " refused the login:\n" + std::string(trim(banner.get())), ""};
  if (*code == SSH_AUTH_ERROR) return broken("the login failed");
  return Trouble{
      kExitNegative, place_ + " does not accept the credential",
      "are the clocks right, and does the peer know this identity provider? its audit log says more"};
}

Result<Done, Trouble> OuterSession::open_channel(const ClientWatch& watch) {
  channel_ = ::ssh_channel_new(session());
  if (channel_ == nullptr) return broken("no channel");
  auto opened = drive(watch, SSH_AGAIN, [&] { return ::ssh_channel_open_session(channel_); });
  if (!opened) return opened.error();
  if (*opened != SSH_OK) return broken("it opens no channel");
  auto asked =
      drive(watch, SSH_AGAIN, [&] { return ::ssh_channel_request_subsystem(channel_, kTunnelSubsystem); });
  if (!asked) return asked.error();
  if (*asked != SSH_OK) return broken("it refuses the tunnel");
  return Done{};
}

}  // namespace qf
