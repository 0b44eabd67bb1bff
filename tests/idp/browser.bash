#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What approve and authorize share: a browser whose person the environment and an argument describe.

# browser_begin [LOGIN]: a browser without cookies, whose person signs in as LOGIN and, with DENY=1, refuses.
browser_begin() {
  cookies=$(mktemp)
  trap 'rm -f "$cookies"' EXIT
  headers=()
  [ -z "${1:-}" ] || headers+=(-H "X-Test-Login: $1")
  [ -z "${DENY:-}" ] || headers+=(-H 'X-Test-Deny: 1')
}

# browse CURL_ARGUMENTS...: one request; CA_FILE is trusted.
browse() {
  curl --silent --show-error --max-time 20 --max-redirs 10 --cookie "$cookies" --cookie-jar "$cookies" "${headers[@]}" \
    ${CA_FILE:+--cacert "$CA_FILE"} "$@"
}
