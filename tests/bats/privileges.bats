#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What each role of qf-sshd is, seen through /proc as the README has it: uid, gid, groups, root folder, seccomp,
# no_new_privs, open descriptors. What net could try all the same: hostile_net.bats.

load helpers

setup_file() {
  # with a provider, so that there is something to fetch
  fabric_begin && provider_start && fabric_write && server_start --enable-ssh-sftp --enable-ssh-remote-port-forwarding && warm
  # one connection that stands, with a session that waits, and a forward, so that there is a helper
  mkfifo -m 666 "$QF/hold"
  background_as "$CLIENT" "$QF/session.log" sh -c "exec ssh -F '$CONF' -l '$TARGET' -R 0:127.0.0.1:1 server 'echo up; cat' <>'$QF/hold'"
  until_true 60 grep -q up "$QF/session.log"
  # and a tunnel
  mkfifo -m 666 "$QF/hold2"
  background_as "$CLIENT" "$QF/tunnel.log" sh -c "exec env QF_SSH=tunnel ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold2'"
  until_true 60 grep -q up "$QF/tunnel.log"
  roles >"$QF/roles"
}
teardown_file() { fabric_end; }

# ROLE PID for every process of the server. A role is told by what it is and whose child it is, not by its name.
roles() {
  local listener child grandchild
  listener=$(pgrep -P "$(qf_up)")
  echo "listener $listener"
  for child in $(pgrep -P "$listener"); do
    if [ "$(status "$child" Uid)" = "$(id -u qufabric-fetch)" ]; then
      echo "keyfetch $child"
      continue
    fi
    echo "monitor $child"
    for grandchild in $(pgrep -P "$child"); do
      if [ "$(status "$grandchild" Uid)" = "$(id -u qufabric)" ]; then
        echo "net $grandchild"
      elif [ "$(readlink "/proc/$grandchild/exe")" = "$BIN/qf-helper" ]; then
        echo "helper $grandchild"
      else
        echo "session $grandchild"
      fi
    done
  done
}
pids_of() { sed -n "s/^$1 //p" "$QF/roles"; }
# status PID FIELD: a field of /proc/PID/status, the effective one where there are several.
status() { awk -v field="$2:" '$1 == field { print ($3 == "" ? $2 : $3) }' "/proc/$1/status"; }
all_of() { awk -v field="$2:" '$1 == field { $1 = ""; print }' "/proc/$1/status" | xargs; }
four() { echo "$1 $1 $1 $1"; }
open_files() {
  local fd
  for fd in "/proc/$1/fd/"*; do echo "$(basename "$fd") $(readlink "$fd")"; done
}

@test "the roles are there: one listener, one keyfetch, a monitor for each connection, a net more for the tunnel, a helper for the forward" {
  cat "$QF/roles"
  [ "$(pids_of listener | wc -w)" = 1 ]
  [ "$(pids_of keyfetch | wc -w)" = 1 ]
  [ "$(pids_of monitor | wc -w)" = 2 ]
  [ "$(pids_of net | wc -w)" = 3 ]
  [ "$(pids_of session | wc -w)" = 2 ]
  [ "$(pids_of helper | wc -w)" = 1 ]
}

# is_role PID UID GID GROUPS SECCOMP NO_NEW_PRIVS ROOT: one row of the table.
is_role() {
  local pid=$1 wanted="uid $2, gid $3, groups [$4], seccomp $5, no_new_privs $6, root $7"
  local is
  is="uid $(all_of "$pid" Uid | tr ' ' '\n' | sort -u | xargs), gid $(all_of "$pid" Gid | tr ' ' '\n' | sort -u | xargs)"
  is+=", groups [$(all_of "$pid" Groups)], seccomp $(status "$pid" Seccomp), no_new_privs $(status "$pid" NoNewPrivs)"
  is+=", root $(readlink "/proc/$pid/root")"
  [ "$is" = "$wanted" ] || { printf 'is:     %s\nwanted: %s\n' "$is" "$wanted" && false; }
}

