// SPDX-License-Identifier: Apache-2.0
// Role: none; runs as whoever has called, reads standard input and, where the keys are fetched, starts a
// keyfetch of its own, in keyfetch's jail. Says why it cannot judge (exit 71) apart from why a token is bad
// (exit 1). Must never: print the token, write a file, become a server.
#include "qf-sshd/verify_token.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <functional>
#include <string_view>

#include "libqf/child.h"
#include "libqf/fd.h"
#include "libqf/json.h"
#include "libqf/jwk.h"
#include "libqf/log.h"
#include "libqf/options.h"
#include "libqf/secret.h"
#include "libqf/text.h"
#include "qf-sshd/key_service.h"
#include "qf-sshd/keyfetch.h"
#include "qf-sshd/keysets.h"
#include "qf-sshd/listener_messages.h"
#include "qf-sshd/memory_file.h"
#include "qf-sshd/messages.h"

namespace po = boost::program_options;

namespace qf {

namespace {

constexpr const char* kProgram = "qf-sshd";
constexpr std::chrono::seconds kFetchReserve{2};  // for keyfetch to start and to lock itself in
constexpr size_t kMostKeysShown = 10;

// What goes with --verify-token alone, and what with everything.
constexpr std::array<std::string_view, 9> kOwnOptions = {"issuer",        "audience",   "jwks",
                                                         "jwks-uri",      "ca-file",    "now",
                                                         "max-token-age", "clock-skew", "access-token"};
constexpr std::array<std::string_view, 2> kCommonOptions = {"verify-token", "verbose"};

template <size_t kCount>
bool contains(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void add_seconds(po::options_description& options, const char* name, const char* help, int64_t least,
                 int64_t most, int64_t& into) {
  auto take = [=, &into](const std::string& text) {
    auto number = parse_number(text, static_cast<uint64_t>(most));
    if (!number || *number < static_cast<uint64_t>(least)) {
      wrong_usage(kProgram, std::string("--") + name + " must be a number from " + std::to_string(least) +
                                " to " + std::to_string(most) + ", not " + qf::quoted(text));
    }
    into = static_cast<int64_t>(*number);
  };
  options.add_options()(name, po::value<std::string>()->value_name("SECONDS")->notifier(take), help);
}

// ---- the token --------------------------------------------------------------------------------------------

// All of standard input, but no more than a token that is too long by one byte and its line end.
Result<std::string> read_token() {
  std::string token(kMostTokenBytes + 3, '\0');
  size_t length = 0;
  while (length < token.size()) {
    ssize_t n = ::read(STDIN_FILENO, token.data() + length, token.size() - length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("cannot read the token from standard input");
    if (n == 0) break;
    length += static_cast<size_t>(n);
  }
  token.resize(length);
  if (token.ends_with('\n')) token.pop_back();
  if (token.ends_with('\r')) token.pop_back();
  return token;
}

// ---- the key set ------------------------------------------------------------------------------------------

FetchRequest fetch_request(const VerifyTokenOptions& options) {
  FetchRequest request;
  request.name = "token";  // comes back as it is
  request.issuer = options.rules.issuer;
  if (!options.jwks_uri.empty()) request.jwks_uri = options.jwks_uri;
  if (!options.ca_file.empty()) request.ca_file = options.ca_file;
  return request;
}

// What a keyfetch of our own brings.
Result<std::string> fetch_keys(const VerifyTokenOptions& options, bool privileged) {
  Settings settings;
  settings.privileged = privileged;
  auto ends = MessageSocket::pair();
  if (!ends) return ends.error();
  if (::fcntl(ends->second.fd(), F_SETFD, 0) != 0) return system_error("cannot hand on a socket");
  auto null = open_file("/dev/null", O_RDWR);
  if (!null) return null.error();
  // not our standard input: keyfetch knows no tokens
  SpawnOptions spawn{.stdin_fd = null->get(), .stdout_fd = null->get(), .death_signal = SIGKILL};
  auto keyfetch = Child::spawn(keyfetch_command(settings, ends->second.fd()), spawn);
  if (!keyfetch) return keyfetch.error();
  ends->second.close();
  if (auto sent = ends->first.send(fetch_request(options)); !sent) return sent.error();
  auto message = ends->first.receive(Clock::now() + kFetchTime + kFetchReserve);
  if (!message) {
    bool ended = message.error().kind == ErrorKind::kNotFound;
    return ended ? Error{ErrorKind::kSystem, 0, "keyfetch has ended, see above"} : message.error();
  }
  auto reply = open_message<FetchReply>(*message);
  if (!reply) return reply.error();
  if (!reply->error.empty()) return peer_error(reply->error);
  return read_memory_file(message->fds[0].get(), kMostKeySetBytes);
}

Result<KeySet> find_keys(const VerifyTokenOptions& options, bool privileged) {
  auto json =
      options.fetches() ? fetch_keys(options, privileged) : read_file(options.jwks_file, kMostKeySetBytes);
  if (!json) return json.error();
  return parse_usable_keys(options.rules.issuer, *json);
}

int without_keys(const VerifyTokenOptions& options, const Error& error) {
  std::string_view hint = "a key set is what the issuer's jwks_uri answers: {\"keys\":[...]}";
  if (options.fetches()) {
    hint = options.jwks_uri.empty()
               ? "the key set is found from --issuer; or give --jwks-uri URL or --jwks FILE"
               : "where the provider has a CA of its own, give --ca-file FILE";
  }
  std::string what = options.fetches() ? "cannot fetch the key set: " : "cannot use the key set: ";
  say(what + error.text(), hint);
  return kExitSystem;
}

// ---- the answer -------------------------------------------------------------------------------------------

std::string describe_key(const Jwk& key) {
  std::string kind = key.crv.empty() ? key.kty : key.crv;
  return (key.kid.empty() ? "one without kid" : qf::quoted(key.kid)) + " (" +
         (key.alg.empty() ? kind : key.alg) + ")";
}

std::string describe_keys(const KeySet& keys) {
  std::vector<std::string> texts;
  for (const auto& key : keys) {
    if (texts.size() < kMostKeysShown) texts.push_back(describe_key(key));
  }
  size_t more = keys.size() - texts.size();
  return join(texts, ", ") + (more > 0 ? " and " + std::to_string(more) + " more" : "");
}

// Which keys a token was judged by.
std::string key_set_name(const VerifyTokenOptions& options) {
  if (!options.fetches()) return "the key set in " + printable(options.jwks_file);
  if (!options.jwks_uri.empty()) return "the key set at " + printable(options.jwks_uri);
  return "the key set that --issuer publishes";
}

// What to look at; empty where the fault says all. `keys`: none were needed to refuse it.
std::string hint_for(TokenFault fault, const KeySet& keys, const VerifyTokenOptions& options) {
  const TokenRules& rules = options.rules;
  switch (fault) {
    case TokenFault::kMalformed:
    case TokenFault::kTooLarge:
      return "the token alone is wanted, as qf-token show prints it";
    case TokenFault::kAlgorithm:
    case TokenFault::kUnknownKey:
    case TokenFault::kBadSignature:
      if (keys.empty()) return "RS, PS and ES with 256, 384 or 512, and EdDSA are accepted";
      return key_set_name(options) + " has " + describe_keys(keys) +
             (options.fetches() ? "" : "; for the keys of now give --jwks-uri URL, or neither of the two");
    case TokenFault::kType:
      if (rules.access_token) return "without --access-token id_tokens are judged";
      return "for access tokens give --access-token, as \"token\": \"access_token\" does in the issuer's "
             "client";
    case TokenFault::kIssuer:
      return "--issuer must be the token's iss, to the last character";
    case TokenFault::kAudience:
      return "give one of them with --audience; the issuer entry has what it accepts as \"audiences\"";
    case TokenFault::kTooOld:
      return "get a new token (qf-token login --renew), or give --max-token-age as the issuer entry has it";
    case TokenFault::kExpired:
      return "get a new token: run qf-token login --renew";
    case TokenFault::kNotYetValid:
      return "compare the clocks of this machine and of the provider";
    case TokenFault::kSubject:
    case TokenFault::kBearer:
    case TokenFault::kBinding:
    case TokenFault::kClaims:
    case TokenFault::kGroups:
    case TokenFault::kNoKeySet:
    case TokenFault::kCertificate:
      break;
  }
  return "";
}

// One line, in which no character can do anything to a terminal: JSON has escapes for them all.
std::string terminal_safe(const std::string& json) {
  std::string out;
  for (std::string_view rest = json; !rest.empty();) {
    std::string_view character = rest.substr(0, std::max<size_t>(1, utf8_length(rest)));
    rest.remove_prefix(character.size());
    auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
    if (character == "\x7f") {
      out += "\\u007f";
    } else if (character.size() == 2 && printable(character) != character) {  // C1
      out += "\\u00" + hex(character.substr(1));
    } else if (character.size() == 3 && printable(character) != character) {  // line and paragraph separators
      out += byte(2) == 0xa8 ? "\\u2028" : "\\u2029";
    } else {
      out += character;
    }
  }
  return out;
}

int refuse(const TokenRefusal& refusal, const KeySet& keys, const VerifyTokenOptions& options) {
  say(refusal.text(), hint_for(refusal.fault, keys, options));
  return kExitNegative;
}

int judge(const std::string& token, const JwsHeader& header, const KeySet& keys,
          const VerifyTokenOptions& options) {
  const TokenRules& rules = options.rules;
  auto payload = verify_jws(token, keys);
  if (!payload) return refuse(payload.error(), keys, options);
  auto claims = parse_claims(*payload);
  if (!claims) return refuse(claims.error(), keys, options);
  int64_t now = options.now >= 0 ? options.now : std::time(nullptr);
  if (auto bad = check_claims(*claims, header, rules, now)) return refuse(*bad, keys, options);
  auto done = write_all(STDOUT_FILENO, terminal_safe(json_text(claims->all.get())) + "\n");
  if (!done) say("cannot print the claims: " + done.error().text());
  return done ? kExitOk : kExitSystem;
}

int judge_with_keys(const std::string& token, const VerifyTokenOptions& options, bool privileged) {
  if (token.empty()) {
    say("there is no token on standard input", "qf-token show prints one, once qf-token login has got it");
    return kExitNegative;
  }
  // what needs no key is said without asking anybody for keys
  auto header = parse_jws_header(token);
  if (!header) return refuse(header.error(), {}, options);
  auto keys = find_keys(options, privileged);
  return keys ? judge(token, *header, *keys, options) : without_keys(options, keys.error());
}

}  // namespace

void add_verify_token_options(po::options_description& options, VerifyTokenOptions& verify) {
  auto add = options.add_options();
  add("verify-token", po::bool_switch(&verify.wanted),
      "judge the token on standard input as the server would, print its claims, and end");
  add("issuer", po::value(&verify.rules.issuer)->value_name("URL"), "the iss that it must have");
  add("audience", po::value(&verify.audiences)->value_name("NAME"),
      "an aud of which it must have one; may be given again");
  add("jwks", po::value(&verify.jwks_file)->value_name("FILE"), "with the keys of this file");
  add("jwks-uri", po::value(&verify.jwks_uri)->value_name("URL"),
      "with the keys from there (default: discovered from the issuer)");
  add("ca-file", po::value(&verify.ca_file)->value_name("FILE"),
      "certificates to trust for its https addresses");
  add_seconds(options, "now", "as if it were this second since 1970", 0, kLastSecond, verify.now);
  add_seconds(options, "max-token-age", "since iat (default: 600)", 1, kMostTokenAge,
              verify.rules.max_token_age);
  add_seconds(options, "clock-skew", "by which clocks may differ (default: 60)", 0, kMostClockSkew,
              verify.rules.clock_skew);
  add("access-token", po::bool_switch(&verify.rules.access_token), "an access token (RFC 9068) is wanted");
}

void check_verify_token_options(const po::variables_map& given, VerifyTokenOptions& verify) {
  for (const auto& [name, value] : given) {
    if (value.defaulted() || contains(kCommonOptions, name)) continue;
    if (verify.wanted && !contains(kOwnOptions, name))
      wrong_usage(kProgram, "--" + name + " does not go with --verify-token");
    if (!verify.wanted && contains(kOwnOptions, name))
      wrong_usage(kProgram, "--" + name + " needs --verify-token");
  }
  if (!verify.wanted) return;
  verify.rules.audiences = verify.audiences;
  if (verify.rules.issuer.empty()) wrong_usage(kProgram, "--verify-token needs --issuer URL");
  if (verify.audiences.empty()) wrong_usage(kProgram, "--verify-token needs --audience NAME");
  for (const char* name : {"audience", "jwks", "jwks-uri", "ca-file"}) {
    // an empty variable in a script must not mean another source of keys
    if (given.count(name) == 0) continue;
    const auto* text = boost::any_cast<std::string>(&given[name].value());
    bool empty = text != nullptr ? text->empty()
                                 : std::find(verify.audiences.begin(), verify.audiences.end(), "") !=
                                       verify.audiences.end();
    if (empty) wrong_usage(kProgram, std::string("--") + name + " is empty");
  }
  if (!verify.jwks_file.empty() && !verify.jwks_uri.empty())
    wrong_usage(kProgram, "--jwks and --jwks-uri do not go together");
  if (!verify.jwks_file.empty() && !verify.ca_file.empty())
    wrong_usage(kProgram, "--ca-file is of no use with --jwks, where nothing is fetched");
  // keyfetch works in another folder
  if (!verify.ca_file.empty()) verify.ca_file = std::filesystem::absolute(verify.ca_file).string();
  if (verify.fetches() && encode(fetch_request(verify)).size() > FetchRequest::kMostBytes)
    wrong_usage(kProgram, "--issuer, --jwks-uri or --ca-file is too long");
  if (::isatty(STDIN_FILENO) == 1) {
    die(kExitUsage, "the token is read from standard input, and that is a terminal",
        "run: qf-token show --issuer NAME | qf-sshd --verify-token ...");
  }
}

int verify_token(const VerifyTokenOptions& options, bool privileged) {
  ::signal(SIGHUP, SIG_DFL);  // main ignores it for the server
  auto token = read_token();
  if (!token) {
    say(token.error().text());
    return kExitSystem;
  }
  int exit_code = judge_with_keys(*token, options, privileged);
  wipe(*token);
  return exit_code;
}

}  // namespace qf
