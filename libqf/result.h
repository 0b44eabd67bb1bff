// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value, or why there is none. For failures that are expected (the world, a peer, an input);
// start-up failures use die() (libqf/log.h) and our own bugs abort().
#pragma once

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace qf {

enum class ErrorKind {
  kSystem,    // a system call or the machine; `sys` holds errno when there was one
  kPeer,      // bytes from outside break their format or their protocol: drop that peer, and only that peer
  kInput,     // what the user or the admin wrote is wrong; the text names the place
  kNotFound,  // a look-up found nothing
  kTimeout,   // a deadline passed
  kRefused,   // somebody is not allowed to do this
};

struct Error {
  ErrorKind kind = ErrorKind::kSystem;
  int sys = 0;  // errno at the call, 0 when none
  std::string what;
  std::string hint = {};  // the next step for the person, where the place of the error knows it

  // "cannot open /x: Permission denied"
  [[nodiscard]] std::string text() const { return sys == 0 ? what : what + ": " + std::strerror(sys); }
};

// Captures errno: call it before anything else can change it.
[[nodiscard]] inline Error system_error(std::string what) {
  int saved = errno;
  return {ErrorKind::kSystem, saved, std::move(what)};
}
[[nodiscard]] inline Error peer_error(std::string what) {
  return {ErrorKind::kPeer, 0, std::move(what)};
}
[[nodiscard]] inline Error input_error(std::string what) {
  return {ErrorKind::kInput, 0, std::move(what)};
}
[[nodiscard]] inline Error not_found(std::string what) {
  return {ErrorKind::kNotFound, 0, std::move(what)};
}
[[nodiscard]] inline Error timeout_error(std::string what) {
  return {ErrorKind::kTimeout, 0, std::move(what)};
}
[[nodiscard]] inline Error refused(std::string what) {
  return {ErrorKind::kRefused, 0, std::move(what)};
}

// The same error with the next step.
[[nodiscard]] inline Error with_hint(Error error, std::string hint) {
  error.hint = std::move(hint);
  return error;
}

// Reading the value of a failed Result, or the error of a good one, is our bug and aborts.
template <class T, class E = Error>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(E error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() & { return get(); }
  const T& operator*() const& { return const_cast<Result*>(this)->get(); }
  T&& operator*() && { return std::move(get()); }
  T* operator->() { return &get(); }
  const T* operator->() const { return &const_cast<Result*>(this)->get(); }
  [[nodiscard]] const E& error() const {
    if (state_.index() != 1) std::abort();
    return std::get<1>(state_);
  }

 private:
  T& get() {
    if (state_.index() != 0) std::abort();
    return std::get<0>(state_);
  }
  std::variant<T, E> state_;
};

struct Done {};
using Status = Result<Done>;  // success without a value: `return Done{};`

}  // namespace qf
