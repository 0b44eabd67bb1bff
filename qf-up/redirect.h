// SPDX-License-Identifier: Apache-2.0
// --redirect-port-22: a table of our own in the kernel's packet filter (qf-up/redirect_rules.h), through
// nft(8). uid: root. The program is executed by its absolute path, without a shell, with our input on its
// standard input and C as its language; no library of it, since that would be one more to load at each start
// of a program that most machines let do without, and a fault in it would be ours.
//
// STATE/redirect notes that there may be a table, from before it is made until it is gone: who never wanted
// one needs no nft, and what a killed qf-up left behind is found. A failure leaves the table that was there.
#pragma once

#include <optional>
#include <string>

#include "libqf/folders.h"
#include "libqf/result.h"
#include "qf-up/choices.h"
#include "qf-up/document.h"
#include "qf-up/redirect_rules.h"

namespace qf {

// Whether these choices want one: a server runs here, and it was asked for.
[[nodiscard]] bool redirect_wanted(const Choices& choices);
// Whether there may be a table of ours.
[[nodiscard]] bool redirect_noted(const Folders& folders);

// What is wanted with the document that is in force. kSystem: the interface of --interface has no address.
[[nodiscard]] Result<RedirectPlan> plan_in_force(const Folders& folders, const Choices& choices);

// Whether the kernel would take it, with a document that is not in force yet: changes nothing.
[[nodiscard]] Status try_redirect(const Document& document, const Folders& folders, const Choices& choices);

// Makes the table or replaces it in one step, and looks whether it is there as it should be; when not, the
// one of before is put back.
[[nodiscard]] Status put_redirect(const Folders& folders, const RedirectPlan& plan);
// Good also when there is none.
[[nodiscard]] Status remove_redirect(const Folders& folders);
// Good: it is in place. kNotFound: there is none. kInput: it is another. kRefused: only root can see it.
[[nodiscard]] Status look_at_redirect(const RedirectPlan& plan);

// After a document or choices came into force: puts, replaces or removes it. `serving`: qf-sshd runs or is
// about to; without it only a table that is there already is replaced.
[[nodiscard]] Status settle_redirect(const Folders& folders, const Choices& choices, bool serving);

}  // namespace qf
