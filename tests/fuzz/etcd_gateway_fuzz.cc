// SPDX-License-Identifier: Apache-2.0
// fuzz-group: sshd
//
// What a stranger answers in the place of etcd's JSON gateway. The first byte says in which answer it stands;
// half of them have the input as the value of a key, which chance would never hide in base64. Aborts when
// keys come out of order or twice, a token could break out of its header, or words of a stranger could steer
// a terminal.
#include <cstdint>
#include <cstdlib>

#include "libqf/base64.h"
#include "libqf/log.h"
#include "libqf/text.h"
#include "qf-sshd/etcd_gateway.h"

namespace {

constexpr size_t kMost = 8;
constexpr size_t kMostWords = 300;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_words(const std::string& words) {
  require(words.size() <= 4 * kMostWords);
  require(words == qf::printable(words));
}

void check_range(std::string_view text) {
  auto range = qf::read_etcd_range(text, kMost);
  if (!range) return;
  require(range->header.revision != 0 && range->pairs.size() <= kMost);
  require(!range->more || !range->pairs.empty());
  for (size_t i = 0; i < range->pairs.size(); ++i) {
    require(!range->pairs[i].first.empty());
    require(i == 0 || range->pairs[i - 1].first < range->pairs[i].first);
  }
}

void check_news(std::string_view text) {
  auto news = qf::read_etcd_news(text);
  if (!news) return;
  if (news->fault) {
    check_words(news->fault->message);
    require(news->events.empty());
  }
  check_words(news->reason);
  require(!news->compacted || news->canceled);
  for (const auto& event : news->events) require(event.revision != 0);
}

void check_value(std::string_view value) {
  std::string text = R"({"header":{"cluster_id":"1","revision":"5"},"kvs":[{"key":"YQ==","value":")" +
                     qf::base64(value) + R"("}]})";
  auto range = qf::read_etcd_range(text, 1);
  require(range && range->pairs.size() == 1 && range->pairs[0].second == value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 5) {
    case 0:
      check_range(input);
      break;
    case 1:
      check_news(input);
      break;
    case 2:
      if (auto token = qf::read_etcd_token(input)) require(!token->empty() && qf::is_visible_ascii(*token));
      static_cast<void>(qf::read_etcd_txn(input));
      break;
    case 3:
      if (auto fault = qf::read_etcd_fault(input)) check_words(fault->message);
      break;
    default:
      check_value(input);
  }
  return 0;
}
