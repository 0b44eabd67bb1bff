# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# etcd for tests: Debian's own, members on free ports of loopback, in a scratch folder; and a qf-up that takes its document
# from there. After helpers.bash and sources.bash.
#
#   setup_file()    { etcd_file_begin 3; }      the cluster, once for the file
#   setup()         { etcd_begin; }             a qf-up of its own, and a prefix
#   teardown()      { etcd_end; }
#   teardown_file() { etcd_file_end; }

export ETCDCTL_API=3

# etcd_cluster FOLDER COUNT [ARGUMENT…]: starts members 1 to COUNT with these arguments too; writes FOLDER/ports (client
# ports), FOLDER/endpoints. PLAIN=https: their clients use TLS.
etcd_cluster() {
  local folder=$1 count=$2 i cluster=
  shift 2
  mkdir -p "$folder"
  "$PYTHON" - "$count" >"$folder/ports" <<'END'
import socket, sys
held = [socket.socket() for _ in range(2 * int(sys.argv[1]))]
for one in held:
    one.bind(("127.0.0.1", 0))
print(" ".join(str(one.getsockname()[1]) for one in held))
END
  read -r -a PORTS <"$folder/ports"
  for ((i = 1; i <= count; ++i)); do
    cluster+="${cluster:+,}m$i=http://127.0.0.1:${PORTS[count + i - 1]}"
  done
  for ((i = 1; i <= count; ++i)); do
    printf '%q ' etcd --name "m$i" --data-dir "$folder/m$i" --initial-cluster "$cluster" --initial-cluster-state new \
      --listen-client-urls "${PLAIN:-http}://127.0.0.1:${PORTS[i - 1]}" \
      --advertise-client-urls "${PLAIN:-http}://127.0.0.1:${PORTS[i - 1]}" \
      --listen-peer-urls "http://127.0.0.1:${PORTS[count + i - 1]}" \
      --initial-advertise-peer-urls "http://127.0.0.1:${PORTS[count + i - 1]}" \
      --logger zap "$@" >"$folder/m$i.command"
  done
  for ((i = 1; i <= count; ++i)); do etcd_start "$folder" $i; done
}
# etcd_start FOLDER I
etcd_start() {
  local words
  eval "words=($(cat "$1/m$2.command"))"
  "${words[@]}" </dev/null >>"$1/m$2.log" 2>&1 3>&- 4>&- &
  echo $! >"$1/m$2.pid"
  disown
}
# etcd_kill FOLDER I
etcd_kill() {
  local pid start
  pid=$(cat "$1/m$2.pid")
  start=$(start_of "$pid") || return 0
  kill -KILL "$pid"
  until_true 20 gone "$pid" "$start"
  rm "$1/m$2.pid"
}
# etcd_remove FOLDER: its members end, also a stopped one
etcd_remove() {
  local file
  for file in "$1"/m*.pid; do [ ! -e "$file" ] || kill -KILL "$(cat "$file")" 2>/dev/null || :; done
  rm -rf "$1"
}

etcd_file_begin() {
  FILE=$(mktemp -d "${TMPDIR:-/tmp}/qf-e.XXXXXX")
  chmod 755 "$FILE"
  mkfifo "$FILE/tick"
  export FILE
  QF=$FILE
  for name in ops other; do ssh-keygen -q -t ed25519 -N '' -C '' -f "$FILE/$name"; done
  etcd_cluster "$FILE/etcd" "$@"
  [ "$1" = 0 ] || until_true 60 etcd_healthy
}
etcd_healthy() { ETCDCTL_ENDPOINTS=127.0.0.1:$(cut -d' ' -f1 "$FILE/etcd/ports") etcdctl put /healthy yes; }
etcd_file_end() {
  [ -n "${FILE:-}" ] || return 0
  etcd_remove "$FILE/etcd"
  rm -rf "$FILE"
}

# hosts COUNT: the first members of the file's cluster, for a URL
hosts() {
  local port list=
  for port in $(cut -d' ' -f "1-$1" "$FILE/etcd/ports"); do list+="${list:+,}127.0.0.1:$port"; done
  echo "$list"
}

