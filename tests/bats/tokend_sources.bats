#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Tokens that something else provides: a file, a command, and what GitHub Actions, GitLab and Kubernetes give to their
# jobs. Their tokens are signed here, with the claims that theirs have; all else is as it is there.

load helpers

setup() { fabric_begin && provider_start && ISSUER_KEYS=$(jq -c '{keys: [.keys[] | del(.d, .p, .q, .dp, .dq, .qi)]}' "$QF/idp/jwks.json"); }
teardown() { fabric_end; }

# workload SHAPE CLIENT [FILTER]: a fabric whose only issuer is that of the shape, with its own key set in the document, and
# whose policy lets its subject be TARGET and nobody else; the server runs.
workload() {
  SHAPE=$1
  fabric_write "$(jq -n -r --argjson shape "$(cat "$IDP/shapes/$1.json")" --argjson client "$2" --argjson keys "$ISSUER_KEYS" \
    --arg name "$1" --arg target "$TARGET" '
    {name: $name, issuer: $shape.iss, audiences: ["https://ssh.fabric.example"], jwks: $keys, accept_bearer: true,
     client: $client} as $issuer | ".issuers = [\($issuer | tojson)]
      | .user_groups = {jobs: [\("\($name):\($shape.sub)" | tojson)]}
      | .policies[0] |= (.access = \"limited\" | .authorized_groups = {jobs: [\($target | tojson)]})"')" "${3:-.}" && server_start
}
# job_token [CLAIMS [HEADER]]: what the CI system gives to this job.
job_token() {
  "$IDP/issue" "$QF/idp" "$(jq -c '.aud = "https://ssh.fabric.example"'"${1:+ | . * $1}" "$IDP/shapes/$SHAPE.json")" "${2:-{\"alg\":\"RS256\"\}}"
}
# in_job COMMAND…: without a terminal, as a job runs.
in_job() { as_client "$@" </dev/null; }

@test "field note 15: a GitHub Actions job logs in with its own identity, as the one user that it may be" {
  workload github '{"flow": "command", "command": ["/bin/sh", "-c",
    "curl -fsS -H \"Authorization: bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN\" \"$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$QF_AUDIENCE\" | jq -er .value"]}' \
    '.issuers[0].required_claims = {repository: "octo-org/octo-repo"}'
  # stands in for the address that a runner gives its job: it wants the job's own secret
  jq -n --arg token "$(job_token)" '{value: $token}' >"$QF/value"
  local port
  background "$QF/runner.log" "$PYTHON" "$TOP/tests/bats/servers/actions_runner.py" "$QF/value"
  until_true 60 test -s "$QF/runner.log"
  port=$(cat "$QF/runner.log")
  job() {
    in_job ACTIONS_ID_TOKEN_REQUEST_TOKEN="$SECRET" ACTIONS_ID_TOKEN_REQUEST_URL="http://127.0.0.1:$port/token?api-version=2.0" \
      timeout 60 ssh -F "$CONF" -l "$1" server 'id -un'
  }
  SECRET=s3cret run -0 job "$TARGET"
  [ "$output" = "$TARGET" ]
  audit_says '.event == "login" and .allowed and .identity == "github:repo:octo-org/octo-repo:ref:refs/heads/main" and .key_bound == false'
  SECRET=s3cret run -255 job "$CLIENT"
  [[ $output == *"No authorization mapping for OS user"* ]]
  as_client "$BIN/qf-token" stop --config-dir "$QF/config" --state-dir "$QF/state"
  SECRET=wrong run -255 job "$TARGET"
  [[ $output == *"the command /bin/sh gives nothing: curl: (22) The requested URL returned error: 401"* ]] || { echo "$output" && false; }
}

@test "a command that is not there, fails, or says too much" {
  workload github '{"flow": "command", "command": ["/no/such/program"]}'
  failing() { run -255 in_job timeout 60 ssh -F "$CONF" -l "$TARGET" server true; }
  failing
  [[ $output == *"the command /no/such/program exited with status 127: "*"/no/such/program: not found"* ]] || { echo "$output" && false; }
  workload_command '["/bin/sh", "-c", "echo first >&2; echo the reason >&2; exit 3"]'
  failing
  [[ $output == *"the command /bin/sh exited with status 3: the reason"*"hint: run"*"by hand"* ]] || { echo "$output" && false; }
  workload_command '["/bin/sh", "-c", "head -c 100000 /dev/zero | tr \"\\0\" x"]'
  failing
  [[ $output == *"gives more than 17408 bytes"* ]] || { echo "$output" && false; }
}
workload_command() { jq --argjson command "$1" '.serial += 1 | .issuers[0].client.command = $command' "$QF/config/fabric.json" >"$QF/config/new" &&
  mv "$QF/config/new" "$QF/config/fabric.json" && "$BIN/qf-up" apply $FOLDERS >&2; }

@test "a job of another repository is refused" {
  workload github "{\"flow\": \"file\", \"file\": \"$QF/token\"}" '.issuers[0].required_claims = {repository: "octo-org/octo-repo"}'
  job_token '{"repository":"octo-org/another"}' >"$QF/token"
  run -255 in_job timeout 60 ssh -F "$CONF" -l "$TARGET" server true
  [[ $output == *"Authentication failed"* ]]
  audit_says '.event == "login" and .allowed == false and ((.refusal + (.reason // "")) | contains("repository"))'
}

