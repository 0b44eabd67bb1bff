# SPDX-License-Identifier: Apache-2.0
# What each program is made of. Sources are compiled in bundles: a file that includes up to ten of them is one run of the
# compiler, which then reads each header and makes each template once. That is a third of the work of one run a source.
# So names of a source's own, in its anonymous namespace, differ within a bundle. $(call bundle,NAME,SOURCES) makes one.
define bundle
$(1)_SOURCES := $(2:%=%.cc)
BUNDLES += $(1)
endef

# libqf is an archive with one member a bundle, split by the library that a program must then link as well.
LIBQF_BUNDLES := libqf-system libqf-json libqf-crypto libqf-lmdb libqf-policy libqf-options libqf-http libqf-oauth libqf-login \
    libqf-words
$(eval $(call bundle,libqf-system,$(addprefix libqf/, address base64 child fd folders forward_pattern identification \
    interface listen log metrics parent probe secret server_limits signals systemd terminal text unix_socket wire)))
$(eval $(call bundle,libqf-json,libqf/json libqf/token_state libqf/tokend_client))
$(eval $(call bundle,libqf-crypto,$(addprefix libqf/, audit_line binding certificate crypto jwk jwt)))
$(eval $(call bundle,libqf-lmdb,$(addprefix libqf/, lmdb peers_db policy_db)))
$(eval $(call bundle,libqf-policy,$(addprefix libqf/, authorize explain identity)))
$(eval $(call bundle,libqf-options,libqf/options))
$(eval $(call bundle,libqf-http,libqf/http))
$(eval $(call bundle,libqf-oauth,$(addprefix libqf/, device_flow discovery dpop oauth_client user_keys)))
$(eval $(call bundle,libqf-login,libqf/browser libqf/login_screen))
$(eval $(call bundle,libqf-words,libqf/ssh_words))

$(eval $(call bundle,detect,$(addprefix qf-detect/, ask exclude host_keys match report resolve)))
qf-detect_MAIN := qf-detect/main
qf-detect_BUNDLES := detect
qf-detect_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB)

$(eval $(call bundle,proxy-both,$(addprefix qf-proxy/, batch_mode farewell hostkey_guard non_blocking options peer pump)))
$(eval $(call bundle,proxy-direct,$(addprefix qf-proxy/, busy_poll proxy relay)))
$(eval $(call bundle,proxy-tunnel,$(addprefix qf-proxy/, channel_relay client_watch login outer_session tunnel)))
qf-proxy_MAIN := qf-proxy/main
qf-proxy_BUNDLES := proxy-both proxy-direct
qf-proxy_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB)
qf-tunnel_MAIN := qf-proxy/tunnel_main
qf-tunnel_BUNDLES := proxy-both proxy-tunnel
qf-tunnel_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(QR_LIB) $(SSH_LIB) $(CRYPTO_LIB)

$(eval $(call bundle,tokend-server,$(addprefix qf-tokend/, activation client_connection daemon protocol server startup \
    wiped_memory)))
$(eval $(call bundle,tokend-service,$(addprefix qf-tokend/, detection_cache logins refresh requests revocation token_cache \
    token_service)))
$(eval $(call bundle,tokend-flows,$(addprefix qf-tokend/, browser_flow command_flow connection_owner machine_flow provider_flow \
    redirect_listener)))
$(eval $(call bundle,tokend-tokens,$(addprefix qf-tokend/, credential identity issue_rate keys machine_issuer \
    machine_key)))
$(eval $(call bundle,tokend-commands,qf-tokend/token_commands))
qf-tokend_MAIN := qf-tokend/main
qf-tokend_BUNDLES := tokend-server tokend-service tokend-flows tokend-tokens
qf-tokend_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(CURL_LIB) $(CRYPTO_LIB)
qf-token_MAIN := qf-tokend/token_main
qf-token_BUNDLES := tokend-commands
qf-token_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(QR_LIB)

$(eval $(call bundle,sshd-messages,qf-sshd/memory_file qf-sshd/message_socket))
$(eval $(call bundle,sshd-roles,$(addprefix qf-sshd/, account jail)))
$(eval $(call bundle,sshd-listener,$(addprefix qf-sshd/, admission connection_status host_key key_service listener \
    listener_device_logins listener_link listening_sockets policy_watch server_metrics status_server verify_token warm_up)))
$(eval $(call bundle,sshd-login,$(addprefix qf-sshd/, audit audit_chain authenticate keysets login monitor_device_login \
    monitor_key_sets refusals standing syslog_copy)))
