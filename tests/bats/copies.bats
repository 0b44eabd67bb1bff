#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Whole trees of files, as people copy them: rsync with 10,000 files, scp of folders in both protocols, sftp batches
# that go on where a copy broke off. Small things about single files are in sftp.bats.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start --enable-ssh-sftp && warm
  # names that a shell or a protocol of lines could stumble over, an empty file, modes, a link
  in_home "mkdir -p tree/deep/deeper && cd tree && echo one > deep/deeper/one && echo space > 'a b' && echo quote > \"it's\" &&
    echo umlaut > ü && echo glob > 'st*r' && : > empty && echo run > run && chmod 750 run deep && ln -s run link &&
    head -c 300000 /dev/urandom > deep/large"
}
teardown_file() { fabric_end; }

# in_home COMMAND: a line of shell as CLIENT at home; "ssh" is the generated configuration's.
in_home() { as_client timeout 100 sh -c "cd && ssh=\"ssh -F $CONF\" && $1"; }
# sums FOLDER: of every file below it, names included, in one figure. A link counts as what it leads to: scp follows.
sums() { (cd "$1" && find -L . -type f -print0 | sort -z | xargs -0 cksum | cksum); }
# kinds FOLDER: type, mode and name of everything in it, and where links go
kinds() { (cd "$1" && find . -printf '%y %m %p %l\n' | sort); }
here() { echo "$QF/home/$CLIENT/$1"; }
there() { echo "$QF/home/$TARGET/$1"; }
same_tree() { [ "$(sums "$(here "$1")")" = "$(sums "$(there "$2")")" ]; }

