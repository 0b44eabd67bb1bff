# SPDX-License-Identifier: Apache-2.0
# What each program is made of: objects and libraries. libqf is an archive, so a program links only what it uses.

LIBQF_OBJECTS := $(addprefix libqf/, \
    address.o base64.o binding.o certificate.o child.o crypto.o fd.o folders.o forward_pattern.o http.o identification.o json.o \
    jwk.o jwt.o lmdb.o log.o options.o parent.o peers_db.o policy_db.o secret.o server_limits.o systemd.o text.o terminal.o tokend_client.o \
    unix_socket.o wire.o)

qf-detect_OBJECTS := $(addprefix qf-detect/, main.o ask.o exclude.o host_keys.o match.o probe.o report.o resolve.o)
qf-detect_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB)

qf-proxy_OBJECTS := $(addprefix qf-proxy/, main.o farewell.o hostkey_guard.o non_blocking.o options.o peer.o proxy.o \
    pump.o relay.o)
qf-proxy_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB)

qf-tunnel_OBJECTS := $(addprefix qf-proxy/, tunnel_main.o channel_relay.o client_watch.o farewell.o hostkey_guard.o login.o \
    non_blocking.o options.o outer_session.o peer.o pump.o tunnel.o)
qf-tunnel_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(SSH_LIB) $(CRYPTO_LIB)

qf-tokend_OBJECTS := $(addprefix qf-tokend/, \
    client_connection.o credential.o daemon.o detection_cache.o device_flow.o discovery.o identity.o keys.o logins.o \
    machine_flow.o machine_issuer.o main.o protocol.o requests.o server.o startup.o token_cache.o token_service.o)
qf-tokend_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(CURL_LIB) $(CRYPTO_LIB)

qf-token_OBJECTS := $(addprefix qf-tokend/, token_commands.o token_main.o)
qf-token_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB)

qf-sshd_OBJECTS := $(addprefix qf-sshd/, \
    account.o admission.o audit.o authenticate.o authorize.o client_variables.o connection_status.o environment_file.o \
    forwarding.o greeting.o host_key.o jail.o key_service.o keysets.o listener.o listener_link.o listening_sockets.o \
    live_session.o login.o login_records.o main.o memory_file.o message_socket.o monitor.o monitor_client.o \
    monitor_key_sets.o net.o net_forward.o net_login.o \
    net_pump.o net_session.o net_stream.o pam.o process_limits.o process_title.o refusals.o roster.o session.o \
    signal_sender.o status_server.o user_context.o user_process.o warm_up.o x11_cookie.o)
qf-sshd_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(SSH_LIB) $(SECCOMP_LIB) $(CRYPTO_LIB) $(PAM_LIB)

qf-keyfetch_OBJECTS := $(addprefix qf-sshd/, account.o jail.o keyfetch.o keyfetch_jail.o keyfetch_main.o \
    memory_file.o message_socket.o)
qf-keyfetch_LIBS := $(OPTIONS_LIB) $(JSON_LIB) $(SECCOMP_LIB) $(CURL_LIB) $(CRYPTO_LIB)

qf-helper_OBJECTS := $(addprefix qf-sshd/, helper.o helper_main.o message_socket.o)
qf-helper_LIBS :=

qf-up_OBJECTS := $(addprefix qf-up/, main.o apply.o choices.o commands.o compile.o document.o document_issuers.o \
    document_peers.o document_policies.o host_patterns.o instance.o json_place.o live_status.o machine.o names.o \
    schema.o ssh_config.o staged_file.o status.o supervise.o)
qf-up_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(CRYPTO_LIB)

qufabric_OBJECTS := $(addprefix qf-up/, qufabric_main.o)
qufabric_LIBS := $(OPTIONS_LIB)

# What the unit tests of a group link besides the test files (main files are left out by the rule).
libqf_UNIT_OBJECTS :=
libqf_UNIT_LIBS := $(LMDB_LIB) $(JSON_LIB) $(CRYPTO_LIB)
detect_UNIT_OBJECTS := $(qf-detect_OBJECTS)
detect_UNIT_LIBS := $(qf-detect_LIBS)
proxy_UNIT_OBJECTS := $(sort $(qf-proxy_OBJECTS) $(qf-tunnel_OBJECTS))
proxy_UNIT_LIBS := $(qf-tunnel_LIBS)
tokend_UNIT_OBJECTS := $(sort $(qf-tokend_OBJECTS) $(qf-token_OBJECTS))
tokend_UNIT_LIBS := $(qf-tokend_LIBS)
sshd_UNIT_OBJECTS := $(sort $(qf-sshd_OBJECTS) $(qf-keyfetch_OBJECTS) $(qf-helper_OBJECTS))
sshd_UNIT_LIBS := $(qf-sshd_LIBS) $(CURL_LIB)
up_UNIT_OBJECTS := $(sort $(qf-up_OBJECTS) $(qufabric_OBJECTS))
up_UNIT_LIBS := $(qf-up_LIBS)
