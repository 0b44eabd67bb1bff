#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# run first: it waits two minutes, which the others use
# A file of its own, so that the others run beside it.

load helpers

setup() { fabric_begin && provider_start && fabric_write '.issuers |= reverse' && server_start --ssh-jwt-cache-ttl=0; }
teardown() { fabric_end; }

@test "field note 15: a login that takes two minutes, under ConnectTimeout=3" {
  knob '{"device_ttl": 600}' >"$QF/knobs"
  SHOWN=$QF/shown
  in_terminal "$SHOWN" deadline=200 -- ssh -F "$CONF" -o ConnectTimeout=3 -l "$TARGET" server 'echo patient' 3>&- &
  terminal=$!
  until_true 60 user_code "$SHOWN"
  started=$SECONDS
  for_a_while 121
  kill -0 $terminal
  ((SECONDS - started >= 120))
  approve "$SHOWN"
  wait $terminal
  grep -q patient "$SHOWN"
}
