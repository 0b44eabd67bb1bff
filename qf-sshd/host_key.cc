// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/host_key.h"

#include <sys/stat.h>

#include "libqf/base64.h"
#include "libqf/crypto.h"
#include "qf-sshd/ssh_handles.h"

namespace qf {

Result<std::string> host_key_fingerprint(const std::string& path) {
  struct stat st = {};
  if (::stat(path.c_str(), &st) != 0) return system_error("cannot read the host key " + path);
  if ((st.st_mode & 077) != 0)
    return input_error("the host key " + path + " can be read by others; run: chmod 600 " + path);
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
  return fingerprint(base64_decode(text).value_or(""));
}

}  // namespace qf
