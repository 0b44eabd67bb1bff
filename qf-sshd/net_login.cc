// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/net_login.h"

#include <cstdlib>
#include <utility>

#include "libqf/base64.h"
#include "libqf/log.h"
#include "libqf/secret.h"
#include "qf-sshd/library_values.h"

// The library's callbacks for the same cannot be used together with its messages (net_forward.h).
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace qf {

namespace {

constexpr size_t kMostUserBytes = 256;
constexpr size_t kMostCredentialBytes = 80 * 1024;
constexpr size_t kMostAnswerBytes = 256;
constexpr unsigned kMostUnreadable = 20;  // requests that cannot be passed on

// A certificate's whole blob; of other keys only that they were offered.
bool read_key(ssh_message message, AuthRequest& request) {
  auto state = ::ssh_message_auth_publickey_state(message);
  if (state != SSH_PUBLICKEY_STATE_NONE && state != SSH_PUBLICKEY_STATE_VALID) return false;
  request.method = AuthMethod::kPublicKey;
  request.proved = state == SSH_PUBLICKEY_STATE_VALID;
  ssh_key key = ::ssh_message_auth_pubkey(message);
  if (key == nullptr) return false;
  if (::ssh_key_type(key) != SSH_KEYTYPE_ED25519_CERT01) return true;
  char* text = nullptr;
  if (::ssh_pki_export_pubkey_base64(key, &text) != SSH_OK) return false;
  SshPtr<char*> owner(text);
  auto blob = base64_decode(text);
  if (!blob) return false;
  request.method = AuthMethod::kCertificate;
  request.credential = std::move(*blob);
  return true;
}

bool read_request(ssh_message message, AuthRequest& request) {
  request.user = text_of(::ssh_message_auth_user(message));
  if (request.user.size() > kMostUserBytes) return false;
  switch (::ssh_message_subtype(message)) {
    case SSH_AUTH_METHOD_NONE:
      request.method = AuthMethod::kNone;
      break;
    case SSH_AUTH_METHOD_PASSWORD:
      request.method = AuthMethod::kPassword;
      request.credential = text_of(::ssh_message_auth_password(message));
      request.proved = true;
      break;
    case SSH_AUTH_METHOD_PUBLICKEY:
      if (!read_key(message, request)) return false;
      break;
    case SSH_AUTH_METHOD_INTERACTIVE:
      request.method = AuthMethod::kInteractive;
      request.proved = true;
      break;
    default:
      // Whatever method is left: the monitor knows whether that is enough (inside a tunnel) or what to tell
      // the user.
      request.method = AuthMethod::kOther;
      request.proved = true;
  }
  return request.credential.size() <= kMostCredentialBytes;
}

// What the person has typed to the one question (RFC 4256 section 3.4).
bool read_answer(ssh_session session, AuthRequest& request) {
  request.method = AuthMethod::kInteractiveAnswer;
  request.proved = true;
  if (::ssh_userauth_kbdint_getnanswers(session) != 1) return false;
  request.credential = text_of(::ssh_userauth_kbdint_getanswer(session, 0));
  return request.credential.size() <= kMostAnswerBytes;
}

}  // namespace

NetLogin::NetLogin(Plan plan) : plan_(std::move(plan)) {
  // keyboard-interactive is offered so that a client without our certificate asks once more and can be told
  // why, before it asks its user for a password where that is offered
  int methods = SSH_AUTH_METHOD_PUBLICKEY | SSH_AUTH_METHOD_INTERACTIVE;
  if (plan_.password_offered) methods |= SSH_AUTH_METHOD_PASSWORD;
  ::ssh_set_auth_methods(plan_.session, methods);
}

void NetLogin::accept_service(ssh_message request) {
  std::string service = text_of(::ssh_message_service_service(request));
  // RFC 4253 section 10: what is not available ends the connection
  if (service != "ssh-userauth") return plan_.break_off("there is no service \"" + service + "\" here");
  service_accepted_ = true;
  ::ssh_message_service_reply_success(request);
}

void NetLogin::show(const std::string& banner) {
  if (banner.empty()) return;
  SshPtr<ssh_string> string(::ssh_string_from_char((printable(banner, true) + "\r\n").c_str()));
  if (string != nullptr) ::ssh_send_issue_banner(plan_.session, string.get());
}

void NetLogin::handle(SshMessage request) {
  if (replied_ != Deadline::min()) plan_.path.answered_after(Clock::now() - replied_);
  take(std::move(request));
  replied_ = Clock::now();
}

void NetLogin::take(SshMessage message) {
  ssh_message raw = message.get();
  if (::ssh_message_type(raw) == SSH_REQUEST_SERVICE) return accept_service(raw);
  if (!service_accepted_) return plan_.break_off("authentication without the service ssh-userauth");
  if (waiting_ != nullptr) return plan_.break_off("a login request while another one is waited for");
  waiting_ = std::move(message);
  AuthRequest request;
  bool answer = ::ssh_message_subtype(raw) == SSH_AUTH_METHOD_INTERACTIVE &&
                ::ssh_message_auth_kbdint_is_response(raw) != 0;
  if (answer && !std::exchange(asked_, false))
    return plan_.break_off("an answer to a question that was not asked");
  if (logged_in_ || !(answer ? read_answer(plan_.session, request) : read_request(raw, request))) {
    // the monitor, which counts the others, never sees these
    if (!logged_in_ && ++unreadable_ > kMostUnreadable)
      return plan_.refuse("too many malformed login requests");
    return answer_with(&::ssh_message_reply_default);
  }
  if (answer) request.user = request_.user;
  asked_ = false;
  request_ = std::move(request);
  if (answer || request_.method == AuthMethod::kInteractive) {
    plan_.monitor.tell(request_);
    return wipe(request_.credential);
  }
  AuthReply reply = plan_.monitor.ask<AuthReply>(request_).first;
  wipe(request_.credential);
  carry_out(reply);
}

void NetLogin::answer_with(int (*reply)(ssh_message)) {
  SshMessage message = std::move(waiting_);
  reply(message.get());
}

bool NetLogin::answered(const AuthReply& reply) {
  if (waiting_ == nullptr) return false;
  if (reply.verdict == AuthVerdict::kLater) {
    show(reply.banner);
  } else {
    carry_out(reply);
  }
  return true;
}

void NetLogin::turn_down() {
  // the library always names one: this is one that clients rarely have
  ::ssh_set_auth_methods(plan_.session, SSH_AUTH_METHOD_HOSTBASED);
  if (waiting_ != nullptr) answer_with(&::ssh_message_reply_default);
}

// What the monitor has decided about the request.
void NetLogin::carry_out(const AuthReply& reply) {
  if (reply.verdict == AuthVerdict::kEnd) return plan_.refuse(reply.banner);
  // why a password is refused is worth more than another try
  bool unheard = reply.verdict == AuthVerdict::kDenied && request_.method == AuthMethod::kPassword &&
                 !reply.banner.empty() && plan_.hides_banners();
  if (unheard) return plan_.refuse(reply.banner);
  show(reply.banner);
  if (reply.verdict == AuthVerdict::kAsk) {
    std::string instruction = printable(reply.instruction, true), prompt = printable(reply.prompt);
    const char* prompts[] = {prompt.c_str()};
    char echo[] = {1};
    asked_ = true;
    SshMessage message = std::move(waiting_);
    ::ssh_message_auth_interactive_request(message.get(), "", instruction.c_str(), 1, prompts, echo);
    return;
  }
  if (reply.verdict != AuthVerdict::kAllowed) return answer_with(&::ssh_message_reply_default);
  if (request_.method == AuthMethod::kCertificate && !request_.proved)
    return answer_with(&::ssh_message_auth_reply_pk_ok_simple);
  logged_in_ = true;
  user_ = request_.user;
  tunnel_ = reply.tunnel;
  SshMessage message = std::move(waiting_);
  ::ssh_message_auth_reply_success(message.get(), 0);
}

}  // namespace qf
