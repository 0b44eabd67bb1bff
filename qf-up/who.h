// SPDX-License-Identifier: Apache-2.0
// qf-up explain --who: everybody who may log in as a local user of a peer. A question about one document, and
// a command line of its own beside the other one of qf-up explain.
#pragma once

namespace qf {

// Whether --who is among the arguments.
[[nodiscard]] bool asks_who(int argc, char** argv);
// Exit code: 1 when it is nobody.
[[nodiscard]] int command_who(int argc, char** argv);

}  // namespace qf
