# SPDX-License-Identifier: Apache-2.0
# make install and uninstall (DESTDIR, PREFIX), deb (Debian packages), dist (the source as a tarball).
.PHONY: install uninstall deb dist

# The programs look for each other beside themselves and in ../sbin and ../libexec/qufabric.
BIN_PROGRAMS := qf-detect qf-proxy qf-token qf-tokend qufabric
SBIN_PROGRAMS := qf-sshd qf-up
LIBEXEC_PROGRAMS := qf-tunnel qf-keyfetch qf-helper
COMPLETED := $(BIN_PROGRAMS) $(SBIN_PROGRAMS)

# Where Debian looks for what a package brings, and for what a local administrator does.
ifeq ($(PREFIX),/usr)
CONFIG := /usr/lib
SYSTEM_UNIT_FOLDER := /usr/lib/systemd/system
USER_UNIT_FOLDER := /usr/lib/systemd/user
ZSH_FOLDER := /usr/share/zsh/vendor-completions
else
CONFIG := /etc
SYSTEM_UNIT_FOLDER := /etc/systemd/system
USER_UNIT_FOLDER := /etc/systemd/user
ZSH_FOLDER := $(PREFIX)/share/zsh/site-functions
endif
SHARE := $(PREFIX)/share
BASH_FOLDER := $(SHARE)/bash-completion/completions
FISH_FOLDER := $(SHARE)/fish/vendor_completions.d
DOC_FOLDER := $(SHARE)/doc/qufabric

# What is installed, each as MODE:SOURCE:PLACE. $(call put,MODE,FOLDER,FILES)
put = $(foreach f,$(3),$(1):$(f):$(2)/$(notdir $(f)))
INSTALLED := \
  $(call put,755,$(PREFIX)/bin,$(BIN_PROGRAMS:%=$(BUILD)/bin/%)) \
  $(call put,755,$(PREFIX)/sbin,$(SBIN_PROGRAMS:%=$(BUILD)/bin/%)) \
  $(call put,755,$(PREFIX)/libexec/qufabric,$(LIBEXEC_PROGRAMS:%=$(BUILD)/bin/%)) \
  $(foreach s,1 5 7 8,$(call put,644,$(SHARE)/man/man$(s),$(wildcard man/*.$(s)))) \
  $(call put,644,$(BASH_FOLDER),conf/completions/qufabric) \
  $(call put,644,$(ZSH_FOLDER),conf/completions/_qufabric) \
  $(call put,644,$(FISH_FOLDER),conf/completions/qufabric.fish) \
  $(call put,644,$(SYSTEM_UNIT_FOLDER),$(wildcard conf/*.service conf/*.socket)) \
  $(call put,644,$(USER_UNIT_FOLDER),$(wildcard conf/user/*.service conf/user/*.socket)) \
  $(call put,644,$(CONFIG)/sysusers.d,$(wildcard conf/sysusers.d/*.conf)) \
  $(call put,644,$(CONFIG)/tmpfiles.d,$(wildcard conf/tmpfiles.d/*.conf)) \
  $(call put,644,/etc/logrotate.d,$(wildcard conf/logrotate.d/*)) \
  $(call put,644,$(DOC_FOLDER),README.md LICENSE conf/fabric.example.json) \
  $(call put,644,$(DOC_FOLDER)/examples,$(wildcard conf/examples/*.json conf/examples/*.yml))
# libpam looks there whatever the prefix
INSTALLED += $(if $(PAM_LIB),$(call put,644,/etc/pam.d,$(wildcard conf/pam/*)))
# bash and fish look for a file under the name of each command
INSTALLED += $(foreach c,$(filter-out qufabric,$(COMPLETED)),link:qufabric:$(BASH_FOLDER)/$(c) link:qufabric.fish:$(FISH_FOLDER)/$(c).fish)

# The folders of nobody else go as well, those of others when they are empty, the administrator's never.
OWN_FOLDERS := $(PREFIX)/libexec/qufabric $(DOC_FOLDER)/examples $(DOC_FOLDER) $(BASH_FOLDER) $(FISH_FOLDER) $(ZSH_FOLDER) /etc/qufabric

# Programs as they are; texts with their prefix (pages are written for /usr/local).
install:
	@umask 022; for file in $(INSTALLED); do \
	  mode=$${file%%:*}; place=$${file##*:}; from=$${file#*:}; from=$${from%:*}; to='$(DESTDIR)'$$place; \
	  mkdir -p "$${to%/*}" && case $$mode in \
	    link) ln -sfn "$$from" "$$to" ;; \
	    755) install -m 755 "$$from" "$$to" ;; \
	    *) local=@PREFIX@; case $$from in man/*) local=/usr/local ;; esac; \
	      sed "s,$$local/,$(PREFIX)/,g" "$$from" | install -m $$mode /dev/stdin "$$to" ;; \
	  esac || exit; \
	done
	@umask 022; mkdir -p $(DESTDIR)/etc/qufabric
	$(call say,installed below $(DESTDIR)$(PREFIX))

uninstall:
	@for file in $(INSTALLED); do rm -f '$(DESTDIR)'"$${file##*:}" || exit; done
	@for folder in $(OWN_FOLDERS); do rmdir --ignore-fail-on-non-empty '$(DESTDIR)'"$$folder" 2>/dev/null || :; done
	$(call say,uninstalled below $(DESTDIR)$(PREFIX))

# ---- Debian packages ---------------------------------------------------------------------------------------------
# From the programs in BUILD, in BUILD/deb. For Debian's own flags give them, with a folder of their own:
#   make deb BUILD=build/debian CXXFLAGS="$(dpkg-buildflags --get CXXFLAGS)"
# The packaging is conf/debian; its changelog is made here, since the version is in VERSION alone.
DEB_VERSION ?= $(VERSION)
DEB ?= $(BUILD)/deb
DEB_SOURCE := $(DEB)/source
# seconds since 1970: of the commit, or of VERSION where there is no git; what is packed is no newer
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)
deb:
	@rm -rf $(DEB) && mkdir -p $(DEB_SOURCE) && cp -r conf/debian $(DEB_SOURCE)/
	@printf '%s\n\n' 'qufabric-ssh ($(DEB_VERSION)) unstable; urgency=medium' '  * QuFabric SSH $(VERSION).' \
	  " -- $$(sed -n 's/^Maintainer: //p' conf/debian/control)  $$(LC_ALL=C date -R -u -d @$(SOURCE_DATE_EPOCH))" \
	  >$(DEB_SOURCE)/debian/changelog
	+$(Q)cd $(DEB_SOURCE) && QF_SOURCE='$(CURDIR)' QF_BUILD='$(abspath $(BUILD))' dpkg-buildpackage -b -us -uc \
	  $(if $(V),,>../log 2>&1 || { cat ../log >&2; exit 1; })
	@ls $(DEB)/*.deb

# ---- the source as a tarball -------------------------------------------------------------------------------------
# Of the last commit, with its time; the same commit gives the same bytes.
DIST := $(BUILD)/qufabric-ssh-$(VERSION).tar.gz
dist:
	@mkdir -p $(BUILD)
	@git diff --quiet HEAD || echo "make dist: what is not committed is left out" >&2
	$(Q)git -c tar.umask=0022 archive --format=tar --prefix=qufabric-ssh-$(VERSION)/ HEAD | gzip -9n >$(DIST).new
	$(Q)mv $(DIST).new $(DIST)
	@echo $(DIST)
