#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The tunnel: logins that need a person, and everything of a session inside it.

load helpers

setup_file() {
  fabric_begin && provider_start && fabric_write '.issuers |= reverse' "$(provider_alone)" && server_start --enable-ssh-sftp --ssh-jwt-cache-ttl=0
}
teardown_file() { fabric_end; }

setup() { SHOWN=$QF/shown$BATS_TEST_NUMBER; }

# log_in [LOGIN] -- COMMAND…: the command in a terminal, with a person who approves.
cold() {
  local login=$1
  shift 2
  in_terminal "$SHOWN" "deadline=${DEADLINE:-60}" -- "$@" 3>&- &
  local terminal=$!
  approve "$SHOWN" "$login" >"$QF/approved" || { cat "$QF/approved"; return 99; }
  wait "$terminal"
}

@test "the first login ever: shows URL and code, waits for the person, and the session is there" {
  run -0 cold alice -- ssh -F "$CONF" -l "$TARGET" server 'id -un; echo done'
  grep -q "$ISSUER_URL/device" "$SHOWN"
  grep -q "^$TARGET"$'\r' "$SHOWN"
  audit_says ".event == \"login\" and .allowed and .identity == \"corp:alice\" and .os_user == \"$TARGET\" and .tunnel"
}

@test "field note 7: the first login ever, through the ProxyCommand, loses no handshake byte" {
  # whoever knows the host key already, and whoever waits for it: with debugging on, every packet is accounted for
  run -0 cold alice -- ssh -vvv -F "$CONF" -l "$TARGET" server 'echo arrived'
  grep -q arrived "$SHOWN"
  run -1 grep -iE 'bad packet|corrupted|mac' <(grep -iE 'bad packet length|corrupted mac|message authentication code incorrect' "$SHOWN")
}

@test "exit status, stdin and stdout of a cold login" {
  printf 'into the tunnel' >"$QF/in"
  status=0
  in_terminal "$SHOWN" stdin="$QF/in" stdout="$QF/home/$CLIENT/out" -- ssh -F "$CONF" -l "$TARGET" server 'cat; exit 42' 3>&- &
  approve "$SHOWN"
  wait $! || status=$?
  [ $status = 42 ]
  [ "$(cat "$QF/home/$CLIENT/out")" = "into the tunnel" ]
}

@test "a shell with a terminal, window changes and all, after a cold login" {
  in_terminal "$SHOWN" 'expect=[$] ' "send=trap 'stty size; exit 5' WINCH; echo r-\$((1+1)); while :; do read x; done\\r" 'expect=r-2' \
    resize=44x111 'expect=44 111' -- ssh -F "$CONF" -l "$TARGET" server 3>&- &
  approve "$SHOWN"
  status=0
  wait $! || status=$?
  [ $status = 5 ]
}

@test "with TTL 0 nothing is cached: each connection logs in" {
  before=$(knob | jq '.hits["/device/auth"]')
  run -0 cold alice -- ssh -F "$CONF" -l "$TARGET" server true
  : >"$SHOWN"
  run -0 cold alice -- ssh -F "$CONF" -l "$TARGET" server true
  [ "$(knob | jq '.hits["/device/auth"]')" = $((before + 2)) ]
}

@test "ConnectTimeout=3 and a login that takes 10 s" {
  in_terminal "$SHOWN" -- ssh -F "$CONF" -o ConnectTimeout=3 -l "$TARGET" server 'echo patient' 3>&- &
  terminal=$!
  until_true 60 user_code "$SHOWN"
  # a person who is slow: nothing may have ended after 10 s
  for_a_while 10
  kill -0 $terminal
  approve "$SHOWN"
  wait $terminal
  grep -q patient "$SHOWN"
}

@test "the peer's identification line reaches the client before any login" {
  in_terminal "$SHOWN" -- ssh -v -F "$CONF" -l "$TARGET" server true 3>&- &
  terminal=$!
  until_true 60 user_code "$SHOWN"
  grep -q 'remote software version QuFabric-SSH-Server' "$SHOWN"
  approve "$SHOWN"
  wait $terminal
}

@test "the user denies the login: said, exit 255" {
  in_terminal "$SHOWN" -- ssh -F "$CONF" -l "$TARGET" server true 3>&- &
  terminal=$!
  until_true 60 user_code "$SHOWN"
  DENY=1 "$IDP/approve" "$ISSUER_URL" "$(user_code "$SHOWN")" || :
  status=0
  wait $terminal || status=$?
  [ $status = 255 ]
  grep -qiE 'denied|refused' "$SHOWN"
}

@test "the login expires: said, exit 255" {
  knob '{"device_ttl": 2}' >"$QF/knobs"
  status=0
  in_terminal "$SHOWN" -- ssh -F "$CONF" -l "$TARGET" server true || status=$?
  knob '{"device_ttl": 120}' >"$QF/knobs"
  [ $status = 255 ]
  grep -q 'nobody finished the login.*within 2 s' "$SHOWN"
}

@test "Ctrl-C during a login ends ssh, and the login with it" {
  status=0
  in_terminal "$SHOWN" 'expect=[B-Z]{4}-[B-Z]{4}' 'send=\x03' -- ssh -F "$CONF" -l "$TARGET" server true || status=$?
  [ $status != 0 ]
  # nobody polls for it any more
  polls=$(knob | jq '.hits["/token"] // 0')
  for_a_while 3
  [ "$(knob | jq '.hits["/token"] // 0')" -le $((polls + 1)) ]
}

@test "no terminal and nobody to log in (cron, CI): fails at once, and names qf-token login" {
  run -255 setsid -w runuser -u "$CLIENT" -- timeout 60 ssh -F "$CONF" -l "$TARGET" server true </dev/null
  [[ $output == *"qf-token login"* ]]
}

