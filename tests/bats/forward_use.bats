#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Programs that build on forwarded ports: VS Code's remote start. What forwarding itself does is tested elsewhere.

load helpers

setup_file() { fabric_begin && fabric_write && server_start --enable-ssh-local-port-forwarding && warm; }
teardown_file() { fabric_end; }

# says PORT: what a server on the peer answers through the SOCKS proxy.
says() { curl -sS --max-time 10 --socks5-hostname "127.0.0.1:$1" "http://localhost:$2/"; }

# The script of VS Code's Remote-SSH: it is typed into a shell without a terminal, says where the server that it has
# started listens between two marks, and stays. Everything else goes through -D.
start_script() {
  cat <<'SH'
echo "5fcd4a: running"
unset HISTFILE
umask 077
mkdir -p "$HOME/.vscode-server" && cd "$HOME/.vscode-server"
echo answered-on-the-peer > index.html
python3 -u - <<'PY' &
import functools, http.server, os
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
with open("port.new", "w") as out:
    out.write(str(server.server_port))
os.rename("port.new", "port")
server.serve_forever()
PY
while [ ! -s port ]; do sleep 0.05; done
echo "5fcd4a: start"
echo "listeningOn==$(cat port)=="
echo "osReleaseId==$(. /etc/os-release && echo "$ID")=="
echo "5fcd4a: end"
SH
}

vscode() {
  socks=$(free_port)
  mkfifo "$BATS_TEST_TMPDIR/in"
  as_words "$CLIENT"
  "${AS[@]}" ${1:+QF_SSH=$1} timeout 60 ssh -v -T -D "$socks" -o ConnectTimeout=15 -F "$CONF" -l "$TARGET" server bash \
    <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 2>"$QF/vscode.log" 3>&- 4>&- &
  note_process $!
  SSH=$!
  exec 9>"$BATS_TEST_TMPDIR/in"
  start_script >&9
  until_true 60 grep -q '5fcd4a: end' "$BATS_TEST_TMPDIR/out"
  port=$(sed -n 's/^listeningOn==\([0-9]*\)==$/\1/p' "$BATS_TEST_TMPDIR/out")
  until_true 60 listens "$socks"
  # many requests at once, as an editor does
  for i in $(seq 12); do says "$socks" "$port" >"$BATS_TEST_TMPDIR/said$i" & jobs[i]=$!; done
  for i in $(seq 12); do wait "${jobs[i]}"; done
  [ "$(cat "$BATS_TEST_TMPDIR"/said* | grep -cx answered-on-the-peer)" = 12 ]
  # the shell still takes commands, and the end of its input ends it all
  echo 'echo "and $((40+2))"; kill %1; exit 5' >&9
  exec 9>&-
  status=0
  wait "$SSH" || status=$?
  [ "$status" = 5 ]
  grep -qx 'and 42' "$BATS_TEST_TMPDIR/out"
  as "$TARGET" rm -r "$QF/home/$TARGET/.vscode-server"
}

@test "field note 6: VS Code's start: ssh -T -D with a script on stdin, then everything through the port" { vscode; }

@test "the same in the tunnel" { vscode tunnel; }
