# Alchemist. `make help` lists the targets; HACKING.md says how to work on it.
#   O=dir  where output goes (build)      V=1  show commands       SAN=address,undefined  sanitizers
#   PREFIX=/usr/local  DESTDIR=           CC=gcc|clang             CFLAGS=-O3 -g
O ?= build
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
CC := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
CFLAGS ?= -O3 -g
PYTHON ?= python3
VERSION := $(shell cat VERSION)
SO := 0
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(patsubst $(O)/%,%,$@)';)

PKGS := libprotobuf-c libuv jansson openssl
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
WARN := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wvla
DEFS := -D_GNU_SOURCE -DALCH_VERSION='"$(VERSION)"'
INCS := -Iinclude -Ilib -I$(O)/gen $(shell pkg-config --cflags $(PKGS))
ALL_CFLAGS = -std=gnu11 -pthread -fPIC -fno-semantic-interposition -MMD -MP $(WARN) $(DEFS) $(INCS) $(CFLAGS) $(SANFLAGS)
MPICC := MPICH_CC=$(CC) mpicc.mpich
LDLIBS := $(shell pkg-config --libs $(PKGS)) -lscalapack-mpich -lopenblas -lm

# The folders define the build: make compiles every .c file of an area, with MPI's wrapper in the areas that need MPI.
CLIENT_AREAS := base wire net layout pack client
SERVER_AREAS := agent driver daemon store dataserver
MPI_AREAS := pluginhost scalapack worker
src = $(foreach a,$(1),$(sort $(wildcard lib/$(a)/*.c)))
obj = $(patsubst %.c,$(O)/obj/%.o,$(1))
PB_OBJ := $(O)/obj/lib/wire/alchemist.pb-c.o
CLIENT_OBJ := $(call obj,$(call src,$(CLIENT_AREAS))) $(PB_OBJ)
MPI_OBJ := $(call obj,$(call src,$(MPI_AREAS)))
PROGRAM_OBJ := $(call obj,$(wildcard lib/interpose/*.c))
LIB_OBJ := $(CLIENT_OBJ) $(call obj,$(call src,$(SERVER_AREAS))) $(MPI_OBJ)
PLUGINS := $(patsubst plugins/%/,%,$(sort $(wildcard plugins/*/)))
PLUGIN_SO := $(foreach p,$(PLUGINS),$(O)/plugins/$(p).so)
LIBRARY_MAN := $(foreach p,$(filter-out hello testlib,$(PLUGINS)),$(O)/man/alchemist-$(p).7)

LIB := $(O)/lib/libalchemist.so
CLIENT := $(O)/lib/libalchemist-client.so
DAEMON := $(O)/bin/alchemistd
LIB_A := $(O)/obj/libalchemist-test.a

# Without its built-in rules, make does not search for sources of files that have no rule here.
MAKEFLAGS += -rR
.SUFFIXES:

.PHONY: all help clean install python demo test test-sanitized fuzz fuzz-run bench bench-transfer test-large format
.DEFAULT_GOAL := all
all: $(LIB) $(CLIENT) $(DAEMON) $(PLUGIN_SO) $(LIBRARY_MAN) ## build everything

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s'|'

# Stamps: if the flags change, make compiles everything again; if the list of files changes, it links again.
FLAGS_NOW := $(CC) $(ALL_CFLAGS)
$(O)/flags: force
	@mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@
$(O)/files: force
	@mkdir -p $(@D); echo '$(LIB_OBJ) $(PROGRAM_OBJ)' | cmp -s - $@ || echo '$(LIB_OBJ) $(PROGRAM_OBJ)' > $@
# Only one object contains the directory of installed plugins, so after a change of PREFIX make compiles only that one.
$(O)/libdir: force
	@mkdir -p $(@D); echo '$(LIBDIR)' | cmp -s - $@ || echo '$(LIBDIR)' > $@
$(O)/obj/lib/daemon/options.o: $(O)/libdir
$(O)/obj/lib/daemon/options.o: DEFS += -DALCH_PLUGINDIR='"$(LIBDIR)/alchemist/plugins"'
.PHONY: force

PB_H := $(O)/gen/wire/alchemist.pb-c.h
$(PB_H) $(PB_H:.h=.c) &: lib/wire/alchemist.proto
	$(call say,PROTOC)mkdir -p $(O)/gen/wire && protoc-c --proto_path=lib/wire --c_out=$(O)/gen/wire $<
