// SPDX-License-Identifier: Apache-2.0
// A kept set is one file per issuer, {"issuer":URL,"jwks_uri":URL,"fetched":T,"lifetime":N,"jwks":{…}}: it
// counts only for the same two URLs. A file that cannot be read or written costs a fetch, nothing else.
#include "qf-sshd/keysets.h"

#include <algorithm>

#include "libqf/crypto.h"
#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/log.h"
#include "libqf/text.h"

namespace qf {

namespace {

constexpr int64_t kNever = 24 * 3600;        // seconds: nothing is due, look again tomorrow
constexpr int64_t kLongestRetry = 600;       // seconds between fetches that fail
constexpr size_t kFileOverhead = 16 * 1024;  // bytes around the key set in a kept file

// A set is asked for again when three quarters of its HTTP lifetime are over, so that a slow or failing
// provider has the last quarter; and twice before the hard limit whatever HTTP says.
int64_t refresh_after(int64_t lifetime) {
  int64_t life = lifetime > 0 ? lifetime : kKeySetDefaultLifetime;
  return std::clamp(life, kKeySetLeastLifetime, kKeySetHardLimit / 2) * 3 / 4;
}

std::string kept_file(const std::string& folder, const std::string& issuer) {
  std::string name = valid_host_name(issuer) ? issuer : hex(sha256(issuer));
  return folder + "/" + name + ".json";
}

}  // namespace

Result<KeySet> parse_usable_keys(const std::string& name, std::string_view json) {
  std::vector<std::string> skipped;
  auto keys = parse_key_set(json, &skipped);
  if (!keys) return keys.error();
  for (const auto& reason : skipped) log_debug("key set of issuer " + name + ": " + reason);
  if (!keys->empty()) return keys;
  if (skipped.empty()) return peer_error("the key set is empty");
  return peer_error("the key set has no key that we can use; " + printable(skipped[0]));
}

bool same_key_source(const IssuerRecord& a, const IssuerRecord& b) {
  return a.issuer == b.issuer && a.jwks_uri == b.jwks_uri && a.jwks == b.jwks && a.ca_file == b.ca_file;
}

void KeySetStore::configure(const std::vector<IssuerRecord>& issuers, int64_t now) {
  std::map<std::string, Entry> before = std::move(entries_);
  entries_.clear();
  for (const auto& issuer : issuers) {
    auto old = before.find(issuer.name);
    if (old != before.end() && same_key_source(old->second.issuer, issuer)) {
      old->second.issuer = issuer;
      old->second.issuer.server_login.reset();
      entries_.insert(before.extract(old));
      continue;
    }
    Entry entry;
    entry.issuer = issuer;
    entry.issuer.server_login.reset();  // nothing of keys, and it may hold a secret
    load(entry, now);
    entries_.emplace(issuer.name, std::move(entry));
  }
}

void KeySetStore::load(Entry& entry, int64_t now) {
  const std::string& name = entry.issuer.name;
  if (entry.issuer.jwks) {
    auto keys = parse_usable_keys(name, *entry.issuer.jwks);
    if (!keys) {
      log_error("issuer " + name + ": " + keys.error().text());
      return;
    }
    entry.json = *entry.issuer.jwks;
    entry.keys = std::move(*keys);
    return;
  }
  std::string path = kept_file(folder_, name);
  auto text = read_file(path, kMostKeySetBytes + kFileOverhead);
  if (!text) {
    if (text.error().sys != ENOENT) log_warning(text.error().text());
    return;
  }
  auto kept = parse_json(*text);
  const cJSON* object = kept ? kept->get() : nullptr;
  auto fetched = json_integer(object, "fetched");
  // keys of another issuer, or of another place, must not verify this one's tokens
  bool ours = fetched && json_string(object, "issuer") == entry.issuer.issuer &&
              json_string(object, "jwks_uri").value_or("") == entry.issuer.jwks_uri.value_or("") &&
              json_string(object, "ca_file").value_or("") == entry.issuer.ca_file.value_or("");
  if (!ours || *fetched > now) return;
  if (now - *fetched > kKeySetHardLimit) {
    log_warning("the kept key set of issuer " + name + " is of " + std::to_string((now - *fetched) / 60) +
                " min ago, beyond its limit of " + std::to_string(kKeySetHardLimit / 3600) +
                " h: it is not used");
    return;
  }
  std::string json = json_text(json_member(object, "jwks"));
  auto keys = parse_usable_keys(name, json);
  if (!keys) {
    log_warning(path + ": " + keys.error().text());
    return;
  }
  entry.json = std::move(json);
  entry.keys = std::move(*keys);
  entry.fetched = *fetched;
  entry.refresh = *fetched + refresh_after(json_integer(object, "lifetime").value_or(0));
}

Result<bool> KeySetStore::store(const std::string& issuer, const std::string& json, int64_t lifetime,
                                int64_t now) {
  auto found = entries_.find(issuer);
  if (found == entries_.end() || found->second.issuer.jwks)
    return not_found("no key set is fetched for " + issuer);
  Entry& entry = found->second;
  auto keys = parse_usable_keys(issuer, json);
  if (!keys) return keys.error();
  bool changed = entry.json != json;
  if (entry.failures > 0) log_info("key set of issuer " + issuer + ": fetched again");
  entry.json = json;
  entry.keys = std::move(*keys);
  entry.fetched = now;
  entry.refresh = now + refresh_after(lifetime);
  entry.failures = 0;
  entry.asked = 0;
  keep(entry, lifetime);
  return changed;
}

void KeySetStore::keep(const Entry& entry, int64_t lifetime) {
  auto jwks = parse_json(entry.json);
  if (!jwks) return;  // parse_usable has read it
  JsonWriter file;
  file.set("issuer", entry.issuer.issuer);
  if (entry.issuer.jwks_uri) file.set("jwks_uri", *entry.issuer.jwks_uri);
  if (entry.issuer.ca_file) file.set("ca_file", *entry.issuer.ca_file);
  file.set("fetched", entry.fetched).set("lifetime", lifetime).set("jwks", std::move(*jwks));
  auto written = make_folder(folder_, 0700);
  if (written)
    written = write_file_atomically(kept_file(folder_, entry.issuer.name), file.text() + "\n", 0600);
  if (!written)
    log_warning("cannot keep the key set of issuer " + entry.issuer.name + ": " + written.error().text());
}

void KeySetStore::fetch_failed(const std::string& issuer, const std::string& error, int64_t now) {
  auto found = entries_.find(issuer);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  entry.failures = std::min(entry.failures + 1, 16);
  entry.asked = 0;
  entry.refresh = now + std::min(kKeySetRetry << (entry.failures - 1), kLongestRetry);
  std::string consequence = "there is none: its tokens are refused";
  if (usable(entry, now) != nullptr) {
    consequence = "the one of " + std::to_string(std::max<int64_t>(now - entry.fetched, 0) / 60) +
                  " min ago stays in use";
  }
  log_warning("cannot fetch the key set of issuer " + issuer + " (" + error + "); " + consequence);
}

const KeySet* KeySetStore::usable(const Entry& entry, int64_t now) {
  if (entry.keys.empty()) return nullptr;
  if (entry.issuer.jwks) return &entry.keys;
  return now - entry.fetched > kKeySetHardLimit ? nullptr : &entry.keys;
}

const KeySet* KeySetStore::find(const IssuerRecord& issuer, int64_t now) const {
  auto found = entries_.find(issuer.name);
  bool same = found != entries_.end() && same_key_source(found->second.issuer, issuer);
  return same ? usable(found->second, now) : nullptr;
}

std::string KeySetStore::json(const std::string& issuer) const {
  auto found = entries_.find(issuer);
  return found == entries_.end() ? "" : found->second.json;
}

// A request that keyfetch never answers, because it died, counts no longer than kKeySetRetry.
bool KeySetStore::under_way(const Entry& entry, int64_t now) {
  return entry.asked != 0 && entry.asked <= now && now - entry.asked < kKeySetRetry;
}

int64_t KeySetStore::due_at(const Entry& entry, int64_t now) {
  if (entry.issuer.jwks) return now + kNever;
  if (under_way(entry, now)) return entry.asked + kKeySetRetry;
  // fetched in the future: the clock was set back, and nothing is known about ages
  return entry.fetched > now ? now : entry.refresh;
}

bool KeySetStore::pending(const std::string& issuer, int64_t now) const {
  auto found = entries_.find(issuer);
  return found != entries_.end() && under_way(found->second, now);
}

std::vector<IssuerRecord> KeySetStore::due(int64_t now) {
  std::vector<IssuerRecord> issuers;
  for (auto& [name, entry] : entries_) {
    if (due_at(entry, now) > now) continue;
    entry.asked = now;
    issuers.push_back(entry.issuer);
  }
  return issuers;
}

std::optional<IssuerRecord> KeySetStore::want(const std::string& issuer, int64_t now) {
  auto found = entries_.find(issuer);
  if (found == entries_.end() || found->second.issuer.jwks) return std::nullopt;
  Entry& entry = found->second;
  if (under_way(entry, now)) return std::nullopt;
  if (entry.wanted != 0 && entry.wanted <= now && now - entry.wanted < kKeySetRetry) return std::nullopt;
  entry.asked = entry.wanted = now;
  return entry.issuer;
}

std::vector<KeySetStore::Age> KeySetStore::ages(int64_t now) const {
  std::vector<Age> ages;
  for (const auto& [name, entry] : entries_) {
    if (entry.issuer.jwks) continue;
    Age age{name, std::nullopt, usable(entry, now) != nullptr, entry.failures};
    if (entry.fetched != 0) age.seconds = std::max<int64_t>(0, now - entry.fetched);
    ages.push_back(std::move(age));
  }
  return ages;
}

int64_t KeySetStore::next_due(int64_t now) const {
  int64_t next = now + kNever;
  for (const auto& [name, entry] : entries_) next = std::min(next, due_at(entry, now));
  return std::max<int64_t>(0, next - now);
}

}  // namespace qf
