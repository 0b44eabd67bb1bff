# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the end-to-end tests share: a scratch fabric with an address of its own, so that tests run side by side, real
# users that go again, the real OpenID provider, and waiting by polling. Everything that a test starts is noted by
# pid (with its start time) and ended in fabric_end, also when the test failed.
#
#   setup()    { fabric_begin; fabric_write; server_start; }
#   teardown() { fabric_end; }
#   @test "…"  { run -0 on_peer whoami; }
#
# One fabric for all tests of a file: the same in setup_file and teardown_file. Otherwise the tests of a file share what
# takes long to make, and get it as good as new: the users CLIENT and TARGET, and the provider.
#
# Set by fabric_begin: QF (the scratch folder), CLIENT (the user who types ssh), TARGET (a user to log in as),
# ADDRESS (of the peer "server"; "client" is 127.0.0.1, where everything on loopback comes from), CONF (the generated
# ssh_config), FOLDERS (the folder arguments), AUDIT (the audit log).

bats_require_minimum_version 1.5.0
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=$(cd "$TOP" && cd "${BUILD:-build}" && pwd)/bin
IDP=$TOP/tests/idp
PYTHON=/usr/bin/python3
export TOP BIN IDP PYTHON

# ---- waiting


# for_a_while SECONDS: time passes in which something must not happen. To wait for something is until_true's.
for_a_while() { read -r -t "$1" _ <>"$QF/tick" || :; }

# until_true SECONDS COMMAND…: polls until the command succeeds; says so and fails after SECONDS. First every 30 ms, then
# seldomer, up to five times a second: what waits long must not take the time of those that work beside it.
until_true() {
  local seconds=$1 deadline=$((SECONDS + $1 + 1)) pause=30
  shift
  while ! "$@" >/dev/null 2>&1; do
    if ((SECONDS >= deadline)); then
      echo "not within $seconds s: $*" >&2
      return 1
    fi
    for_a_while "0.$(printf %03d $pause)"
    if ((pause < 200)); then pause=$((pause + 10)); fi
  done
}

# ---- processes: noted as "PID START", so that a recycled pid is never hit

