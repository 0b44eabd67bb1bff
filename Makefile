# SPDX-License-Identifier: Apache-2.0
#
#   make          all programs into build/bin        make check    every test
#   make demo     a fabric on loopback, shown        make bench    ratios against OpenSSH, oidc-agent
#   make lint     format, tidy, man pages, scripts   make asan     unit tests under ASan and UBSan
#   make fuzz     every fuzz target for 20 s         make install  DESTDIR and PREFIX
#   make deb      Debian packages            make dist     the source as a tarball
#   make deps     Debian packages that are missing (run by the others when needed)

# As many jobs as processors unless -j says otherwise (a -j of the command line comes later and wins).
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

BUILD ?= build
PREFIX ?= /usr/local
CXX := g++
VERSION := $(shell cat VERSION)
# V=1 shows whole commands
Q := $(if $(V),,@)
say = $(if $(V),,@echo "$(1)")
ifeq ($(CI),true)
WERROR ?= -Werror
endif
ifdef SANITIZE
HARDENING := -DQF_SANITIZED -fsanitize=$(SANITIZE),fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer
LINK_HARDENING := -fsanitize=$(SANITIZE)
else
HARDENING := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection
LINK_HARDENING := -Wl,-z,relro,-z,now -static-libstdc++ -static-libgcc
endif
# Those left out are false alarms of g++ 12 in std::string itself, heard since its header is precompiled (GCC 105651);
# the sanitizers and the fortified library look for the same.
# subobject-linkage takes a bundle's sources for headers.
QUIET := -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread -Wno-subobject-linkage
WARNINGS := -Wall -Wextra -Wshadow -Wswitch-enum -Wconversion -Wformat=2 $(QUIET) $(WERROR)
CPPFLAGS := -I. -isystem /usr/include/cjson -DQF_VERSION='"$(VERSION)"' -D_GNU_SOURCE
# -O2 takes a tenth more of the compiler's time, for programs that mostly wait for the kernel and for OpenSSL (a package
# sets its own CXXFLAGS). -g1 is enough for a backtrace, and builds in two thirds of the time of -g.
CXXFLAGS ?= -O1 -g1
ALL_CXXFLAGS := -std=c++20 $(CXXFLAGS) -fPIE -ffunction-sections -fdata-sections $(WARNINGS) $(HARDENING)
LDFLAGS_ALL := -pie -Wl,--gc-sections $(LINK_HARDENING) $(LDFLAGS)

# Static where the archive exists and loading costs time on every ssh.
OPTIONS_LIB := -Wl,-Bstatic -lboost_program_options -Wl,-Bdynamic
LMDB_LIB := -Wl,-Bstatic -llmdb -Wl,-Bdynamic
JSON_LIB := -lcjson
QR_LIB := -lqrencode
ZIP_LIB := -lz
CRYPTO_LIB := -lcrypto
SSH_LIB := -lssh
CURL_LIB := -lcurl
SECCOMP_LIB := -lseccomp
# PAM=no builds without Linux-PAM (in a fresh BUILD: objects do not notice the change).
PAM ?= yes
ifneq ($(PAM),no)
CPPFLAGS += -DQF_PAM
PAM_LIB := -lpam
endif

# ---- what each program is made of -------------------------------------------------------------------------------
include programs.mk

BINARIES := $(PROGRAMS:%=$(BUILD)/bin/%)
bundle_objects = $(patsubst %,$(BUILD)/obj/%.o,$(1))
SOURCES := $(sort $(foreach b,$(BUNDLES),$($(b)_SOURCES)) $(foreach p,$(PROGRAMS),$($(p)_MAIN).cc))

.DELETE_ON_ERROR:
.SUFFIXES:
.PRECIOUS: $(BUILD)/bundles/%.cc $(BUILD)/bundles/unit-%.cc
.PHONY: all deps check unit bats lint asan fuzz bench demo clean format
all: $(BINARIES)

# Installs what is missing with apt; a stamp keeps it from asking dpkg each time.
DEPS_STAMP := $(BUILD)/.deps
deps:
	conf/install-deps build
	@mkdir -p $(BUILD) && touch $(DEPS_STAMP)
$(DEPS_STAMP): conf/install-deps
	conf/install-deps build
	@mkdir -p $(BUILD) && touch $@

# The standard library's headers, read once for all files.
STD := $(BUILD)/obj/libqf/precompiled.h
$(STD).gch: libqf/precompiled.h | $(DEPS_STAMP)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) -x c++-header $< -o $@

# How one is compiled; the tests set both differently.
PRECOMPILED = $(STD)
COMPILE = $(ALL_CXXFLAGS)
define compile
@mkdir -p $(@D)
$(call say,CXX $(or $($*_SOURCES),$<))
$(Q)$(CXX) $(CPPFLAGS) $(COMPILE) -include $(PRECOMPILED) -MMD -MP -c $< -o $@
endef

