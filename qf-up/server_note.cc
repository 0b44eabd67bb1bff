// SPDX-License-Identifier: Apache-2.0
#include "qf-up/server_note.h"

#include <unistd.h>

#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/log.h"

namespace qf {

namespace {

constexpr const char* kNoteFile = "/qf-up.json";
constexpr size_t kMostNote = 64 * 1024;
constexpr mode_t kNoteMode = 0644;

}  // namespace

void write_server_note(const Folders& folders, const ServerNote& note) {
  auto runtime = server_runtime(folders, true);
  if (!runtime) return log_debug(runtime.error().text());
  JsonWriter json;
  json.set("pid", static_cast<int64_t>(::getpid())).set("restarts", static_cast<int64_t>(note.restarts));
  json.set("options", note.flags);
  if (auto written = replace_file(*runtime + kNoteFile, json.text() + "\n", kNoteMode); !written)
    log_debug(written.error().text());
}

void remove_server_note(const Folders& folders) {
  if (auto runtime = server_runtime(folders, false)) ::unlink((*runtime + kNoteFile).c_str());
}

std::optional<ServerNote> read_server_note(const Folders& folders, pid_t supervisor) {
  auto runtime = server_runtime(folders, false);
  auto text = runtime ? read_file(*runtime + kNoteFile, kMostNote) : Result<std::string>(runtime.error());
  auto json = text ? parse_json(*text) : Result<JsonPtr>(text.error());
  if (!json || json_integer(json->get(), "pid") != supervisor) return std::nullopt;
  auto restarts = json_integer(json->get(), "restarts");
  auto flags = json_strings(json->get(), "options");
  if (!restarts || *restarts < 0 || !flags) return std::nullopt;
  return ServerNote{static_cast<uint64_t>(*restarts), std::move(*flags)};
}

}  // namespace qf