$(eval $(call bundle,sshd-monitor,$(addprefix qf-sshd/, forwarding live_session monitor monitor_nets monitor_sessions orphans roster \
    session_clock signal_sender tally)))
$(eval $(call bundle,sshd-net,$(addprefix qf-sshd/, client_quirks client_variables monitor_client net net_forward net_login \
    net_pump net_read_ahead net_session net_stream net_window x11_cookie)))
$(eval $(call bundle,sshd-session,$(addprefix qf-sshd/, environment_file greeting login_records pam process_limits process_title \
    session user_context user_process)))
$(eval $(call bundle,sshd-keyfetch,$(addprefix qf-sshd/, etcd_gateway keyfetch keyfetch_document keyfetch_etcd keyfetch_jail \
    keyfetch_logins)))
$(eval $(call bundle,sshd-helper,qf-sshd/helper))
qf-sshd_MAIN := qf-sshd/main
qf-sshd_BUNDLES := sshd-messages sshd-roles sshd-listener sshd-login sshd-monitor sshd-net sshd-session
qf-sshd_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(SSH_LIB) $(SECCOMP_LIB) $(CRYPTO_LIB) $(PAM_LIB)
qf-keyfetch_MAIN := qf-sshd/keyfetch_main
qf-keyfetch_BUNDLES := sshd-messages sshd-roles sshd-keyfetch
qf-keyfetch_LIBS := $(OPTIONS_LIB) $(JSON_LIB) $(SECCOMP_LIB) $(CURL_LIB) $(CRYPTO_LIB)
qf-helper_MAIN := qf-sshd/helper_main
qf-helper_BUNDLES := sshd-messages sshd-helper
qf-helper_LIBS :=

$(eval $(call bundle,up-document,$(addprefix qf-up/, compile document document_issuers document_peers \
    document_policies document_root document_tests fabric_tests host_patterns json_place names question schema \
    ssh_config)))
$(eval $(call bundle,up-include,qf-up/ssh_include))
$(eval $(call bundle,up-commands,$(addprefix qf-up/, applied_set apply choices commands etcd_place explain held_sockets \
    instance machine supervise)))
$(eval $(call bundle,up-doctor,$(addprefix qf-up/, doctor doctor_client doctor_issuers doctor_peers doctor_server)))
$(eval $(call bundle,up-redirect,qf-up/network qf-up/redirect qf-up/redirect_rules))
$(eval $(call bundle,up-enroll,qf-up/enroll qf-up/enroll_publish qf-up/host_key))
$(eval $(call bundle,up-reach,$(addprefix qf-up/, diff fabric reach reach_judge reach_pairs reach_people reach_text \
    server_side who)))
$(eval $(call bundle,up-source,$(addprefix qf-up/, document_keys etcd_session expiry_watch fetch_document keyfetch_process \
    publish refresh signature source source_clock source_record)))
$(eval $(call bundle,up-status,$(addprefix qf-up/, live_status metrics peer_probe server_note status status_peers status_tokens \
    text_table watch)))
$(eval $(call bundle,up-audit,$(addprefix qf-up/, audit audit_files audit_show audit_verify)))
qf-up_MAIN := qf-up/main
qf-up_BUNDLES := up-document up-include up-commands up-redirect up-enroll up-reach up-audit up-source up-doctor up-status qufabric-clients sshd-messages
qf-up_LIBS := $(OPTIONS_LIB) $(LMDB_LIB) $(JSON_LIB) $(CURL_LIB) $(CRYPTO_LIB) $(ZIP_LIB)
$(eval $(call bundle,qufabric-clients,qf-up/qufabric_config))
qufabric_MAIN := qf-up/qufabric_main
qufabric_BUNDLES := up-include qufabric-clients
qufabric_LIBS := $(OPTIONS_LIB)

PROGRAMS := qf-detect qf-proxy qf-tunnel qf-tokend qf-token qf-sshd qf-keyfetch qf-helper qf-up qufabric

# What the unit tests of a group, and the fuzz targets that name it, link besides their own files.
GROUPS := libqf detect proxy tokend sshd up
libqf_PROGRAMS :=
libqf_GROUP_LIBS := $(LMDB_LIB) $(JSON_LIB) $(CRYPTO_LIB)
detect_PROGRAMS := qf-detect
proxy_PROGRAMS := qf-proxy qf-tunnel
tokend_PROGRAMS := qf-tokend qf-token
sshd_PROGRAMS := qf-sshd qf-keyfetch qf-helper
up_PROGRAMS := qf-up qufabric