$(PB_OBJ): $(PB_H:.h=.c) $(O)/flags
	$(call say,CC)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -w -c $< -o $@

$(MPI_OBJ) $(PROGRAM_OBJ): COMPILER = $(MPICC)
COMPILER = $(CC)
$(O)/obj/%.o: %.c $(PB_H) $(O)/flags
	$(call say,CC)mkdir -p $(@D) && $(COMPILER) $(ALL_CFLAGS) -c $< -o $@

LINK = -shared -Wl,-Bsymbolic-functions $(SANFLAGS) -pthread -Wl,-soname,$(notdir $@).$(SO) -Wl,--version-script=lib/libalchemist.map $(if $(SAN),,-Wl,-z,defs)
$(LIB): $(LIB_OBJ) $(O)/files lib/libalchemist.map
	$(call say,LINK)mkdir -p $(@D) && $(MPICC) $(LINK) -o $@ $(LIB_OBJ) $(LDLIBS) && ln -sf $(@F) $@.$(SO)
# The client library needs no MPI and no BLAS. It contains protobuf-c and OpenSSL and hides their symbols. It links
# jansson dynamically, because Debian's archive of jansson is not position-independent.
$(CLIENT): $(CLIENT_OBJ) $(O)/files lib/libalchemist.map
	$(call say,LINK)mkdir -p $(@D) && $(CC) $(LINK) -Wl,-Bsymbolic -Wl,--exclude-libs,ALL -o $@ $(CLIENT_OBJ) \
	  -Wl,-Bstatic -lprotobuf-c -lssl -lcrypto -Wl,-Bdynamic -ljansson && ln -sf $(@F) $@.$(SO)
# PROGRAM_OBJ replaces functions of the MPI and BLAS libraries. It is linked into programs only, never into a library, and
# -rdynamic makes its symbols visible to libscalapack.
$(DAEMON): $(O)/obj/bin/alchemistd.o $(PROGRAM_OBJ) $(LIB)
	$(call say,LINK)mkdir -p $(@D) && $(MPICC) $(SANFLAGS) -pthread -rdynamic -o $@ $(O)/obj/bin/alchemistd.o $(PROGRAM_OBJ) \
	  -L$(O)/lib -lalchemist -Wl,-rpath,'$$ORIGIN/../lib' -Wl,-rpath-link,$(O)/lib
$(LIB_A): $(LIB_OBJ) $(O)/files
	$(call say,AR)rm -f $@ && ar rcs $@ $(LIB_OBJ)

# Each folder in plugins/ is a library. Its own flags, if it has any, are in NAME.cflags and NAME.libs, which the shell
# reads. chmod: workers refuse a library that other users may write, and the umask may allow that.
.SECONDEXPANSION:
$(O)/plugins/%.so: $$(wildcard plugins/$$*/*.c plugins/$$*/*.h plugins/$$*/*.cflags plugins/$$*/*.libs) $$(wildcard include/alchemist/*.h) $(O)/flags
	$(call say,PLUGIN)mkdir -p $(@D) && $(MPICC) -std=gnu11 -fPIC -shared -fvisibility=hidden $(WARN) -Iinclude $(CFLAGS) $(SANFLAGS) \
	  $(if $(wildcard plugins/$*/$*.cflags),$(shell cat plugins/$*/$*.cflags 2>/dev/null)) \
	  -o $@ $(wildcard plugins/$*/*.c) $(if $(wildcard plugins/$*/$*.libs),$(shell cat plugins/$*/$*.libs 2>/dev/null)) && chmod o-w $@

# The manual page of a library is generated from the description that the library contains.
$(O)/man/library-man: man/library-man.c include/alchemist/plugin.h $(O)/flags
	$(call say,CC)mkdir -p $(@D) && $(MPICC) -std=gnu11 $(WARN) -Iinclude $(CFLAGS) $(SANFLAGS) -o $@ $< -ldl
$(O)/man/alchemist-%.7: $(O)/plugins/%.so $(O)/man/library-man $$(wildcard plugins/$$*/about.man) VERSION
	$(call say,MAN)ASAN_OPTIONS=detect_leaks=0 $(O)/man/library-man $< $(VERSION) $(wildcard plugins/$*/about.man) > $@.new && mv $@.new $@

