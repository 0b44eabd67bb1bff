// SPDX-License-Identifier: Apache-2.0
#include "qf-up/source.h"

#include <ctime>

#include "libqf/log.h"
#include "qf-up/etcd_place.h"
#include "qf-up/fabric_tests.h"
#include "qf-up/signature.h"

namespace qf {

namespace {

constexpr size_t kMostReason = 2000;  // of an error and of a hint that are noted

std::string and_more(size_t count) {
  return count > 1 ? " (and " + std::to_string(count - 1) + " more)" : "";
}

bool disk_is_full(const Error& error) {
  // LMDB says EIO when a write comes out short
  return error.sys == ENOSPC || error.sys == EDQUOT || error.sys == EIO;
}

void note_fault(SourceRecord& record, const Error& error) {
  std::string text = printable(error.text()).substr(0, kMostReason);
  if (record.error != text) record.error_since = record.last_attempt;
  record.error = text;
  record.hint = printable(error.hint).substr(0, kMostReason);
  ++record.failures;
}

void note_success(SourceRecord& record) {
  record.error.clear();
  record.hint.clear();
  record.error_since = 0;
  record.failures = 0;
}

Status keep(const Folders& folders, const SourceNews& news, SourceRecord& record) {
  auto kept = load_kept(folders);
  if (!kept || *kept != news.signed_text) {
    if (auto saved = save_kept(folders, news.signed_text); !saved)
      return with_hint(saved.error(), "the document is in force; is the disk full?");
  }
  record.hash = news.document.hash;
  record.serial = static_cast<int64_t>(news.document.serial);
  record.expires = news.document.expires;
  return Done{};
}

Status take_turn(const Folders& folders, const Choices& choices, SourceRecord& record, SourceTurn& turn,
                 const ApplyDocument& apply) {
  auto news = ask_source(folders, choices, record, turn);
  if (!news) return news.error();
  if (auto applied = apply(news->document); !applied) return applied;
  record.last_success = record.last_attempt;
  return keep(folders, *news, record);
}

}  // namespace

Status check_source(const Choices& choices) {
  // what is left of one that was switched off may stay for the next
  if (!has_source(choices)) return Done{};
  if (choices.document_signers.empty())
    return with_hint(input_error("--document needs --document-signers FILE: who may sign the document?"),
                     "nothing was changed; write that file as ssh-keygen(1) says under ALLOWED SIGNERS");
  bool certificate = !choices.document_cert_file.empty();
  if (certificate == choices.document_key_file.empty())
    return with_hint(input_error("--document-cert-file and --document-key-file belong together"),
                     "nothing was changed; give both or none");
  bool etcd = is_etcd_url(choices.document);
  if (!etcd && (certificate || !choices.document_user_file.empty()))
    return with_hint(
        input_error("--document-cert-file, --document-key-file and --document-user-file are for etcd alone"),
        "nothing was changed; switch one off with nothing after an equals sign: --document-user-file=");
  return Done{};
}

Result<Document> judge_text(const std::string& text, const std::string& name) {
  auto document = read_document(text);
  std::string wrong = "correct it, raise its serial, and sign it again";
  if (!document) {
    const auto& faults = document.error();
    return with_hint(input_error(printable(faults.front().text_in(name)) + and_more(faults.size())), wrong);
  }
  auto failed = failed_tests(*document);
  if (!failed.empty())
    return with_hint(input_error(name + ": " + printable(failed.front().text()) + and_more(failed.size())),
                     wrong);
  return std::move(*document);
}

Status check_expiry(const Document& document, int64_t now) {
  if (document.expires == 0 || now < document.expires) return Done{};
  return with_hint(
      refused("serial " + std::to_string(document.serial) + " has expired, at " +
              moment_text(document.expires)),
      "publish one with a later \"expires\" and a higher serial; is the clock of this machine right?");
}

Result<Document> kept_document(const Folders& folders, const Choices& choices) {
  auto kept = load_kept(folders);
  if (!kept) return kept.error();
  auto signers = read_signers(choices.document_signers);
  if (!signers) return signers.error();
  auto signer = verify_signature(kept->text, kept->signature, *signers, choices.document_signers);
  if (!signer) return signer.error();
  auto text = assemble_document(kept->text, kept->parts);
  if (!text) return text.error();
  return judge_text(*text, choices.document);
}

Result<SourceNews> ask_source(const Folders& folders, const Choices& choices, SourceRecord& record,
                              SourceTurn& turn) {
  auto signers = read_signers(choices.document_signers);
  if (!signers) return signers.error();
  // who has left the signers' file since has not signed for us
  auto trusted = [&](const KeptDocument& kept) {
    return verify_signature(kept.text, kept.signature, *signers, choices.document_signers);
  };
  auto settled = [&](const Error& error) {
    turn.unsettled =
        turn.patient && (error.kind == ErrorKind::kRefused || error.kind == ErrorKind::kNotFound);
    return error;
  };
  auto kept = load_kept(folders);
  bool usable = !turn.anyway && kept && record.hash == turn.have && !turn.have.empty() && trusted(*kept);
  if (!usable) record.etag.clear(), record.last_modified.clear();
  auto answer = turn.fetch ? turn.fetch(record.etag, record.last_modified)
                           : fetch_document(choices, record.etag, record.last_modified);
  if (!answer) return settled(answer.error());
  const DocumentReply& reply = answer->reply;
  record.retry_after = reply.retry_after;
  if (!reply.error.empty()) return Error{ErrorKind::kSystem, 0, reply.error, reply.hint};
  SourceNews news;
  if (reply.changed) {
    news.signed_text = std::move(answer->document);
    record.etag = reply.etag;
    record.last_modified = reply.last_modified;
    auto signer = trusted(news.signed_text);
    if (!signer) return settled(signer.error());
    drop_strange_parts(news.signed_text.text, news.signed_text.parts);
    record.signer = *signer;
  } else if (usable) {
    news.signed_text = std::move(*kept);
  } else {
    return peer_error("the server says that the document is as before, and was not asked that");
  }
  auto text = assemble_document(news.signed_text.text, news.signed_text.parts);
  if (!text) return settled(text.error());
  auto document = judge_text(*text, choices.document);
  if (!document) return document.error();
  news.document = std::move(*document);
  return news;
}

Status source_turn(const Folders& folders, const Choices& choices, SourceTurn& turn,
                   const ApplyDocument& apply) {
  SourceRecord record = load_source_record(folders, choices.document);
  const SourceRecord last = record;
  record.last_attempt = std::time(nullptr);
  record.retry_after = 0;
  turn.unsettled = false;
  Status done = take_turn(folders, choices, record, turn, apply);
  if (turn.unsettled) return done;
  if (done) {
    note_success(record);
  } else {
    // the kept document is still the one of before
    record.etag = last.etag;
    record.last_modified = last.last_modified;
    Error error = done.error();
    if (disk_is_full(error) && error.hint.empty()) error.hint = "nothing was changed; is the disk full?";
    done = error;
    note_fault(record, error);
  }
  turn.fresh = record.error != last.error;
  if (auto saved = save_source_record(folders, record); !saved && done)
    return with_hint(saved.error(), "the document is in force; is the disk full?");
  return done;
}

}  // namespace qf
