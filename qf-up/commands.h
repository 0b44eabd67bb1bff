// SPDX-License-Identifier: Apache-2.0
// What qf-up can be told to do. Each command returns the exit code and has said what a person needs to know.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libqf/folders.h"
#include "libqf/peers_db.h"
#include "qf-up/choices.h"
#include "qf-up/document.h"

namespace qf {

// The command line, read.
struct Invocation {
  std::string command = "up";
  std::string file;  // of check and apply; empty: CONFIG/fabric.json
  Folders folders;
  bool force = false;
  bool json = false;
  bool detail = false;
  bool peers = false;
  std::vector<std::string> words;  // peers to look at; none: all
  std::optional<std::chrono::milliseconds> watch;
  bool follow = false;
  // What was given now; the rest comes from choices.json.
  std::optional<std::string> self;
  std::optional<std::string> ssh_config_file;
  std::optional<uint32_t> ssh_jwt_cache_ttl;
  std::vector<std::pair<const BoolChoice*, bool>> switches;
  std::vector<std::pair<const ValueChoice*, std::string>> limits;
};

[[nodiscard]] int command_check(const Invocation& invocation);
[[nodiscard]] int command_apply(const Invocation& invocation);
[[nodiscard]] int command_refresh(const Invocation& invocation);
[[nodiscard]] int command_up(const Invocation& invocation);
[[nodiscard]] int command_down(const Invocation& invocation);
[[nodiscard]] int command_status(const Invocation& invocation);
[[nodiscard]] int command_metrics(const Invocation& invocation);
[[nodiscard]] int command_host_key(const Invocation& invocation);
// Becomes qf-tokend; returns only when that fails.
[[nodiscard]] int command_machine_jwks(const Invocation& invocation);

// With options of their own; argv[0] is the command.
[[nodiscard]] int command_explain(int argc, char** argv);
[[nodiscard]] int command_test(int argc, char** argv);
[[nodiscard]] int command_diff(int argc, char** argv);
[[nodiscard]] int command_doctor(int argc, char** argv);
[[nodiscard]] int command_enroll(int argc, char** argv);
[[nodiscard]] int command_publish(int argc, char** argv);
[[nodiscard]] int command_rotate_host_key(int argc, char** argv);

// The document, or nothing after all its faults were said. `with_tests`: a test of it that fails is one.
[[nodiscard]] std::optional<Document> load_document(const std::string& path, bool with_tests = true);

// Says it, and what to do. Returns the exit code that fits the error.
[[nodiscard]] int fail(const Error& error, std::string_view hint = {});

// The document that was applied before, whole in both databases.
[[nodiscard]] std::optional<PeersMeta> document_in_force(const Folders& folders);

// Puts it into force and says so; `choices` gets what is remembered then. Refused when it may not follow the
// one in force.
[[nodiscard]] Status put_into_force(const Document& document, const Invocation& invocation, Choices& choices);

// The remembered choices with those of the command line over them. kInput when they cannot be together.
[[nodiscard]] Result<Choices> choose(const Invocation& invocation);

}  // namespace qf
