// SPDX-License-Identifier: Apache-2.0
// Prometheus' text format (exposition format 0.0.4): numbers of a program for whoever watches the machine.
// And the file in node-exporter's textfile folder that it goes to.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libqf/result.h"

namespace qf {

// A family is what has one HELP and TYPE; its samples follow it. A family without a sample is one whose value
// is not known now.
class MetricsText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;  // name and value
  void gauge(std::string_view name, std::string_view help) { family(name, "gauge", help); }
  void counter(std::string_view name, std::string_view help) { family(name, "counter", help); }
  void sample(uint64_t value, const Labels& labels = {});
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void family(std::string_view name, std::string_view type, std::string_view help);
  std::string name_;
  std::string text_;
};

inline constexpr const char* kServerMetricsFile = "qufabric-sshd.prom";
inline constexpr const char* kUpMetricsFile = "qufabric-up.prom";
inline constexpr int64_t kMetricsInterval = 15;  // seconds

// FOLDER/NAME. The folder may belong to another user, as node-exporter's does: no symlink on the way to it is
// followed and none in it, a new file is made there and takes the place of the old one, and nothing else is
// touched. A folder that everybody may write to is refused.
class MetricsFile {
 public:
  MetricsFile(std::string folder, std::string name) : folder_(std::move(folder)), name_(std::move(name)) {}
  [[nodiscard]] const std::string& folder() const { return folder_; }
  // Goes to the log when it fails, and when it goes well again, but not each time.
  void write(const std::string& text);
  void remove();

 private:
  [[nodiscard]] Status replace(const std::string& text) const;
  std::string folder_, name_;
  std::string fault_;  // that was logged
};

}  // namespace qf
