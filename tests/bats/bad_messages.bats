#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Messages that are malformed, out of order or a lie, at every stage of a connection (RFC 4251 to 4254, and what
# OpenSSH's own regress tests try): the connection ends, or the one request is refused and the connection goes on.
# Nobody else is harmed and no process stays. What each case sends: raw_before_login.py and raw_after_login.py.
# run first

load helpers

setup_file() {
  fabric_begin && fabric_write && server_start && warm
  export CONTROL=$QF/home/$CLIENT/bystander
  as_client ssh -F "$CONF" -o ControlMaster=yes -o ControlPath="$CONTROL" -o ControlPersist=600 -l "$TARGET" -fN server 3>&- 4>&-
  PROCESSES=$(descendants "$(qf_up)" | wc -l)
  export PROCESSES
}
teardown_file() { fabric_end; }

# Somebody else's connection still works, nothing was run that must not have been, and what the case has started is gone.
teardown() {
  run -0 as_client timeout 60 ssh -F "$CONF" -S "$CONTROL" -l "$TARGET" server echo unharmed
  [ "$output" = unharmed ]
  [ ! -e "$QF/home/$TARGET/stolen" ]
  until_true 60 no_more_processes
}
no_more_processes() { [ "$(descendants "$(qf_up)" | wc -l)" -le "$PROCESSES" ] && [ -z "$(pids_of_user "$TARGET")" ]; }

