// SPDX-License-Identifier: Apache-2.0
// What a decision about a login costs, and what a token does: Google Benchmark over the code that the monitor
// of qf-sshd runs. QF_SMALL and QF_LARGE name policy.mdb of two fabrics that make-fabric wrote. Exits 1
// without them.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "libqf/authorize.h"
#include "libqf/crypto.h"
#include "libqf/jwk.h"
#include "libqf/jwt.h"

namespace {

using namespace qf;

constexpr int64_t kNow = 1'800'000'000;
constexpr size_t kMostTries = 3'000'000;

template <class T, class E>
T need(Result<T, E> result) {
  if (!result) std::exit(1);
  return std::move(*result);
}

std::string path_of(const char* variable) {
  const char* path = std::getenv(variable);
  if (path == nullptr) {
    std::fprintf(stderr, "decisions: %s does not name a policy.mdb\n", variable);
    std::exit(1);
  }
  return path;
}

struct Login {
  std::string source;  // address
  std::string self;    // name
  std::string subject;
};

// Logins from all over the fabric. As many pairs of peers have policies between them as have none.
std::vector<Login> logins(const PolicyDb& policy) {
  size_t peers = 0;
  for (size_t step = size_t{1} << 30; step > 0; step /= 2) {
    if (policy.peer("peer" + std::to_string(peers + step - 1))) peers += step;
  }
  std::mt19937 random(1);
  std::vector<Login> all;
  size_t met = 0, apart = 0;
  for (size_t tries = 0; tries < kMostTries && (met < 16 || apart < 16); ++tries) {
    auto source = policy.peer("peer" + std::to_string(random() % peers));
    auto self = policy.peer("peer" + std::to_string(random() % peers));
    if (!source || !self) continue;
    size_t& kind = need(policy.policies_between(*source, *self)).empty() ? apart : met;
    if (kind < 16) all.push_back({source->addresses[0], self->name, "user" + std::to_string(random() % 10)});
    ++kind;
  }
  return all;
}

bool judge(const PolicyDb& policy, const Login& login) {
  auto source = need(policy.peer_at(login.source));
  auto self = need(policy.peer(login.self));
  LoginRequest request;
  request.os_user = "deploy";
  request.identity.emplace();
  request.identity->issuer_name = "bench";
  request.identity->subject = login.subject;
  request.identity->groups = need(policy.groups_of_user("bench", login.subject));
  request.identity->fabric_user = true;
  return judge_login(policy, source, self, request).allowed;
}

void decision(benchmark::State& state, const char* variable) {
  auto policy = need(PolicyDb::open(path_of(variable)));
  auto all = logins(policy);
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(judge(policy, all[i++ % all.size()]));
}

// As the monitor does it: it opens the file for each, since an apply may have replaced it.
void decision_and_open(benchmark::State& state, const char* variable) {
  std::string path = path_of(variable);
  auto all = logins(need(PolicyDb::open(path)));
  size_t i = 0;
  for (auto _ : state) benchmark::DoNotOptimize(judge(need(PolicyDb::open(path)), all[i++ % all.size()]));
}

void jwt_es256(benchmark::State& state) {
  auto key = need(SigningKey::generate(KeyType::kEcdsaP256));
  std::string token =
      sign_jwt(key, "k",
               R"({"iss":"https://idp.example/","sub":"auth0|61","aud":"qufabric-cli","exp":)" +
                   std::to_string(kNow + 300) + R"(,"iat":)" + std::to_string(kNow) +
                   R"(,"jti":"5b0c4c9e","groups":["eng","ops"],"email":"ann@example.com"})");
  auto keys = need(parse_key_set(key_set_json(key, "k")));
  TokenRules rules;
  rules.issuer = "https://idp.example/";
  rules.audiences = {"qufabric-cli"};
  for (auto _ : state) {
    auto header = need(parse_jws_header(token));
    auto claims = need(parse_claims(need(verify_jws(token, keys))));
    if (check_claims(claims, header, rules, kNow)) std::exit(1);
  }
}

BENCHMARK_CAPTURE(decision, small, "QF_SMALL")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(decision, large, "QF_LARGE")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(decision_and_open, small, "QF_SMALL")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(decision_and_open, large, "QF_LARGE")->Unit(benchmark::kMicrosecond);
BENCHMARK(jwt_es256)->Unit(benchmark::kMicrosecond);

}  // namespace

BENCHMARK_MAIN();
