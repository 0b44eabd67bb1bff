// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/host_key.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "libqf/base64.h"
#include "libqf/crypto.h"
#include "libqf/fd.h"

namespace qf {

Result<HostKey> load_host_key(const std::string& path) {
  // the library does not say why it cannot read a file
  auto file = open_file(path, O_RDONLY);
  if (!file) return file.error();
  struct stat st = {};
  if (::fstat(file->get(), &st) != 0) return system_error("cannot read " + path);
  // whoever owns it can read it
  if (st.st_uid != 0 && st.st_uid != ::geteuid())
    return input_error("the host key " + path + " belongs to uid " + std::to_string(st.st_uid));
  if ((st.st_mode & 077) != 0) return refused("the host key " + path + " can be read by others");
  ssh_key loaded = nullptr;
  if (::ssh_pki_import_privkey_file(path.c_str(), nullptr, nullptr, nullptr, &loaded) != SSH_OK) {
    return input_error("the host key " + path + " is not a private key without passphrase");
  }
  SshPtr<ssh_key> key(loaded);
  char* text = nullptr;
  if (::ssh_key_type(key.get()) != SSH_KEYTYPE_ED25519 ||
      ::ssh_pki_export_pubkey_base64(key.get(), &text) != SSH_OK) {
    return input_error("the host key " + path + " is not an Ed25519 key");
  }
  SshPtr<char*> owner(text);
  return HostKey{std::move(key), fingerprint(base64_decode(text).value_or(""))};
}

Result<HostKey> choose_host_key(const Folders& folders, const std::vector<std::string>& listed) {
  auto is_listed = [&](const Result<HostKey>& key) {
    return key && std::find(listed.begin(), listed.end(), key->fingerprint) != listed.end();
  };
  auto in_use = load_host_key(folders.host_key());
  if (is_listed(in_use)) return in_use;
  auto next = load_host_key(folders.next_host_key());
  return is_listed(next) ? std::move(next) : std::move(in_use);
}

std::string host_key_hint(const Error& error, const std::string& path) {
  if (error.kind == ErrorKind::kRefused) return "run: chmod 600 " + path;
  if (error.sys == EACCES) return "run qf-sshd as root, or with --state-dir and a folder of your own";
  if (error.sys == ENOENT) return "run qf-up host-key, which makes it";
  return "move it away and run qf-up host-key, which makes a new one";
}

Result<PeerPolicyRecord> own_record(const Settings& settings) {
  auto policy = PolicyDb::open(settings.folders.policy_mdb());
  if (!policy) return policy.error();
  return policy->peer(settings.self);
}

bool lists_key(const PeerPolicyRecord& self, const std::string& fingerprint) {
  const auto& all = self.host_key_fingerprints;
  return std::find(all.begin(), all.end(), fingerprint) != all.end();
}

Error not_pinned(const Settings& settings, const std::string& fingerprint) {
  return with_hint(
      input_error("the fabric document does not list this server's host key " + fingerprint +
                  " among the \"ssh_host_keys\" of \"" + settings.self + "\""),
      "list there what qf-up host-key prints, and run qf-up apply; or put back the key that it lists");
}

Result<HostKey> own_host_key(const Settings& settings, const Result<PeerPolicyRecord>& self) {
  return choose_host_key(settings.folders, self ? self->host_key_fingerprints : std::vector<std::string>{});
}

}  // namespace qf
