#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# make install, uninstall and dist: everything of the project is put where the prefix says, and goes again.

bats_require_minimum_version 1.5.0
TOP=$(cd "$(dirname "$BATS_TEST_FILENAME")/../.." && pwd)
BUILT=$(cd "$TOP" && cd "${BUILD:-build}" && pwd)

setup() { ROOT=$BATS_TEST_TMPDIR/root; }

# make_in PREFIX TARGET [VARIABLE=VALUE]…
make_in() { make -C "$TOP" BUILD="$BUILT" DESTDIR="$ROOT" PREFIX="$1" "${@:2}" >"$BATS_TEST_TMPDIR/make.log" 2>&1 || { cat "$BATS_TEST_TMPDIR/make.log" && false; }; }
installed() { (cd "$ROOT" && find . ! -type d | sed 's,^[.],,' | sort); }

# What has to be there, from what the project has. expected PREFIX UNITS USER-UNITS CONFIG ZSH
expected() {
  local program page
  for program in $(sed -n 's/^PROGRAMS := //p' "$TOP/programs.mk"); do
    case $program in
      qf-tunnel | qf-keyfetch | qf-helper) echo "$1/libexec/qufabric/$program" && continue ;;
      qf-sshd | qf-up) echo "$1/sbin/$program" ;;
      *) echo "$1/bin/$program" ;;
    esac
    echo "$1/share/bash-completion/completions/$program"
    echo "$1/share/fish/vendor_completions.d/$program.fish"
  done
  echo "$5/_qufabric"
  for page in "$TOP"/man/*; do echo "$1/share/man/man${page##*.}/${page##*/}"; done
  ls "$TOP"/conf | grep -E '[.](service|socket)$' | sed "s,^,$2/,"
  ls "$TOP"/conf/user | sed "s,^,$3/,"
  for folder in sysusers.d tmpfiles.d; do ls "$TOP/conf/$folder" | sed "s,^,$4/$folder/,"; done
  ls "$TOP"/conf/pam | sed 's,^,/etc/pam.d/,'
  ls "$TOP"/conf/logrotate.d | sed 's,^,/etc/logrotate.d/,'
  ls "$TOP"/conf/examples | sed "s,^,$1/share/doc/qufabric/examples/,"
  printf '%s\n' "$1"/share/doc/qufabric/{README.md,LICENSE,fabric.example.json}
}

@test "below /usr/local, everything that the project has is installed, and nothing else" {
  make_in /usr/local install
  diff <(expected /usr/local /etc/systemd/system /etc/systemd/user /etc /usr/local/share/zsh/site-functions | sort) <(installed)
  [ -d "$ROOT/etc/qufabric" ]
  # ssh_config is qf-up's business
  [ ! -e "$ROOT/etc/ssh" ]
}

@test "below /usr, units and the like are where packages have them" {
  make_in /usr install
  diff <(expected /usr /usr/lib/systemd/system /usr/lib/systemd/user /usr/lib /usr/share/zsh/vendor-completions | sort) <(installed)
}

@test "any other prefix is in units, pages and completions too, and they name programs that are there" {
  make_in /opt/qf install
  run -1 grep -rIlE '@PREFIX@|/usr/local/' "$ROOT" --exclude=README.md
  grep -q /opt/qf/libexec/qufabric/qf-helper "$ROOT/opt/qf/share/man/man8/qf-helper.8"
  for program in $(grep -rhoE '^Exec[A-Za-z]*=/opt/[^ ]+' "$ROOT/etc/systemd" | cut -d= -f2); do
    [ -x "$ROOT$program" ] || { echo "$program" && false; }
  done
  [ -L "$ROOT/opt/qf/share/fish/vendor_completions.d/qf-up.fish" ]
  for file in $(installed); do [ -s "$ROOT$file" ]; done
  # the programs of this prefix name each other to ssh
  mkdir "$BATS_TEST_TMPDIR/state"
  "$ROOT/opt/qf/sbin/qf-up" check "$TOP/conf/fabric.example.json"
  "$ROOT/opt/qf/sbin/qf-up" apply "$TOP/conf/fabric.example.json" --config-dir "$BATS_TEST_TMPDIR" --state-dir "$BATS_TEST_TMPDIR/state" \
    --ssh-config-file "$BATS_TEST_TMPDIR/ssh_config"
  grep -qF "$ROOT/opt/qf/bin/qf-detect" "$BATS_TEST_TMPDIR/ssh_config"
  grep -qF "$ROOT/opt/qf/bin/qf-proxy" "$BATS_TEST_TMPDIR/ssh_config"
  # and the server's helpers are those of this prefix (qf-tunnel: delivery.bats; qf-helper: packages.bats)
  run strace -f -s 200 -e trace=execve "$ROOT/opt/qf/sbin/qf-sshd" --verify-token --issuer https://127.0.0.1:1/ --audience x <<<eyJhbGciOiJFUzI1NiJ9.e30.AA
  [[ $output == *"execve(\"$ROOT/opt/qf/libexec/qufabric/qf-keyfetch\""* ]] || { echo "$output" && false; }
}