@test "a GitLab job: the token is a variable of the job" {
  workload gitlab '{"flow": "command", "command": ["/bin/sh", "-c", "printf %s \"$QUFABRIC_TOKEN\""]}'
  run -0 in_job QUFABRIC_TOKEN="$(job_token)" timeout 60 ssh -F "$CONF" -l "$TARGET" server 'id -un'
  [ "$output" = "$TARGET" ]
  as_client "$BIN/qf-token" stop --config-dir "$QF/config" --state-dir "$QF/state"
  run -255 in_job timeout 60 ssh -F "$CONF" -l "$TARGET" server true
  [[ $output == *"the command /bin/sh gives nothing"* ]]
}

@test "a Kubernetes pod: the projected token is a file that the kubelet replaces" {
  workload kubernetes "{\"flow\": \"file\", \"file\": \"$QF/tokens/qufabric\"}"
  # as the kubelet lays them out: a symlink to a folder that is exchanged as a whole
  mkdir -p "$QF/tokens/..1" "$QF/tokens/..2"
  ln -s ..1 "$QF/tokens/..data" && ln -s ..data/qufabric "$QF/tokens/qufabric"
  local no_type='{"alg":"RS256","typ":null}'
  job_token '{"aud":["https://ssh.fabric.example"],"exp":'$(($(date +%s) + 30))'}' "$no_type" >"$QF/tokens/..1/qufabric"
  run -0 in_job timeout 60 ssh -F "$CONF" -l "$TARGET" server 'id -un'
  [ "$output" = "$TARGET" ]
  job_token '{"aud":["https://ssh.fabric.example"]}' "$no_type" >"$QF/tokens/..2/qufabric"
  ln -sfn ..2 "$QF/tokens/..data"
  # read anew as soon as the first one is of no use any more
  until_true 60 second_token_in_use
  run -0 in_job timeout 60 ssh -F "$CONF" -l "$TARGET" server true
}
second_token_in_use() {
  as_client "$BIN/qf-token" login --config-dir "$QF/config" --state-dir "$QF/state" &&
    [ "$(as_client "$BIN/qf-token" show --config-dir "$QF/config" --state-dir "$QF/state")" = "$(cat "$QF/tokens/..2/qufabric")" ]
}

@test "a file that is not there, empty, no token, or for somebody else: each is named" {
  workload kubernetes "{\"flow\": \"file\", \"file\": \"$QF/token\"}"
  failed_with() {
    run -255 in_job timeout 60 ssh -F "$CONF" -l "$TARGET" server true
    [[ $output == *"$1"* ]] || { echo "$output" && false; }
  }
  failed_with "the token file $QF/token: No such file or directory"
  : >"$QF/token"
  failed_with "the token file $QF/token gives nothing"
  echo "not a token" >"$QF/token"
  failed_with "the token that it gave"
  job_token '{"aud":["somebody-else"]}' >"$QF/token"
  failed_with "the token is for another audience"
  rm "$QF/token" && mkdir "$QF/token"
  failed_with "the token file $QF/token: Is a directory"
  rmdir "$QF/token" && mkfifo "$QF/token"
  failed_with "the token file $QF/token: it is no regular file"
}

@test "a command with a key of its own: a token that is bound by QF_NONCE needs no accept_bearer" {
  cat >"$QF/bound" <<END
#!/bin/sh
exec "$IDP/issue" "$QF/idp" "{\"iss\":\"\$QF_ISSUER\",\"aud\":\"\$QF_AUDIENCE\",\"sub\":\"$(jq -r .sub "$IDP/shapes/gitlab.json")\",\"nonce\":\"\$QF_NONCE\"}" '{"alg":"RS256"}'
END
  chmod 755 "$QF/bound"
  chmod a+r "$QF/idp/jwks.json"
  workload gitlab "{\"flow\": \"command\", \"command\": [\"$QF/bound\"]}" '.issuers[0].accept_bearer = false'
  run -0 in_job timeout 60 ssh -F "$CONF" -l "$TARGET" server 'id -un'
  [ "$output" = "$TARGET" ]
  audit_says '.event == "login" and .allowed and .key_bound'
}

@test "nobody at a terminal, and two issuers: the one that needs nobody" {
  SHAPE=kubernetes
  job_token >"$QF/token"
  fabric_write '.issuers |= reverse' "$(jq -n -r --argjson keys "$ISSUER_KEYS" --arg file "$QF/token" '
    {name: "pods", issuer: "https://kubernetes.default.svc.cluster.local", audiences: ["https://ssh.fabric.example"], jwks: $keys,
     accept_bearer: true, client: {flow: "file", file: $file}} as $issuer |
     ".issuers = [.issuers[0], \($issuer | tojson)] | .peers[0].issuers = [\"corp\", \"pods\"] |
      .user_groups.people = [\"pods:system:serviceaccount:my-namespace:my-serviceaccount\"]"')"
  server_start
  run -0 in_job setsid timeout 60 ssh -F "$CONF" -l "$TARGET" server 'id -un'
  [ "$output" = "$TARGET" ]
}
