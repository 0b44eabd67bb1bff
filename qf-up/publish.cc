// SPDX-License-Identifier: Apache-2.0
#include "qf-up/publish.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "libqf/child.h"
#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-up/commands.h"
#include "qf-up/etcd_place.h"
#include "qf-up/etcd_session.h"
#include "qf-up/machine.h"
#include "qf-up/signature.h"
#include "qf-up/source.h"

namespace qf {

namespace {

namespace po = boost::program_options;

constexpr const char* kPublishProgram = "qf-up publish";
constexpr auto kSignTime = std::chrono::minutes(5);  // somebody types a passphrase, or looks for a token
constexpr size_t kMostWriteBytes = size_t{1} << 20;  // of a transaction: etcd takes 1.5 MiB by default
// Written with all but the last of many transactions, and removed by the last: so that a change that only
// removes keys is one that another publisher sees.
constexpr const char* kMarkerKey = "publishing";

// The private half may be in an agent, or be asked for on the terminal.
Result<std::string> sign_text(const std::string& text, const std::string& key) {
  auto made = run_program_with({keygen_program(), "-q", "-Y", "sign", "-n", kDocumentNamespace, "-f", key},
                               text, {}, Clock::now() + kSignTime, kMostSignature);
  if (!made) return made.error();
  if (WIFEXITED(made->status) && WEXITSTATUS(made->status) == 0) return made->out;
  return with_hint(input_error("ssh-keygen does not sign with " + key + ": " +
                               printable(std::string(trim(made->err)).substr(0, 300))),
                   "--sign-key names a private key, or a public one whose private half is in the agent");
}

Result<PublishedDocument> read_published(EtcdSession& session, const Choices& choices,
                                         const std::string& signers) {
  auto snapshot = session.next(Clock::now() + kEtcdFirstAnswer);
  if (!snapshot) return snapshot.error();
  PublishedDocument there;
  there.revision = snapshot->revision;
  for (const auto& pair : snapshot->pairs) there.keys[pair.key] = pair.value;
  auto document = document_of(std::move(*snapshot), choices.document);
  if (!document) {
    there.why = document.error();
    return there;
  }
  auto signer = verify_signature(document->text, document->signature, signers, choices.document_signers);
  if (signer) {
    drop_strange_parts(document->text, document->parts);
    there.document = std::move(*document);
  } else {
    there.why = signer.error();
  }
  return there;
}

// What differs, in pieces that etcd takes. Parts are of use with their root alone, so that is the last; one
// document is of use at once, and keys that were its parts are only in the way of nothing.
std::vector<EtcdChanges> changes_between(const std::map<std::string, std::string>& there,
                                         const KeptDocument& wanted) {
  std::vector<EtcdChanges> all(1);
  const size_t root = wanted.text.size() + wanted.signature.size();
  const bool root_first = wanted.parts.empty();
  size_t bytes = root_first ? root : 0, count = root_first ? 2 : 0;
  constexpr size_t kMost = kMostEtcdChanges - 3;  // root, signature and marker
  auto room = [&](size_t more) -> EtcdChanges& {
    if (count > 0 && (count + 1 > kMost || bytes + more > kMostWriteBytes)) {
      all.emplace_back();
      bytes = count = 0;
    }
    bytes += more;
    ++count;
    return all.back();
  };
  for (const auto& [key, value] : wanted.parts) {
    auto old = there.find(key);
    if (old == there.end() || old->second != value)
      room(key.size() + value.size()).puts.push_back({key, value});
  }
  for (const auto& [key, value] : there) {
    bool ours = key == kRootKey || key == kSignatureKey || wanted.parts.contains(key);
    if (!ours) room(key.size()).deletes.push_back(key);
  }
  if (!root_first && bytes > 0 && bytes + root > kMostWriteBytes) all.emplace_back();
  EtcdChanges& with_root = root_first ? all.front() : all.back();
  with_root.puts.push_back({kRootKey, wanted.text});
  with_root.puts.push_back({kSignatureKey, wanted.signature});
  for (size_t i = 0; all.size() > 1 && i < all.size(); ++i) {
    if (i + 1 < all.size()) {
      all[i].puts.push_back({kMarkerKey, QF_VERSION});
    } else {
      all[i].deletes.emplace_back(kMarkerKey);
    }
  }
  return all;
}

// Whether all of it is there, when etcd has not said.
bool is_there(const Choices& choices, const KeptDocument& wanted) {
  auto session = EtcdSession::open(choices, false);
  if (!session) return false;
  auto snapshot = session->next(Clock::now() + kEtcdFirstAnswer);
  if (!snapshot) return false;
  auto now = document_of(std::move(*snapshot), choices.document);
  if (!now || now->text != wanted.text) return false;
  drop_strange_parts(now->text, now->parts);
  return *now == wanted;
}

Status write_changes(EtcdSession& session, const Choices& choices, uint64_t revision,
                     const std::vector<EtcdChanges>& changes, Publication& publication) {
  for (size_t i = 0; i < changes.size(); ++i) {
    auto written = session.write(revision, changes[i]);
    if (!written) return written.error();
    // it may have been done all the same, and be what the comparison has met
    if (written->unknown && is_there(choices, publication.document)) return Done{};
    // the rest is cleaning up, which the next one does too
    bool in_force = i > 0 && publication.document.parts.empty();
    if (in_force && (written->lost || !written->error.empty())) return Done{};
    std::string rest = i == 0
                           ? "nothing was written"
                           : "some keys were written, and fit no signed document: peers keep what they have";
    if (!written->error.empty())
      return with_hint(
          Error{ErrorKind::kSystem, 0,
                written->error + "; " + (written->unknown ? "it is not known whether it was written" : rest)},
          written->hint.empty() ? "run it again" : written->hint);
    if (written->lost && i == 0) {
      publication.lost = true;
      return Done{};
    }
    if (written->lost)
      return with_hint(
          refused("somebody else has changed keys under " + choices.document + " meanwhile; " + rest),
          "run it again");
    revision = written->revision;
  }
  return Done{};
}

Status judge_publication(const KeptDocument& document, const Choices& choices, const std::string& signers) {
  auto signer = verify_signature(document.text, document.signature, signers, choices.document_signers);
  if (!signer) {
    Error error = signer.error();
    error.what = "no peer would take it: " + error.what;
    error.hint = "list the key of --sign-key in " + choices.document_signers + ", here and on each peer";
    return error;
  }
  return Done{};
}

}  // namespace

void add_publish_options(po::options_description& visible, PublishOptions& options) {
  auto add = visible.add_options();
  add("sign-key", po::value(&options.sign_key)->value_name("KEY"),
      "the key that signs: a private one, or a public one whose private half is in the agent");
  for (const auto& choice : value_choices()) {
    std::string flag = choice.flag;
    if (!flag.starts_with("document") || choice.member == &Choices::document_interval) continue;
    add(choice.flag,
        po::value<std::string>()
            ->value_name(choice.value_name)
            ->notifier([&options, flag](const std::string& value) { options.given[flag] = value; }),
        choice.help);
  }
}

Result<Choices> publish_choices(const Folders& folders, const PublishOptions& options) {
  auto choices = load_choices(folders);
  if (!choices) return choices.error();
  for (const auto& choice : value_choices()) {
    auto given = options.given.find(choice.flag);
    if (given == options.given.end()) continue;
    if (auto good = check_value(choice, given->second); !good) return good.error();
    (*choices).*choice.member = given->second;
  }
  if (!is_etcd_url(choices->document))
    return with_hint(input_error("a document can be published in etcd alone"),
                     "give --document etcd://HOST:PORT/PREFIX");
  if (auto good = check_source(*choices); !good) return good.error();
  if (options.sign_key.empty())
    return with_hint(input_error("who signs the document?"), "give --sign-key KEY");
  return choices;
}

Result<Publication> publish_once(const Choices& choices, const std::string& sign_key,
                                 const EditDocument& edit) {
  auto signers = read_signers(choices.document_signers);
  if (!signers) return signers.error();
  auto session = EtcdSession::open(choices, false);
  if (!session) return session.error();
  auto there = read_published(*session, choices, *signers);
  if (!there) return there.error();
  auto wanted = edit(*there);
  if (!wanted) return wanted.error();
  Publication publication{std::move(*wanted)};
  if (there->document && there->document->text == publication.document.text &&
      there->document->parts == publication.document.parts) {
    publication.document.signature = there->document->signature;
    return publication;
  }
  auto text = assemble_document(publication.document.text, publication.document.parts);
  if (!text) return text.error();
  auto judged = judge_text(*text, choices.document);
  if (!judged) return judged.error();
  if (auto valid = check_expiry(*judged, std::time(nullptr)); !valid)
    return with_hint(input_error(valid.error().text() + "; nothing was written"),
                     "give it a later \"expires\"; is the clock of this machine right?");
  auto signature = sign_text(publication.document.text, sign_key);
  if (!signature) return signature.error();
  publication.document.signature = std::move(*signature);
  if (auto good = judge_publication(publication.document, choices, *signers); !good) return good.error();
  auto changes = changes_between(there->keys, publication.document);
  if (auto done = write_changes(*session, choices, there->revision, changes, publication); !done)
    return done.error();
  for (const auto& change : changes) {
    publication.written += change.puts.size();
    publication.removed += change.deletes.size();
  }
  if (changes.size() > 1) publication.written -= changes.size() - 1, --publication.removed;
  return publication;
}

namespace {

enum class Form { kAsItIs, kOneDocument, kOneKeyPerPart };

struct PublishCommand {
  PublishOptions publish;
  FolderOptions folders;
  std::string file;
  Form form = Form::kAsItIs;
};

PublishCommand read_publish_command(int argc, char** argv) {
  PublishCommand command;
  bool apart = false, whole = false;
  std::vector<std::string> words;
  po::options_description visible("options");
  auto add = visible.add_options();
  add("one-key-per-part", po::bool_switch(&apart), "keep each peer, policy and group in a key of its own");
  add("one-document", po::bool_switch(&whole), "keep the document in one key; without both, as it is there");
  add_publish_options(visible, command.publish);
  add_folder_options(visible, command.folders);
  parse_options(
      argc, argv,
      {kPublishProgram,
       "usage: qf-up publish FILE --sign-key KEY [options]\nSigns a fabric document and puts it "
       "into etcd, where --document says.\nexit status: 0 it is published, 71 the system failed, 78 it is "
       "refused and nothing was written, 64 wrong usage\n",
       visible, &words});
  if (words.size() != 1) wrong_usage(kPublishProgram, "one file with a fabric document must be named");
  if (apart && whole)
    wrong_usage(kPublishProgram, "--one-key-per-part and --one-document do not go together");
  command.file = words.front();
  if (apart) command.form = Form::kOneKeyPerPart;
  if (whole) command.form = Form::kOneDocument;
  return command;
}

// It must be the next of its fabric.
Status check_next(const Document& document, const PublishedDocument& there, const Choices& choices) {
  if (!there.document) {
    if (!there.keys.empty()) say(choices.document + ": what is there is replaced: " + there.why.text());
    return Done{};
  }
  auto root = parse_json(there.document->text);
  if (!root) return Done{};
  auto serial = json_integer(root->get(), "serial").value_or(0);
  std::string domain = lower(json_string(root->get(), "domain").value_or(""));
  if (domain != document.domain)
    return with_hint(refused("the document is of the fabric " + document.domain + ", and " +
                             printable(domain) + " is at " + choices.document),
                     "nothing was written; is --document the right one?");
  if (static_cast<int64_t>(document.serial) > serial) return Done{};
  return with_hint(refused("serial " + std::to_string(document.serial) + " is not higher than " +
                           std::to_string(serial) + ", which is at " + choices.document),
                   "nothing was written; raise the serial in the document");
}

int publish(const PublishCommand& command) {
  auto choices = publish_choices(command.folders.folders(), command.publish);
  if (!choices) return fail(choices.error());
  auto document = load_document(command.file);
  if (!document) return kExitConfig;
  auto text = read_file(command.file, kMostRemoteDocument);
  if (!text) return fail(text.error());
  auto edit = [&](const PublishedDocument& there) -> Result<KeptDocument> {
    if (auto good = check_next(*document, there, *choices); !good) return good.error();
    bool apart = command.form == Form::kOneKeyPerPart ||
                 (command.form == Form::kAsItIs && there.document && has_parts(there.document->text));
    if (!apart) return KeptDocument{*text, "", {}};
    auto split = split_document(*text);
    if (!split) return split.error();
    return KeptDocument{std::move(split->root), "", std::move(split->parts)};
  };
  auto done = publish_once(*choices, command.publish.sign_key, edit);
  if (!done) return fail(done.error());
  if (done->lost)
    return fail(with_hint(refused("somebody else has changed the document at " + choices->document +
                                  " meanwhile; nothing was written"),
                          "look at what is there now, raise the serial, and run it again"));
  say("serial " + std::to_string(document->serial) + " is published at " + choices->document + ": " +
      std::to_string(done->written) + " keys written, " + std::to_string(done->removed) + " removed");
  return kExitOk;
}

}  // namespace

int command_publish(int argc, char** argv) {
  return publish(read_publish_command(argc, argv));
}

}  // namespace qf
