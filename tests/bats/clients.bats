#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Clients that are not OpenSSH: through qf-proxy as their proxy command, and with a JWT as password. (paramiko itself is in
# tunnel.bats, proxy_tunnel.bats and credential.bats, git in git.bats.)

load helpers

setup_file() {
  fabric_begin
  mkdir "$QF/mint"
  "$PYTHON" "$TOP/tests/bats/mint.py" keys "$QF/mint"
  write_document && server_start --enable-ssh-sftp && warm
  FINGERPRINT=$(ssh-keygen -lf "$QF/state/ssh_host_ed25519_key.pub" | cut -d' ' -f2)
  PROXY="$BIN/qf-proxy --config-dir $QF/config --state-dir $QF/state"
  export FINGERPRINT PROXY
}
teardown_file() { fabric_end; }

# write_document [JQ-FILTER]: with an issuer of tokens that mint.py makes.
write_document() {
  fabric_write
  jq --slurpfile keys "$QF/mint/jwks.json" '.issuers += [{name: "mint", issuer: "https://mint.invalid/", audiences: ["qufabric"],
    jwks: $keys[0], max_token_age: 600, clock_skew: 60, client: {client_id: "qufabric", flow: "device"}}] |
    .user_groups.people += ["mint:ann"] | '"${1:-.}" "$QF/config/fabric.json" >"$QF/config/fabric.new"
  mv "$QF/config/fabric.new" "$QF/config/fabric.json"
}
putty() {
  local program=$1
  shift
  as_client timeout 60 "$program" -batch -hostkey "$FINGERPRINT" "$@" </dev/null
}
libssh() { as_client timeout 60 "$PYTHON" "$TOP/tests/bats/libssh_client.py" "$@"; }

# ---- with qf-proxy

@test "PuTTY: plink -proxycmd, commands and their status" {
  run -0 --separate-stderr putty plink -proxycmd "$PROXY %host %port" "$TARGET@server" 'id -un; echo $((6 * 7))'
  [ "$output" = "$TARGET"$'\n'42 ]
  run -5 putty plink -proxycmd "$PROXY %host %port" "$TARGET@server.test.example" 'exit 5'
  # (PuTTY asks no proxy for addresses of loopback)
  run -0 putty plink -proxycmd "$PROXY %host %port" -P 22022 "$TARGET@server" true
  audit_says '.event == "login" and .allowed and .method == "tunnel"'
  run -1 putty plink -proxycmd "$PROXY %host %port" root@server true
  [[ $output == *"User is not authorized to login as OS user"* ]]
}

@test "PuTTY: a host key that it does not know ends it" {
  FINGERPRINT=SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
  run -1 putty plink -proxycmd "$PROXY %host %port" "$TARGET@server" true
  [[ $output == *"ost key"* ]]
}

@test "PuTTY: psftp -proxycmd" {
  head -c 300000 /dev/urandom >"$QF/home/$CLIENT/sent"
  printf 'put %s arrived\nget arrived %s\n' "$QF/home/$CLIENT/sent" "$QF/home/$CLIENT/back" >"$QF/batch"
  run -0 putty psftp -b "$QF/batch" -proxycmd "$PROXY %host %port" "$TARGET@server"
  cmp "$QF/home/$CLIENT/sent" "$QF/home/$TARGET/arrived"
  cmp "$QF/home/$CLIENT/sent" "$QF/home/$CLIENT/back"
}

@test "libssh reads our ssh_config file itself: the peer, its host key, the session" {
  run -3 --separate-stderr libssh config "$CONF" server "$TARGET" 'id -un; exit 3'
  [ "$output" = "$TARGET" ]
  run -0 libssh config "$CONF" "$ADDRESS" "$TARGET" id
  # what `qufabric ssh` would give to ssh does for libssh too
  run -0 libssh config "$QF/state/ssh_config" server.test.example "$TARGET" id
}

@test "libssh is told of a refusal, and ends: in the tunnel and without, by the first method and when it goes on" {
  as_client sh -c 'mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/libssh' </dev/null
  for how in config stubborn; do
    run -255 libssh $how "$CONF" server root id </dev/null
    [[ $output == 'User is not authorized to login as OS user: '*' as "root" (root login is not enabled'*"login: Access denied for "* ]] || { echo "$how: $output" && false; }
  done
  echo "[$ADDRESS]:22022 $(host_key)" >"$QF/mint/known_hosts"
  run -255 libssh interactive "$ADDRESS" 22022 "$TARGET" id "$QF/mint/known_hosts" </dev/null
  [[ $output == *"your ssh offered no login token of this fabric"*"hint: run qf-token login"*"login: Access denied"* ]]
}

@test "paramiko is told of a refusal in the tunnel" {
  run -255 as_client timeout 60 "$PYTHON" "$TOP/tests/bats/foreign_login.py" tunnel "$PROXY server 22022" root id
  [[ $output == 'User is not authorized to login as OS user: '*' as "root"'* ]]
}

@test "paramiko's client object, with the pinned host keys, as qf-proxy(1) shows it" {
  run -0 as_client timeout 60 "$PYTHON" -c "import paramiko, sys
client = paramiko.SSHClient()
client.load_host_keys(sys.argv[1])
client.connect('server', username=sys.argv[2], password='', sock=paramiko.ProxyCommand(sys.argv[3]))
print(client.exec_command('id -un')[1].read().decode(), end='')
client.close()" "$QF/state/known_hosts" "$TARGET" "$PROXY server 22"
  [ "$output" = "$TARGET" ]
}

