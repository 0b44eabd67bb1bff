#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Clients that break a rule: their connection ends, the reason is in the audit log, and nothing of them stays behind.

load helpers

setup_file() {
  fabric_begin
  mkdir "$QF/mint"
  "$PYTHON" "$TOP/tests/bats/mint.py" keys "$QF/mint"
  fabric_write
  jq --slurpfile keys "$QF/mint/jwks.json" '.issuers += [{name: "mint", issuer: "https://mint.invalid/",
    audiences: ["qufabric"], jwks: $keys[0], max_token_age: 600, clock_skew: 60,
    client: {client_id: "qufabric", flow: "device"}}] | .user_groups.people += ["mint:ann"]' "$QF/config/fabric.json" \
    >"$QF/config/fabric.new"
  mv "$QF/config/fabric.new" "$QF/config/fabric.json"
  server_start --enable-ssh-local-port-forwarding && warm
  FINGERPRINT=$(ssh-keygen -lf "$QF/state/ssh_host_ed25519_key.pub" | cut -d' ' -f2)
  export FINGERPRINT
}
teardown_file() { fabric_end; }

# credential CHANGES: mints one that is good but for these.
credential() {
  "$PYTHON" "$TOP/tests/bats/mint.py" credential "$QF/mint" key \
    "$(jq -n --argjson changes "$1" --arg fingerprint "$FINGERPRINT" '{peer: "server", fingerprints: [$fingerprint]} + $changes')"
}
setup() { credential '{}'; }
# hostile ATTACK: see hostile_client.py
hostile() { timeout 60 "$PYTHON" "$TOP/tests/bats/hostile_client.py" "$1" "$ADDRESS" "$TARGET" "$QF/mint/key" 2>>"$QF/client.log"; }

nets() {
  local pid
  for pid in $(descendants "$(listener_pid)"); do
    [ "$(ps -o user= -p "$pid")" != qufabric ] || echo "$pid"
  done
}
no_net() { [ -z "$(nets)" ]; }
# A process of the server's that is the user's; one that is dead waits for its parent.
no_copy() { ! pgrep -u "$(id -u "$TARGET")" --runstates DRST -x qf-sshd; }
violations() { audit 'select(.event == "violation")' | wc -l; }

@test "a maximum packet size of 10 leaves no net behind that spins" {
  hostile spin
  # five seconds of processor time, which is more by the clock on a busy machine
  until_true 90 no_net
}

@test "a client that ignores the window is sent away, and costs no memory" {
  mkfifo "$QF/hold-window"
  hostile window <"$QF/hold-window" >"$QF/sent" 3>&- 4>&- &
  note_process $!
  exec 9>"$QF/hold-window"
  until_true 60 grep -q sent "$QF/sent"
  for pid in $(nets); do
    data=$(awk '$1 == "VmData:" { print $2 }' "/proc/$pid/status" 2>/dev/null)
    [ "${data:-0}" -lt 32768 ]
  done
  until_true 60 no_net
  exec 9>&-
}

@test "a signal request on the channel of a tunnel, and tunnels closed at once, are no violations" {
  before=$(violations)
  hostile signal
  hostile races
  until_true 60 no_net
  [ "$(violations)" = "$before" ] || { audit 'select(.event == "violation")' && false; }
}

@test "method none is an attempt after the first time" {
  run -0 hostile none
  # six attempts, the last of them ends the connection
  [ "$output" -ge 5 ] && [ "$output" -le 7 ]
  run -0 audit_says '.event == "login" and .allowed == false and .refusal == "too many failed logins"'
}

@test "probes of keys are no attempts, but not without end" {
  run -0 hostile keys
  [ "$output" -ge 64 ] && [ "$output" -le 101 ]
  run -0 audit_says '.event == "login" and .allowed == false and .refusal == "too many login requests"'
}

@test "a credential that runs out between its probe and its signature is refused" {
  # within the skew of 60 s for fifteen seconds more
  credential '{"claims": {"iat": -300, "exp": -45}}'
  LATE=16 run -0 hostile late
  [ "$output" = $'probe answered\nno login' ]
  run -0 audit_says '.event == "login" and .allowed == false and ((.reason // "") | contains("the token has expired"))'
}

@test "one that does not run out is good after a while" {
  run -0 hostile late
  [ "$output" = $'probe answered\nlogin' ]
}

@test "who stops the processes that send signals stops nothing else" {
  mkfifo "$QF/hold-stopper"
  hostile stopper <"$QF/hold-stopper" >"$QF/stopper" 3>&- 4>&- &
  note_process $!
  exec 9>"$QF/hold-stopper"
  until_true 60 grep -q . "$QF/stopper"
  [ "$(cat "$QF/stopper")" = refused ]
  exec 9>&-
  until_true 60 no_net
  # no copy of the monitor stays with the user
  until_true 60 no_copy
}

@test "who stops the process that makes the forwards stops nothing else" {
  run -0 hostile helper
  [ "$output" = refused ]
  until_true 60 no_net
}

@test "a monitor that is killed leaves a line in the audit log, and no net, no shell on a terminal" {
  in_terminal "$QF/terminal" 'expect=[$] ' 'send=echo u''p; cat\r' 'expect=up' -- ssh -F "$CONF" -l "$TARGET" server 3>&- &
  terminal=$!
  until_true 60 audit_says '.event == "session-start" and .terminal'
  until_true 60 grep -q up "$QF/terminal"
  connection=$(audit -r 'select(.event == "session-start" and .terminal) | .connection')
  shell=$(audit 'select(.event == "session-start" and .terminal) | .pid')
  kill -KILL "$(ps -o ppid= -p "$shell")"
  wait $terminal || :
  until_true 60 audit_says ".event == \"violation\" and .connection == \"$connection\" and .reason == \"monitor was ended by signal 9\""
  until_true 60 no_net
  until_true 60 test ! -d "/proc/$shell"
}
