#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A login on the way: where the prompt goes, what may happen meanwhile, and what is said when it fails.
# run first

load helpers

setup() { fabric_begin; }
teardown() { fabric_end; }

# A provider that comes first in the document, so that a login needs a person.
with_provider() { provider_start && fabric_write '.issuers |= reverse' "$@" && server_start; }
transcript() {
  SHOWN=$QF/shown
  : >"$SHOWN"
  chown "$CLIENT" "$SHOWN"
}
# in_background STEP… -- COMMAND…: in a terminal; sets PID.
in_background() {
  in_terminal "$SHOWN" "$@" >>"$QF/terminal.log" 2>&1 3>&- 4>&- </dev/null &
  PID=$!
}
shows() { grep -q "$1" "$SHOWN"; }
logins() { jq -s '[.[] | select(.event == "login")] | length' "$AUDIT"; }
runtime() { runtime_of "$CLIENT"; }

# fake_tokend ANSWERS: in place of the real one
fake_tokend() {
  as_client mkdir -p "$(dirname "$(dirname "$(runtime)")")"
  as_client sh -c "umask 077; mkdir -p '$(runtime)'; chmod 700 '$(runtime)'"
  : >"$QF/heard"
  chown "$CLIENT" "$QF/heard"
  background_as "$CLIENT" "$QF/tokend.log" "$PYTHON" "$TOP/tests/bats/servers/tokend.py" \
    "$(runtime)/tokend.sock" "$QF/heard" "$1"
  until_true 60 as_client test -S "$(runtime)/tokend.sock"
}
hostile() {
  background "$QF/fake.log" "$PYTHON" "$TOP/tests/bats/servers/$1.py" "$2" "$ADDRESS" 22022 "$QF/seen"
  until_true 60 listens
}
listens() { ss -Hltn "src $ADDRESS:22022" | grep -q .; }
PROMPT='{"event":"prompt","issuer":"corp","verification_uri":"https://idp.example/device","user_code":"BCDF-GHJK","expires_in":600}'

# ends_with STATUS PID: waits for the end of a process of ours. (`run wait` would not wait: it is a subshell.)
ends_with() {
  local got=0
  wait "$2" || got=$?
  [ "$got" = "$1" ]
}

@test "the first login ever: a prompt in the terminal, then the session; ConnectTimeout does not count the login" {
  with_provider
  transcript
  in_background -- ssh -F "$CONF" -o ConnectTimeout=2 -l "$TARGET" server 'echo in as $(id -un)'
  until_true 60 shows 'to log in at corp, open .* and enter the code '
  [ "$(logins)" = 0 ]
  # longer than ConnectTimeout, and than the patience that sshd would have
  deadline=$((SECONDS + 5))
  while ((SECONDS < deadline)); do kill -0 "$PID" && for_a_while 0.03; done
  approve "$SHOWN"
  ends_with 0 "$PID"
  shows "in as $TARGET"
  shows 'logged in'
  # and with the token at hand the next one asks nothing and goes the direct way
  run -0 --separate-stderr on_peer 'echo again' </dev/null
  [ "$output" = again ]
  run -0 audit_says '.event == "login" and .method == "certificate" and .tunnel == false'
}

@test "where ControlPersist has taken stderr away, the prompt goes to /dev/tty" {
  with_provider
  transcript
  in_background -- ssh -F "$CONF" -o ControlMaster=auto -o ControlPath="$(home_of "$CLIENT")/control-%C" -o ControlPersist=3 \
    -l "$TARGET" server 'echo in as $(id -un)'
  until_true 60 shows 'to log in at corp'
  approve "$SHOWN"
  ends_with 0 "$PID"
  shows "in as $TARGET"
}

@test "a redirected stderr does not hide the prompt" {
  with_provider
  transcript
  : >"$QF/err"
  chown "$CLIENT" "$QF/err"
  in_background stderr="$QF/err" -- ssh -F "$CONF" -l "$TARGET" server 'echo in as $(id -un)'
  approve "$SHOWN"
  ends_with 0 "$PID"
  shows "in as $TARGET"
  run grep -c 'to log in' "$QF/err"
  [ "$output" = 0 ]
}

@test "field note 16: without a terminal it fails at once and names qf-token login" {
  with_provider "$(provider_alone)"
  run -255 as_client setsid -w timeout 60 ssh -F "$CONF" -l "$TARGET" server true </dev/null
  [[ $output == *"there is no terminal to ask at"* ]]
  [[ $output == *"hint: run: qf-token login"* ]]
}

