#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# PAM decides about accounts and sets up sessions, as it does for sshd.

load helpers
load private_system

setup_file() {
  fabric_begin && private_system && fabric_write && private_start && warm
}
teardown_file() { fabric_end; }
# Each test begins with the machine as it was.
setup() {
  cp "$TOP/conf/pam/qf-sshd" "$SYSTEM/etc/pam.d/qf-sshd"
  [ -e "$QF/shadow" ] || cp "$SYSTEM/etc/shadow" "$QF/shadow"
  cp "$QF/shadow" "$SYSTEM/etc/shadow"
  : >"$SYSTEM/etc/environment"
  : >"$SYSTEM/etc/security/limits.conf"
  rm -f "$SYSTEM/etc/nologin" "$SYSTEM/run/nologin"
}

# A module that notes what it was called for.
noting_module() {
  cat >"$SYSTEM/etc/note" <<'SH'
#!/bin/sh
echo "$PAM_TYPE $PAM_SERVICE $PAM_USER $PAM_RHOST $PAM_TTY ${SSH_CONNECTION%% *}" >>/run/noted
SH
  chmod 755 "$SYSTEM/etc/note"
  rm -f "$SYSTEM/run/noted"
  service_adds 'session optional pam_exec.so seteuid /etc/note'
}

@test "with the service that we install, a login is as it was, and the log says that PAM is used" {
  run -0 --separate-stderr on_peer 'id -un; pwd'
  [ "$output" = "$TARGET"$'\n'"$QF/home/$TARGET" ]
  [ -z "$stderr" ]
  grep -q 'using PAM, service qf-sshd' "$QF/qf-up.log"
}

@test "an account that PAM refuses: its words are shown, ssh exits 255, in the audit log" {
  echo "not on a Friday" >"$SYSTEM/etc/why"
  service_adds 'account optional pam_echo.so file=/etc/why' 'account required pam_deny.so'
  run -255 on_peer 'echo got in'
  [[ $output == *"not on a Friday"* ]]
  [[ $output != *"got in"* ]]
  audit_says '.event == "login" and .allowed == false and (.refusal | test("Friday"))'
}

@test "an account that PAM refuses without a word: what PAM calls it is shown" {
  service_adds 'account required pam_deny.so'
  run -255 on_peer 'echo got in'
  [[ $output == *"PAM: "* && $output != *"got in"* ]]
}

@test "also through the tunnel" {
  service_adds 'account required pam_deny.so'
  run -255 tunnelled -l "$TARGET" server 'echo got in'
  [[ $output == *"PAM: "* && $output != *"got in"* ]]
  setup
  run -0 tunnelled -l "$TARGET" server id -un
  [ "$output" = "$TARGET" ]
}

@test "what account modules say is a banner, and no part of the output" {
  echo "scheduled work at noon" >"$SYSTEM/etc/why"
  service_adds 'account optional pam_echo.so file=/etc/why'
  run -0 --separate-stderr on_peer 'echo output'
  [ "$output" = output ]
  [[ $stderr == *"scheduled work at noon"* ]]
}

@test "modules that talk without end do no harm" {
  head -c 300000 /dev/zero | tr '\0' x >"$SYSTEM/etc/why"
  service_adds 'account optional pam_echo.so file=/etc/why' 'session optional pam_echo.so file=/etc/why'
  run -0 --separate-stderr on_peer 'echo output'
  [ "$output" = output ]
  [ "${#stderr}" -lt 8192 ]
}

@test "modules that ask something get no answer" {
  service_adds 'session required pam_unix.so' 'auth required pam_unix.so'
  run -0 on_peer true
}

@test "/etc/nologin closes the peer to all but root, with its content as the reason" {
  echo "back at two" >"$SYSTEM/etc/nologin"
  run -255 on_peer true
  [[ $output == *"back at two"* ]]
  rm "$SYSTEM/etc/nologin"
  # only PAM knows this one
  echo "starting up" >"$SYSTEM/run/nologin"
  run -255 on_peer true
  [[ $output == *"starting up"* ]]
  rm "$SYSTEM/run/nologin"
  run -0 on_peer true
}