@test "rsync carries 10,000 files there and back, and then finds nothing left to do" {
  in_home "$PYTHON -c '
import os
for i in range(10000):
    folder = f\"many/{i // 250}\"
    if i % 250 == 0:
        os.makedirs(folder)
    with open(f\"{folder}/{i}\", \"w\") as out:
        out.write(f\"file {i}\\n\" * (i % 40))'"
  [ "$(find "$(here many)" -type f | wc -l)" = 10000 ]
  run -0 in_home "rsync -a -e \"\$ssh\" many $TARGET@server:"
  same_tree many many
  [ "$(stat -c %U "$(there many/7/1800)")" = "$TARGET" ]
  run -0 in_home "rsync -a -e \"\$ssh\" $TARGET@server:many back/"
  [ "$(sums "$(here many)")" = "$(sums "$(here back/many)")" ]
  run -0 in_home "rsync -aic -e \"\$ssh\" many $TARGET@server:"
  [ -z "$output" ]
  # what changes is carried, what goes is removed
  run -0 in_home "echo new > many/3/751 && rm many/4/1000 && rsync -ai --delete -e \"\$ssh\" many $TARGET@server:"
  [[ $output == *'<f'*many/3/751* ]]
  same_tree many many
}

@test "rsync with compression, in the tunnel" {
  run -0 in_home "export QF_SSH=tunnel; rsync -az -e \"\$ssh\" tree $TARGET@server:by-tunnel/"
  same_tree tree by-tunnel/tree
  diff <(kinds "$(here tree)") <(kinds "$(there by-tunnel/tree)")
}

# rsync ends its ssh by a signal when the other side has told it, and what that ssh had still to say is lost: with sshd in
# two of a hundred runs, and more where processors are busy.
@test "rsync says it when the other side refuses" {
  for ((i = 0; i < 20; i++)); do
    run -11 in_home "rsync -a -e \"\$ssh\" tree $TARGET@server:/etc/by-rsync"
    [ ! -e /etc/by-rsync ]
    [[ $output != *"Permission denied"* ]] || return 0
  done
  false
}

@test "scp -r copies folders there and back with modes and odd names, in both protocols" {
  for protocol in -s -O; do
    run -0 in_home "scp $protocol -qpr -F '$CONF' tree $TARGET@server:scp$protocol"
    same_tree tree "scp$protocol"
    [ "$(stat -c %a "$(there "scp$protocol/run")")" = 750 ]
    run -0 in_home "scp $protocol -qpr -F '$CONF' $TARGET@server:scp$protocol back$protocol"
    [ "$(sums "$(here tree)")" = "$(sums "$(here "back$protocol")")" ]
  done
}

@test "scp -r in the tunnel, in both protocols" {
  for protocol in -s -O; do
    run -0 in_home "QF_SSH=tunnel scp $protocol -qr -F '$CONF' tree $TARGET@server:tunnel$protocol"
    same_tree tree "tunnel$protocol"
  done
}

@test "scp -3 from one account of the peer to another" {
  other=$(add_user o)
  as "$TARGET" sh -c 'cd && mkdir -p from && echo here > from/one'
  run -0 in_home "scp -3 -qr -F '$CONF' $TARGET@server:from $other@server:to"
  [ "$(cat "$QF/home/$other/to/one")" = here ]
  [ "$(stat -c %U "$QF/home/$other/to/one")" = "$other" ]
}

@test "sftp -b puts and gets 100 files" {
  in_home "mkdir hundred got && cd hundred && seq 100000 > ../numbers && split -n l/100 -a 3 -d ../numbers part"
  in_home "for i in \$(seq -w 0 99); do echo put hundred/part0\$i into/part0\$i; echo get into/part0\$i got/part0\$i; done > batch100"
  run -0 in_home "{ echo mkdir into; cat batch100; } > batch && sftp -q -b batch -F '$CONF' $TARGET@server"
  [ "$(ls "$(there into)" | wc -l)" = 100 ]
  same_tree hundred into
  [ "$(sums "$(here hundred)")" = "$(sums "$(here got)")" ]
}

@test "an sftp batch goes on where a copy broke off: reget and reput" {
  in_home 'head -c 8000000 /dev/urandom > whole && chmod 644 whole'
  # the mark at the start of each part tells that what was there has stayed
  { printf HERE && head -c 8000000 "$(here whole)" | tail -c +5 | head -c 5000003; } | as_client tee "$(here part-here)" >/dev/null
  { printf THERE && head -c 8000000 "$(here whole)" | tail -c +6 | head -c 3000001; } | as "$TARGET" tee "$(there part-there)" >/dev/null
  as "$TARGET" cp "$(here whole)" "$(there whole)"
  run -0 in_home "printf '%s\n' 'reput whole part-there' 'reget whole part-here' > batch && sftp -b batch -F '$CONF' $TARGET@server"
  cmp <(printf HERE && tail -c +5 "$(here whole)") "$(here part-here)"
  cmp <(printf THERE && tail -c +6 "$(here whole)") "$(there part-there)"
}

@test "an sftp copy whose connection is killed leaves a part, and reput completes it" {
  in_home 'head -c 8000000 /dev/urandom > long && echo "put long broken" > batch'
  # 2 MB/s at most, so that there is something to break off
  background_as "$CLIENT" "$QF/sftp.log" env -C "$(here)" sftp -l 16000 -b batch -F "$CONF" "$TARGET@server"
  until_true 60 test -s "$(there broken)"
  pkill -KILL -P "$PID" ssh
  wait "$PID" || :
  until_true 60 no_process_of "$TARGET"
  size=$(stat -c %s "$(there broken)")
  ((size > 0 && size < 8000000))
  run -0 in_home "echo 'reput long broken' | sftp -b - -F '$CONF' $TARGET@server"
  cmp "$(here long)" "$(there broken)"
}

@test "a batch stops at the first line that fails, and goes on after a line with a dash" {
  run -1 in_home "printf '%s\n' 'get no-such-file' 'put tree/run after' | sftp -b - -F '$CONF' $TARGET@server"
  [ ! -e "$(there after)" ]
  run -0 in_home "printf '%s\n' '-get no-such-file' 'put tree/run after' | sftp -b - -F '$CONF' $TARGET@server"
  [ -e "$(there after)" ]
}