@test "every role: uid, gid, supplementary groups, seccomp mode, no_new_privs and root folder" {
  local target_groups
  target_groups=$(id -G "$TARGET")
  for pid in $(pids_of listener) $(pids_of monitor); do is_role "$pid" 0 0 "$(all_of $$ Groups)" 0 0 /; done
  is_role "$(pids_of keyfetch)" "$(id -u qufabric-fetch)" "$(id -g qufabric-fetch)" "" 2 1 /
  for pid in $(pids_of net); do is_role "$pid" "$(id -u qufabric)" "$(id -g qufabric)" "" 2 1 "$QF/run/empty"; done
  is_role "$(pids_of helper)" "$(id -u "$TARGET")" "$(id -g "$TARGET")" "$target_groups" 0 1 /
  # sudo must work in a session
  for pid in $(pids_of session); do is_role "$pid" "$(id -u "$TARGET")" "$(id -g "$TARGET")" "$target_groups" 0 0 /; done
}

# only_open PID PATTERN…: each descriptor's "NUMBER TARGET" fits one of the patterns.
only_open() {
  local pid=$1 line pattern fits
  shift
  while read -r line; do
    fits=
    for pattern in "$@"; do
      # shellcheck disable=SC2053
      if [[ $line == $pattern ]]; then fits=1; fi
    done
    [ -n "$fits" ] || { echo "$pid holds $line" && false; }
  done <<<"$(open_files "$pid")"
}

@test "every role: open descriptors" {
  log="$QF/qf-up.log" audit="$QF/state/audit.@(log|tail)"
  only_open "$(pids_of listener)" "0 /dev/null" "[12] $log" "* $audit" "* $QF/run/sshd.lock" '* anon_inode:*signalfd*' '* anon_inode:inotify' '* socket:*'
  only_open "$(pids_of keyfetch)" "[01] /dev/null" "2 $log" '* socket:*' '* anon_inode:*event*'
  for pid in $(pids_of monitor); do
    only_open "$pid" "[01] /dev/null" "2 $log" "* $audit" '* socket:*' '* anon_inode:*pidfd*' '* anon_inode:*signalfd*' '* anon_inode:*timerfd*'
  done
  for pid in $(pids_of net); do only_open "$pid" "[01] /dev/null" "2 $log" '* socket:*' '* pipe:*'; done
  # its user may look into it and take what it holds: not the server's log
  only_open "$(pids_of helper)" "* /dev/null" '* anon_inode:*eventfd*' '* socket:*'
  for pid in $(pids_of session); do only_open "$pid" '[012] pipe:*'; done
}

@test "helper: of its sockets one is the monitor's, and none is a client's or a listening one" {
  pid=$(pids_of helper)
  [ "$(open_files "$pid" | grep -c socket:)" = 1 ]
  inode=$(open_files "$pid" | sed -n 's/.*socket:\[\(.*\)\]/\1/p')
  run -1 bash -c "ss -Htne | grep -w 'ino:$inode'"
  run -1 bash -c "ss -Htlne | grep -w 'ino:$inode'"
}

@test "net: uid and gid of qufabric, all four of them, and no other group" {
  for pid in $(pids_of net); do
    [ "$(all_of "$pid" Uid)" = "$(four "$(id -u qufabric)")" ]
    [ "$(all_of "$pid" Gid)" = "$(four "$(id -g qufabric)")" ]
    groups=$(all_of "$pid" Groups)
    [ -z "$groups" ] || [ "$groups" = "$(id -g qufabric)" ]
    for field in CapInh CapPrm CapEff CapAmb; do [ "$(status "$pid" $field)" = 0000000000000000 ]; done
  done
}

@test "net: seccomp filter, no_new_privs, no core, no new files" {
  for pid in $(pids_of net); do
    [ "$(status "$pid" Seccomp)" = 2 ]
    [ "$(status "$pid" NoNewPrivs)" = 1 ]
    grep -qE '^Max core file size +0 ' "/proc/$pid/limits"
    grep -qE '^Max processes +0 ' "/proc/$pid/limits"
  done
}

