// SPDX-License-Identifier: Apache-2.0
// When the place where the document comes from (--document) is asked, and by which process: one of its own
// each time, so that nothing of a document, of a server or of a failure stays in the supervisor.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "qf-up/choices.h"
#include "qf-up/commands.h"

namespace qf {

class SourceClock {
 public:
  // Both outlive this. `given`: the choices of the start, with which no document may have come into force
  // yet.
  SourceClock(const Invocation& invocation, const Choices& given)
      : invocation_(invocation), given_(given), at_start_(remembered()) {}
  // Whether it was asked just now.
  void asked(bool was) { asked_ = was; }

  // Until the next turn; nothing when there is no source.
  [[nodiscard]] std::optional<std::chrono::milliseconds> delay();
  // Whether the process stays, and takes each change.
  [[nodiscard]] bool follows() const;
  [[nodiscard]] std::vector<std::string> command() const;

 private:
  [[nodiscard]] std::string remembered() const;
  [[nodiscard]] std::optional<Choices> choices() const;

  const Invocation& invocation_;
  const Choices& given_;
  bool asked_ = false;
  std::string at_start_;
};

}  // namespace qf