# in_batch COMMAND…: at a terminal, where it could ask; what the terminal showed is in $output
in_batch() {
  run -255 in_terminal "$SHOWN" -- "$@"
  output=$(<"$SHOWN")
}

@test "BatchMode on the command line: nobody is asked, at a terminal either; it fails at once and says so" {
  with_provider "$(provider_alone)"
  transcript
  for option in "-oBatchMode=yes" "-vobatchmode yes"; do
    in_batch ssh -F "$CONF" "$option" -l "$TARGET" server true
    [[ $output == *"server wants a login, and in batch mode nobody is asked"*"hint: run: qf-token login"* ]]
    [[ $output != *"to log in at"* ]]
  done
  in_batch scp -B -F "$CONF" /etc/hostname "$TARGET@server:"
  [[ $output == *"in batch mode nobody is asked"* ]]
  in_batch sftp -b /dev/null -F "$CONF" "$TARGET@server"
  [[ $output == *"in batch mode nobody is asked"* ]]
  [ "$(logins)" = 0 ]
  # somebody else's words are not ssh's
  in_background -- ssh -F "$CONF" -l "$TARGET" server echo -o BatchMode=yes
  approve "$SHOWN"
  ends_with 0 "$PID"
  shows '^-o BatchMode=yes'
}

@test "completion of a remote file name, cold: the person's terminal shows no login; warm, the name" {
  with_provider "$(provider_alone)"
  as_client mkdir -p "$(home_of "$CLIENT")/.ssh"
  echo "Include $CONF" | as_client tee "$(home_of "$CLIENT")/.ssh/config" >/dev/null
  as "$TARGET" touch "$(home_of "$TARGET")/remarkable-name"
  transcript
  shell=(env PS1='ready> ' TERM=dumb bash --noprofile --norc -i)
  complete=(expect='ready> ' send='. /usr/share/bash-completion/bash_completion\r' expect='ready> ' send="scp $TARGET@server:remark\t")
  run -0 in_terminal "$SHOWN" "${complete[@]}" send='\x15echo is $((6 * 7)) over\r' expect='is 42 over' send='exit\r' -- "${shell[@]}"
  [[ $(<"$SHOWN") != *"log in"* && $(<"$SHOWN") != *qf-proxy* ]]
  [ "$(logins)" = 0 ]
  person_login
  run -0 in_terminal "$SHOWN" "${complete[@]}" expect='remarkable-name' send='\x15exit\r' -- "${shell[@]}"
}

# as Ansible runs ssh: no terminal, and ControlPersist has taken stderr away
unheard() {
  run -255 --separate-stderr as_client setsid -w timeout 60 ssh -F "$CONF" -o ControlMaster=auto \
    -o ControlPath="$(home_of "$CLIENT")/unheard-%C" -o ControlPersist=60 "$@" -l "$TARGET" server true </dev/null
}

@test "with ControlPersist and no terminal the reason comes through ssh itself" {
  with_provider "$(provider_alone)"
  # in the tunnel, where the client has the peer's identification line already
  unheard
  [[ $stderr == *"Received disconnect"*"qf-proxy: server wants a login, and there is no terminal to ask at"*"hint: run: qf-token login"* ]]
  # before anything has come of the peer
  server_stop
  unheard -o ProxyCommand="$BIN/qf-proxy --config-dir $QF/config --state-dir $QF/state server 22"
  [[ $stderr == *"Received disconnect"*"qf-proxy: peer server cannot be reached"*"Connection refused"*"hint: server is up, but"* ]]
  # and on the direct path, where the host key is judged
  hostile impostor jwt
  unheard -o ProxyCommand="$BIN/qf-proxy --config-dir $QF/config --state-dir $QF/state server 22" -o StrictHostKeyChecking=no
  [[ $stderr == *"Received disconnect"*"shows a host key that is not in the fabric document"* ]]
}
@test "a daemon that is started on the way holds none of ssh's descriptors" {
  fabric_write
  server_start
  [ ! -S "$(runtime)/tokend.sock" ]
  # the pipe ends only when nobody holds it any more
  run -0 timeout 60 bash -c "$(declare -f as as_words as_client passwd_of qssh on_peer); on_peer 'echo through' </dev/null 2>&1 | cat"
  [ "$output" = through ]
  as_client test -S "$(runtime)/tokend.sock"
  # the process itself, as it says: the one that started it may not be quite gone
  pid=$(token status --json | jq .pid)
  [ "$(cat "/proc/$pid/comm")" = qf-tokend ]
  for fd in 0 1; do [ "$(readlink "/proc/$pid/fd/$fd")" = /dev/null ]; done
}

