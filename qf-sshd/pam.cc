// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/pam.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "libqf/log.h"

#ifdef QF_PAM
#include <security/pam_appl.h>
#endif

namespace qf {

void PamText::add(const char* line) {
  if (line == nullptr || text_.size() >= kMostPamText) return;
  size_t length = ::strnlen(line, kMostPamText - text_.size());
  text_.append(line, length);
  if (!text_.empty() && text_.back() != '\n') text_ += '\n';
}

std::string PamText::take() {
  return std::exchange(text_, "");
}

#ifdef QF_PAM

namespace {

constexpr const char* kServiceFile = "/etc/pam.d/qf-sshd";
constexpr size_t kMostVariables = 256;

void free_replies(pam_response* replies) {
  std::free(replies);
}

// Modules may tell something, but nobody is there to answer them: there is no password to ask for.
int converse(int count, const pam_message** messages, pam_response** replies, void* text) {
  if (count <= 0 || count > PAM_MAX_NUM_MSG || messages == nullptr || replies == nullptr) return PAM_CONV_ERR;
  auto* answers = static_cast<pam_response*>(std::calloc(static_cast<size_t>(count), sizeof(pam_response)));
  if (answers == nullptr) return PAM_BUF_ERR;
  for (int i = 0; i < count; ++i) {
    if (messages[i]->msg_style != PAM_TEXT_INFO && messages[i]->msg_style != PAM_ERROR_MSG) {
      free_replies(answers);
      return PAM_CONV_ERR;
    }
    static_cast<PamText*>(text)->add(messages[i]->msg);
  }
  *replies = answers;  // libpam frees it
  return PAM_SUCCESS;
}

}  // namespace

struct PamLogin::State {
  pam_handle_t* handle = nullptr;
  PamText text;
  pam_conv conversation{converse, &text};
  int last = PAM_SUCCESS;  // what pam_end tells the modules
  bool open = false;       // the session
  bool credentials = false;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (handle != nullptr) ::pam_end(handle, last | PAM_DATA_SILENT);
  }
  // Notes the result of a call of libpam.
  bool good(int code) {
    last = code;
    return code == PAM_SUCCESS;
  }
  [[nodiscard]] std::string words() const { return ::pam_strerror(handle, last); }
};

bool pam_available() {
  return ::access(kServiceFile, F_OK) == 0;
}

Result<PamLogin> PamLogin::start(const std::string& user, const std::string& remote,
                                 const std::string& connection) {
  auto state = std::make_unique<State>();
  if (!state->good(::pam_start(kPamService, user.c_str(), &state->conversation, &state->handle))) {
    return Error{ErrorKind::kSystem, 0, std::string("PAM: ") + ::pam_strerror(nullptr, state->last)};
  }
  std::string variable = "SSH_CONNECTION=" + connection;
  if (!state->good(::pam_set_item(state->handle, PAM_RHOST, remote.c_str())) ||
      // pam_systemd and others know this word for a login of SSH whose terminal comes later
      !state->good(::pam_set_item(state->handle, PAM_TTY, "ssh")) ||
      !state->good(::pam_putenv(state->handle, variable.c_str()))) {
    return Error{ErrorKind::kSystem, 0, "PAM: " + state->words()};
  }
  return PamLogin(std::move(state));
}

Status PamLogin::judge_account() {
  int code = ::pam_acct_mgmt(state_->handle, 0);
  if (code == PAM_NEW_AUTHTOK_REQD) code = PAM_SUCCESS;
  if (state_->good(code)) return Done{};
  return refused("PAM: " + state_->words());
}

void PamLogin::establish_credentials() {
  state_->credentials = state_->good(::pam_setcred(state_->handle, PAM_ESTABLISH_CRED));
  if (!state_->credentials) log_debug("PAM: cannot establish credentials: " + state_->words());
}

Status PamLogin::open_session() {
  state_->open = state_->good(::pam_open_session(state_->handle, 0));
  if (state_->open) return Done{};
  return refused("PAM: " + state_->words());
}

std::vector<std::string> PamLogin::environment() const {
  std::vector<std::string> environment;
  char** list = ::pam_getenvlist(state_->handle);
  for (char** variable = list; variable != nullptr && *variable != nullptr; ++variable) {
    if (environment.size() < kMostVariables) environment.emplace_back(*variable);
    std::free(*variable);
  }
  std::free(list);
  return environment;
}

void PamLogin::close() {
  if (std::exchange(state_->open, false) && !state_->good(::pam_close_session(state_->handle, 0))) {
    log_warning("PAM: cannot close the session: " + state_->words());
  }
  if (std::exchange(state_->credentials, false)) {
    state_->good(::pam_setcred(state_->handle, PAM_DELETE_CRED));
  }
  if (state_->handle != nullptr) ::pam_end(state_->handle, state_->last);
  state_->handle = nullptr;
}

#else  // built with PAM=no

struct PamLogin::State {
  PamText text;
};

bool pam_available() {
  return false;
}

Result<PamLogin> PamLogin::start(const std::string&, const std::string&, const std::string&) {
  return Error{ErrorKind::kSystem, 0, "built without PAM"};
}

Status PamLogin::judge_account() {
  return Done{};
}

void PamLogin::establish_credentials() {}

Status PamLogin::open_session() {
  return Done{};
}

std::vector<std::string> PamLogin::environment() const {
  return {};
}

void PamLogin::close() {}

#endif

PamLogin::PamLogin(std::unique_ptr<State> state) : state_(std::move(state)) {}
PamLogin::PamLogin(PamLogin&& other) noexcept = default;
PamLogin& PamLogin::operator=(PamLogin&& other) noexcept = default;
PamLogin::~PamLogin() = default;

std::string PamLogin::take_text() {
  return state_->text.take();
}

}  // namespace qf
