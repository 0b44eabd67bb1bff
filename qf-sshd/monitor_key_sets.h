// SPDX-License-Identifier: Apache-2.0
// The monitor's key sets: as the listener held them when this connection came, those that it has had fetched
// for us since, and those that a later document holds itself. What the listener hands over is parsed here
// again; what does not parse counts as not there.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "qf-sshd/authenticate.h"
#include "qf-sshd/keysets.h"
#include "qf-sshd/listener_link.h"

namespace qf {

class MonitorKeySets : public KeySets {
 public:
  // `other` takes what else the listener says while keys are waited for.
  MonitorKeySets(KeySetStore& store, ListenerLink& listener, std::function<void(const Message&)> other)
      : store_(store), listener_(listener), other_(std::move(other)) {}

  const KeySet* find(const IssuerRecord& issuer) override;
  // Waits for the listener, some seconds at most.
  void refresh(const std::vector<const IssuerRecord*>& issuers,
               const std::function<bool(const IssuerRecord&)>& found) override;

 private:
  // With the entry of the document that they are for: a later document may have another one of that name.
  struct Fresh {
    IssuerRecord issuer;
    KeySet keys;
  };
  [[nodiscard]] bool take(const IssuerRecord& issuer, int fd);
  void keep(IssuerRecord issuer, KeySet keys);

  KeySetStore& store_;
  ListenerLink& listener_;
  std::function<void(const Message&)> other_;
  std::map<std::string, Fresh> fresh_;  // by the name of the issuer
};

}  // namespace qf