@test "a locked password and an expired one forbid nothing, an expired account does" {
  for entry in '!:19000:0:99999:7:::' '*:19000:0:99999:7:::' '$y$x:0:0:99999:7:::' '!$y$x:10:0:20:7:::'; do
    sed "s|^$TARGET:.*|$TARGET:$entry|" "$QF/shadow" >"$SYSTEM/etc/shadow"
    run -0 --separate-stderr on_peer id -un
    [ "$output" = "$TARGET" ] || { echo "$entry: $output" && false; }
  done
  sed "s|^$TARGET:.*|$TARGET:!:19000:0:99999:7::19001:|" "$QF/shadow" >"$SYSTEM/etc/shadow"
  run -255 on_peer true
  [[ $output == *"has expired"* ]]
}

@test "limits, niceness and mask of session modules are the session's, and not the monitor's" {
  printf '%s\n' "$TARGET hard nofile 333" "$TARGET soft nofile 222" "$TARGET soft fsize 4096" "$TARGET - priority 7" \
    >"$SYSTEM/etc/security/limits.conf"
  service_adds 'session optional pam_umask.so umask=0027'
  run -0 on_peer 'ulimit -Sn; ulimit -Hn; umask; nice; sed -n "s/^Max file size *//p" /proc/self/limits'
  [ "${lines[0]} ${lines[1]} ${lines[2]} ${lines[3]}" = "222 333 0027 7" ]
  [[ ${lines[4]} == "4194304 "* ]]
  hold limits -l "$TARGET" server 'echo up; cat'
  monitor=$(monitor_pid)
  [ "$(awk '$1 == "Umask:" { print $2 }' "/proc/$monitor/status")" != 0027 ]
  [ "$(ps -o ni= -p "$monitor" | xargs)" = "$(ps -o ni= -p "$(qf_up)" | xargs)" ]
  # the soft ones: hard ones can be raised again only with CAP_SYS_RESOURCE, which root in a container may lack
  run -1 grep -E '^Max (open files +222|file size +4194304) ' "/proc/$monitor/limits"
  end_process "$PID"
}

@test "without modules that set it, the mask is the server's, and never lets others write" {
  run -0 on_peer umask
  [ "$output" = 0022 ]
}

@test "a session that PAM does not open is refused with its words" {
  echo "$TARGET - maxlogins 0" >"$SYSTEM/etc/security/limits.conf"
  run -255 on_peer 'echo got in'
  [[ $output == *"too many logins"* && $output != *"got in"* ]]
  audit_says '.event == "login" and .allowed == false and (.refusal | test("too many logins"))'
}

@test "the environment of PAM reaches sessions; who the user is does not come from there" {
  printf '%s\n' 'PATH=/opt/x/bin:/usr/bin:/bin' 'FROM_ETC="two words"' HOME=/elsewhere SSH_CLIENT=x USER=root >"$SYSTEM/etc/environment"
  mkdir -p "$QF/home/$TARGET/.ssh"
  echo 'EVIL=1' >"$QF/home/$TARGET/.ssh/environment"
  echo 'EVIL DEFAULT=2' >"$QF/home/$TARGET/.pam_environment"
  run -0 on_peer env
  [[ $'\n'"$output"$'\n' == *$'\n'PATH=/opt/x/bin:/usr/bin:/bin$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"FROM_ETC=two words"$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"HOME=$QF/home/$TARGET"$'\n'* ]]
  [[ $'\n'"$output"$'\n' == *$'\n'"USER=$TARGET"$'\n'* ]]
  [[ $'\n'"$output" == *$'\n'SSH_CLIENT=127.0.0.1* ]]
  [[ $output != *EVIL* ]]
}

@test "groups that PAM gives are the session's, and not the monitor's" {
  echo "qf-sshd;*;$TARGET;Al0000-2400;audio" >>"$SYSTEM/etc/security/group.conf"
  service_adds 'auth optional pam_group.so'
  run -0 on_peer id -Gn
  [[ " $output " == *" audio "* ]]
  hold groups -l "$TARGET" server 'echo up; cat'
  run -1 grep -E "^Groups:.*\b$(getent group audio | cut -d: -f3)\b" "/proc/$(monitor_pid)/status"
  end_process "$PID"
}

