#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Field note 18: users of LDAP, SSSD and the like, which only an NSS module knows (here libnss-extrausers), log in as
# any other: resolved, with their groups, through PAM and without it.

load helpers
load private_system

setup_file() {
  fabric_begin && private_system && remote_users && fabric_write && private_start --enable-ssh-sftp && warm
}
teardown_file() {
  # not in passwd(5), so that fabric_end does not see them
  for uid in $((REMOTE_UID)) $((REMOTE_UID + 1)); do
    for pid in $(pgrep -U $uid); do kill -KILL "$pid"; done
  done
  fabric_end
}

# Two users and three groups that the machine's own files do not have.
remote_users() {
  REMOTE=qfr$NUMBER
  REMOTE_UID=$((3000000 + NUMBER % 1000000 * 2))
  export REMOTE REMOTE_UID
  sed -i -E 's/^(passwd|group|shadow):.*/\1: files extrausers/' "$SYSTEM/etc/nsswitch.conf"
  printf '%s:x:%s:%s:from elsewhere:%s:/bin/sh\n' \
    "$REMOTE" $REMOTE_UID $REMOTE_UID "$QF/home/$REMOTE" \
    "$REMOTE-old" $((REMOTE_UID + 1)) $REMOTE_UID "$QF/home/$REMOTE" >"$SYSTEM/extrausers/passwd"
  printf '%s:x:%s:%s\n' "$REMOTE" $REMOTE_UID '' "${REMOTE}a" $((REMOTE_UID + 10)) "$REMOTE" \
    "${REMOTE}b" $((REMOTE_UID + 11)) "other,$REMOTE" >"$SYSTEM/extrausers/group"
  printf '%s:!:19000:0:99999:7:::\n%s:!:19000:0:99999:7::19001:\n' "$REMOTE" "$REMOTE-old" >"$SYSTEM/extrausers/shadow"
  mkdir "$QF/home/$REMOTE"
  chown $REMOTE_UID:$REMOTE_UID "$QF/home/$REMOTE"
}
as_remote() { qssh -l "$REMOTE" server "$@"; }

@test "the machine's own files do not know the user, the server's NSS does" {
  run ! getent passwd "$REMOTE"
  run -0 inside getent passwd "$REMOTE"
}

@test "the user logs in: uid, gid, supplementary groups, home folder" {
  run -0 as_remote 'id -un; id -u; id -g; id -G; pwd; touch made; stat -c %U made'
  [ "${lines[0]}" = "$REMOTE" ]
  [ "${lines[1]} ${lines[2]}" = "$REMOTE_UID $REMOTE_UID" ]
  [ "${lines[3]}" = "$REMOTE_UID $((REMOTE_UID + 10)) $((REMOTE_UID + 11))" ]
  [ "${lines[4]}" = "$QF/home/$REMOTE" ]
  [ "${lines[5]}" = "$REMOTE" ]
}

@test "with a terminal, by sftp, and through the tunnel" {
  run -0 qssh -tt -l "$REMOTE" server 'stat -c %U $(tty); who' </dev/null
  [[ ${lines[0]} == "$REMOTE"* ]]
  [[ ${lines[1]} == "$REMOTE "* ]]
  run -0 as_client sftp -q -b - -F "$CONF" "$REMOTE@server" <<<pwd
  [[ $output == *"$QF/home/$REMOTE"* ]]
  run -0 tunnelled -l "$REMOTE" server id -G
  [ "$output" = "$REMOTE_UID $((REMOTE_UID + 10)) $((REMOTE_UID + 11))" ]
}

@test "lastlog holds also a high uid, in a file that stays small on the disk" {
  run -0 inside lastlog -u "$REMOTE"
  [[ ${lines[1]} == "$REMOTE"*127.0.0.1* ]]
  [ "$(du -k "$SYSTEM/log/lastlog" | cut -f1)" -lt 1024 ]
}

@test "a policy for a group of the document maps to such a user" {
  fabric_apply ".policies[0] += {access: \"limited\", authorized_groups: {people: [\"$REMOTE\"]}}"
  run -0 as_remote id -un
  run -255 on_peer id -un
  fabric_apply
}

@test "an account that has expired there is refused" {
  run -255 qssh -l "$REMOTE-old" server true
  [[ $output == *"has expired"* ]]
}

@test "the same without PAM" {
  private_restart --disable-ssh-pam
  run -0 as_remote 'id -un; id -G'
  [ "$output" = "$REMOTE"$'\n'"$REMOTE_UID $((REMOTE_UID + 10)) $((REMOTE_UID + 11))" ]
  run -255 qssh -l "$REMOTE-old" server true
  [[ $output == *"has expired"* ]]
}
