// SPDX-License-Identifier: Apache-2.0
// What nearly every file includes of the standard library, compiled once. The Makefile alone names this
// header; each file still includes what it uses, which lint-tidy, reading each alone and without it, proves.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
