// SPDX-License-Identifier: Apache-2.0
// libqf/precompiled.h, and GoogleTest: for the files of tests/unit.
#include "libqf/precompiled.h"

#include <gtest/gtest.h>