@test "net: an empty root folder that nobody can write" {
  for pid in $(pids_of net); do
    root=$(readlink "/proc/$pid/root")
    [ "$root" != / ]
    [ -z "$(ls -A "/proc/$pid/root/")" ]
    [ "$(stat -c %U "$root")" = root ]
    [ "$(stat -c %A "$root" | cut -c6,9)" = -- ]
    [ "$(readlink "/proc/$pid/cwd")" = "$root" ]
  done
}

@test "net: holds sockets, pipes and what it polls with, and no file, database or key" {
  for pid in $(pids_of net); do
    run -0 open_files "$pid"
    while read -r fd target; do
      case $target in
        socket:* | pipe:* | anon_inode:* | /dev/null) ;;
        # the log: what qf-up's stderr is
        "$QF/qf-up.log") [ "$fd" = 2 ] ;;
        *) echo "net $pid holds $fd: $target" && false ;;
      esac
    done <<<"$output"
  done
}

@test "keyfetch: its own user, no_new_privs, no group of root's, no capabilities, not the listener's sockets" {
  pid=$(pids_of keyfetch)
  [ "$(all_of "$pid" Uid)" = "$(four "$(id -u qufabric-fetch)")" ]
  [ "$(all_of "$pid" Gid)" = "$(four "$(id -g qufabric-fetch)")" ]
  [ "$(status "$pid" CapEff)" = 0000000000000000 ]
  [ "$(status "$pid" NoNewPrivs)" = 1 ]
  # no listening socket: those of the listener have their inode in its table
  for inode in $(ss -Htlne "src $ADDRESS" | grep -oE 'ino:[0-9]+' | cut -d: -f2); do
    run -1 bash -c "readlink /proc/$pid/fd/* | grep -F 'socket:[$inode]'"
  done
}

@test "monitor: root, and holds no connection of a client" {
  for pid in $(pids_of monitor); do
    [ "$(status "$pid" Uid)" = 0 ]
    # a TCP connection to 22022 belongs to a net alone
    for inode in $(ss -Htne state established "sport = :22022 and src $ADDRESS" | grep -oE 'ino:[0-9]+' | cut -d: -f2); do
      run -1 bash -c "readlink /proc/$pid/fd/* | grep -F 'socket:[$inode]'"
    done
  done
}

@test "listener: root, holds no connection of a client either" {
  pid=$(pids_of listener)
  [ "$(status "$pid" Uid)" = 0 ]
  for inode in $(ss -Htne state established "sport = :22022 and src $ADDRESS" | grep -oE 'ino:[0-9]+' | cut -d: -f2); do
    run -1 bash -c "readlink /proc/$pid/fd/* | grep -F 'socket:[$inode]'"
  done
}

@test "session: the OS user, and nothing open but its three streams" {
  for pid in $(pids_of session); do
    [ "$(all_of "$pid" Uid)" = "$(four "$(id -u "$TARGET")")" ]
    [ "$(all_of "$pid" Gid)" = "$(four "$(id -g "$TARGET")")" ]
    [ "$(ls "/proc/$pid/fd" | tr '\n' ' ')" = "0 1 2 " ]
    [ "$(readlink "/proc/$pid/root")" = / ]
    # a process group and session of its own, so that a signal to it hits nobody else
    [ "$(ps -o sid= -p "$pid" | xargs)" = "$pid" ]
  done
}

@test "every role but the sessions refuses a core dump and a debugger of its own uid" {
  for pid in $(pids_of listener) $(pids_of keyfetch) $(pids_of monitor) $(pids_of net); do
    # /proc/PID of a process that is not dumpable belongs to root
    [ "$(stat -c %U "/proc/$pid/fd")" = root ]
  done
}

@test "the state that only root may read is so: host key, policy.mdb, audit log" {
  for file in ssh_host_ed25519_key policy.mdb audit.log audit.tail; do
    [ "$(stat -L -c '%U %a' "$QF/state/$file")" = "root 600" ]
  done
  [ "$(stat -L -c '%a' "$QF/state/peers.mdb")" = 644 ]
  run -1 as_client cat "$QF/state/policy.mdb"
}

