// SPDX-License-Identifier: Apache-2.0
// The signature of a fabric document that comes from elsewhere, made with
// `ssh-keygen -Y sign -n qufabric-document -f KEY DOCUMENT` and checked by ssh-keygen itself against a file
// of allowed signers (ssh-keygen(1)): find-principals, then verify. uid: the caller's, root on a whole
// machine; a uid of its own would have to be one that no other process has, or that one could answer in the
// tool's place. No shell; the tool gets copies of the bytes (memfd) and never opens the signers' file itself.
#pragma once

#include <string>
#include <string_view>

#include "libqf/result.h"

namespace qf {

inline constexpr const char* kDocumentNamespace = "qufabric-document";

// The allowed signers: kInput unless the file belongs to root or to us and nobody else may write it.
[[nodiscard]] Result<std::string> read_signers(const std::string& path);

// Who signed exactly these bytes, as the signers' file calls them; kRefused with the reason, which is the
// same for the same fault at any time. `signers` is the content of the file at `path`.
[[nodiscard]] Result<std::string> verify_signature(std::string_view document, std::string_view signature,
                                                   std::string_view signers, const std::string& path);

}  // namespace qf
