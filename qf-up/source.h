// SPDX-License-Identifier: Apache-2.0
// Taking the fabric document from where --document says. One turn asks for it (qf-up/fetch_document.h),
// checks the signature (qf-up/signature.h), reads it, and hands it on to be put into force; the bytes that
// were verified are those that are read, applied and kept. Whatever goes wrong, what is in force stays, and
// the record (qf-up/source_record.h) has the reason.
#pragma once

#include <functional>
#include <string>

#include "qf-up/choices.h"
#include "qf-up/document.h"
#include "qf-up/fetch_document.h"
#include "qf-up/source_record.h"

namespace qf {

[[nodiscard]] inline bool has_source(const Choices& choices) {
  return !choices.document.empty();
}
// kInput when choices about the source do not go together.
[[nodiscard]] Status check_source(const Choices& choices);

// The document, or its first fault, with the number of the others; a test of its own that fails is one too.
// `name`: of the document, for the text.
[[nodiscard]] Result<Document> judge_text(const std::string& text, const std::string& name);

// kRefused when it has expired.
[[nodiscard]] Status check_expiry(const Document& document, int64_t now);

// The kept document, its signature checked by the signers of now.
[[nodiscard]] Result<Document> kept_document(const Folders& folders, const Choices& choices);

struct SourceNews {
  KeptDocument signed_text;
  Document document;
};

// A turn that is to be taken, and what it says afterwards.
struct SourceTurn {
  std::string have;       // the hash of the document in force: with another one all of it is asked for
  bool anyway = false;    // as it is whatever is in force
  FetchDocument fetch{};  // none: by a qf-keyfetch of its own
  // Where keys change one after the other, a signature or parts that do not fit may be about to: then that is
  // no fault yet, and is not noted.
  bool patient = false;
  bool unsettled = false;  // that is so
  // whether the reason is another one than that of the turn before (or, when it went well, whether the turn
  // before did not)
  bool fresh = false;
};

// What the server has now; what is kept when it says that this is the same. The record gets signer,
// validators and Retry-After.
[[nodiscard]] Result<SourceNews> ask_source(const Folders& folders, const Choices& choices,
                                            SourceRecord& record, SourceTurn& turn);

// One turn: asks, calls `apply` with the document, keeps it and writes the record. Returns why it is not in
// force.
using ApplyDocument = std::function<Status(const Document& document)>;
[[nodiscard]] Status source_turn(const Folders& folders, const Choices& choices, SourceTurn& turn,
                                 const ApplyDocument& apply);

}  // namespace qf