@test "the host key is checked before anybody is asked for anything" {
  provider_start
  fabric_write '.issuers |= reverse'
  "$BIN/qf-up" apply $FOLDERS --self client --ssh-jwt-cache-ttl 3600 >&2
  hostile impostor jwt
  transcript
  run -255 in_terminal "$SHOWN" -- ssh -F "$CONF" -o StrictHostKeyChecking=no -l "$TARGET" server true
  shows 'shows a host key that is not in the fabric document'
  run grep -c 'to log in' "$SHOWN"
  [ "$output" = 0 ]
  [ "$(knob | jq '.hits["/device/auth"] // 0')" = 0 ]
  run grep -cE 'none|publickey|password' "$QF/seen"
  [ "$output" = 0 ]
}

@test "Ctrl-C at the prompt ends the login" {
  with_provider
  transcript
  in_background 'expect=enter the code' 'send=\x03' -- ssh -F "$CONF" -l "$TARGET" server true
  status=0
  wait "$PID" || status=$?
  [ "$status" != 0 ]
  until_true 60 no_tunnel
}
no_tunnel() { ! pgrep -u "$CLIENT" -x qf-tunnel; }

@test "an ssh that is killed at the prompt leaves no tunnel and no waiting login behind" {
  fabric_write
  server_start
  fake_tokend '{"credential": ['"$PROMPT"', 60]}'
  transcript
  in_background -- ssh -F "$CONF" -l "$TARGET" server true
  until_true 60 shows 'BCDF-GHJK'
  pkill -KILL -u "$CLIENT" -x ssh
  until_true 60 no_tunnel
  wait "$PID" || :
}

@test "control characters of a provider do not reach the terminal" {
  fabric_write
  server_start
  fake_tokend '{"credential": [{"event":"prompt","issuer":"co\u001brp","verification_uri":"https://idp.example/\u001b[2J\u0007","user_code":"A\u009bB\u202eC"},
    {"event":"notice","message":"take\u001b[31m care\nhint: run something"}, {"ok":false,"error":"access_denied","message":"the provider\u001b]0;x said no"}]}'
  transcript
  run -255 in_terminal "$SHOWN" -- ssh -F "$CONF" -l "$TARGET" server true
  shows 'to log in at co?rp, open https://idp.example/?\[2J? and enter the code A?B?C'
  shows 'take?\[31m care'
  shows 'the provider?\]0;x said no'
  run grep -c $'\e' "$SHOWN"
  [ "$output" = 0 ]
  # nor do lines of its own
  run grep -c '^hint: run something' "$SHOWN"
  [ "$output" = 0 ]
}

@test "a login that is denied says so, and ssh exits 255" {
  with_provider
  transcript
  in_background -- ssh -F "$CONF" -l "$TARGET" server true
  until_true 60 user_code "$SHOWN"
  DENY=1 "$IDP/approve" "$ISSUER_URL" "$(user_code "$SHOWN")" alice
  ends_with 255 "$PID"
  shows 'qf-proxy: no credential for server: '
  shows 'hint: '
}

@test "qf-tokend that dies in mid-login: said, 255" {
  fabric_write
  server_start
  fake_tokend '{"credential": ['"$PROMPT"', 1, null]}'
  transcript
  run -255 in_terminal "$SHOWN" -- ssh -F "$CONF" -l "$TARGET" server true
  shows 'qf-tokend went away'
}

@test "who is no user of the fabric gets the reason on the terminal, and ssh exits 255" {
  fabric_write '.user_groups = {people: ["machine:somebody-else"]}'
  server_start
  run -255 on_peer true </dev/null
  [[ $output == *"User is not authorized to access this peer"* ]]
  run -255 as_client QF_SSH=tunnel timeout 60 ssh -F "$CONF" -l "$TARGET" server true </dev/null
  [[ $output == *"User is not authorized to access this peer"* ]]
}

@test "field note 14: twenty cold ssh at once, one login, twenty sessions" {
  with_provider
  transcript
  cat >"$QF/twenty" <<SCRIPT
for i in \$(seq 20); do
  ssh -F "$CONF" -l "$TARGET" server "echo session \$i" </dev/null > "$QF/twenty.\$i" &
done
wait
SCRIPT
  for i in $(seq 20); do : >"$QF/twenty.$i" && chown "$CLIENT" "$QF/twenty.$i"; done
  in_background -- sh "$QF/twenty"
  approve "$SHOWN"
  ends_with 0 "$PID"
  for i in $(seq 20); do [ "$(cat "$QF/twenty.$i")" = "session $i" ]; done
  [ "$(knob | jq '.hits["/device/auth"]')" = 1 ]
}