@test "where only the client is installed, qf-up says at once that the server is missing" {
  make_in /opt/qf install
  rm "$ROOT/opt/qf/sbin/qf-sshd"
  cp "$TOP/conf/fabric.example.json" "$BATS_TEST_TMPDIR/fabric.json"
  mkdir "$BATS_TEST_TMPDIR/state" "$BATS_TEST_TMPDIR/run"
  run -78 timeout 60 "$ROOT/opt/qf/sbin/qf-up" --self db1 --allow-server-ssh --config-dir "$BATS_TEST_TMPDIR" \
    --state-dir "$BATS_TEST_TMPDIR/state" --runtime-dir "$BATS_TEST_TMPDIR/run"
  [[ $output == *"qf-up: there is no $ROOT/opt/qf/sbin/qf-sshd, and the SSH server is to run here"* ]]
  [[ $output == *"hint: install it (Debian package qufabric-ssh-server), or run: qf-up --allow-server-ssh=false"* ]]
}

@test "programs can be executed, all else only be read, by everybody" {
  (umask 077 && make_in /usr/local install)
  [ -z "$(find "$ROOT" -type f \( -path '*/*bin/*' -o -path '*/libexec/*' \) ! -perm 755)" ]
  [ -z "$(find "$ROOT" -type f ! -path '*/*bin/*' ! -path '*/libexec/*' ! -perm 644)" ]
  [ -z "$(find "$ROOT/usr" "$ROOT/etc" -type d ! -perm 755)" ]
}

@test "uninstall takes all of it away, and leaves what is not ours" {
  make_in /usr/local install
  : >"$ROOT/usr/local/share/bash-completion/completions/other"
  : >"$ROOT/etc/qufabric/fabric.json"
  make_in /usr/local uninstall
  [ "$(installed)" = "$(printf '%s\n' /etc/qufabric/fabric.json /usr/local/share/bash-completion/completions/other)" ]
  rm "$ROOT/etc/qufabric/fabric.json" "$ROOT/usr/local/share/bash-completion/completions/other"
  # again, which is no error; empty folders that are ours alone go
  make_in /usr/local uninstall
  [ -z "$(find "$ROOT" -path '*qufabric*')" ]
  [ ! -e "$ROOT/usr/local/share/fish/vendor_completions.d" ]
}

@test "make dist: the same commit gives the same bytes, of the source and nothing else, and it compiles" {
  git -C "$TOP" rev-parse HEAD >/dev/null 2>&1 || skip "this tree is no git repository"
  cd "$BATS_TEST_TMPDIR"
  for copy in a b; do git clone -q --no-hardlinks "$TOP" $copy; done
  # what a second machine has otherwise
  find b -path b/.git -prune -o -type f -exec touch -d 2020-02-02 {} +
  mkdir b/build && : >b/build/left-over && : >b/not-committed
  git -C b config tar.umask 0077
  make -C a BUILD=build dist
  (umask 077 && TZ=Pacific/Apia LC_ALL=C.UTF-8 make -C b BUILD=build dist)
  version=$(cat "$TOP/VERSION")
  cmp "a/build/qufabric-ssh-$version.tar.gz" "b/build/qufabric-ssh-$version.tar.gz"
  tar -xzf "a/build/qufabric-ssh-$version.tar.gz"
  diff <(git -C "$TOP" ls-tree -r --name-only HEAD | sort) <(cd "qufabric-ssh-$version" && find . ! -type d | sed 's,^./,,' | sort)
  # every file that the programs here were compiled from is in it, so that make finds nothing missing and nothing newer
  find "qufabric-ssh-$version" -exec touch -d 2020-02-02 {} +
  run -0 make -C "qufabric-ssh-$version" -n BUILD="$BUILT" all
  [[ $output != *g++* ]] || { echo "$output" && false; }
  cd "qufabric-ssh-$version"
  g++ -std=c++20 -I. -D_GNU_SOURCE -fsyntax-only qf-sshd/helper_main.cc -DQF_VERSION='"0"'
}
