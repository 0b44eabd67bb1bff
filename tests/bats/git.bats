#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# git over ssh with a repository on the peer, on both paths.

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm
  export REPO=$TARGET@server:repo.git
  as "$TARGET" git init -q --bare -b main "$QF/home/$TARGET/repo.git"
  as_client git config --global user.name client
  as_client git config --global user.email client@test.example
  as_client git config --global init.defaultBranch main
}
teardown_file() { fabric_end; }

# git_in FOLDER ARGUMENT…: git as CLIENT, with PATH_TAKEN "tunnel" through the tunnel.
git_in() {
  local folder=$QF/home/$CLIENT/$1
  shift
  as_client GIT_SSH_COMMAND="ssh -F $CONF" ${PATH_TAKEN:+QF_SSH=$PATH_TAKEN} timeout 60 git -C "$folder" "$@"
}
bare() { as "$TARGET" git -C "$QF/home/$TARGET/repo.git" "$@"; }

@test "push and clone: the same commits and the same files on both sides" {
  git_in . init -q work
  # enough for packs of some size, and a file with every byte
  as_client sh -c 'cd ~/work && for i in $(seq 300); do echo "file $i" > "f$i"; done && head -c 3000000 /dev/urandom > binary'
  git_in work add .
  git_in work commit -qm first
  run -0 git_in work push -q "$REPO" main
  [ "$(bare rev-parse main)" = "$(git_in work rev-parse main)" ]
  bare fsck --strict
  run -0 git_in . clone -q "$REPO" copy
  [ "$(git_in copy rev-parse HEAD)" = "$(git_in work rev-parse HEAD)" ]
  diff -r --exclude=.git "$QF/home/$CLIENT/work" "$QF/home/$CLIENT/copy"
}

@test "fetch, branches and tags, and a push that is no fast-forward is refused by git, not by us" {
  git_in copy checkout -qb topic
  git_in copy commit -q --allow-empty -m topic
  git_in copy tag -a v1 -m one
  run -0 git_in copy push -q origin topic v1
  git_in work fetch -q --tags "$REPO" topic
  [ "$(git_in work rev-parse FETCH_HEAD)" = "$(git_in copy rev-parse topic)" ]
  [ "$(git_in work rev-parse v1)" = "$(git_in copy rev-parse v1)" ]
  git_in work commit -q --amend -m other
  run -1 git_in work push "$REPO" main
  [[ $output == *"non-fast-forward"* ]]
}

@test "what a hook prints on the peer reaches the user" {
  as "$TARGET" sh -c 'cd ~/repo.git/hooks && printf "#!/bin/sh\necho said by \$(id -un) >&2\n" > post-receive && chmod +x post-receive'
  git_in copy commit -q --allow-empty -m hooked
  run -0 git_in copy push -q origin topic
  [[ $output == *"remote: said by $TARGET"* ]]
}

@test "the same in the tunnel" {
  PATH_TAKEN=tunnel
  run -0 git_in . clone -q "$REPO" by-tunnel
  git_in by-tunnel commit -q --allow-empty -m tunnelled
  run -0 git_in by-tunnel push -q origin main
  [ "$(bare rev-parse main)" = "$(git_in by-tunnel rev-parse main)" ]
}

@test "a repository that is not there: git's own message and status" {
  run -128 git_in . clone -q "$TARGET@server:none.git" none
  [[ $output == *"does not appear to be a git repository"* ]]
}

@test "a bare clone with a shell that allows git alone" {
  bound=$(add_user g --shell /usr/bin/git-shell)
  as "$TARGET" chmod -R a+rX "$QF/home/$TARGET"
  as_client git config --global --add safe.directory '*'
  run -0 as "$bound" git config --global --add safe.directory '*'
  run -0 git_in . clone -q "$bound@server:$QF/home/$TARGET/repo.git" bound
  run -128 qssh -l "$bound" server id
  [[ $output == *"unrecognized command"* ]]
}