@test "qf-tokend: other users cannot read its memory, its files or its socket" {
  pid=$(pgrep -u "$CLIENT" -f 'qf-tokend.*--state-dir '"$QF/state")
  [ "$(stat -c %U "/proc/$pid/fd")" = root ]
  runtime=$(runtime_of "$CLIENT")
  [ "$(stat -c '%U %a' "$runtime")" = "$CLIENT 700" ]
  run ! as "$TARGET" ls "$runtime"
}

@test "field note 14: another local user can never get my token" {
  run ! as "$TARGET" "$BIN/qf-token" show --config-dir "$QF/config" --state-dir "$QF/state" --runtime-dir "$(runtime_of "$CLIENT")"
  [[ $output != *eyJ* ]]
  # also when the folder and the socket were open to all
  chmod o+x "$QF/home/$CLIENT" "$QF/home/$CLIENT/.qufabric" "$QF/home/$CLIENT/.qufabric/run" "$(runtime_of "$CLIENT")"
  chmod 666 "$(runtime_of "$CLIENT")/tokend.sock"
  run bash -c "echo '{\"version\":1,\"op\":\"show\"}' | runuser -u $TARGET -- timeout 60 socat - UNIX-CONNECT:$(runtime_of "$CLIENT")/tokend.sock"
  [[ $output != *eyJ* ]]
  chmod 700 "$(runtime_of "$CLIENT")"
}

@test "when the monitor is killed, its net ends, and ssh exits 255" {
  mkfifo -m 666 "$QF/hold3"
  background_as "$CLIENT" "$QF/killed.log" sh -c "ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold3'; echo exit=\$?"
  until_true 60 grep -q up "$QF/killed.log"
  listener=$(pids_of listener)
  monitor=$(pgrep -n -P "$listener")
  net=$(pgrep -P "$monitor" -u qufabric)
  kill -KILL "$monitor"
  until_true 60 grep -q 'exit=255' "$QF/killed.log"
  until_true 60 test ! -d "/proc/$net"
  # the others stand
  for pid in $(pids_of net); do [ -d "/proc/$pid" ]; done
}

@test "qf-sshd killed in mid-session: ssh exits 255 with a message" {
  mkfifo -m 666 "$QF/hold4"
  background_as "$CLIENT" "$QF/killed2.log" sh -c "ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold4'; echo exit=\$?"
  until_true 60 grep -q up "$QF/killed2.log"
  monitor=$(pgrep -n -P "$(pids_of listener)")
  kill -KILL "$(pgrep -P "$monitor" -u qufabric)"
  until_true 60 grep -q 'exit=255' "$QF/killed2.log"
  grep -qiE 'closed|reset|broken|lost' "$QF/killed2.log"
}

@test "field note 2: a peer killed in mid-command exits 255, not 0" {
  mkfifo -m 666 "$QF/hold5"
  background_as "$CLIENT" "$QF/killed3.log" sh -c "ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold5'; echo exit=\$?"
  until_true 60 grep -q up "$QF/killed3.log"
  for pid in $(descendants "$(pids_of listener)"); do kill -KILL "$pid" 2>/dev/null || :; done
  until_true 60 grep -q 'exit=255' "$QF/killed3.log"
}

@test "when the listener is restarted, live sessions go on" {
  server_restart
  mkfifo -m 666 "$QF/hold6" "$QF/answer6"
  background_as "$CLIENT" "$QF/alive.log" sh -c "ssh -F '$CONF' -l '$TARGET' server 'echo up; cat' <>'$QF/hold6'; echo exit=\$?"
  until_true 60 grep -q up "$QF/alive.log"
  kill -KILL "$(pgrep -P "$(qf_up)")"
  until_true 60 server_answers
  echo still-here >"$QF/hold6"
  until_true 60 grep -q still-here "$QF/alive.log"
  run -0 on_peer true
}
