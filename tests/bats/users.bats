#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Whom a session runs as, and what happens when that user is not as it should be.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm
}
teardown_file() { fabric_end; }

@test "the session has the user's uid, gid and groups, and nothing of the server's" {
  groupadd "qfg$NUMBER"
  usermod -a -G "qfg$NUMBER" "$TARGET"
  run -0 on_peer 'id; grep -E "^(Uid|Gid|Groups|NoNewPrivs|Seccomp|CapEff):" /proc/self/status; ls /proc/self/fd'
  expected=$(runuser -u "$TARGET" -- id)
  groupdel "qfg$NUMBER"
  [ "${lines[0]}" = "$expected" ]
  uid=$(id -u "$TARGET") gid=$(id -g "$TARGET")
  [[ $output == *"Uid:"$'\t'"$uid"$'\t'"$uid"$'\t'"$uid"$'\t'"$uid"* ]]
  [[ $output == *"Gid:"$'\t'"$gid"$'\t'"$gid"$'\t'"$gid"$'\t'"$gid"* ]]
  [[ $output == *"CapEff:"$'\t'"0000000000000000"* ]]
  # the jail of net is not the session's
  [[ $output == *"NoNewPrivs:"$'\t'"0"* ]]
  [[ $output == *"Seccomp:"$'\t'"0"* ]]
  # ls itself has 3 open
  [ "$(tail -n 4 <<<"$output" | tr '\n' ' ')" = "0 1 2 3 " ]
}

@test "limits, mask and signals are as a login has them" {
  run -0 on_peer 'umask; ulimit -c; trap; kill -0 $$; grep -E "^Sig(Blk|Ign)" /proc/self/status; ulimit -n'
  [ "${lines[0]}" = 0022 ]
  [[ $output == *"SigBlk:"$'\t'"0000000000000000"* ]]
  # 32 and 33 are glibc's own: nobody can set them back when whoever started the test has ignored them
  [ $((0x$(sed -n 's/^SigIgn:\t//p' <<<"$output") & ~0x180000000)) = 0 ]
  [ "${lines[-1]}" = "$(ulimit -Sn)" ] || { echo "$output, here $(ulimit -Sn)" && false; }
}

@test "two users on one server are two users" {
  other=$(add_user o)
  run -0 qssh -l "$other" server id -un
  [ "$output" = "$other" ]
  as "$TARGET" sh -c 'umask 77; echo mine > ~/secret'
  run -1 qssh -l "$other" server "cat '$QF/home/$TARGET/secret'"
  [[ $output == *"Permission denied"* ]]
}

@test "an OS user that does not exist: said, exit 255, in the audit log" {
  run -255 qssh -l nobody-such server true
  [[ $output == *'OS user "nobody-such" does not exist'* ]]
  audit_says '.event == "login" and .allowed == false and .os_user == "nobody-such" and (.refusal | test("does not exist"))'
}

@test "an account that has expired: said, exit 255, in the audit log" {
  user=$(add_user e --expiredate 2001-01-01 2>/dev/null)
  run -255 qssh -l "$user" server true
  [[ $output == *'the account of OS user "'"$user"'" has expired'* ]]
  audit_says ".os_user == \"$user\" and .allowed == false and (.refusal | test(\"expired\"))"
}

@test "a login shell that is missing: said, exit 255, in the audit log" {
  user=$(add_user s --shell /no/such/shell 2>/dev/null)
  run -255 qssh -l "$user" server true
  [[ $output == *'login shell "/no/such/shell" of OS user "'"$user"'" does not exist'* ]]
  audit_says ".os_user == \"$user\" and .allowed == false and (.refusal | test(\"login shell\"))"
}

@test "a user without a login: the shell nologin says so" {
  user=$(add_user n --shell /usr/sbin/nologin)
  run -1 qssh -l "$user" server true
  [[ $output == *"not available"* ]]
}

@test "a home folder that is missing: said on stderr, the session starts in /" {
  user=$(add_user h)
  rm -rf "${QF:?}/home/$user"
  run -0 --separate-stderr qssh -l "$user" server pwd
  [ "$output" = / ]
  [[ $stderr == *"home folder"*"No such file"* ]]
}

@test "a home folder that the user may not enter: the same" {
  user=$(add_user f)
  chown root:root "$QF/home/$user"
  chmod 700 "$QF/home/$user"
  run -0 --separate-stderr qssh -l "$user" server pwd
  [ "$output" = / ]
  [[ $stderr == *"home folder"*"Permission denied"* ]]
}

@test "an account with a locked password logs in: the identity is the token's" {
  user=$(add_user l)
  passwd -l "$user" >/dev/null
  run -0 qssh -l "$user" server id -un
  [ "$output" = "$user" ]
}

@test "the user of the tunnel is nobody's name" {
  run -255 qssh -l qufabric-tunnel server true
  [[ $output == *"this login carries a tunnel and nothing else"*"hint:"* ]]
}

@test "root is refused unless --enable-ssh-root: said, exit 255, in the audit log" {
  run -255 qssh -l root server true
  [[ $output == *"User is not authorized to login as OS user"*"--enable-ssh-root"* ]]
  audit_says '.os_user == "root" and .allowed == false'
}

@test "field note 18: a uid-0 account by another name is root, and is refused like it" {
  user=$(add_user z --non-unique --uid 0)
  run -255 qssh -l "$user" server id -u
  [[ $output == *"User is not authorized to login as OS user"*"--enable-ssh-root"* ]]
  audit_says ".os_user == \"$user\" and .allowed == false"
}

@test "with --enable-ssh-root root logs in, where the policy lets it" {
  server_restart --enable-ssh-root
  run -0 qssh -l root server 'id -u; echo $HOME'
  [ "$output" = $'0\n'"$(home_of root)" ]
  fabric_apply '.policies[0] += {access: "limited", authorized_groups: {people: [$target]}}'
  run -255 qssh -l root server true
  [[ $output == *"No authorization mapping for OS user"* ]]
}

@test "field note 17: without /usr/bin/login and su, and with a locked root, root and others log in" {
  server_stop
  # useradd of another test replaces /etc/shadow, so all of /etc is this test's own
  flock "${TMPDIR:-/tmp}" cp -a /etc "$QF/etc"
  sed -i 's/^root:[^:]*:/root:!*:/' "$QF/etc/shadow"
  : >"$QF/nothing"
  # in mounts of its own these files are not there, or not programs
  cat >"$QF/without-login" <<'SH'
#!/bin/sh
set -e
for program in /usr/bin/login /bin/login /usr/bin/su /bin/su /usr/sbin/runuser /sbin/runuser /usr/bin/setpriv; do
  if [ -e "$program" ]; then mount --bind "$1/nothing" "$program"; fi
done
mount --bind "$1/etc" /etc
shift
exec "$@"
SH
  fabric_write
  server_start_by unshare --mount sh "$QF/without-login" "$QF" "$BIN/qf-up" $FOLDERS
  run -0 qssh -l root server 'id -u; test -x /usr/bin/login || echo no-login; grep -c "^root:!" /etc/shadow'
  [ "$output" = $'0\nno-login\n1' ]
  run -0 on_peer id -un
  [ "$output" = "$TARGET" ]
  run -0 in_terminal "$QF/shown$BATS_TEST_NUMBER" 'expect=[$] ' 'send=exit 0\r' -- ssh -F "$CONF" -l "$TARGET" server
}