# read_stat PID: sets STAT to the fields of proc(5) after the command's name, which may hold spaces: the state is 0, the
# start time 19. No process of its own, since much is polled with it.
read_stat() {
  local text=
  { read -r -d '' text || [ -n "$text" ]; } 2>/dev/null <"/proc/$1/stat" || return 1
  # shellcheck disable=SC2206
  STAT=(${text##*) })
}
start_of() { read_stat "$1" && echo "${STAT[19]}"; }
alive() { [ -n "${2:-}" ] && read_stat "$1" && [ "${STAT[19]}" = "$2" ]; }
# note_process PID [FOLDER]
note_process() { echo "$1 $(start_of "$1")" >>"${2:-$QF}/processes"; }

# background LOG COMMAND…: sets PID. bats waits for whoever holds its descriptors 3 and 4.
background() {
  local log=$1
  shift
  "$@" </dev/null >>"$log" 2>&1 3>&- 4>&- &
  PID=$!
  note_process "$PID"
}

# end_process PID [SIGNAL]: and waits until it is gone.
end_process() {
  local start
  start=$(start_of "$1") || return 0
  kill "-${2:-TERM}" "$1" 2>/dev/null || return 0
  until_true 40 gone "$1" "$start" || kill -KILL "$1" 2>/dev/null
}
gone() { ! alive "$1" "$2" || [ "${STAT[0]}" = Z ]; }
# Never root's: a test may have made a second name for uid 0.
pids_of_user() {
  local uid
  # not the dead ones, whom only their parent can remove
  uid=$(id -u "$1" 2>/dev/null) && [ "$uid" != 0 ] && pgrep -u "$uid" --runstates DRST
  return 0
}

# ---- the scratch fabric

fabric_begin() {
  [ "$(id -u)" = 0 ] || skip "wants root: it makes users"
  QF=$(mktemp -d "${TMPDIR:-/tmp}/qf-t.XXXXXX")
  chmod 755 "$QF"
  mkfifo "$QF/tick"
  mkdir "$QF/config" "$QF/state" "$QF/run" "$QF/home" "$QF/idp"
  chmod 700 "$QF/run"
  # unique while this process lives; room for fifteen peers
  NUMBER=$$
  ADDRESS=$(address_of 0)
  CONF=$QF/state/99-qufabric.conf
  AUDIT=$QF/state/audit.log
  FOLDERS="--config-dir $QF/config --state-dir $QF/state --runtime-dir $QF/run"
  export QF NUMBER ADDRESS CONF AUDIT FOLDERS
  CLIENT=$(shared_user c)
  TARGET=$(shared_user t)
  export CLIENT TARGET
}

# address_of INDEX: 127.x.y.z of this test, INDEX 0 to 14.
address_of() { echo "127.$((1 + $1 * 16 + (NUMBER >> 16 & 15))).$((NUMBER >> 8 & 255)).$((NUMBER & 255))"; }

fabric_end() {
  [ -n "${QF:-}" ] && [ -d "$QF" ] || return 0
  local user
  # a failed test shows what the programs said
  if [ -z "${BATS_TEST_COMPLETED:-}" ]; then show_logs; fi
  end_processes "$QF"
  if [ -n "${SHARED:-}" ]; then
    for user in "$CLIENT" "$TARGET"; do end_user_processes "$user"; done
  fi
  remove_users "$QF"
  rm -rf "$QF"
  QF=
}
# end_processes FOLDER: those that were noted there
end_processes() {
  local pid start
  touch "$1/processes"
  tac "$1/processes" | while read -r pid start; do
    alive "$pid" "$start" && kill "$pid" 2>/dev/null
  done
  while read -r pid start; do
    until_true 40 gone "$pid" "$start" 2>/dev/null || kill -KILL "$pid" 2>/dev/null || :
  done <"$1/processes"
}
end_user_processes() {
  local pids
  pids=$(pids_of_user "$1")
  [ -n "$pids" ] || return 0
  kill -KILL $pids 2>/dev/null || :
  until_true 20 no_process_of "$1" || :
}
no_process_of() { [ -z "$(pids_of_user "$1")" ]; }
# remove_users FOLDER: those that were made there
remove_users() {
  local user
  touch "$1/users"
  while read -r user; do
    end_user_processes "$user"
    "$TOP/conf/throw-away-user" --remove "$user"
  done <"$1/users"
}

# ---- what the tests of a file share, unless the file has a setup_file of its own; in the folder SHARED

setup_file() {
  [ "$(id -u)" = 0 ] || return 0
  SHARED=$(mktemp -d "${TMPDIR:-/tmp}/qf-f.XXXXXX")
  chmod 755 "$SHARED"
  mkdir "$SHARED/home" "$SHARED/idp"
  mkfifo "$SHARED/tick"
  SHARED_NUMBER=$$
  export SHARED SHARED_NUMBER
}
teardown_file() {
  [ -n "${SHARED:-}" ] || return 0
  QF=$SHARED
  end_processes "$SHARED"
  remove_users "$SHARED"
  rm -rf "$SHARED"
}
# shared_user LETTER: prints the name of a user whom the tests of this file have one after the other, with a new home
# folder each time, and a new account when a test has changed it.
shared_user() {
  if [ -z "${SHARED:-}" ]; then
    add_user "$1"
    return
  fi
  local name=qf$1$SHARED_NUMBER home
  home=$SHARED/home/$name
  if [ -e "$SHARED/$name" ] && account_of "$name" | cmp -s - "$SHARED/$name"; then
    rm -rf "$home"
    cp -r /etc/skel "$home" && chmod 755 "$home" && chown -R "$name:" "$home" || return
  else
    [ ! -e "$SHARED/$name" ] || "$TOP/conf/throw-away-user" --remove "$name"
    rm -rf "$home"
    echo "$name" >>"$SHARED/users"
    "$TOP/conf/throw-away-user" "$name" --home-dir "$home" >&2 || return
    account_of "$name" >"$SHARED/$name"
  fi
  echo "$name"
}
account_of() { grep -h "^$1:" /etc/passwd /etc/shadow /etc/group; }

show_logs() {
  local log
  for log in "$QF"/*.log "$QF/idp/log" "$AUDIT"; do
    [ -s "$log" ] || continue
    echo "--- $(basename "$log")"
    tail -n 30 "$log"
  done
}

# ---- users

# add_user LETTERS [useradd OPTION…]: makes a user of this test and prints its name. A locked password, /bin/sh, and a
# uid that was nobody's before: fabric_end ends every process that has it.
add_user() {
  local name=qf$1$NUMBER
  shift
  echo "$name" >>"$QF/users"
  "$TOP/conf/throw-away-user" "$name" --home-dir "$QF/home/$name" "$@" >&2 || return
  echo "$name"
}
# passwd_of USER: sets PASSWD to the fields of its entry; a user of the files without a process of its own.
passwd_of() {
  while IFS=: read -r -a PASSWD; do
    [ "${PASSWD[0]}" != "$1" ] || return 0
  done </etc/passwd
  IFS=: read -r -a PASSWD < <(getent passwd "$1")
}
home_of() { passwd_of "$1" && echo "${PASSWD[5]}"; }

# as USER COMMAND…: with a clean environment. Becomes the command: runuser would stay in between, and when it is
# ended takes two seconds about it.
as() {
  as_words "$1"
  shift
  "${AS[@]}" "$@"
}
# as_words USER: sets AS to the words that run a command as USER.
as_words() {
  passwd_of "$1"
  AS=(setpriv --reuid "$1" --regid "${PASSWD[3]}" --init-groups -- env -i HOME="${PASSWD[5]}" USER="$1" LOGNAME="$1"
    SHELL=/bin/sh PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C.UTF-8)
}
# background_as USER LOG COMMAND…
background_as() {
  local user=$1 log=$2
  shift 2
  as_words "$user"
  background "$log" "${AS[@]}" "$@"
}
as_client() { as "$CLIENT" "$@"; }

# rootless: the whole fabric under CLIENT's account; after fabric_begin, before anything else of the fabric.
rootless() {
  SERVER_USER=$CLIENT
  export SERVER_USER
  chown -R "$CLIENT" "$QF/config" "$QF/state" "$QF/run"
}
# instance PROGRAM [ARGUMENT…]: a program of ours as whoever runs this fabric.
instance() {
  local program=$1
  shift
  if [ -n "${SERVER_USER:-}" ]; then as "$SERVER_USER" "$BIN/$program" "$@"; else "$BIN/$program" "$@"; fi
}

# ---- the document

host_key() {
  [ -s "$QF/host_key" ] || instance qf-up host-key $FOLDERS >"$QF/host_key"
  cat "$QF/host_key"
}

# fabric_write [JQ-FILTER…]: writes fabric.json: the issuer "machine" of CLIENT (and "corp" once provider_start has
# run), the peers server and client, one policy that lets the group "people" be anybody. Each filter changes it.
# The serial rises with each call.
fabric_write() {
  local filter filters=. serial=1
  machine_issuer
  [ ! -e "$QF/serial" ] || serial=$(($(<"$QF/serial") + 1))
  echo "$serial" >"$QF/serial"
  for filter in "$@"; do filters+=" | ($filter)"; done
  jq -n --slurpfile machine "$QF/machine.json" --arg url "${ISSUER_URL:-}" --argjson serial "$serial" \
    --arg client "$CLIENT" --arg target "$TARGET" --arg address "$ADDRESS" --arg key "$(host_key)" '
    # a login at the provider needs a person
    [{name: "corp", issuer: $url, audiences: ["qf-tokend"], max_token_age: 600,
      client: {client_id: "qf-tokend", scopes: ["openid", "groups", "offline_access"], flow: "device"}} | select($url != "")]
      as $corp | {
      format: 1, serial: $serial, domain: "test.example", issuers: ($machine + $corp),
      user_groups: {people: (["machine:\($client)"] + if $corp != [] then ["corp:alice", "corp:bob"] else [] end)},
      peer_groups: {servers: ["server"]},
      peers: [
        {name: "server", addresses: [$address], ssh: true, version: "0.61.0", ssh_host_keys: [$key]},
        {name: "client", addresses: ["127.0.0.1"], ssh: false, version: "0.61.0", ssh_host_keys: []}],
      policies: [
        {name: "all", enabled: true, action: "allow", protocol: "qufabric-ssh", sources: ["client"],
         destinations: ["servers"], access: "full", authorized_groups: {people: []}}]
    } | '"$filters" >"$QF/config/fabric.new" && mv "$QF/config/fabric.new" "$QF/config/fabric.json"
}

# A filter: the server takes tokens of the provider alone. Otherwise who cannot be asked gets one of the machine issuer.
provider_alone() { echo '.peers[0].issuers = ["corp"]'; }

# fabric_apply [JQ-FILTER…]: a new document in force while the server runs.
fabric_apply() {
  fabric_write "$@" && instance qf-up apply $FOLDERS >>"$QF/qf-up.log" 2>&1 || { tail "$QF/qf-up.log" >&2; return 1; }
}

# The machine issuer of CLIENT, which needs no person. Runs from the first fabric_write on.
machine_issuer() {
  [ ! -s "$QF/machine.json" ] || return 0
  local keys
  mkdir "$QF/issuer" && chown "$CLIENT" "$QF/issuer"
  keys=$(as_client "$BIN/qf-tokend" --machine-issuer --print-jwks --state-dir "$QF/issuer") || return
  jq -n --argjson keys "$keys" '{name: "machine", issuer: "urn:qufabric:test", audiences: ["qufabric"], jwks: $keys,
    max_token_age: 3600, client: {client_id: "qufabric", flow: "machine"}}' >"$QF/machine.json"
  background_as "$CLIENT" "$QF/issuer.log" "$BIN/qf-tokend" --machine-issuer --foreground \
    --issuer urn:qufabric:test --state-dir "$QF/issuer" ${SERVER_USER:+--runtime-dir "$QF/run"}
  until_true 60 as_client test -S "$(runtime_of "$CLIENT")/machine-issuer.sock"
}

# Where USER's qf-tokend lives.
runtime_of() {
  # a rootless instance writes its own folder into the ssh_config file
  if [ -n "${SERVER_USER:-}" ]; then
    echo "$QF/run"
    return
  fi
  passwd_of "$1"
  local uid=${PASSWD[2]}
  if [ -d "/run/user/$uid" ]; then echo "/run/user/$uid/qufabric"; else echo "${PASSWD[5]}/.qufabric/run/$HOSTNAME"; fi
}

# ---- the server

# server_start [FLAG…]: qf-up with --allow-server-ssh, for this document; waits until the peer answers.
# The server writes the ssh_config and the databases that the client uses too. A TTL of an hour, so that a login
# counts for the whole test, unless the flags say otherwise.
server_start() {
  local ttl=--ssh-jwt-cache-ttl=3600
  [[ $* != *--ssh-jwt-cache-ttl* ]] || ttl=
  AS=()
  if [ -n "${SERVER_USER:-}" ]; then as_words "$SERVER_USER"; fi
  server_start_by "${AS[@]}" "$BIN/qf-up" --self server $FOLDERS --allow-server-ssh $ttl "$@"
}
server_start_by() {
  background "$QF/qf-up.log" "$@"
  # a variable would be lost between the tests of a file
  echo "$PID" >"$QF/qf-up.pid"
  until_true 60 server_answers || { cat "$QF/qf-up.log" >&2; return 1; }
}
qf_up() { cat "$QF/qf-up.pid"; }
server_answers() { "$BIN/qf-detect" --config-dir "$QF/config" --state-dir "$QF/state" --quiet --timeout 1 "${1:-$ADDRESS}" 22022 || [ $? = 1 ]; }
server_stop() { end_process "$(qf_up)"; }
# server_restart [FLAG…]: with other choices. qf-up remembers those of before.
server_restart() {
  server_stop
  server_start "$@"
}

# The qf-sshd processes of this fabric: its listener, and what that has started.
listener_pid() { pgrep -P "$(qf_up)" -f qf-sshd; }
# descendants PID: of all generations, parents first.
descendants() {
  ps -eo pid=,ppid= | awk -v top="$1" '{ child[$2] = child[$2] " " $1 }
    function show(pid, list, count, i) { count = split(child[pid], list, " "); for (i = 1; i <= count; i++) { print list[i]; show(list[i]) } }
    END { show(top) }'
}

# ---- clients

# qssh ARGUMENT…: ssh as CLIENT with the generated configuration. No terminal: stdin as given.
qssh() { as_client timeout 60 ssh -F "$CONF" "$@"; }
# tunnelled ARGUMENT…: the same, through the tunnel.
tunnelled() { as_client QF_SSH=tunnel timeout 60 ssh -F "$CONF" "$@"; }
# A port that nobody listens on. listens PORT, silent PORT: whether somebody does.
free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
listens() { ss -Hltn "sport = :$1" | grep -q .; }
silent() { ! listens "$1"; }

# on_peer COMMAND: as TARGET on the server.
on_peer() { qssh -l "$TARGET" server "$@"; }

# in_terminal TRANSCRIPT STEP… -- COMMAND…: as CLIENT with a terminal of its own; see in_terminal.py for the steps.
in_terminal() {
  local transcript=$1
  shift
  : >"$transcript"
  chown "$CLIENT" "$transcript"
  local steps=()
  while [ "$1" != -- ]; do
    steps+=("$1")
    shift
  done
  shift
  as_client "$PYTHON" "$TOP/tests/bats/in_terminal.py" "$transcript" "${steps[@]}" -- "$@"
}

# display: a real X server of CLIENT with a cookie; sets DISPLAY_NUMBER.
display() {
  local cookie
  cookie=$("$PYTHON" -c 'import secrets; print(secrets.token_hex(16))')
  as_client touch "$(home_of "$CLIENT")/.Xauthority"
  rm -f "$(home_of "$CLIENT")/display"
  background_as "$CLIENT" "$QF/xvfb.log" bash -c "exec Xvfb -displayfd 3 -screen 0 640x480x8 -noreset -nolisten tcp -auth '$(home_of "$CLIENT")/.Xauthority' 3>'$(home_of "$CLIENT")/display'"
  until_true 60 test -s "$(home_of "$CLIENT")/display"
  DISPLAY_NUMBER=$(cat "$(home_of "$CLIENT")/display")
  as_client xauth -q add ":$DISPLAY_NUMBER" . "$cookie"
}

# warm: logs CLIENT in at the machine issuer, so that the next connections are direct.
warm() { token login --issuer machine; }
# token ARGUMENT…: qf-token of CLIENT.
token() {
  as_client "$BIN/qf-token" "$@" --config-dir "$QF/config" --state-dir "$QF/state" ${SERVER_USER:+--runtime-dir "$QF/run"}
}
# person_login [LOGIN]: CLIENT logs in at the provider, a person approves.
person_login() {
  # approve must not find the code of the login before
  rm -f "$QF/login"
  in_terminal "$QF/login" -- "$BIN/qf-token" login --issuer corp --config-dir "$QF/config" --state-dir "$QF/state" 3>&- &
  local terminal=$!
  approve "$QF/login" "${1:-alice}" >/dev/null || return
  wait $terminal
}

audit() { jq -c "$@" "$AUDIT"; }
# audit_says JQ-CONDITION: whether a line of the audit log satisfies it.
audit_says() { jq -es "any(.[]; $1)" "$AUDIT" >/dev/null; }

# ---- the provider

# tls_certificate: QF/tls.pem and its key QF/tls.key, self-signed, for 127.0.0.1.
tls_certificate() {
  openssl req -x509 -newkey ed25519 -nodes -days 2 -keyout "$QF/tls.key" -out "$QF/tls.pem" -subj /CN=127.0.0.1 \
    -addext subjectAltName=IP:127.0.0.1 2>/dev/null
}

# hostile_provider_start: servers/provider.py, with TLS by QF/tls.pem. QF/url is where, QF/visits who came.
hostile_provider_start() {
  tls_certificate
  background "$QF/provider.log" "$PYTHON" "$TOP/tests/bats/servers/provider.py" "$QF"
  until_true 30 test -s "$QF/url"
  touch "$QF/visits"
}

# provider_start: the OpenID provider on a free port; sets ISSUER_URL. Before fabric_write. Its files are in QF/idp.
provider_start() {
  if [ -n "${SHARED:-}" ]; then
    rmdir "$QF/idp" && ln -s "$SHARED/idp" "$QF/idp" || return
    if [ -e "$SHARED/idp/pid" ]; then
      ISSUER_URL=$(<"$SHARED/idp/url")
      export ISSUER_URL
      knob '{"reset":true}' >/dev/null && return
    fi
  fi
  ISSUER_URL=$("$IDP/start" "$QF/idp") || return
  export ISSUER_URL
  note_process "$(<"$QF/idp/pid")" "${SHARED:-$QF}"
}
# knob JSON: changes what the provider does; without an argument prints its knobs and counters.
knob() { curl -sS --max-time 10 ${1:+-d "$1"} "$ISSUER_URL/_test"; }

# user_code TRANSCRIPT: the first code that was shown there.
user_code() { grep -oE '[B-Z]{4}-[B-Z]{4}' "$1" | head -n 1 | grep .; }
# approve TRANSCRIPT [LOGIN]: waits for the code and does what a person does.
approve() {
  until_true 60 user_code "$1" || { cat "$1" >&2; return 1; }
  "$IDP/approve" "$ISSUER_URL" "$(user_code "$1")" "${2:-alice}"
}