# ---- Python: a virtual environment of Debian's interpreter, for the packages with pinned versions ----
VENV := $(O)/venv
VPY := $(VENV)/bin/python
python: $(VENV)/stamp ## create the virtual environment of the Python binding
$(VENV)/stamp: $(wildcard bindings/python/requirements*.txt)
	$(call say,VENV)$(PYTHON) -m venv $(VENV) && $(VPY) -m pip install -q --disable-pip-version-check \
	  $(foreach r,$(wildcard bindings/python/requirements*.txt),-r $(r)) && \
	  echo '$(CURDIR)/bindings/python' > "$$($(VPY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/alchemist.pth" && touch $@
# Programs that run from the build tree find the libraries and the daemon by these variables.
RUN_ENV = ALCHEMIST_LIBRARY=$(abspath $(CLIENT)) ALCHEMIST_DAEMON=$(abspath $(DAEMON)) ALCHEMIST_BUILD=$(abspath $(O))

demo: all python ## run the demo: Figure 3 of the paper, then an SVD of Fashion-MNIST
	$(Q)mkdir -p $(O)/demo && $(RUN_ENV) $(VPY) bindings/python/examples/demo.py $(O)/demo

# ---- tests ----
UNIT := $(patsubst %.c,$(O)/%,$(sort $(wildcard test/unit/test_*.c)))
MPITEST := $(patsubst %.c,$(O)/%,$(sort $(wildcard test/mpi/test_*.c)))
FUZZ := $(patsubst %.c,$(O)/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
BENCH_BIN := $(patsubst %.c,$(O)/%,$(sort $(wildcard test/bench/bench_*.c)))
TESTPLUGIN_SO := $(foreach p,$(sort $(wildcard test/plugins/*/)),$(O)/test/plugins/$(notdir $(patsubst %/,%,$(p))).so)
TESTLIBS := $(LDLIBS)

$(UNIT): $(O)/test/unit/%: $(O)/obj/test/unit/%.o $(O)/obj/test/unit/main-%.o $(LIB_A)
	$(call say,TEST)mkdir -p $(@D) && $(MPICC) $(SANFLAGS) -pthread -o $@ $(filter %.o,$^) $(LIB_A) $(TESTLIBS) $$(pkg-config --libs check)
$(O)/obj/test/unit/main-%.o: test/unit/main.c $(O)/flags
	$(Q)mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) -DALCHI_TEST_NAME='"$*"' -c $< -o $@
$(MPITEST): $(O)/test/mpi/%: $(O)/obj/test/mpi/%.o $(PROGRAM_OBJ) $(LIB_A)
	$(call say,TEST)mkdir -p $(@D) && $(MPICC) $(SANFLAGS) -pthread -rdynamic -o $@ $(filter %.o,$^) $(LIB_A) $(TESTLIBS)
$(FUZZ): $(O)/test/fuzz/%: $(O)/obj/test/fuzz/%.o $(O)/obj/test/fuzz/replay.o $(LIB_A)
	$(call say,TEST)mkdir -p $(@D) && $(MPICC) $(SANFLAGS) -pthread -o $@ $(filter %.o,$^) $(LIB_A) $(TESTLIBS)
$(BENCH_BIN): $(O)/test/bench/%: $(O)/obj/test/bench/%.o $(LIB_A)
	$(call say,BENCH)mkdir -p $(@D) && $(MPICC) $(SANFLAGS) -pthread -o $@ $(filter %.o,$^) $(LIB_A) $(TESTLIBS)
$(O)/obj/test/mpi/%.o $(O)/obj/test/bench/bench_exchange.o: COMPILER = $(MPICC)
$(O)/test/bench/bench_exchange: $(PROGRAM_OBJ)
$(O)/test/plugins/%.so: $$(wildcard test/plugins/$$*/*.c test/plugins/$$*/*.libs) test/plugins/stub.h $$(wildcard include/alchemist/*.h) $(O)/flags
	$(call say,PLUGIN)mkdir -p $(@D) && $(MPICC) -std=gnu11 -fPIC -shared -fvisibility=hidden $(WARN) -Iinclude $(CFLAGS) $(SANFLAGS) \
	  -L$(@D) -o $@ $(wildcard test/plugins/$*/*.c) $(if $(wildcard test/plugins/$*/$*.libs),$(shell cat test/plugins/$*/$*.libs 2>/dev/null)) && chmod o-w $@
$(O)/test/plugins/openmpi2.so: $(O)/test/plugins/openmpi_middle.so

TESTS_BUILT = all python $(UNIT) $(MPITEST) $(FUZZ) $(TESTPLUGIN_SO)
test: $(TESTS_BUILT) ## run all tests
	$(Q)$(RUN_ENV) test/tools/run-tests $(O) '$(SAN)'
test-sanitized: ## run all tests, built with AddressSanitizer and UndefinedBehaviorSanitizer
	$(Q)$(MAKE) --no-print-directory test O=$(O)/san SAN=address,undefined CFLAGS='-O1 -g'
fuzz: ## fuzz the frame parser with libFuzzer for FUZZ_SECONDS (60)
	$(Q)$(MAKE) --no-print-directory fuzz-run O=$(O)/fuzz CC=clang SAN=fuzzer-no-link,address,undefined CFLAGS='-O1 -g'
fuzz-run: $(LIB_A) $(patsubst $(O)/%,$(O)/obj/%.o,$(FUZZ))
	$(Q)for f in $(notdir $(FUZZ)); do mkdir -p $(O)/corpus/$$f; \
	  $(MPICC) -fsanitize=fuzzer,address,undefined -o $(O)/$$f $(O)/obj/test/fuzz/$$f.o $(LIB_A) $(TESTLIBS) && \
	  $(O)/$$f -max_total_time=$(or $(FUZZ_SECONDS),60) $(O)/corpus/$$f test/fuzz/corpus/$${f#fuzz_}; done
bench: all python $(BENCH_BIN) $(TESTPLUGIN_SO) ## print every figure and the limit that it is compared with, measured in the same run
	$(Q)$(RUN_ENV) test/tools/run-bench $(O)
bench-transfer: all python ## run the transfer study of the paper: CSV and plots in build/bench (NETNS=1: over a slow link)
	$(Q)$(RUN_ENV) PYTHONPATH=bindings/python $(VPY) test/bench/bench_transfer.py $(O)/bench
test-large: all python $(TESTPLUGIN_SO) ## transfer more than 2^31 entries, copy more than 2 GiB to another layout (needs 11 GB of memory)
	$(Q)$(RUN_ENV) $(VPY) test/integration/large.py
format: ## format the C sources
	clang-format -i $$(git ls-files '*.c' '*.h')

# ---- installation ----
PC = sed -e 's|@PREFIX@|$(PREFIX)|g; s|@LIBDIR@|$(LIBDIR)|g; s|@VERSION@|$(VERSION)|g'
install: all ## install to $(DESTDIR)$(PREFIX)
	$(Q)install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(PREFIX)/include/alchemist $(LIBDIR)/pkgconfig $(LIBDIR)/alchemist/plugins \
	  $(PREFIX)/share/man/man1 $(PREFIX)/share/man/man7 $(PREFIX)/share/man/man8)
	$(Q)$(MPICC) $(SANFLAGS) -pthread -rdynamic -o $(DESTDIR)$(PREFIX)/bin/alchemistd $(O)/obj/bin/alchemistd.o $(PROGRAM_OBJ) \
	  -L$(O)/lib -lalchemist -Wl,-rpath,$(LIBDIR) -Wl,-rpath-link,$(O)/lib
	$(Q)install -m644 include/alchemist/*.h $(DESTDIR)$(PREFIX)/include/alchemist
	$(Q)for l in libalchemist libalchemist-client; do install -m755 $(O)/lib/$$l.so $(DESTDIR)$(LIBDIR)/$$l.so.$(SO).$(VERSION) && \
	  ln -sf $$l.so.$(SO).$(VERSION) $(DESTDIR)$(LIBDIR)/$$l.so.$(SO) && ln -sf $$l.so.$(SO) $(DESTDIR)$(LIBDIR)/$$l.so; done
	$(Q)for p in lib/*.pc.in; do $(PC) $$p > $(DESTDIR)$(LIBDIR)/pkgconfig/$$(basename $$p .in); done
	$(Q)install -m755 $(PLUGIN_SO) $(DESTDIR)$(LIBDIR)/alchemist/plugins
	$(Q)for m in man/*.[178] $(LIBRARY_MAN); do install -m644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}; done

clean: ## remove all output
	rm -rf $(O)

-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
