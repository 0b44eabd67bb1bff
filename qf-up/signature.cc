// SPDX-License-Identifier: Apache-2.0
#include "qf-up/signature.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libqf/child.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/memory_file.h"
#include "qf-up/machine.h"

namespace qf {

namespace {

constexpr size_t kMostSigners = size_t{1} << 20;
constexpr size_t kMostPrincipals = 16;  // of one line of the signers' file that are tried
constexpr auto kVerifyTime = std::chrono::seconds(30);
constexpr size_t kMostToolWords = 300;
constexpr std::string_view kArmour = "-----BEGIN SSH SIGNATURE-----";

// A memory file that the next program inherits, and the name that it has there. Nothing else is started while
// it lives.
struct Inherited {
  Fd file;
  std::string path;
};

Result<Inherited> inherited(std::string_view content) {
  auto file = make_memory_file(content);
  if (!file) return file.error();
  if (::fcntl(file->get(), F_SETFD, 0) != 0) return system_error("cannot hand on a memory file");
  std::string path = "/proc/self/fd/" + std::to_string(file->get());
  return Inherited{std::move(*file), std::move(path)};
}

bool succeeded(const ChildOutput& output) {
  return WIFEXITED(output.status) && WEXITSTATUS(output.status) == 0;
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

// What the tool has said, without what differs from one time to the next.
std::string tool_words(std::string said, const Inherited& signers, const std::string& path) {
  replace_all(said, signers.path, path);
  std::vector<std::string> kept;
  for (const auto& line : split(said, '\n')) {
    std::string_view words = trim(line);
    // "key has expired: verify time 2026-01-01T00:00:00 > valid-before 2020-01-01T00:00:00"
    if (size_t time = words.find(": verify time"); time != std::string_view::npos)
      words = words.substr(0, time);
    if (!words.empty()) kept.emplace_back(words);
  }
  return printable(join(kept, "; ").substr(0, kMostToolWords));
}

std::string verdict(const std::string& words, const std::string& path) {
  auto has = [&](std::string_view part) { return words.find(part) != std::string::npos; };
  if (has("incorrect signature")) return "it is not of these bytes";
  if (has("namespace does not match"))
    return std::string("it was made for another purpose than ") + kDocumentNamespace;
  if (has("key has expired")) return "the key of its signer has expired (" + words + ")";
  if (has("not yet valid")) return "the key of its signer is not valid yet (" + words + ")";
  if (words == "No principal matched.") return "its key is of no signer in " + path;
  return words.empty() ? "ssh-keygen does not say why" : words;
}

Error refusal(const std::string& why) {
  return with_hint(refused("the signature of the document is refused: " + why),
                   std::string("sign it with: ssh-keygen -Y sign -n ") + kDocumentNamespace + " -f KEY FILE");
}

}  // namespace

Result<std::string> read_signers(const std::string& path) {
  auto file = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!file) return file.error();
  struct stat st = {};
  if (::fstat(file->get(), &st) != 0) return system_error("cannot look at " + path);
  if (!S_ISREG(st.st_mode)) return input_error(path + " is not a file");
  if (st.st_uid != 0 && st.st_uid != ::geteuid())
    return with_hint(input_error(path + " belongs to another user, who could sign documents"),
                     "run: chown root: " + for_shell(path));
  if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return with_hint(input_error(path + " can be written by others, who could sign documents"),
                     "run: chmod go-w " + for_shell(path));
  // the file that was looked at, whatever the path leads to now
  return read_file("/proc/self/fd/" + std::to_string(file->get()), kMostSigners);
}

Result<std::string> verify_signature(std::string_view document, std::string_view signature,
                                     std::string_view signers, const std::string& path) {
  if (trim(signature).empty()) return refusal("it is empty");
  if (signature.size() > kMostSignature) return refusal("it is too long");
  if (!signature.starts_with(kArmour)) return refusal("it is no SSH signature");
  auto signature_file = inherited(signature);
  if (!signature_file) return signature_file.error();
  auto signers_file = inherited(signers);
  if (!signers_file) return signers_file.error();
  std::string keygen = keygen_program();
  auto found =
      run_program({keygen, "-Y", "find-principals", "-s", signature_file->path, "-f", signers_file->path},
                  Clock::now() + kVerifyTime);
  if (!found) return found.error();
  if (!succeeded(*found)) return refusal(verdict(tool_words(found->err, *signers_file, path), path));
  std::string words;
  size_t tried = 0;
  for (const auto& principal : split(found->out, '\n')) {
    if (principal.empty() || tried++ >= kMostPrincipals) continue;
    auto verified = run_program_with({keygen, "-Y", "verify", "-n", kDocumentNamespace, "-I", principal, "-f",
                                      signers_file->path, "-s", signature_file->path},
                                     document, {}, Clock::now() + kVerifyTime, kMostSignature);
    if (!verified) return verified.error();
    if (succeeded(*verified)) return printable(principal);
    words = tool_words(verified->err, *signers_file, path);
  }
  return refusal(verdict(words, path));
}

}  // namespace qf
