#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A peer by every name that people call it: its own, with the fabric's domain, its addresses, the aliases of a user's own
# configuration, in whatever case, with and without a port; on both paths, and its host key is known under each.

load helpers

setup_file() {
  fabric_begin && fabric_write ".peers[0].addresses = [\"$ADDRESS\", \"fd00:77::68\"]" && server_start --enable-ssh-sftp && warm
  OWN=$QF/home/$CLIENT/config
  export OWN
  own 'Host db' 'HostName server' 'Host db-long' 'HostName server.test.example' 'Host db-four' "HostName $ADDRESS" \
    'Host db-six' 'HostName fd00:77::68' 'Host DB-LOUD' 'HostName SERVER.Test.Example' 'Host db-jump' 'HostName elsewhere.invalid'
}
teardown_file() { fabric_end; }

# own LINE…: a configuration of the user's with these lines, ours at its end
own() { printf '%s\n' "$@" 'Match all' "Include $CONF" | as_client tee "$OWN" >/dev/null; }
by_name() { as_client ${PATH_TAKEN:+QF_SSH=$PATH_TAKEN} timeout 60 ssh -F "$OWN" -l "$TARGET" "$@" </dev/null; }
last_login() { [ "$(audit -s '[.[] | select(.event == "login")][-1] | [.allowed, .method]')" = "[true,\"$1\"]" ]; }
# reached_by ARGUMENT…: on both paths, without a word about the host's key
reached_by() {
  local way
  for way in certificate tunnel; do
    PATH_TAKEN=${way#certificate}
    run --separate-stderr by_name "$@" "id -un"
    echo "$* ($way): $output $stderr"
    [ "$output$stderr" = "$TARGET" ]
    last_login $way
  done
}
# taken HOST [ARGUMENT…]: ssh -G gives our block for it, and says nothing
taken() {
  run -0 --separate-stderr by_name -TG "${@:2}" "$1"
  echo "$1: $stderr"
  [ -z "$stderr" ]
  [[ $output == *$'\n'"proxycommand $BIN/qf-proxy "* ]]
  [[ $output == *$'\n'"globalknownhostsfile $QF/state/known_hosts"$'\n'* ]]
}

@test "the short name, in any case" {
  for name in server Server SERVER; do
    taken $name
    reached_by $name
  done
}

@test "with the fabric's domain, in any case" {
  for name in server.test.example SERVER.Test.EXAMPLE; do
    taken $name
    reached_by $name
  done
}

@test "by its addresses, IPv4 and IPv6" {
  for name in "$ADDRESS" fd00:77::68 FD00:77::68 fD00:77::68; do
    taken "$name"
    reached_by "$name"
  done
}

@test "aliases of the user's to the name, the long name, both addresses, and in capitals" {
  for name in db db-long db-four db-six DB-LOUD; do
    taken "$name"
    reached_by "$name"
  done
}

@test "an alias that adds the domain (HostName %h.test.example)" {
  cp "$OWN" "$OWN.before"
  own 'Host *' 'HostName %h.test.example'
  taken server
  reached_by server
  cp "$OWN.before" "$OWN"
}

@test "ports that are the peer's: 22 and 22022, on the command line and in a URI" {
  for port in 22 22022; do
    taken server -p $port
    reached_by -p $port server
    reached_by "ssh://$TARGET@server.test.example:$port"
  done
}

@test "a port that is not the peer's, and names that are no peer's, get nothing of ours" {
  run -0 --separate-stderr by_name -TG -p 2222 server
  [[ $output == *$'\n'"port 2222"$'\n'* && $output != *qf-proxy* && $output != *"$QF/state"* ]]
  # to ssh a dot at the end makes another name, in Host lines as among the known hosts
  for name in server.test.example. server. server.other.example db-jump test.example xserver server2; do
    run -0 --separate-stderr by_name -TG "$name"
    [[ $output != *qf-proxy* && $output != *"$QF/state"* ]]
  done
}

@test "scp and sftp take the same names" {
  echo content >"$QF/home/$CLIENT/file"
  for name in SERVER server.test.example "[fd00:77::68]" db-four; do
    for PATH_TAKEN in '' tunnel; do
      rm -f "$QF/home/$TARGET/"arrived*
      run as_client ${PATH_TAKEN:+QF_SSH=$PATH_TAKEN} timeout 60 scp -q -F "$OWN" "$QF/home/$CLIENT/file" "$TARGET@$name:arrived"
      echo "$name: $output"
      [ -z "$output" ]
      cmp "$QF/home/$CLIENT/file" "$QF/home/$TARGET/arrived"
    done
  done
  run -0 as_client timeout 60 sftp -q -F "$OWN" -b - "$TARGET@db" <<<"put $QF/home/$CLIENT/file arrived-too"
  cmp "$QF/home/$CLIENT/file" "$QF/home/$TARGET/arrived-too"
}
