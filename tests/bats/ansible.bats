#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Ansible with 20 forks over three peers, each in a network namespace of its own with a qf-sshd of its own; one fabric
# document for all.
# run first

load helpers

setup_file() {
  fabric_begin
  local i folders
  network
  for i in 1 2 3; do
    mkdir -p "$QF/db$i/config" "$QF/db$i/state" "$QF/db$i/run"
    folders=$(folders_of "$i")
    "$BIN/qf-up" host-key $folders >"$QF/db$i/key"
  done
  fabric_write '.peers = ([1, 2, 3] | map({name: "db\(.)", addresses: ["10.99.\(.).2"], ssh: true, version: "0.61.0", ssh_host_keys: []}))
    + [{name: "client", addresses: ["10.99.1.1", "10.99.2.1", "10.99.3.1"], ssh: false, version: "0.61.0", ssh_host_keys: []}]' \
    '.peer_groups.servers = ["db1", "db2", "db3"]' \
    "$(for i in 1 2 3; do echo ".peers[$((i - 1))].ssh_host_keys = [\"$(cat "$QF/db$i/key")\"] |"; done) ."
  for i in 1 2 3; do
    cp "$QF/config/fabric.json" "$QF/db$i/config/"
    folders=$(folders_of "$i")
    background "$QF/db$i.log" ip netns exec "$(net "$i")" "$BIN/qf-up" --self "db$i" $folders --allow-server-ssh --enable-ssh-sftp
    until_true 60 ip netns exec "$(net c)" bash -c "exec 3<>/dev/tcp/10.99.$i.2/22022 && read -r -t 1 line <&3 && [[ \$line == SSH-* ]]"
  done
  "$BIN/qf-up" apply $FOLDERS --self client --ssh-jwt-cache-ttl 3600 >&2
  warm
  inventory
}
teardown_file() {
  fabric_end
  local each
  for each in 1 2 3 c; do ip netns del "$(net $each)" 2>/dev/null || :; done
}

net() { echo "qf$NUMBER$1"; }
folders_of() { echo "--config-dir $QF/db$1/config --state-dir $QF/db$1/state --runtime-dir $QF/db$1/run"; }
# A cable from the client's namespace to each peer's: 10.99.I.1 and 10.99.I.2.
network() {
  local i
  ip netns add "$(net c)"
  ip -n "$(net c)" link set lo up
  for i in 1 2 3; do
    ip netns add "$(net $i)"
    ip -n "$(net c)" link add "to$i" type veth peer name eth0 netns "$(net $i)"
    ip -n "$(net c)" address add "10.99.$i.1/24" dev "to$i"
    ip -n "$(net $i)" address add "10.99.$i.2/24" dev eth0
    ip -n "$(net c)" link set "to$i" up
    ip -n "$(net $i)" link set eth0 up
    ip -n "$(net $i)" link set lo up
  done
}
# in_net COMMAND…: as CLIENT where the client's cables are.
in_net() {
  as_words "$CLIENT"
  ip netns exec "$(net c)" "${AS[@]}" timeout 300 "$@"
}

# 20 hosts for Ansible, six or seven to a peer, each with a connection of its own.
inventory() {
  local i
  {
    echo '[all:vars]'
    echo "ansible_user=$TARGET"
    echo 'ansible_python_interpreter=/usr/bin/python3'
    echo "ansible_ssh_common_args=-F $CONF"
    echo 'ansible_pipelining=true'
    # until the end of the playbook, also on a busy machine
    echo 'ansible_ssh_args=-o ControlMaster=auto -o ControlPersist=300s'
    echo "ansible_control_path=$QF/home/$CLIENT/{{ inventory_hostname }}"
    echo '[all]'
    for i in $(seq -w 1 20); do echo "host$i ansible_host=db$((10#$i % 3 + 1))"; done
  } >"$QF/inventory"
  cat >"$QF/playbook.yaml" <<'YAML'
- hosts: all
  gather_facts: false
  tasks:
    - name: a file goes over
      ansible.builtin.copy:
        content: "for {{ inventory_hostname }}, it's \"quoted\" $HOME\n"
        dest: "~/{{ inventory_hostname }}"
        mode: "0640"
    - name: a shell of the user's
      ansible.builtin.shell: "cat ~/{{ inventory_hostname }}; id -un; echo $SSH_CONNECTION; exit 3"
      register: said
      failed_when: said.rc != 3
    - name: what it said
      ansible.builtin.assert:
        that:
          - said.stdout_lines[0] == 'for ' + inventory_hostname + ', it\'s "quoted" $HOME'
          - said.stdout_lines[1] == ansible_user
          - said.stdout_lines[2].split()[2] == '10.99.' + ansible_host[2:] + '.2'
YAML
}

@test "a playbook with 20 forks over three peers: every host does every task" {
  run -0 in_net ansible-playbook --forks 20 -i "$QF/inventory" "$QF/playbook.yaml"
  [ "$(grep -cE '^host[0-9]+ +: ok=3 +changed=2 +unreachable=0 +failed=0' <<<"$output")" = 20 ]
  [ "$(ls "$QF/home/$TARGET"/host* | wc -l)" = 20 ]
  [ "$(stat -c '%U %a' "$QF/home/$TARGET/host07")" = "$TARGET 640" ]
  # a connection for each, on the peer that it is for
  [ "$(jq -c 'select(.event == "login" and .allowed)' "$QF/db1/state/audit.log" | wc -l)" -ge 6 ]
  [ "$(jq -c 'select(.event == "login" and .allowed)' "$QF"/db?/state/audit.log | wc -l)" -ge 20 ]
}

@test "a peer that is down fails its hosts alone" {
  ip -n "$(net 2)" link set eth0 down
  # not the connections that the playbook has left open
  run -4 in_net ansible -T 5 -f 20 -i "$QF/inventory" -e ansible_control_path="$QF/home/$CLIENT/other-{{ inventory_hostname }}" -m raw -a 'echo up' -o 'host01,host02,host03'
  ip -n "$(net 2)" link set eth0 up
  [[ $output == *"host01 | UNREACHABLE"* ]]
  [ "$(grep -c 'up' <<<"$(grep -E '^host0[23] \| CHANGED' <<<"$output")")" = 2 ]
}
