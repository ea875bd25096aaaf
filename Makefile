# `make` alone prints what there is.

LUA_VERSION ?= 5.4
prefix      ?= /usr/local
BUILD       ?= build
SOAK        ?= 3600

# The go command: one that is new enough, if need be a pinned one that is fetched.
GO     ?= $(shell scripts/need-go)
# Which is new enough: a GOTOOLCHAIN of the user's may name one that is not.
export GOTOOLCHAIN := local
CFLAGS ?= -O2 -g
# For the linker of Go: no symbols. Sanitizers' reports are better with them.
STRIP  ?= -s -w
SO     := $(BUILD)/net/server_go.so
built_for = $(strip $(LUA_VERSION) $(TARGET))
NOLUA  := $(CURDIR)/build/nolua

# What each Lua is called: golua's build tag, and the version in the name of its
# folders (to C modules LuaJIT is a Lua 5.1).
ifeq ($(LUA_VERSION),luajit)
lua_tag := luajit
lua_abi := 5.1
else ifneq ($(filter $(LUA_VERSION),5.4 5.3 5.2 5.1),)
lua_tag := lua$(subst .,,$(LUA_VERSION))
lua_abi := $(LUA_VERSION)
else
$(error LUA_VERSION is $(LUA_VERSION); it must be 5.4, 5.3, 5.2, 5.1 or luajit)
endif

cmoddir := $(prefix)/lib/lua/$(lua_abi)/net

# TARGET is a processor by Debian's name, to build for it on any other. Of each the
# oldest that Debian has: ARMv7 on armhf, and on i386 none with SSE2, without which
# Go would end the process.
ifneq ($(TARGET),)
goarch_armhf   := arm
goarch_i386    := 386
goarch_ppc64el := ppc64le
gnu_amd64      := x86_64-linux-gnu
gnu_arm64      := aarch64-linux-gnu
gnu_armhf      := arm-linux-gnueabihf
gnu_i386       := i686-linux-gnu
gnu_ppc64el    := powerpc64le-linux-gnu
export GOARCH  := $(or $(goarch_$(TARGET)),$(TARGET))
export GOARM   := 7
export GO386   := softfloat
export CC      := $(or $(gnu_$(TARGET)),$(TARGET)-linux-gnu)-gcc
endif

# netgo, osusergo: the standard library's own resolver and user lookup, so that
# no more of libc runs in somebody else's process than must.
tags := netgo,osusergo,$(lua_tag)

