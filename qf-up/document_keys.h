// SPDX-License-Identifier: Apache-2.0
// A fabric document in more than one piece, as etcd keeps it: a root, fabric.json, which is signed, and a
// value for each peer, policy and group. The root has, in place of the lists and maps that are kept apart,
//     "parts": {"count": 3, "sha256": "HEX"}
// which is the digest of what sha256sum(1) says of the values, in the order of their keys' bytes: a line
// "HEX  KEY\n" for each. So a signature of the root is one of every piece, and of there being no other.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "libqf/result.h"

namespace qf {

// "peers/NAME", "policies/NAME": an object with that "name"; "peer_groups/NAME", "user_groups/NAME": a list.
using DocumentParts = std::map<std::string, std::string>;

struct SplitDocument {
  std::string root;
  DocumentParts parts;
};

// The document, one JSON text: the lists in the order of their keys. A root without "parts" is the document,
// whatever else there is. kRefused: the parts are not those of the root; kInput: root or parts are wrong.
// What is no JSON comes back as it is.
[[nodiscard]] Result<std::string> assemble_document(const std::string& root, const DocumentParts& parts);

// A document that has been read (qf-up/document.h) in pieces. Both give what assemble_document() takes.
[[nodiscard]] Result<SplitDocument> split_document(std::string_view text);
// The root with the digest of these parts.
[[nodiscard]] std::string root_with_parts(std::string_view root, const DocumentParts& parts);

[[nodiscard]] bool has_parts(std::string_view root);
// What lies beside a root without "parts" is none of it. The root is read: first comes its signature.
void drop_strange_parts(const std::string& root, DocumentParts& parts);

// The text of a checked JSON object with this member, in the place of the old one or at the end.
[[nodiscard]] std::string with_member(std::string_view object, const std::string& key,
                                      std::string_view value);

}  // namespace qf
