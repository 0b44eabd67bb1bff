#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What happens between the login and the user's shell or command: motd, /etc/environment, rc files, mask, limits; with
# no PAM in between.

load helpers
load private_system

setup_file() {
  fabric_begin && private_system && fabric_write || return
  rm "$SYSTEM/etc/pam.d/qf-sshd"
  private_start --enable-ssh-sftp && warm
}
teardown_file() { fabric_end; }
teardown() {
  rm -rf "$QF/home/$TARGET/.ssh" "$QF/home/$TARGET/.hushlogin" "$SYSTEM/etc/ssh/sshrc"
  : >"$SYSTEM/etc/environment"
}
# shell TRANSCRIPT STEP…: a login shell with a terminal, to its end.
shell() {
  local transcript=$1
  shift
  in_terminal "$transcript" 'expect=[$] ' "$@" 'send=exit 0\r' -- ssh -F "$CONF" -l "$TARGET" server
}
# user_rc: ~/.ssh/rc of TARGET from stdin.
user_rc() {
  as "$TARGET" mkdir -p "$QF/home/$TARGET/.ssh"
  as "$TARGET" sh -c 'cat >~/.ssh/rc'
}

@test "/etc/motd is shown to a shell with a terminal, whole and first" {
  printf 'line one\nline two\n' >"$SYSTEM/etc/motd"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER"
  grep -A1 '^line one' "$QF/shown$BATS_TEST_NUMBER" | grep '^line two'
}

@test "and to nobody else: no command, no session without a terminal, not with ~/.hushlogin" {
  run -0 qssh -tt -l "$TARGET" server 'echo command' </dev/null
  [[ $output == *command* && $output != *line* ]]
  run -0 qssh -T -l "$TARGET" server <<<'echo script'
  [ "$output" = script ]
  as "$TARGET" touch "$QF/home/$TARGET/.hushlogin"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER"
  run -1 grep line "$QF/shown$BATS_TEST_NUMBER"
}

@test "a motd that is missing, or has no end, is no trouble" {
  rm "$SYSTEM/etc/motd"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER"
  head -c 200000 /dev/zero | tr '\0' m >"$SYSTEM/etc/motd"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER-long"
  run -1 grep mmmm "$QF/shown$BATS_TEST_NUMBER-long"
  # all that is allowed, more than a terminal holds
  head -c 65000 /dev/zero | tr '\0' m >"$SYSTEM/etc/motd"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER-full"
  [ "$(tr -cd m <"$QF/shown$BATS_TEST_NUMBER-full" | wc -c)" -ge 65000 ]
  echo >"$SYSTEM/etc/motd"
}

@test "/etc/environment reaches sessions; who the user is does not come from there" {
  printf '%s\n' '# a comment' 'PATH=/opt/x/bin:/usr/bin:/bin' 'export FROM_ETC="two words"' "QUOTED='x'" HOME=/elsewhere \
    USER=root SSH_CLIENT=x SHELL=/bin/evil 'not an assignment' '1BAD=x' LANG=C.UTF-8 >"$SYSTEM/etc/environment"
  run -0 as_client LANG=de_DE.UTF-8 timeout 60 ssh -F "$CONF" -o SendEnv=LANG -l "$TARGET" server env
  [[ $'\n'"$output"$'\n' == *$'\n'PATH=/opt/x/bin:/usr/bin:/bin$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"FROM_ETC=two words"$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'QUOTED=x$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"HOME=$QF/home/$TARGET"$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"USER=$TARGET"$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'SHELL=/bin/sh$'\n'* ]]
  [[ $'\n'"$output" == *$'\n'SSH_CLIENT=127.0.0.1* ]]
  # as with sshd, the machine's word counts more than the client's
  [[ $'\n'"$output"$'\n' == *$'\n'LANG=C.UTF-8$'\n'* ]]
  [[ $output != *1BAD* && $output != *assignment* ]]
}

@test "an /etc/environment that is no text or has no end is no trouble" {
  head -c 300000 /dev/urandom >"$SYSTEM/etc/environment"
  run -0 on_peer true
  head -c 60000 /dev/urandom >"$SYSTEM/etc/environment"
  run -0 on_peer true
}

@test "~/.ssh/environment is never read" {
  as "$TARGET" mkdir "$QF/home/$TARGET/.ssh"
  as "$TARGET" sh -c 'echo LD_PRELOAD=/evil.so >~/.ssh/environment; echo EVIL=1 >>~/.ssh/environment; chmod 600 ~/.ssh/environment'
  run -0 on_peer env
  [[ $output != *EVIL* && $output != *LD_PRELOAD* ]]
}