@test "a session is opened once a connection, and closed when it ends" {
  noting_module
  hold noted -l "$TARGET" server 'echo up; cat'
  [ "$(cat "$SYSTEM/run/noted")" = "open_session qf-sshd $TARGET 127.0.0.1 ssh 127.0.0.1" ]
  end_process "$PID"
  until_true 60 grep -q "^close_session qf-sshd $TARGET" "$SYSTEM/run/noted"
  [ "$(wc -l <"$SYSTEM/run/noted")" = 2 ]
}

@test "it is closed as well when the monitor is told to end, and when net dies" {
  for way in monitor net; do
    noting_module
    hold "closed-$way" -l "$TARGET" server 'echo up; cat'
    monitor=$(monitor_pid)
    if [ $way = monitor ]; then kill -TERM "$monitor"; else kill -KILL "$(pgrep -P "$monitor" -u qufabric)"; fi
    until_true 60 grep -q "^close_session qf-sshd $TARGET" "$SYSTEM/run/noted"
    until_true 60 test ! -d "/proc/$monitor"
  done
}

@test "a refused login opens nothing, and leaves nothing open" {
  noting_module
  echo 'account required pam_deny.so' >>"$SYSTEM/etc/pam.d/qf-sshd"
  run -255 on_peer true
  [ ! -e "$SYSTEM/run/noted" ]
}

@test "the message of the day comes from pam_motd, once, to shells with a terminal and to nobody else" {
  run -0 in_terminal "$QF/shown$BATS_TEST_NUMBER" 'expect=[$] ' 'send=exit 0\r' -- ssh -F "$CONF" -l "$TARGET" server
  [ "$(grep -c "welcome to $NUMBER" "$QF/shown$BATS_TEST_NUMBER")" = 1 ]
  run -0 qssh -tt -l "$TARGET" server 'echo command' </dev/null
  [[ $output != *welcome* ]]
  run -0 qssh -T -l "$TARGET" server <<<'echo script'
  [[ $output != *welcome* ]]
  as "$TARGET" touch "$QF/home/$TARGET/.hushlogin"
  run -0 in_terminal "$QF/shown-hush" 'expect=[$] ' 'send=exit 0\r' -- ssh -F "$CONF" -l "$TARGET" server
  rm "$QF/home/$TARGET/.hushlogin"
  run -1 grep -E 'welcome|Last login' "$QF/shown-hush"
}

@test "a module that hangs ends that login within the grace time, and delays no other" {
  server_stop
  printf '#!/bin/sh\n[ "$PAM_USER" != %s ] || exec cat /run/never\n' "$TARGET" >"$SYSTEM/etc/hang"
  chmod 755 "$SYSTEM/etc/hang"
  mkfifo "$SYSTEM/run/never"
  service_adds 'account required pam_exec.so /etc/hang'
  # the grace time has no switch of qf-up
  instance qf-up apply --self server $FOLDERS --force
  server_start_by unshare --mount sh "$SYSTEM/enter" "$SYSTEM" "$BIN/qf-sshd" $FOLDERS --login-grace-time 8
  background_as "$CLIENT" "$QF/hang.log" sh -c "ssh -F '$CONF' -l '$TARGET' server true; echo exit=\$?"
  until_true 60 pgrep -f "^cat /run/never"
  run -0 qssh -l "$CLIENT" server id -un
  [ "$output" = "$CLIENT" ]
  run -1 grep exit= "$QF/hang.log"
  until_true 60 grep exit=255 "$QF/hang.log"
  end_process "$(pgrep -f "^cat /run/never")"
  server_stop
}

@test "--disable-ssh-pam, and without the service file: PAM is not asked" {
  service_adds 'account required pam_deny.so'
  private_restart --disable-ssh-pam
  run -0 on_peer id -un
  [ "$output" = "$TARGET" ]
  rm "$SYSTEM/etc/pam.d/qf-sshd"
  : >"$QF/qf-up.log"
  private_restart --disable-ssh-pam=false
  run -0 on_peer id -un
  [ "$output" = "$TARGET" ]
  run -1 grep 'using PAM' "$QF/qf-up.log"
}