@test "with ControlPersist the prompt comes to the terminal, where OpenSSH has taken stderr away" {
  in_terminal "$SHOWN" -- ssh -F "$CONF" -o ControlMaster=auto -o ControlPath="$QF/home/$CLIENT/cm" -o ControlPersist=10 -l "$TARGET" server \
    'echo persistent' 3>&- &
  terminal=$!
  approve "$SHOWN"
  wait $terminal
  grep -q persistent "$SHOWN"
  run -0 as_client ssh -F "$CONF" -o ControlPath="$QF/home/$CLIENT/cm" -O exit server
}

@test "qf-tokend killed in mid-login: ssh exits 255 with a message" {
  in_terminal "$SHOWN" -- ssh -F "$CONF" -l "$TARGET" server true 3>&- &
  terminal=$!
  until_true 60 user_code "$SHOWN"
  kill -KILL "$(pgrep -u "$CLIENT" -f "qf-tokend.*--state-dir $QF/state")"
  status=0
  wait $terminal || status=$?
  [ $status = 255 ]
  grep -qE 'qf-proxy: .+' "$SHOWN"
  # and the next one starts another daemon
  : >"$SHOWN"
  run -0 cold alice -- ssh -F "$CONF" -l "$TARGET" server true
}

# ---- inside the tunnel, without a person: a cached token and QF_SSH=tunnel

warm_tunnel() { warm; }

@test "commands, exit codes, streams" {
  server_restart --ssh-jwt-cache-ttl=3600
  end_process "$(pgrep -u "$CLIENT" -f "qf-tokend.*--state-dir $QF/state")" || :
  fabric_apply
  warm
  run -7 --separate-stderr tunnelled -l "$TARGET" server 'cat; echo err >&2; exit 7' <<<"through"
  [ "$output" = through ]
  [ "$stderr" = err ]
  audit_says '.event == "login" and .tunnel and .method == "tunnel"'
}

@test "100 MB each way through the tunnel arrive unchanged" {
  head -c 104857600 /dev/urandom >"$QF/large"
  sum=$(sha256sum <"$QF/large")
  run -0 tunnelled -l "$TARGET" server sha256sum <"$QF/large"
  [ "$output" = "$sum" ]
  chmod 644 "$QF/large"
  tunnelled -l "$TARGET" server "cat '$QF/large'" | sha256sum >"$QF/sum"
  [ "$(cat "$QF/sum")" = "$sum" ]
  rm "$QF/large"
}

@test "sftp and a terminal through the tunnel" {
  as_client sh -c 'echo content > ~/file'
  run -0 as_client QF_SSH=tunnel sftp -b - -F "$CONF" "$TARGET@server" <<<"put $QF/home/$CLIENT/file $QF/home/$TARGET/by-sftp"
  [ "$(cat "$QF/home/$TARGET/by-sftp")" = content ]
  run -6 in_terminal "$SHOWN" 'expect=[$] ' 'send=test -t 0 && exit 6\r' -- env QF_SSH=tunnel ssh -F "$CONF" -l "$TARGET" server
}

@test "inside the tunnel the policy judges the OS user of the inner session" {
  run -255 tunnelled -l root server true
  [[ $output == *"User is not authorized to login as OS user"* ]]
  run -255 tunnelled -l no-such-user server true
  [[ $output == *"does not exist"* ]]
}

@test "many sessions on one tunnel (ControlMaster)" {
  control=$QF/home/$CLIENT/mux
  as_client env QF_SSH=tunnel ssh -F "$CONF" -o ControlMaster=yes -o ControlPath="$control" -l "$TARGET" -fN server 3>&- 4>&-
  for i in 1 2 3 4 5; do
    run -$i as_client ssh -F "$CONF" -S "$control" -l "$TARGET" server "exit $i"
  done
  as_client ssh -F "$CONF" -S "$control" -O exit server
}

@test "the outer connection opens nothing but one tunnel" {
  # a client that logs in with the credential as the tunnel's user and wants a shell
  runtime=$(runtime_of "$CLIENT")/ssh
  qssh -l "$TARGET" server true
  run -255 as_client timeout 60 ssh -F none -p 22022 -o IdentitiesOnly=yes -i "$runtime/subject" -o CertificateFile="$runtime/server-cert.pub" \
    -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -l qufabric-tunnel "$ADDRESS" true
  run ! as_client timeout 60 ssh -F none -p 22022 -o IdentitiesOnly=yes -i "$runtime/subject" -o CertificateFile="$runtime/server-cert.pub" \
    -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -l qufabric-tunnel -s "$ADDRESS" sftp </dev/null
}

@test "a client that is not OpenSSH goes through qf-proxy: paramiko" {
  cat >"$QF/paramiko-client" <<'PY'
import sys
import paramiko
client = paramiko.SSHClient()
client.load_host_keys(sys.argv[1])
# never tries the method none by itself; a password stands for "some method"
client.connect("server", port=22, username=sys.argv[2], password="x", look_for_keys=False, allow_agent=False,
               sock=paramiko.ProxyCommand(sys.argv[3]))
out = client.exec_command("id -un")[1]
print(out.read().decode().strip())
PY
  sed -n 's/^[^ ]* \(ssh-ed25519 .*\)/server \1/p' "$QF/state/known_hosts" | head -n 1 >"$QF/paramiko-hosts"
  run -0 as_client "$PYTHON" "$QF/paramiko-client" "$QF/paramiko-hosts" "$TARGET" \
    "$BIN/qf-proxy --config-dir $QF/config --state-dir $QF/state server 22"
  [ "${lines[-1]}" = "$TARGET" ]
}