@test "~/.ssh/rc runs before a command and before a shell: as the user, at home, with the environment, without input" {
  user_rc <<'SH'
{ id -un; pwd; echo "$SSH_CONNECTION"; wc -c; } >~/rc-ran
echo "rc on stderr" >&2
SH
  run -0 --separate-stderr on_peer 'cat rc-ran; cat' <<<"input of the command"
  [ "${lines[0]}" = "$TARGET" ]
  [ "${lines[1]}" = "$QF/home/$TARGET" ]
  [[ ${lines[2]} == "127.0.0.1 "* ]]
  [ "${lines[3]}" = 0 ]
  [ "${lines[4]}" = "input of the command" ]
  [ "$stderr" = "rc on stderr" ]
  rm "$QF/home/$TARGET/rc-ran"
  run -0 shell "$QF/shown$BATS_TEST_NUMBER" 'send=cat rc-ran\r' "expect=$TARGET"
  grep -q "rc on stderr" "$QF/shown$BATS_TEST_NUMBER"
}

@test "whatever ~/.ssh/rc does, the session follows" {
  for text in 'exit 7' 'kill -KILL $$' 'kill -PIPE $$' 'exec <&-' 'syntax ( error' 'no-such-command'; do
    user_rc <<<"$text"
    run -0 --separate-stderr on_peer 'echo ran'
    [ "$output" = ran ] || { echo "$text: $output" && false; }
  done
  # what it leaves behind, with descriptors of its own, is not waited for
  user_rc <<<'sleep 100 >/dev/null 2>&1 </dev/null & echo $! >~/rc-left'
  run -0 on_peer 'echo ran'
  kill "$(cat "$QF/home/$TARGET/rc-left")"
}

@test "~/.ssh/rc is not for sftp" {
  user_rc <<<'touch ~/rc-ran-for-sftp; echo noise'
  run -0 as_client sftp -q -b - -F "$CONF" "$TARGET@server" <<<'pwd'
  [ ! -e "$QF/home/$TARGET/rc-ran-for-sftp" ]
}

@test "/etc/ssh/sshrc runs where the user has no rc" {
  echo 'echo "system rc for $USER" >&2' >"$SYSTEM/etc/ssh/sshrc"
  run -0 --separate-stderr on_peer true
  [ "$stderr" = "system rc for $TARGET" ]
  user_rc <<<'echo "user rc" >&2'
  run -0 --separate-stderr on_peer true
  [ "$stderr" = "user rc" ]
}

@test "a login shell that refuses runs no rc of the user's" {
  user_rc <<<'touch ~/rc-ran-anyway'
  sed -i "/^$TARGET:/s|:[^:]*\$|:/usr/sbin/nologin|" "$SYSTEM/etc/passwd"
  run -1 on_peer true
  sed -i "/^$TARGET:/s|:[^:]*\$|:/bin/sh|" "$SYSTEM/etc/passwd"
  [[ $output == *"not available"* ]]
  [ ! -e "$QF/home/$TARGET/rc-ran-anyway" ]
}

@test "the mask is that of the server, without write access for others" {
  run -0 on_peer umask
  [ "$output" = 0022 ]
  server_stop
  server_start_by unshare --mount sh "$SYSTEM/enter" "$SYSTEM" sh -c 'umask 0007; exec "$@"' sh \
    "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh --ssh-jwt-cache-ttl=3600
  run -0 on_peer umask
  [ "$output" = 0027 ]
  server_stop
  private_start
}

@test "limits are the user's own, not those that the server needs or forbids itself" {
  run -0 on_peer 'cat /proc/self/limits'
  diff <(cat /proc/self/limits) - <<<"$output"
}

@test "ps tells roles and users, and no commands" {
  secret=token-$RANDOM$RANDOM
  hold titles -tt -l "$TARGET" server ": $secret; echo up; cat"
  monitor=$(monitor_pid)
  # some kernels show what is behind the end of a title, too
  title() { head -z -n 1 "/proc/$1/cmdline" | tr -d '\0'; }
  [ "$(title "$monitor")" = "qf-sshd: $TARGET [monitor]" ]
  [ "$(title "$(pgrep -P "$monitor" -u qufabric)")" = "qf-sshd: $TARGET [net]" ]
  [[ $(title "$(pgrep -P "$(qf_up)")") == "qf-sshd: "*" --state-dir $QF/state "*"[listener]" ]]
  for pid in $(descendants "$(qf_up)"); do
    [ "$(stat -c %U "/proc/$pid")" = "$TARGET" ] || run -1 grep "$secret" "/proc/$pid/cmdline"
  done
  end_process "$PID"
  # before a login there is no name to tell
  exec 9<>"/dev/tcp/$ADDRESS/22022"
  read -r _ <&9
  net=$(pgrep -n -P "$(pgrep -n -P "$(pgrep -P "$(qf_up)")")" -u qufabric)
  [ "$(title "$net")" = "qf-sshd: [net]" ]
  exec 9>&-
}
