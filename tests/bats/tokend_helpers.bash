# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2086,SC2034
# For the tests of qf-tokend and qf-token: a fabric without a server, its daemon in the foreground under the user
# CLIENT, and talking to it by hand.
load helpers

# tokend_begin TTL [JQ-FILTER…]: the provider "corp" comes first in the document, then "machine"; the document is in
# force with that TTL.
tokend_begin() {
  local ttl=$1
  shift
  fabric_begin && provider_start && fabric_write '.issuers |= reverse' "$@" && apply "$ttl" || return
  PLACES="--config-dir $QF/config --state-dir $QF/state"
  RUNTIME=$(runtime_of "$CLIENT")
  SOCKET=$RUNTIME/tokend.sock
  export PLACES RUNTIME SOCKET
}
apply() {
  touch "$QF/applied"
  "$BIN/qf-up" apply $FOLDERS --self client --ssh-jwt-cache-ttl "$1" >&2
}

# One fabric and one provider for all tests of a file, and a daemon for each:
#   setup_file()    { tokend_file_begin 3600; }
#   setup()         { tokend_fresh 3600 && daemon_start; }
#   teardown()      { tokend_test_end; }
#   teardown_file() { fabric_end; }
tokend_file_begin() { tokend_begin "$@" && cp "$QF/config/fabric.json" "$QF/first.json" && rm "$QF/applied"; }
# tokend_fresh TTL: everything as tokend_file_begin has left it, whatever the test before has changed.
tokend_fresh() {
  rm -f "$QF/tokend.log"
  if ! knob '{"reset":true}' >/dev/null; then "$IDP/start" "$QF/idp" "${ISSUER_URL##*:}" && note_process "$(<"$QF/idp/pid")" || return; fi
  [ -e "$QF/applied" ] || return 0
  local serial=$(($(<"$QF/serial") + 1))
  echo "$serial" >"$QF/serial"
  jq --argjson serial "$serial" '.serial = $serial' "$QF/first.json" >"$QF/config/fabric.json" && apply "$1" && rm "$QF/applied"
}
tokend_test_end() {
  [ -n "${BATS_TEST_COMPLETED:-}" ] || show_logs
  end_process "${DAEMON:-0}"
}

# daemon_start [OPTION…]: sets DAEMON to the pid of qf-tokend itself.
daemon_start() {
  background_as "$CLIENT" "$QF/tokend.log" "$BIN/qf-tokend" --foreground $PLACES "$@"
  until_true 60 daemon_answers && note_process "$DAEMON"
}
ask_status() { ask '{"version":1,"op":"status"}'; }
status_of_daemon() { ask_status | jq -e .ok; }
# One answer says both: a second one could be missing, and a daemon that nobody ends serves the next test too.
daemon_answers() { DAEMON=$(ask_status | jq -e .pid); }

# ask LINE…: sends the lines as CLIENT and prints what comes back until the daemon has answered them all.
ask() { printf '%s\n' "$@" | as_client socat -t 100 - "UNIX-CONNECT:$SOCKET"; }
# ask_in_background FILE LINE…: sets PID; the answers go to FILE.
ask_in_background() {
  local file=$1
  shift
  printf '%s\n' "$@" >"$file.lines"
  : >"$file"
  as_client socat -t 100 - "UNIX-CONNECT:$SOCKET" <"$file.lines" >"$file" 2>&1 3>&- 4>&- &
  PID=$!
}
LOGIN='{"version":1,"op":"login","interactive":true}'
# at the issuer that a person would log in at: without one, who cannot be asked gets a token of the machine issuer
CREDENTIAL='{"version":1,"op":"credential","peer":"server","host":"server","issuer":"corp","interactive":true}'

# log_in [LOGIN]: a whole login at the provider, over the protocol; prints the final answer.
log_in() {
  ask_in_background "$QF/login" "$LOGIN"
  local pid=$PID
  approve "$QF/login" "${1:-alice}" >"$QF/approve.log" 2>&1 || return
  wait "$pid"
  tail -n 1 "$QF/login"
}
# last FILE [JQ-OPTION…] FILTER: of the last line
last() {
  local file=$1
  shift
  tail -n 1 "$file" | jq "$@"
}
hits() { knob | jq ".hits[\"$1\"] // 0"; }
says() { grep -q "$2" "$1"; }
token() { as_client "$BIN/qf-token" "$@" $PLACES; }