# It may run out, and be removed, between the login and the copy.
take_credential() {
  on_peer true && cp "$(home_of "$CLIENT")/.qufabric/ssh/server-cert.pub" "$QF/subject-cert.pub" &&
    cp "$(home_of "$CLIENT")/.qufabric/ssh/subject" "$QF/subject"
}
# client CASE: sets SAID to what the case says, and PORT to where it came from. A certificate lives for five minutes.
client() {
  if [ -z "$(find "$QF/subject" -mmin -2 2>/dev/null)" ]; then
    until_true 60 take_credential
  fi
  run -0 timeout 60 "$PYTHON" "$TOP/tests/bats/raw_client.py" "$ADDRESS" "$TARGET" "$QF/subject" "$1"
  PORT=${lines[0]#port }
  SAID=$(tail -n +2 <<<"$output")
}

# ends CASE…: each ends the connection, and the audit log says why.
ends() {
  local each
  for each in "$@"; do
    client "$each"
    [[ $SAID == *"ended: "* ]] || { echo "$each: $SAID" && false; }
    until_true 60 says_why || { echo "$each: no reason in the audit log" && false; }
  done
}
says_why() { audit_says ".event == \"violation\" and .port == $PORT and (.reason | length) > 0"; }
# leaves CASE…: the client itself ends it; nothing to blame anybody for.
leaves() {
  local each
  for each in "$@"; do
    client "$each"
    [[ $SAID == "ended: "* ]] || { echo "$each: $SAID" && false; }
  done
}
# goes_on CASE [WORDS]: the connection goes on, and before that the case has said these words.
goes_on() {
  client "$1"
  [ "$SAID" = "${2:+$2$'\n'}goes on" ] || { echo "$1: $SAID" && false; }
}
# harmless CASE…: either of the two; what is asked for is not granted.
harmless() {
  local each
  for each in "$@"; do
    client "$each"
    [[ $SAID =~ ^((refused|no answer|cat goes on)$'\n')*(goes on|ended: .*)$ ]] || { echo "$each: $SAID" && false; }
  done
}

@test "no identification, an endless one, one of SSH 1" {
  ends hello_no_identification hello_endless_line hello_version_1
}

@test "key exchange: garbage, cut short, a length beyond the packet, nothing in common, twice" {
  ends plain_kexinit_of_noise plain_kexinit_truncated plain_kexinit_list_beyond_packet plain_kexinit_nothing_in_common plain_kexinit_twice
}

@test "packets of length 0, 1 and 2^31 - 1 and 2^32 - 1, and padding longer than the packet" {
  ends plain_length_0 plain_length_1 plain_length_huge plain_length_all_ones plain_padding_longer_than_packet
}

@test "key exchange out of order, with a public key too short or of small order" {
  ends plain_newkeys_without_exchange plain_exchange_without_kexinit plain_public_key_short plain_public_key_all_zero
}

@test "services, logins and channels before there are keys" {
  ends plain_service_request_early plain_auth_request_early plain_channel_open_early
}

@test "a client that leaves in the middle of the key exchange" {
  leaves plain_disconnect_mid_exchange plain_end_mid_exchange
}

@test "packets whose length is a lie or whose MAC is wrong, once there are keys" {
  ends keys_length_0 keys_length_huge keys_padding_longer_than_packet keys_mac_wrong login_length_huge login_mac_wrong
}

@test "services that do not exist, or that nobody may have yet" {
  ends keys_service_unknown keys_service_connection
}

@test "a login before its service was asked for" { ends keys_auth_without_service; }

@test "channels, requests and answers before anybody is logged in" {
  ends keys_channel_open keys_global_request keys_channel_request keys_auth_success keys_info_response
}

@test "a login after a login: nothing comes of it" { harmless login_auth_again login_service_again; }

@test "key exchange messages out of order after login, and a new exchange of garbage" {
  ends login_newkeys_unasked login_exchange_unasked login_kexinit_of_noise login_data_while_rekeying
}

@test "what only a server says, after login" { ends login_server_messages; }

@test "a packet size of 0 for a channel: nothing comes of it, and nothing spins" { harmless login_open_packet_size_0; }

# libssh hands commands over as C strings; what is behind the NUL (teardown looks for it) must not run
@test "a command with a NUL in it ends there" { goes_on login_exec_with_nul granted; }

@test "a message of an unknown number is answered as unimplemented, before and after login" {
  goes_on keys_unknown_message unimplemented
  goes_on login_unknown_message unimplemented
  nine=$(printf 'unimplemented\n%.0s' 1 2 3 4 5 6 7 8 9)
  goes_on login_unknown_messages_of_all_ranges "$nine"
}

@test "login requests that are cut short, endless, of unknown methods and services, or signed for elsewhere" {
  harmless keys_auth_truncated keys_auth_string_beyond_packet keys_auth_method_unknown keys_auth_service_unknown keys_user_of_64_kib \
    keys_user_with_nul keys_signature_of_other_session
}

@test "IGNORE and DEBUG, whole, and nothing at all in a packet" {
  goes_on login_ignore_and_debug
  harmless login_ignore_truncated login_empty_payload
}

@test "a rekeying that the client begins is nothing wrong" {
  goes_on login_rekey
}

@test "a global request that nobody knows is refused, and not answered when no answer is wanted" {
  goes_on login_global_unknown refused
  goes_on login_global_unknown_no_reply 'no answer'
  harmless login_global_truncated
}

@test "channels of unknown types are refused; 1,000 of them harm nobody" {
  client login_open_unknown_type
  # 3 is the code for it, 1 what libssh says for all
  grep -qxE 'channel 1 refused: [13]' <<<"$SAID"
  [[ $SAID == *"goes on" ]]
  goes_on login_open_1000 '64 open, 936 refused'
  harmless login_open_truncated login_open_direct_truncated
}

@test "messages for a channel that does not exist" {
  harmless login_data_on_no_channel login_extended_on_no_channel login_window_on_no_channel login_eof_on_no_channel \
    login_close_on_no_channel login_request_on_no_channel
}

@test "answers to what the server has never asked" {
  harmless login_confirmation_unasked login_open_failure_unasked login_answers_unasked
}

@test "a client that says goodbye, in one piece or not" {
  leaves login_disconnect login_disconnect_truncated
}

@test "1,000 environment variables: as many as there is room for, and never those of the loader" {
  goes_on login_env_flood $'8 granted\n8 arrived'
  client login_env_forbidden
  [[ $SAID != *True* ]]
  [[ $SAID == *"nothing arrived"*"goes on" ]]
}

@test "a command that is cut short, endless or of 200 kB is not run" {
  harmless login_exec_truncated login_exec_string_beyond_packet
  goes_on login_exec_of_200_kb refused
}

@test "channel requests that nobody knows, or in the wrong order" {
  goes_on login_request_unknown refused
  goes_on login_subsystem_unknown
  harmless login_window_change_without_terminal login_terminal_of_noise
  goes_on login_terminal_name_with_control refused
}

@test "a channel runs one thing: a second command, shell, terminal or variable is refused, and the first goes on" {
  for what in second_exec second_shell terminal_late env_late; do
    goes_on "session_$what" $'refused\ncat goes on'
  done
}

@test "signals that do not exist, and what only a server says" {
  goes_on session_signal_unknown 'cat goes on'
  goes_on session_exit_status 'cat goes on'
  goes_on session_extended_data 'cat goes on'
}

@test "windows: more than 2^32 - 1, data beyond it, data longer than its packet" {
  harmless session_window_overflow session_data_beyond_window session_data_longer_than_said
}

@test "the end of a channel twice, and data, requests and an end after it" {
  goes_on session_data_after_eof 'nothing arrived'
  goes_on session_eof_twice
  harmless session_close_twice session_after_close
}
