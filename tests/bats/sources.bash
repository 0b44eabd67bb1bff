# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a qf-up that takes its document from elsewhere (--document) makes of it. After helpers.bash.

refresh() { "$BIN/qf-up" refresh "$@"; }
status() { "$BIN/qf-up" status --json | jq -r "$1"; }
serial() { status .serial; }
serial_is() { [ "$(serial)" = "$1" ]; }
# refused WORDS…: a refresh changes nothing and says so once; status has it
refused() {
  local word before
  before=$(serial)
  run -1 refresh
  echo "$output"
  for word; do [[ $output == *"$word"* ]]; done
  [[ $output == *"serial $before is in force"* ]]
  run -1 refresh
  [ -z "$output" ]
  serial_is "$before"
  [[ $(status .source.error) == *"$1"* ]]
  [[ $("$BIN/qf-up" status) == *"ALARM: since "*"$1"* ]]
  alarm_is 1
}
alarm_is() { "$BIN/qf-up" metrics | grep -qxF "qufabric_alarm{kind=\"document\"} $1"; }
