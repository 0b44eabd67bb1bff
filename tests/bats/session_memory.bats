#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Until it executes the shell, a session's process is a copy of the monitor and has the host key in its memory, while it
# already belongs to the user.

load helpers

setup() { fabric_begin && fabric_write && server_start && warm; }
teardown() { fabric_end; }

@test "a session's process cannot be looked at from before it is the user's until it executes the shell" {
  listener=$(pgrep -P "$(qf_up)")
  background "$QF/strace.log" strace -f -qq -e trace=prctl,setresuid,execve -o "$QF/trace" -p "$listener"
  until_true 60 grep -q '^TracerPid:[[:space:]]*[1-9]' "/proc/$listener/status"
  run -0 on_peer 'cat /proc/$$/status | grep ^Uid'
  until_true 60 grep -q 'execve("/bin/sh"' "$QF/trace"
  uid=$(id -u "$TARGET")
  session=$(awk -v call="setresuid($uid," 'index($0, call) { print $1; exit }' "$QF/trace")
  steps=$(awk -v pid="$session" -v uid="$uid" '$1 == pid {
      if (/PR_SET_DUMPABLE, (SUID_DUMP_DISABLE|0)/) print "hidden"
      else if (/PR_SET_DUMPABLE/) print "shown"
      else if (index($0, "setresuid(" uid ",")) print "user"
      else if (/execve\("\/bin\/sh"/) { print "shell"; exit }
    }' "$QF/trace" | xargs)
  [ "$steps" = "hidden user hidden shell" ]
}

@test "the server's processes refuse a look even before anybody is logged in" {
  listener=$(pgrep -P "$(qf_up)")
  # /proc/PID of a process that is not dumpable belongs to root, also where the process does not
  for pid in $listener $(pgrep -P "$listener"); do
    [ "$(stat -c %U "/proc/$pid/environ")" = root ]
  done
}
