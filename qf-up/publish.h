// SPDX-License-Identifier: Apache-2.0
// Writing a fabric document into etcd: signed by ssh-keygen(1), checked as each peer will check it, and only
// if nobody has changed anything under the prefix since it was read. Peers see all of it or none: keys of
// more than one transaction end with the root, and until then fit no root.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "libqf/options.h"
#include "libqf/result.h"
#include "qf-up/choices.h"
#include "qf-up/document.h"
#include "qf-up/source_record.h"

namespace qf {

// Where to, and who signs: of commands that write. Options of --document and its files count for this once,
// the remembered ones without them.
struct PublishOptions {
  std::map<std::string, std::string> given;  // by their flags
  std::string sign_key;
};
void add_publish_options(boost::program_options::options_description& visible, PublishOptions& options);
// kInput: no etcd, or no key.
[[nodiscard]] Result<Choices> publish_choices(const Folders& folders, const PublishOptions& options);

// What is there. `document` is nothing when there is no document, or none that a signer has signed: `why`.
struct PublishedDocument {
  uint64_t revision = 0;
  std::map<std::string, std::string> keys;
  std::optional<KeptDocument> document;
  Error why;
};

// Makes what is to be there, without its signature.
using EditDocument = std::function<Result<KeptDocument>(const PublishedDocument& there)>;

struct Publication {
  KeptDocument document;
  size_t written = 0, removed = 0;  // keys
  bool lost = false;                // somebody was quicker
};
// Reads, edits, judges, signs and writes. Where `document` is as it was before nothing is written.
[[nodiscard]] Result<Publication> publish_once(const Choices& choices, const std::string& sign_key,
                                               const EditDocument& edit);

}  // namespace qf