# A bundle's file is written anew when what is in it may have changed: the list, or the folder of the tests.
define write_bundle
@mkdir -p $(@D)
@printf '#include "%s"\n' $($(@:$(BUILD)/bundles/%.cc=%)_SOURCES) > $@
endef
$(BUILD)/bundles/%.cc: programs.mk | $(DEPS_STAMP)
	$(write_bundle)
$(BUILD)/bundles/unit-%.cc: tests/unit | $(DEPS_STAMP)
	$(write_bundle)
$(BUILD)/bundles/hostile.cc: tests/hostile | $(DEPS_STAMP)
	$(write_bundle)

$(BUILD)/obj/%.o: $(BUILD)/bundles/%.cc $(STD).gch
	$(compile)
$(BUILD)/obj/%.o: %.cc $(STD).gch | $(DEPS_STAMP)
	$(compile)

$(BUILD)/libqf.a: $(call bundle_objects,$(LIBQF_BUNDLES))
	@rm -f $@
	$(Q)ar rcs $@ $^

define program
$(BUILD)/bin/$(1): $(call bundle_objects,$($(1)_MAIN) $($(1)_BUNDLES)) $(BUILD)/libqf.a
	@mkdir -p $$(@D)
	$$(call say,LINK $$@)
	$$(Q)$$(CXX) $$(LDFLAGS_ALL) $$(filter %.o,$$^) $(BUILD)/libqf.a $($(1)_LIBS) -o $$@
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

# ---- tests -------------------------------------------------------------------------------------------------------
# The test files themselves are not optimized: they take longer to compile than to run.
TEST_STD := $(BUILD)/obj/tests/unit/precompiled.h
TEST_CXXFLAGS = $(filter-out -O% -D_FORTIFY_SOURCE=2,$(ALL_CXXFLAGS)) -O0
$(TEST_STD).gch: tests/unit/precompiled.h libqf/precompiled.h | $(BUILD)/.deps-test
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CPPFLAGS) $(TEST_CXXFLAGS) -x c++-header $< -o $@

# tests/unit/GROUP_SUBJECT_test.cc, compiled eight at a time (by the pattern that compiles all bundles); one program a
# group, linked with the bundles of that group's programs.
UNIT_BINARIES := $(GROUPS:%=$(BUILD)/tests/unit-%)
$(BUILD)/obj/unit-%.o: PRECOMPILED = $(TEST_STD)
$(BUILD)/obj/unit-%.o: COMPILE = $(TEST_CXXFLAGS)

# $(call test_bundles,GROUP,FILES,NUMBER) defines bundles unit-GROUP-1, -2 and so on.
test_bundles = $(if $(2),$(eval unit-$(1)-$(words $(3))_SOURCES := $(wordlist 1,8,$(2)))$(eval \
    unit-$(1)_BUNDLES += unit-$(1)-$(words $(3)))$(call test_bundles,$(1),$(wordlist 9,999,$(2)),$(3) x))

define unit_group
$(1)_BUNDLES := $(sort $(foreach p,$($(1)_PROGRAMS),$($(p)_BUNDLES)))
$(1)_GROUP_LIBS += $(foreach p,$($(1)_PROGRAMS),$($(p)_LIBS))
$(call test_bundles,$(1),$(sort $(wildcard tests/unit/$(1)_*_test.cc)),x)
$(BUILD)/tests/unit-$(1): $$(call bundle_objects,$$(unit-$(1)_BUNDLES) $$($(1)_BUNDLES)) $(BUILD)/libqf.a
	@mkdir -p $$(@D)
	$$(call say,LINK $$@)
	$$(Q)$$(CXX) $$(LDFLAGS_ALL) $$(filter %.o,$$^) $(BUILD)/libqf.a $$($(1)_GROUP_LIBS) -lgtest -lgtest_main -lpthread -o $$@
endef
$(foreach g,$(GROUPS),$(eval $(call unit_group,$(g))))
$(foreach g,$(GROUPS),$(call bundle_objects,$(unit-$(g)_BUNDLES))): $(TEST_STD).gch

