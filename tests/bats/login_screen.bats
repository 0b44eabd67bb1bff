#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What a person sees of a login with a code, on terminals of several kinds, and who gives up.

load tokend_helpers

setup() { tokend_begin 3600 && daemon_start; }
teardown() { fabric_end; }

# login_on STEP… -- env VARIABLE…: qf-token login in a terminal, in the background; sets PID.
login_on() {
  in_terminal "$QF/screen" "$@" "$BIN/qf-token" login $PLACES >>"$QF/terminal.log" 2>&1 3>&- 4>&- &
  PID=$!
}
# lines of the screen, as they end there
screen() { tr -d '\r' <"$QF/screen"; }
has_code() { screen | grep -q '█▀\|▄█'; }

@test "the complete URL is a QR code, as another program makes it; a countdown; a word when it is approved" {
  login_on 'expect=enter the code' 'expect=waiting for the login, [12]:[0-5][0-9] left; Ctrl-C gives up' 'expect=was approved' \
    'expect=logged in at corp as alice' exit -- env TERM=xterm
  until_true 60 has_code
  local url
  url=$(screen | sed -n 's/^or open //p')
  qrencode -8 -t UTF8 -m 2 -l L -o - "$url" | sed 's/\x1b\[[0-9;]*m//g' >"$QF/expected"
  screen | grep -aE '^[█▀▄ ]+$' >"$QF/shown"
  diff "$QF/expected" "$QF/shown"
  approve "$QF/screen"
  wait "$PID"
  # in the place of the countdown, which is gone
  says "$QF/screen" $'\r\x1b\\[Kqf-token: the login at corp was approved, you are alice'
}

@test "the countdown goes on" {
  login_on -- env TERM=xterm
  until_true 60 says "$QF/screen" '1:5[0-9] left.*1:5[0-9] left'
  approve "$QF/screen"
  wait "$PID"
}

@test "no QR code without UTF-8, and none where it would push the text away; no countdown on a dumb terminal" {
  login_on 'expect=or open ' 'send=\x03' -- env TERM=xterm LC_ALL=C
  wait "$PID" || :
  run ! has_code
  login_on size=15x80 'expect=waiting' 'send=\x03' -- env TERM=xterm
  wait "$PID" || :
  run ! has_code
  login_on size=24x30 'expect=waiting' 'send=\x03' -- env TERM=xterm
  wait "$PID" || :
  run ! has_code
  login_on 'expect=or open ' 'send=\x03' -- env TERM=dumb
  wait "$PID" || :
  run ! grep -q waiting "$QF/screen"
}

@test "Ctrl-C gives up one, and the other who waits for the same login gets it" {
  ask_in_background "$QF/other" "$LOGIN"
  local other=$PID status=0
  until_true 60 user_code "$QF/other"
  login_on 'expect=enter the code' 'send=\x03' 'expect=the login was given up' -- env TERM=xterm
  wait "$PID" || status=$?
  [ "$status" = 130 ]
  approve "$QF/other"
  wait "$other"
  [ "$(last "$QF/other" .ok)" = true ]
}

@test "ssh shows the same, and its own output comes after it" {
  server_start
  in_terminal "$QF/screen" size=40x100 'expect=waiting for the login' 'expect=was approved' 'expect=qf-proxy: logged in' 'expect=there-it-is' exit -- \
    env TERM=xterm ssh -F "$CONF" -l "$TARGET" server 'echo there-it-is' >>"$QF/terminal.log" 2>&1 3>&- 4>&- &
  PID=$!
  until_true 60 has_code
  approve "$QF/screen"
  wait "$PID"
}
