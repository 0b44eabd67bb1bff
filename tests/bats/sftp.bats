#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Files: sftp and scp, in both of its protocols.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start --enable-ssh-sftp && warm
  as_client sh -c "head -c 3000000 /dev/urandom > '$QF/home/$CLIENT/file'; mkdir -p '$QF/home/$CLIENT/tree/deep'
    echo one > '$QF/home/$CLIENT/tree/deep/one'; echo 'with space' > '$QF/home/$CLIENT/tree/a b'"
}
teardown_file() { fabric_end; }

in_home() { as_client sh -c "cd '$QF/home/$CLIENT' && $1"; }
same() { cmp "$QF/home/$CLIENT/$1" "$QF/home/$TARGET/$2"; }

@test "sftp puts, gets, lists and removes" {
  cat >"$QF/home/$CLIENT/batch" <<'SFTP'
put file there
ls -l
rename there there2
get there2 back
chmod 600 there2
SFTP
  run -0 in_home "sftp -b batch -F '$CONF' $TARGET@server"
  same file there2
  cmp "$QF/home/$CLIENT/file" "$QF/home/$CLIENT/back"
  [ "$(stat -c '%U %a' "$QF/home/$TARGET/there2")" = "$TARGET 600" ]
}

@test "scp copies there and back, folders too (SFTP protocol)" {
  run -0 in_home "scp -q -F '$CONF' file $TARGET@server:by-scp && scp -q -F '$CONF' -r tree $TARGET@server:"
  same file by-scp
  same 'tree/a b' 'tree/a b'
  same tree/deep/one tree/deep/one
  run -0 in_home "scp -q -F '$CONF' $TARGET@server:by-scp again && cmp file again"
}

@test "scp -O copies there and back (its old protocol, which needs no sftp)" {
  run -0 in_home "scp -O -q -F '$CONF' file $TARGET@server:by-old-scp && scp -O -q -F '$CONF' -r tree $TARGET@server:old-tree"
  same file by-old-scp
  same tree/deep/one old-tree/deep/one
}

@test "sftp through the tunnel" {
  run -0 as_client env -C "$QF/home/$CLIENT" QF_SSH=tunnel sh -c "scp -q -F '$CONF' file $TARGET@server:by-tunnel"
  same file by-tunnel
}

@test "sftp runs as the user, with the user's rights" {
  run ! in_home "scp -q -F '$CONF' file $TARGET@server:/etc/by-scp"
  [[ $output == *"Permission denied"* ]]
  [ ! -e /etc/by-scp ]
}

@test "a copy that fails says so in its exit code" {
  run ! in_home "scp -q -F '$CONF' $TARGET@server:no-such-file ."
  [[ $output == *"No such file"* ]]
}

@test "sftp disabled: said with the way out, exit 255, in the audit log; scp -O goes on" {
  server_restart --enable-ssh-sftp=false
  run -255 in_home "sftp -F '$CONF' $TARGET@server </dev/null"
  [[ $output == *"SFTP subsystem not available"* ]]
  [[ $output == *"hint:"*"--enable-ssh-sftp"* ]]
  audit_says '(.reason // "") | test("SFTP subsystem not available")'
  run -255 in_home "scp -q -F '$CONF' file $TARGET@server:no"
  [ ! -e "$QF/home/$TARGET/no" ]
  run -0 in_home "scp -O -q -F '$CONF' file $TARGET@server:yes"
}

@test "an account whose login shell is nologin has no sftp either" {
  closed=$(add_user n --shell /usr/sbin/nologin)
  run ! in_home "echo ls | sftp -b - -F '$CONF' $closed@server"
  run ! in_home "scp -q -F '$CONF' file $closed@server:there"
  [ ! -e "$QF/home/$closed/there" ]
}
