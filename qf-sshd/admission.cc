// SPDX-License-Identifier: Apache-2.0
#include "qf-sshd/admission.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdlib>

namespace qf {

bool drop_startup(const StartupLimit& limit, unsigned count, unsigned chance) {
  if (count < limit.start) return false;
  if (count >= limit.full) return true;
  unsigned percent = limit.rate + (100 - limit.rate) * (count - limit.start) / (limit.full - limit.start);
  return chance < percent;
}

std::string source_network(std::string_view address, const NetBlocks& blocks) {
  std::string text(address);
  bool v6 = text.find(':') != std::string::npos;
  unsigned char bytes[sizeof(in6_addr)] = {};
  int family = v6 ? AF_INET6 : AF_INET;
  if (::inet_pton(family, text.c_str(), bytes) != 1) return text;
  unsigned length = v6 ? blocks.v6 : blocks.v4;
  for (unsigned i = 0; i < (v6 ? 16U : 4U); ++i) {
    unsigned kept = std::min(8U, length - std::min(length, 8 * i));
    bytes[i] &= static_cast<unsigned char>(0xff00U >> kept);
  }
  char out[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family, bytes, out, sizeof out);
  return std::string(out) + "/" + std::to_string(length);
}

const char* load_fault_text(LoadFault fault) {
  switch (fault) {
    case LoadFault::kNone:
      return "";
    case LoadFault::kConnections:
      return "too many connections";
    case LoadFault::kSource:
      return "too many connections of one source";
    case LoadFault::kSourceStartups:
      return "too many connections of one source that are not logged in";
    case LoadFault::kStartups:
      return "too many connections that are not logged in";
  }
  std::abort();
}

LoadFault judge_load(const Settings& settings, const Load& load, unsigned chance) {
  if (load.all >= settings.most_connections) return LoadFault::kConnections;
  if (load.of_source >= settings.most_source_connections) return LoadFault::kSource;
  if (load.startups_of_source >= settings.most_source_startups) return LoadFault::kSourceStartups;
  return drop_startup(settings.startups, load.startups, chance) ? LoadFault::kStartups : LoadFault::kNone;
}

}  // namespace qf