# golua bundles Lua's headers, so no liblua*-dev is needed to build. The go
# command is asked where they are only when a recipe wants to know.
golua_dir  = $(shell export GOTOOLCHAIN=local; $(GO) mod download github.com/aarzilli/golua && $(GO) list -m -f '{{.Dir}}' github.com/aarzilli/golua)
cgo_cflags = $(CPPFLAGS) $(CFLAGS) -I$(golua_dir)/lua/lua$(subst .,,$(lua_abi))

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { gsub(/\$$\$$/, "$$"); printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo '  LUA_VERSION=$(LUA_VERSION)   5.4, 5.3, 5.2, 5.1 or luajit'
	@echo '  TARGET=           processor that "so" builds for: amd64, arm64, armhf or i386; else this one'
	@echo '  BUILD=$(BUILD)       where "so" puts the module'
	@echo '  prefix=$(prefix) where "install" puts it, below DESTDIR'
	@echo '  BACKEND=go        what "run" and "soak" run on: go or epoll'
	@echo '  SOAK=3600         how long "soak" takes'

.PHONY: run
run: need-go ## install what is missing, build, run a demo Prosody on loopback, with a page to watch
	@scripts/install-deps build run
	@echo 'building the module; the first time takes a minute'
	@$(MAKE) --silent so
	@exec env BUILD='$(abspath $(BUILD))' demo/run # exec: a signal to make must reach it

.PHONY: compare
compare: need-go ## half a minute: the same Prosody and clients on both backends, a table in words
	@scripts/install-deps build compare
	@$(MAKE) --silent so
	@exec env BUILD='$(abspath $(BUILD))' GO='$(GO)' demo/compare

.PHONY: deps
deps: need-go ## install what "test" needs, saying first what and how much
	@scripts/install-deps build test deb

.PHONY: test
test: ## install what is missing, run every check and test
	@exec test/run

.PHONY: e2e
e2e: so ## each Prosody of Debian (12, 13, the newest 13.0) on both backends, with real clients: tables
	@exec test/e2e/matrix.py

.PHONY: soak
soak: so ## 200 clients come and go for SOAK seconds: does anything grow?
	@BACKEND=$${BACKEND:-go} SOAK=$(SOAK) exec test/e2e/run soak

.PHONY: fuzz
fuzz: need-go ## run each fuzz target for a minute
	@GO='$(GO)' test/fuzz

# A module in another folder is measured as it is.
bench_so = $(if $(filter build,$(BUILD)),$(MAKE) -s so)

.PHONY: bench
bench: need-go ## compare the backends: all cases, BENCH=name only one, BENCH=list names them
	@scripts/install-deps build bench
	@$(bench_so)
	@exec env BUILD='$(abspath $(BUILD))' GO='$(GO)' test/bench/run

.PHONY: bench-prosody
bench-prosody: need-go ## the same with a whole Prosody
	@scripts/install-deps build bench
	@$(bench_so)
	@exec env BUILD='$(abspath $(BUILD))' GO='$(GO)' test/bench/run prosody

.PHONY: bench-publish
bench-publish: ## put the tables of the last bench and bench-prosody into docs/benchmarks.md
	@scripts/install-deps bench
	@exec test/bench/run publish

.PHONY: so
so: need-go $(NOLUA)/libluajit-5.1.so ## build the module, build/net/server_go.so
	@mkdir -p $(BUILD)/net
	@# Into a folder of its own, then moved: two may build at once, and a Prosody
	@# that runs from the old file keeps it, which writing over it would not let.
	dir=$$(mktemp -d $(BUILD)/link.XXXXXX) && trap 'rm -rf $$dir' EXIT && \
	CGO_ENABLED=1 CGO_CFLAGS="$(cgo_cflags)" CGO_LDFLAGS="-L$(NOLUA) -Wl,--as-needed $(LDFLAGS)" \
	$(GO) build -buildmode=c-shared -buildvcs=false -trimpath -tags $(tags) \
		-ldflags "$(STRIP) -buildid= -extldflags '-Wl,--version-script=$(CURDIR)/server_go.map'" \
		-o $$dir/server_go.so . && \
	mv -f $$dir/server_go.so $(SO)
	@echo $(built_for) >$(BUILD)/built-for

.PHONY: so-all
so-all: ## build for each Lua, build/lua5.1/net/server_go.so ... build/luajit/...
	@for version in 5.4 5.3 5.2 5.1 luajit; do \
		$(MAKE) --no-print-directory so LUA_VERSION=$$version \
			BUILD=build/lua$${version#lua} || exit; done

# golua links its Lua by name, but a module must use the Lua that loads it. So
# the linker finds these empty libraries before the real ones.
$(NOLUA)/libluajit-5.1.so:
	@mkdir -p $(NOLUA)
	@for lib in lua5.1 lua5.2 lua5.3 lua5.4 luajit-5.1; do \
		echo '/* empty: the Lua that loads the module has it all */' >$(NOLUA)/lib$$lib.so || exit; done

.PHONY: need-go
need-go: # says what is wrong, where $(shell) would only be empty
	@scripts/need-go >/dev/null

# install takes a module that is up to date as it is: `sudo make install` must
# not need root to have Go.
$(SO): $(filter-out %_test.go,$(wildcard *.go *.c *.h */*.go include/*)) go.mod go.sum server_go.map Makefile
	@$(MAKE) --no-print-directory so
ifneq ($(built_for),$(shell cat $(BUILD)/built-for 2>/dev/null))
.PHONY: $(SO)
endif

.PHONY: install
install: $(SO) ## put the module where that Lua's require finds it
	install -d '$(DESTDIR)$(cmoddir)'
	install -m 644 $(SO) '$(DESTDIR)$(cmoddir)/server_go.so'

.PHONY: uninstall
uninstall: ## take it away again
	rm -f '$(DESTDIR)$(cmoddir)/server_go.so'
	@rmdir '$(DESTDIR)$(cmoddir)' 2>/dev/null || true # Lua's own folders stay

.PHONY: deb
deb: need-go ## build the Debian package in build/deb/
	@scripts/install-deps build deb
	@GO='$(GO)' scripts/deb

.PHONY: dist
dist: need-go ## build module and package for each processor, in build/dist/
	@scripts/install-deps build deb dist
	@GO='$(GO)' scripts/dist

.PHONY: env
env: need-go ## print what go commands by hand need: eval "$$(make -s env)"
	@echo 'export CGO_ENABLED=1$(if $(TARGET), GOARCH=$(GOARCH) GOARM=$(GOARM) GO386=$(GO386) CC=$(CC))'
	@echo 'export CGO_CFLAGS="$(cgo_cflags)"'
	@echo 'export GOFLAGS="$${GOFLAGS-} -buildvcs=false -tags=$(tags)"'

.PHONY: clean
clean: ## remove build/
	rm -rf build