# etcd_begin [MEMBERS]: a qf-up without anything, and a prefix in the cluster
etcd_begin() {
  QF=$(mktemp -d "${TMPDIR:-/tmp}/qf-d.XXXXXX")
  chmod 755 "$QF"
  cd "$QF" || return
  mkdir config
  mkfifo tick
  export QF_CONFIG_DIR=$PWD/config QF_STATE_DIR=$PWD/state QF_RUNTIME_DIR=$PWD/run
  members=${1:-3}
  prefix=/qf/$BATS_TEST_NUMBER
  url=etcd://$(hosts "$members")$prefix
  ETCDCTL_ENDPOINTS=$(hosts "$members")
  export ETCDCTL_ENDPOINTS
  signers ops
  up=
}
etcd_end() {
  [ -z "$up" ] || { kill "$up" 2>/dev/null && wait "$up" 2>/dev/null || :; }
  [ -n "${BATS_TEST_COMPLETED:-}" ] || { tail -n 30 log; "$BIN/qf-up" status; } 2>/dev/null || :
  cd / && rm -rf "$QF"
}

# signers NAME…: who may sign
signers() {
  local name
  for name; do echo "$name@test namespaces=\"qufabric-document\" $(cut -d' ' -f1,2 "$FILE/$name.pub")"; done >signers.new
  mv signers.new signers
}
# document SERIAL [JQ-FILTER]: writes new.json
document() { jq ".serial = $1 | ${2:-.}" "$TOP/conf/fabric.example.json" >new.json; }
# sign FILE [KEY]: writes FILE.sig
sign() {
  rm -f "$1.sig"
  ssh-keygen -q -Y sign -n qufabric-document -f "$FILE/${2:-ops}" "$1" 2>/dev/null
}
# publish SERIAL [JQ-FILTER [ARGUMENT…]]
publish() {
  document "$1" "${2:-.}"
  "$BIN/qf-up" publish new.json --document "$url" --document-signers "$PWD/signers" --sign-key "$FILE/ops" "${@:3}"
}
# published SERIAL: for until_true, while members come and go; one whose answer was lost may be there all the same
published() { publish "$1" >>log 2>&1 || [ "$(get fabric.json | jq .serial)" = "$1" ]; }
put() { etcdctl put "$prefix/$1" >/dev/null; }
get() { etcdctl get --print-value-only "$prefix/$1"; }
keys() { etcdctl get --prefix --keys-only "$prefix/" | sed -n "s,^$prefix/,,p"; }
# by_hand FILE [KEY]: this root, signed and put there
by_hand() {
  sign "$1" "${2:-ops}"
  put fabric.json <"$1"
  put fabric.json.sig <"$1.sig"
}

apply() { "$BIN/qf-up" apply --document "$url" --document-signers "$PWD/signers" "$@"; }
start() {
  "$BIN/qf-up" up --document "$url" --document-signers "$PWD/signers" "$@" >>log 2>&1 3>&- 4>&- &
  up=$!
}
stop() { kill "$up" && wait "$up"; up=; }
alarm() { [[ $(status '.source.error // ""') == *"$1"* ]]; }
no_alarm() { [ "$(status '.source.error // "none"')" = none ]; }
# the qf-keyfetch of the running qf-up, and the port of the member that it watches
keyfetch() { pgrep -P "$(pgrep -P "$up" -f -- --follow)" qf-keyfetch; }
watched() { ss -Htnp state established | sed -n "s/.*127.0.0.1:\([0-9]*\) .*pid=$(keyfetch),.*/\1/p" | tail -n 1; }
watches() { [ -n "$(watched)" ]; }
# a document is there, and a qf-up follows it: at $port, which is the $member-th
follow() {
  publish 1
  start
  until_true 60 serial_is 1
  until_true 60 watches
  port=$(watched)
  member=$(tr ' ' '\n' <"$FILE/etcd/ports" | grep -n "^$port$" | cut -d: -f1)
}