@test "a copy beside another session arrives whole, whenever its client grants more of its window" {
  run -0 as_client timeout 120 "$PYTHON" "$TOP/tests/bats/copies_beside.py" "$TARGET" "$PROXY server 22022" 12000000
  diff <(printf '%s 12000000 0\n' "a tenth" half all little seldomer oftener && echo "still here") - <<<"$output"
}

# ansible_paramiko HOST [ARGUMENT…]
ansible_paramiko() {
  as_client ANSIBLE_HOST_KEY_CHECKING=1 timeout 60 ansible all -c paramiko -i "$1," -e ansible_user="$TARGET" \
    -e "$(jq -n --arg proxy "$PROXY %h %p" '{ansible_ssh_common_args: "-o ProxyCommand=\"\($proxy)\""}')" -e ansible_python_interpreter=/usr/bin/python3 "${@:2}"
}

@test "Ansible's paramiko connection, with a key of the user's and with a password: neither is looked at" {
  as_client sh -c 'mkdir -p -m 700 ~/.ssh && ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519'
  echo "server $(host_key)" | as_client tee "$QF/home/$CLIENT/.ssh/known_hosts" >/dev/null
  run -0 ansible_paramiko server -m command -a 'id -un'
  [[ $output == *"server | CHANGED | rc=0 >>"*"$TARGET"* ]]
  run -0 ansible_paramiko server -e ansible_password=x -m copy -a "content=by-ansible dest=$QF/home/$TARGET/by-ansible"
  [ "$(cat "$QF/home/$TARGET/by-ansible")" = by-ansible ]
  # a host that is not the one it knows
  echo "server $(cut -d' ' -f1,2 "$QF/home/$CLIENT/.ssh/id_ed25519.pub")" | as_client tee "$QF/home/$CLIENT/.ssh/known_hosts" >/dev/null
  run -4 ansible_paramiko server -m command -a true
  [[ $output == *UNREACHABLE* ]]
}

# ---- a JWT as password, without any program of ours

# token [CHANGES]: into $QF/mint/token
token_of() {
  "$PYTHON" "$TOP/tests/bats/mint.py" token "$QF/mint" "${1:-"{}"}" >"$QF/mint/token"
  chmod 644 "$QF/mint/token"
}
plink_password() { putty plink -P 22022 -pwfile "$QF/mint/token" "$TARGET@$ADDRESS" id -un; }
libssh_password() {
  echo "[$ADDRESS]:22022 $(host_key)" >"$QF/mint/known_hosts"
  libssh password "$ADDRESS" 22022 "$TARGET" 'id -un' "$QF/mint/known_hosts" <"$QF/mint/token"
}
paramiko_password() {
  timeout 60 "$PYTHON" "$TOP/tests/bats/foreign_login.py" password "$ADDRESS" "$TARGET" 'id -un' <"$QF/mint/token"
}

@test "a JWT as password: refused with a sentence unless the issuer's bearer tokens are accepted" {
  token_of
  for client in plink libssh paramiko; do
    run "${client}_password"
    echo "$client: $output"
    [ "$status" != 0 ]
    # PuTTY asks first what would do, and passwords would not
    case $client in
      plink) [[ $output == *"your ssh offered no login token of this fabric"*"hint: "*"run qf-token login"*"passwords are not taken here, nor a token as one: no issuer of this peer has "'"accept_bearer": true'* ]] ;;
      *) [[ $output == *"the token is not bound to a key"*'"accept_bearer": true'* ]] ;;
    esac
  done
}

@test "a password that is no token: told what would be one" {
  echo 'correct horse battery staple' >"$QF/mint/token"
  for client in plink libssh paramiko; do
    run "${client}_password"
    echo "$client: $output"
    [ "$status" != 0 ]
    case $client in
      plink) [[ $output == *"passwords are not taken here, nor a token as one"* ]] ;;
      *) [[ $output == *"Authentication failed: the password is no login token of this fabric"*"hint: run qf-token login"* ]] ;;
    esac
  done
}

@test "a JWT as password, once they are: short ones, and 16 KiB; a byte more is refused" {
  write_document '(.issuers[] | select(.name == "mint")).accept_bearer = true' && "$BIN/qf-up" apply $FOLDERS
  for length in 1000 16384; do
    token_of "{\"length\": $length}"
    [ "$(tr -d '\n' <"$QF/mint/token" | wc -c)" = $length ]
    for client in plink libssh paramiko; do
      run "${client}_password"
      echo "$client, $length bytes: $output"
      [ "$status" = 0 ]
      [[ $output == *"$TARGET"* ]]
    done
  done
  token_of '{"length": 16385}'
  for client in plink libssh paramiko; do
    run "${client}_password"
    echo "$client, too long: $output"
    [ "$status" != 0 ]
    [[ $output == *"Authentication failed: the token is longer than 16 KiB"* ]]
  done
  [ "$(jq -s '[.[] | select(.event == "login" and .method == "password" and .allowed)] | length' "$AUDIT")" = 6 ]
}

@test "a JWT as password that is wrong: each client hears in which way, and what to do" {
  token_of '{"claims": {"exp": -100, "iat": -400}}'
  for client in plink libssh paramiko; do
    run "${client}_password"
    echo "$client: $output"
    [ "$status" != 0 ]
    [[ $output == *"Authentication failed: the token has expired"*"hint: run qf-token logout, then qf-token login"* ]]
  done
  echo 'correct horse battery staple' >"$QF/mint/token"
  for client in plink libssh paramiko; do
    run "${client}_password"
    echo "$client: $output"
    [ "$status" != 0 ]
    [[ $output == *"Authentication failed: the password is no login token of this fabric"*"hint: "*"give a token (qf-token show) as the password"* ]]
  done
}
