#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# qf-up doctor: a healthy fabric has nothing wrong, for its user and for root; then one thing at a time is broken for
# real, and exactly that is found, with a hint, while everything else is as it was. The entries of the documented
# troubleshooting list are among them, named in brackets.

load helpers
load private_system

# The server's /etc is its own, so that ssh's configuration and the users of the machine can be broken in it.
setup_file() {
  fabric_begin && provider_start && private_system || return
  PLACES="--config-dir $QF/config --state-dir $QF/state"
  export PLACES
  # the tests count on an Include, whatever this machine has
  mkdir -p "$SYSTEM/etc/ssh/ssh_config.d"
  rm -f "$SYSTEM"/etc/ssh/ssh_config.d/*
  echo 'Include /etc/ssh/ssh_config.d/*.conf' >"$SYSTEM/etc/ssh/ssh_config"
  fabric_write && private_start --ssh-config-file /etc/ssh/ssh_config.d/99-qufabric.conf --enable-ssh-sftp \
    --enable-ssh-local-port-forwarding --enable-ssh-remote-port-forwarding || return
  as_words "$CLIENT"
  inside "${AS[@]}" "$BIN/qf-token" login --issuer machine $PLACES || return
  cp "$QF/config/fabric.json" "$QF/first.json"
  doctor server | verdicts >"$QF/healthy.client"
  root_doctor server | verdicts >"$QF/healthy.root"
}
teardown_file() { fabric_end; }

doctor() {
  as_words "$CLIENT"
  inside "${AS[@]}" "$BIN/qf-up" doctor --json $PLACES "$@"
}
root_doctor() { inside "$BIN/qf-up" doctor --json $FOLDERS "$@"; }
verdicts() { jq -r '.checks[] | "\(.verdict) \(.check) \(.subject)"' | sort; }

# finds LINE… : CLIENT's doctor says these "VERDICT CHECK SUBJECT" in place of what it says of a healthy fabric, and no
# other. root_finds: the same of root's. REPORT is what it printed; PEERS are those that it is asked about.
finds() { finds_as client doctor "$@"; }
root_finds() { finds_as root root_doctor "$@"; }
finds_as() {
  local whose=$1 command=$2 wanted=0
  shift 2
  case "$*" in *wrong\ *) wanted=1 ;; esac
  run "$command" ${PEERS:-server}
  REPORT=$output
  [ "$status" = "$wanted" ] || { echo "status $status: $output"; return 1; }
  diff <(printf '%s\n' "$@" | sed 's/ *$//; /^$/d' | sort) <(comm -13 "$QF/healthy.$whose" <(verdicts <<<"$REPORT") | sed 's/ *$//') &&
    jq -e 'all(.checks[]; (.verdict == "ok") == (.hint == ""))' <<<"$REPORT" >/dev/null
}
# tells CHECK TEXT HINT: regular expressions
tells() {
  jq -e --arg check "$1" --arg text "$2" --arg hint "$3" \
    'any(.checks[]; .check == $check and (.text | test($text)) and (.hint | test($hint)))' <<<"$REPORT" >/dev/null ||
    { echo "$REPORT"; return 1; }
}
healthy() { finds; }

# apply_in [JQ-FILTER…]: as fabric_apply, where the server is. restore: the document of the beginning.
apply_in() { fabric_write "$@" && inside "$BIN/qf-up" apply $FOLDERS >>"$QF/qf-up.log" 2>&1; }
restore() { apply_in; }

@test "on a healthy fabric nothing is wrong, for its user and for root" {
  run -0 doctor server
  jq -e '.ok and ([.checks[] | select(.verdict != "ok") | .check] == ["server"])' <<<"$output"
  for check in document include ssh ssh-files block tokend login peer host-key policy version; do
    jq -e --arg check $check 'any(.checks[]; .check == $check and .verdict == "ok")' <<<"$output"
  done
  for issuer in corp machine; do
    jq -e --arg issuer $issuer 'any(.checks[]; .check == "keys" and .subject == $issuer and .verdict == "ok")' <<<"$output"
  done
  jq -e 'any(.checks[]; .check == "policy" and (.text | test("from client may be any OS user")))' <<<"$output"
  run -0 root_doctor server
  jq -e '.ok' <<<"$output"
  for check in server own-key users folders pam features os-users document peer host-key; do
    jq -e --arg check $check 'any(.checks[]; .check == $check and .verdict == "ok")' <<<"$output"
  done
}

@test "columns, no colours in a pipe, colours on a terminal, and no answer to a name that is no peer" {
  as_words "$CLIENT"
  run -0 inside "${AS[@]}" "$BIN/qf-up" doctor $PLACES server
  [[ $output != *$'\e'* ]]
  [ "$(grep -cE '^(ok|note) +[a-z-]+ +' <<<"$output")" -ge 12 ]
  [ "$(grep -c '^       hint: run: sudo qf-up doctor' <<<"$output")" = 1 ]
  run -0 inside "${AS[@]}" TERM=xterm script -qec "$BIN/qf-up doctor $PLACES server" /dev/null
  [[ $output == *$'\e[32mok'* ]]
  run -0 inside "${AS[@]}" TERM=xterm NO_COLOR=1 script -qec "$BIN/qf-up doctor $PLACES server" /dev/null
  [[ $output != *$'\e'* ]]
  run -78 doctor nowhere
  run -64 "$BIN/qf-up" doctor --force
  run -0 "$BIN/qf-up" help doctor
  [[ $output == *--json* && $output == *"exit status"* ]]
}

@test "it changes no file" {
  files_of() { find "$QF/state" "$QF/config" "$SYSTEM/etc/ssh" "$(home_of "$CLIENT")" -type f ! -name 'audit*' -printf '%p %T@ %m %u\n' | grep -v /run/ | sort; }
  before=$(files_of)
  run -0 doctor server
  run -0 root_doctor server
  diff <(echo "$before") <(files_of)
}

@test "clock a day off, in either direction [system clock is not synchronized]; half a minute is allowed" {
  for shift in 86400 -86400; do
    knob "{\"date_shift\": $shift}" >/dev/null
    finds "wrong clock corp"
    tells clock "24 h (ahead of|behind) the provider's; 60 s are allowed" 'timedatectl'
  done
  knob '{"date_shift": 30}' >/dev/null
  healthy
  knob '{"reset":true}' >/dev/null
}

@test "provider: down, hanging, another issuer [verify the IdP is properly configured]" {
  end_process "$(<"$QF/idp/pid")"
  finds "wrong discovery corp" "note keys corp" "note clock corp"
  tells discovery 'cannot reach' 'is the network up'
  "$IDP/start" "$QF/idp" "${ISSUER_URL##*:}"
  note_process "$(<"$QF/idp/pid")"
  healthy
  knob '{"hang": ["/.well-known/openid-configuration"]}' >/dev/null
  finds "wrong discovery corp" "note keys corp" "note clock corp"
  tells discovery 'did not answer in time' .
  knob '{"reset":true}' >/dev/null
  knob '{"discovery": {"issuer": "https://other.example/"}}' >/dev/null
  finds "wrong discovery corp" "note keys corp"
  tells discovery 'is another one' 'fabric.json or the provider is wrong'
  knob '{"reset":true}' >/dev/null
}

@test "a key set that is broken, empty, or not given" {
  for change in '{"jwks": "nonsense"}' '{"jwks": {"keys": []}}' '{"fail": 1, "fail_path": "/jwks", "fail_status": 500}'; do
    knob "$change" >/dev/null
    finds "wrong keys corp"
    tells keys . 'tell the admin of the provider'
    knob '{"reset":true}' >/dev/null
  done
}

@test "a provider whose certificate nobody here trusts" {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$QF/tls.key" -out "$QF/tls.pem" -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
  port=$(free_port)
  background "$QF/tls.log" openssl s_server -accept "$port" -key "$QF/tls.key" -cert "$QF/tls.pem" -www
  until_true 60 listens "$port"
  apply_in ".issuers[1].issuer = \"https://localhost:$port/\""
  finds "wrong discovery corp" "note keys corp" "note clock corp"
  tells discovery 'certificate' 'no authority that is trusted'
  restore
}

@test "Include missing, the file missing" {
  echo '# nothing' >"$SYSTEM/etc/ssh/ssh_config"
  finds "wrong include" "note block "
  tells include 'so ssh ignores it' 'Include /etc/ssh/ssh_config.d/\*.conf'
  echo 'Include /etc/ssh/ssh_config.d/*.conf' >"$SYSTEM/etc/ssh/ssh_config"
  mv "$SYSTEM/etc/ssh/ssh_config.d/99-qufabric.conf" "$SYSTEM/etc/ssh/ssh_config.d/off"
  finds "wrong include" "note block "
  tells include 'is not there' 'qf-up apply'
  mv "$SYSTEM/etc/ssh/ssh_config.d/off" "$SYSTEM/etc/ssh/ssh_config.d/99-qufabric.conf"
  healthy
}

@test "our block shadowed by the user's own lines [Permission denied (publickey), no more authentication methods]" {
  own=$(home_of "$CLIENT")/.ssh
  as_client mkdir -m 700 "$own"
  for line in "ProxyCommand /bin/false" "PubkeyAuthentication no" "UserKnownHostsFile ~/.ssh/known_hosts" "Port 22" \
    "StrictHostKeyChecking no" "PreferredAuthentications password"; do
    printf 'Host *\n  %s\n' "$line" | as_client tee "$own/config" >/dev/null
    finds "wrong block server"
    tells block "${line%% *} is" 'ssh -G server'
  done
  # what does no harm
  printf 'Host *\n  IdentityAgent none\n  IdentitiesOnly yes\n  User %s\n' "$TARGET" | as_client tee "$own/config" >/dev/null
  healthy
  rm "$own/config"
}

@test "switched off for a host, and files that ssh refuses" {
  as_client mkdir -p "$(home_of "$CLIENT")/.qufabric"
  echo server | as_client tee "$(home_of "$CLIENT")/.qufabric/exclude" >/dev/null
  finds "wrong block server"
  tells block 'exclude lists it' 'exclude'
  rm "$(home_of "$CLIENT")/.qufabric/exclude"
  own=$(home_of "$CLIENT")/.ssh
  as_client mkdir -p -m 700 "$own"
  as_client touch "$own/config"
  chmod 666 "$own/config"
  finds "wrong ssh-files" "note block "
  tells ssh-files 'Bad owner or permissions' "chmod go-w $own/config"
  rm "$own/config"
}

@test "qf-tokend stuck, not running, nobody logged in [complete the OIDC flow, JWT token is expired]" {
  as_words "$CLIENT"
  daemon=$(inside "${AS[@]}" "$BIN/qf-token" status --json $PLACES | jq .pid)
  kill -STOP "$daemon"
  finds "wrong tokend" "note policy server"
  tells tokend 'does not answer' "kill -KILL $daemon"
  kill -CONT "$daemon"
  healthy
  inside "${AS[@]}" "$BIN/qf-token" logout $PLACES
  finds "note login" "note policy server"
  tells login 'nobody is logged in' 'qf-token login'
  inside "${AS[@]}" "$BIN/qf-token" stop $PLACES
  finds "note tokend" "note policy server"
  tells tokend 'none runs' 'qf-token login'
  # and none was started
  finds "note tokend" "note policy server"
  inside "${AS[@]}" "$BIN/qf-token" login --issuer machine $PLACES
  healthy
}

@test "the machine issuer not running" {
  end_process "$(pgrep -u "$CLIENT" -f -- '--machine-issuer')"
  finds "note machine machine"
  tells machine 'no machine issuer runs' 'qf-machine-issuer'
  background_as "$CLIENT" "$QF/issuer.log" "$BIN/qf-tokend" --machine-issuer --foreground \
    --issuer urn:qufabric:test --state-dir "$QF/issuer"
  until_true 60 as_client test -S "$(runtime_of "$CLIENT")/machine-issuer.sock"
  healthy
}

@test "a peer that is down, or an ordinary SSH server [SSH server not detected, connection timeout]" {
  apply_in ".peers += [{name: \"gone\", addresses: [\"$(address_of 1)\"], ssh: true, version: \"0.61.0\", ssh_host_keys: .peers[0].ssh_host_keys}]" \
    '.policies[0].destinations += ["gone"] | .policies[0].sources += ["server"]'
  PEERS="server gone" finds "wrong peer gone" "ok policy gone"
  tells peer 'no SSH server answers' 'ping .* --allow-server-ssh'
  background "$QF/other.log" "$PYTHON" -c '
import socket, sys
s = socket.create_server((sys.argv[1], 22022))
while True:
    c = s.accept()[0]
    c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    c.close()' "$(address_of 1)"
  until_true 60 listens 22022
  until_true 60 eval 'PEERS="server gone" finds "wrong peer gone" "ok policy gone" && tells peer "another SSH server" "ss -ltnp"'
  end_process "$PID"
  restore
}

@test "without a name: the peers that this machine may reach" {
  run -0 doctor
  [ "$(jq -r '[.checks[] | select(.check == "peer")] | length' <<<"$output")" = 0 ]
  jq -e 'any(.checks[]; .check == "peers" and .verdict == "ok")' <<<"$output"
  apply_in '.policies[0].sources += ["server"]'
  run -0 doctor
  [ "$(jq -r '.checks[] | select(.check == "peer") | .subject' <<<"$output")" = server ]
  # who may not know them says so
  chmod 600 "$QF/config/fabric.json"
  run -0 doctor
  jq -e 'any(.checks[]; .check == "peers" and .verdict == "note" and (.text | test("only root")) and (.hint | test("sudo qf-up doctor")))' <<<"$output"
  chmod 644 "$QF/config/fabric.json"
  restore
}

@test "an issuer of servers alone is looked at where it may be known" {
  apply_in 'del(.issuers[1].client)'
  knob '{"jwks": "nonsense"}' >/dev/null
  root_finds "wrong keys corp"
  knob '{"reset":true}' >/dev/null
  restore
}

@test "ssh switched off for the peer in the document [verify SSH is enabled]" {
  apply_in '.peers[0].ssh = false'
  finds "note peer server" "note block "
  jq -e 'all(.checks[]; .check != "host-key")' <<<"$REPORT"
  tells peer 'no "ssh": true' 'allow-server-ssh'
  restore
}

@test "another host key than the pinned one" {
  ssh-keygen -q -t ed25519 -N "" -C "" -f "$QF/other_key"
  apply_in ".peers[0].ssh_host_keys = [\"$(cut -d' ' -f1,2 "$QF/other_key.pub")\"]"
  finds "wrong host-key server"
  tells host-key 'none that the document pins' 'host-key'
  root_finds "wrong host-key server" "wrong own-key"
  tells own-key 'does not pin' 'ssh_host_keys'
  restore
  healthy
}

@test "policies: no OS user [not authorized to login as OS user, no authorization mapping], not this machine [not authorized to access this peer]" {
  apply_in '.user_groups.others = ["corp:bob"] | .policies[0].authorized_groups = {others: []}'
  finds "wrong policy server"
  tells policy "machine:$CLIENT from client may be no OS user" "qf-up explain --user machine:$CLIENT --from client --to server"
  apply_in '.policies[0].access = "limited" | .policies[0].authorized_groups = {people: ["deploy"]}'
  healthy
  tells policy "may be deploy \(policy all\)" '^$'
  root_finds "note os-users"
  tells os-users 'deploy' 'useradd'
  apply_in '.policies[0].sources = ["server"]'
  finds "note peer server" "wrong policy server" "note block " 
  tells policy 'no policy lets client reach it' 'qufabric-ssh'
  apply_in '.peers[1].addresses = ["127.0.0.9"]'
  finds "note peer server" "wrong policy server" "note block "
  tells policy "127.0.0.1, which is no peer's address" 'addresses'
  restore
}

@test "who may not read the document says so, and does not guess" {
  chmod 600 "$QF/config/fabric.json"
  finds "note document" "note policy server"
  tells policy 'only root' 'sudo qf-up doctor'
  chmod 644 "$QF/config/fabric.json"
  healthy
}

@test "the document at its place is broken, newer, or another one of the same serial; none in force" {
  cp "$QF/config/fabric.json" "$QF/good.json"
  echo '{' >"$QF/config/fabric.json"
  root_finds "wrong document"
  tells document 'fabric.json' 'qf-up check'
  jq '.serial += 1' "$QF/good.json" >"$QF/config/fabric.json"
  root_finds "note document"
  tells document 'is not in force' 'qf-up apply'
  jq '.policies[0].name = "other"' "$QF/good.json" >"$QF/config/fabric.json"
  root_finds "wrong document"
  tells document 'is not in force' 'raise the serial'
  mv "$QF/good.json" "$QF/config/fabric.json"
  run -1 inside "$BIN/qf-up" doctor --json --state-dir "$QF/empty" --config-dir "$QF/config"
  jq -e '.checks | length == 1 and .[0].check == "document" and (.[0].hint | test("qf-up apply"))' <<<"$output"
}

@test "versions: the document says another one" {
  apply_in '.peers[0].version = "0.60.1"'
  finds "note version server"
  tells version 'the document says 0.60.1' 'put 0.61.0'
  restore
}

# instead_of PROGRAM SCRIPT COMMAND…: COMMAND with a script in the place of the program, for as long as it takes
instead_of() {
  local program=$1
  printf '#!/bin/sh\n%s\n' "$2" >"$QF/instead"
  chmod 755 "$QF/instead"
  shift 2
  inside mount --bind "$QF/instead" "$program"
  "$@" || { inside umount "$program" && return 1; }
  inside umount "$program"
}

@test "versions: one of the programs here is of another release, or does not run" {
  instead_of "$BIN/qf-detect" 'case $1 in --version) echo "qf-detect 0.60.1" ;; *) exit 0 ;; esac' \
    finds "wrong version qf-detect"
  tells version "$BIN/qf-detect is 0.60.1, and qf-up 0.61.0" 'in one version'
  instead_of "$BIN/qf-token" 'exit 1' finds "wrong version qf-token"
  tells version "$BIN/qf-token does not run" 'in one version'
  healthy
}

@test "versions: the token daemon that runs is of another release" {
  as_words "$CLIENT"
  inside "${AS[@]}" "$BIN/qf-token" status --json $PLACES >"$QF/tokend.json" || :
  inside "${AS[@]}" "$BIN/qf-token" stop $PLACES
  local runtime answer
  runtime=$(runtime_of "$CLIENT")
  answer=$(jq -c '{status: [{ok: true, version: 1, pid: .pid, release: "0.60.1", ttl: 3600, issuers: [], logins: []}]}' "$QF/tokend.json")
  background "$QF/old.log" nsenter --target "$(qf_up)" --mount --wd=/ -- "${AS[@]}" "$PYTHON" "$TOP/tests/bats/servers/tokend.py" "$runtime/tokend.sock" /dev/null "$answer"
  local old=$PID
  until_true 60 as_client test -S "$runtime/tokend.sock"
  finds "note version qf-tokend" "note login" "note policy server"
  tells version 'the one that runs is 0.60.1, and what is installed 0.61.0' 'qf-token stop'
  end_process "$old"
  as_client rm -f "$runtime/tokend.sock"
  inside "${AS[@]}" "$BIN/qf-token" login --issuer machine $PLACES
  healthy
}

@test "ssh is not there, or older than ours can do with" {
  instead_of /usr/bin/ssh 'case $1 in -V) echo "OpenSSH_7.9p1, OpenSSL 1.1.1" >&2 ;; *) exit 255 ;; esac' run doctor server
  REPORT=$output
  tells ssh 'is OpenSSH 7.9, and 8.0 or newer is needed' 'update it'
  jq -e 'any(.checks[]; .check == "ssh" and .verdict == "wrong")' <<<"$REPORT"
  cp /dev/null "$QF/none"
  inside mount --bind "$QF/none" /usr/bin/ssh
  run doctor server
  inside umount /usr/bin/ssh
  REPORT=$output
  tells ssh 'there is no ssh on this machine' 'openssh-client'
  healthy
}

@test "server: an address of this peer that somebody else listens on" {
  local other
  other=$(address_of 1)
  background "$QF/squat.log" "$PYTHON" -c 'import socket, sys, time
s = socket.create_server((sys.argv[1], 22022))
print("here", flush=True)
time.sleep(600)' "$other"
  local squatter=$PID
  until_true 60 grep -q here "$QF/squat.log"
  apply_in ".peers[0].addresses += [\"$other\"]"
  run root_doctor server
  REPORT=$output
  echo "$REPORT"
  tells server "runs, and does not listen on $other" "ss -ltnp 'sport = :22022'"
  jq -e 'any(.checks[]; .check == "server" and .verdict == "wrong")' <<<"$REPORT"
  end_process "$squatter"
  restore
  root_finds
}

@test "server: system users, PAM, owners and modes" {
  cp "$SYSTEM/etc/passwd" "$QF/passwd"
  grep -v '^qufabric-fetch:' "$QF/passwd" >"$SYSTEM/etc/passwd"
  root_finds "wrong users"
  tells users 'qufabric-fetch' 'restart qufabric'
  cat "$QF/passwd" >"$SYSTEM/etc/passwd"
  mv "$SYSTEM/etc/pam.d/qf-sshd" "$SYSTEM/etc/pam.d/off"
  root_finds "note pam"
  tells pam 'is not there' 'disable-ssh-pam'
  mv "$SYSTEM/etc/pam.d/off" "$SYSTEM/etc/pam.d/qf-sshd"
  chmod o+w "$QF/config"
  root_finds "wrong folders"
  tells folders "$QF/config can be changed" "chmod go-w $QF/config"
  chmod o-w "$QF/config"
  chmod 644 "$QF/state/policy.mdb"
  root_finds "wrong folders"
  tells folders 'policy.mdb can be read' 'chmod go-rwx'
  chmod 600 "$QF/state/policy.mdb"
  chmod 644 "$QF/state/ssh_host_ed25519_key"
  root_finds "wrong own-key"
  tells own-key 'can be read by others' 'chmod 0600'
  chmod 600 "$QF/state/ssh_host_ed25519_key"
  root_finds
}

@test "server: features that are off [port forwarding not available, SFTP subsystem not available]; not running at all" {
  inside "$BIN/qf-up" apply $FOLDERS --enable-ssh-sftp=false --enable-ssh-local-port-forwarding=false 2>>"$QF/qf-up.log"
  root_finds "note features"
  tells features 'SFTP, local port forwarding$' 'enable-ssh-sftp --enable-ssh-local-port-forwarding'
  inside "$BIN/qf-up" apply $FOLDERS --enable-ssh-sftp --enable-ssh-local-port-forwarding 2>>"$QF/qf-up.log"
  root_finds
  listener=$(listener_pid)
  kill -STOP "$listener"
  root_finds "wrong server" "wrong peer server" "note block "
  tells server 'does not answer' 'restart'
  kill -CONT "$listener"
  root_finds
  # a namespace lives as long as something in it
  background "$QF/stay.log" nsenter --target "$(qf_up)" --mount --wd=/ -- sleep 600
  stay=$PID
  server_stop
  inside() { nsenter --target "$stay" --mount --wd=/ -- "$@"; }
  root_finds "wrong server" "wrong peer server" "note block "
  tells server 'qf-sshd runs' 'systemctl start qufabric'
}