# The server with a net that attacks it (tests/hostile/attack.cc), for tests/bats/hostile_net.bats.
HOSTILE := $(BUILD)/tests/qf-sshd-hostile
hostile_SOURCES := $(sort $(wildcard tests/hostile/*.cc))
HOSTILE_WRAPPED := ssh_message_get ssh_bind_accept_fd sendmsg
$(HOSTILE): $(call bundle_objects,hostile $(qf-sshd_MAIN) $(qf-sshd_BUNDLES)) $(BUILD)/libqf.a
	@mkdir -p $(@D)
	$(call say,LINK $@)
	$(Q)$(CXX) $(LDFLAGS_ALL) $(HOSTILE_WRAPPED:%=-Wl,--wrap=%) $(filter %.o,$^) $(BUILD)/libqf.a $(qf-sshd_LIBS) -o $@

# clang takes its memory from the kernel in steps of 128 KiB; in steps of 64 MiB it needs a fifth less time, clang-tidy a
# third.
LARGE_STEPS := MALLOC_TOP_PAD_=67108864
CLANG := $(LARGE_STEPS) clang++-14
TEST_SOURCES := $(wildcard tests/unit/*.cc tests/fuzz/*.cc tests/bench/*.cc tests/hostile/*.cc)
HEADERS := $(wildcard libqf/*.h qf-*/*.h tests/unit/*.h tests/fuzz/*.h tests/hostile/*.h)
SCRIPTS := $(shell find .ci conf tests -name node_modules -prune -o -type f -print0 | \
  xargs -0 awk 'FNR == 1 && /^.!.*(\/sh|bash)$$/ { print FILENAME } { nextfile }')
BATS_HELPERS := $(wildcard tests/bats/*.bash)
# What is meant so in bats files: commands in single quotes for the other side (2016), words that are split
# (2086), variables of bats and of other files (2034, 2154), changes in a subshell (2030, 2031), a cd that fails the
# test by itself (2164), [ a ] && [ b ] || { say; false; } (2015), ls for names that we gave (2010, 2012), and a
# function with arguments that nobody gives (2119, 2120).
BATS_CUSTOMS := SC2010,SC2012,SC2015,SC2016,SC2030,SC2031,SC2034,SC2086,SC2119,SC2120,SC2154,SC2164

# ---- what a target needs of Debian, one stamp a set; install-deps waits for its turn -----------------------------
$(BUILD)/.deps-%: conf/install-deps
	conf/install-deps $*
	@mkdir -p $(BUILD) && touch $@

# ---- unit tests and bats -----------------------------------------------------------------------------------------
# tests/run runs the programs and the bats files that it is given side by side and prints one line for each.
BATS := $(wildcard tests/bats/*.bats)
RUN := BUILD=$(abspath $(BUILD)) tests/run

.PHONY: check-deps
check-deps: $(BUILD)/.deps-test $(BUILD)/.deps-bench $(BUILD)/.deps-package idp

# All that check compiles.
.PHONY: check-programs
check-programs: all $(UNIT_BINARIES) $(HOSTILE) $(BUILD)/bench/decisions

check: check-programs check-deps
	@$(RUN) $(UNIT_BINARIES) $(BATS)

unit: $(UNIT_BINARIES)
	@$(RUN) $(UNIT_BINARIES)

bats: all $(HOSTILE) $(BUILD)/bench/decisions check-deps
	@$(RUN) $(BATS)

# The OpenID provider of the tests; once, and quickly when it is there.
.PHONY: idp
idp: | $(BUILD)/.deps-test
	@tests/idp/install

# The sanitizers' build is clang's, and ready for libFuzzer: the unit tests and the fuzz targets share its objects. Its
# warnings are g++'s business.
SANITIZED := $(MAKE) BUILD=$(BUILD)/asan CXX='$(CLANG)' SANITIZE=address,undefined CXXFLAGS='-O0 -g1' WARNINGS=-w
asan: $(BUILD)/.deps-test $(BUILD)/.deps-dev
	+$(SANITIZED) unit

# ---- lint --------------------------------------------------------------------------------------------------------
.PHONY: lint-format lint-tidy lint-scripts lint-man
lint: lint-format lint-scripts lint-man lint-tidy

lint-format: $(BUILD)/.deps-dev
	$(call say,clang-format: $(words $(SOURCES) $(TEST_SOURCES) $(HEADERS)) files)
	$(Q)clang-format-14 --dry-run -Werror $(SOURCES) $(TEST_SOURCES) $(HEADERS)

format: $(BUILD)/.deps-dev
	clang-format-14 -i $(SOURCES) $(TEST_SOURCES) $(HEADERS)

lint-scripts: $(BUILD)/.deps-dev
	$(call say,shellcheck: $(words $(SCRIPTS) $(BATS) $(BATS_HELPERS)) files)
	$(Q)shellcheck $(SCRIPTS)
	$(Q)shellcheck --severity=warning --exclude=$(BATS_CUSTOMS) $(BATS) $(BATS_HELPERS)

lint-man: all $(BUILD)/.deps-dev
	mandoc -T lint -W warning $(wildcard man/*.[0-9])
	BUILD=$(BUILD) tests/check_man $(PROGRAMS)

# The analyzer follows at most so many states of a function; most have fewer, and the others took most of the time.
# TIDY_STATES=225000 is its own limit.
TIDY_STATES ?= 10000
# A bundle at once, from a file whose name tells the analyzer that what it includes is the program too, and no header of
# which it looks only at what is called; then each of its sources by itself, without its neighbours, which proves that it
# includes what it uses of ours.
ONE_BY_ONE := $(foreach p,$(PROGRAMS),$($(p)_MAIN))
TIDY := $(patsubst %,$(BUILD)/tidy/%.ok,$(BUNDLES) $(ONE_BY_ONE))
CLANG_READS := -x c++ $(CPPFLAGS) -std=c++20
lint-tidy: $(TIDY)
	@echo "clang-tidy: $(words $(SOURCES)) files"

# A stamp, older than the object when the source or one of its headers has changed.
$(BUILD)/tidy/%.ok: $(BUILD)/obj/%.o .clang-tidy | $(BUILD)/.deps-dev
	@mkdir -p $(@D)
	@$(if $($*_SOURCES),cp $(BUILD)/bundles/$*.cc $(BUILD)/tidy/UnifiedSource-$*.cc)
	@$(LARGE_STEPS) timeout 300 clang-tidy-14 --quiet $(if $($*_SOURCES),$(BUILD)/tidy/UnifiedSource-$*.cc,$*.cc) -- \
	  $(CLANG_READS) -Xclang -analyzer-config -Xclang max-nodes=$(TIDY_STATES) 2>$@.log || \
	  { cat $@.log; echo "clang-tidy: $*" >&2; exit 1; }
	@for source in $($*_SOURCES); do $(CXX) $(CPPFLAGS) $(ALL_CXXFLAGS) -include $(STD) -fsyntax-only $$source || exit 1; done
	@touch $@

# ---- fuzz --------------------------------------------------------------------------------------------------------
# tests/fuzz/NAME_fuzz.cc says in its line "// fuzz-group:" whose bundles and libraries it needs besides libqf's.
FUZZ_SECONDS ?= 20
FUZZ_NAMES := $(patsubst tests/fuzz/%_fuzz.cc,%,$(wildcard tests/fuzz/*_fuzz.cc))
.PHONY: $(FUZZ_NAMES:%=fuzz-%) $(FUZZ_NAMES:%=run-fuzz-%)

define fuzz_target
fuzz_group_$(1) := $(or $(shell sed -n 's,^// fuzz-group: *,,p' tests/fuzz/$(1)_fuzz.cc),libqf)
$(BUILD)/fuzz/$(1): $$(call bundle_objects,$$($$(fuzz_group_$(1))_BUNDLES)) $(BUILD)/obj/tests/fuzz/$(1)_fuzz.o $(BUILD)/libqf.a
	@mkdir -p $$(@D)
	$(call say,LINK $$@)
	$(Q)$$(CXX) -fsanitize=fuzzer,$$(SANITIZE) $$^ $$($$(fuzz_group_$(1))_GROUP_LIBS) -o $$@
run-fuzz-$(1): $(BUILD)/fuzz/$(1)
	@tests/run_fuzz $$< tests/fuzz/corpus/$(1) $(FUZZ_SECONDS)
fuzz-$(1): $(BUILD)/.deps-dev
	+$(SANITIZED) run-fuzz-$(1)
endef
$(foreach n,$(FUZZ_NAMES),$(eval $(call fuzz_target,$(n))))

fuzz: $(BUILD)/.deps-dev
	+$(SANITIZED) $(FUZZ_NAMES:%=run-fuzz-%)

# ---- bench and demo ----------------------------------------------------------------------------------------------
# What only C++ can measure, with Google Benchmark.
DECISIONS := $(BUILD)/bench/decisions
$(BUILD)/obj/tests/bench/decisions.o: | $(BUILD)/.deps-test
$(DECISIONS): $(BUILD)/obj/tests/bench/decisions.o $(BUILD)/libqf.a
	@mkdir -p $(@D)
	$(call say,LINK $@)
	$(Q)$(CXX) $(LDFLAGS_ALL) $^ $(LMDB_LIB) $(JSON_LIB) $(CRYPTO_LIB) -lbenchmark -lpthread -o $@

bench: all $(BUILD)/.deps-bench $(DECISIONS)
	BUILD=$(abspath $(BUILD)) tests/bench/run

demo: all
	BUILD=$(abspath $(BUILD)) conf/demo

# What they do is in install.mk.
install: all
deb: all $(BUILD)/.deps-package
uninstall:
dist:
include install.mk

clean:
	rm -rf $(BUILD)

-include $(wildcard $(BUILD)/obj/*.d $(BUILD)/obj/*/*.d $(BUILD)/obj/*/*/*.d)
