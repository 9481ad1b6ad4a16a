# Aileron. `make` builds build/bin, `make check` runs every test, `make help` lists the rest.
# CONFIG is release (the default), debug, asan, coverage or fuzz; each has its own directory under build/.

VERSION := 0.1.0
CONFIG ?= release
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 20

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
export LC_ALL := C.UTF-8

B := build/$(CONFIG)
D := build/deps

# Whose mbedTLS and llhttp (DEPS). contrib/deps writes it, and make then reads this file again.
ifneq ($(filter-out help clean format,$(or $(MAKECMDGOALS),all)),)
include $(D)/config.mk
endif
$(D)/config.mk: contrib/deps
	@contrib/deps build

# ---- flags

WARN := -Wall -Wextra -Wshadow -Wformat=2 -Wvla -Wcast-qual -Wwrite-strings -Wswitch-enum -Wmissing-prototypes \
	-Wstrict-prototypes -Wundef -Wimplicit-fallthrough -Werror
HARDEN_x86_64 := -fcf-protection
HARDEN_aarch64 := -mbranch-protection=standard
HARDEN := -fstack-protector-strong -fstack-clash-protection $(HARDEN_$(shell uname -m))
SECTIONS := -ffunction-sections -fdata-sections
SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

CC := gcc
# No unwind tables, ours or the system's: a tenth of the program; a debugger has its own in the file not stripped.
OPT_release := -O2 -g -fno-asynchronous-unwind-tables -D_FORTIFY_SOURCE=2 $(HARDEN)
LEAN_release := -Wl,-T,contrib/lean.ld -Wl,--no-eh-frame-hdr
PACK_x86_64 := -Wl,-z,pack-relative-relocs # other linkers warn that they ignore it
OPT_debug := -Og -g3
OPT_asan := -O1 -g $(SANITIZE)
OPT_coverage := -O0 -g --coverage
OPT_fuzz := -O1 -g $(SANITIZE) -fsanitize=fuzzer-no-link
ifeq ($(CONFIG),fuzz)
CC := clang
WARN := -w
endif
OPT := $(OPT_$(CONFIG))
$(if $(OPT),,$(error CONFIG=$(CONFIG) is none of release, debug, asan, coverage, fuzz))

CPPFLAGS := -I. -isystem $(D)/include -D_GNU_SOURCE -DAILERON_VERSION='"$(VERSION)"'
CFLAGS := -std=gnu11 $(WARN) $(OPT) $(SECTIONS) -fPIE -ffile-prefix-map=$(CURDIR)=.
LDFLAGS := -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code -L$(D)/lib
COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Ours once more, for what mbedTLS asks OWN_SRC for.
MBEDTLS_LIBS := $(if $(filter mbedtls-own,$(DEPS)),-lmbedtls $(B)/libaileron.a -lmbedtls -lhogweed -lnettle -lgmp, \
	-lmbedtls -lmbedx509 -lmbedcrypto)
LIBS := -levent_core -levent_extra -ljansson -lyaml -lsqlite3 -largon2 -lseccomp -lnghttp2 -lllhttp $(MBEDTLS_LIBS) -lm

# The program is one static, position-independent file. Sanitizers and coverage need the dynamic linker.
# absent.c replaces parts of libc and so belongs to the static program alone. With the sanitizers all but libc is
# in the program, so that it runs in an image of the host's release too.
PROGRAM_LIBS = $(LIBS)
ifneq ($(filter $(CONFIG),release debug),)
PROGRAM_LDFLAGS := -static-pie -Wl,--wrap=dlopen $(PACK_$(shell uname -m)) $(LEAN_$(CONFIG))
PROGRAM_ONLY := core/base/absent.c
endif
ifeq ($(CONFIG),asan)
PROGRAM_LDFLAGS := -static-libasan -static-libubsan
PROGRAM_ONLY := tests/lib/sanitizer.c
PROGRAM_LIBS = -Wl,-Bstatic $(filter-out -lm,$(LIBS)) -Wl,-Bdynamic -lm
endif
BIN := $(if $(filter release,$(CONFIG)),build/bin,$(B)/bin)

# ---- sources

OWN_SRC := $(addprefix tls/,x25519.c gcm.c ecdsa.c sha256.c) # for an mbedTLS that is built here
CORE_SRC := $(filter-out core/base/absent.c $(if $(filter mbedtls-own,$(DEPS)),,$(OWN_SRC)),$(sort $(wildcard core/*/*.c tls/*.c)))
APPLET_SRC := $(sort $(wildcard applets/*.c $(PROGRAM_ONLY)))
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
EMBED := $(sort $(wildcard contrib/agents/*.yaml contrib/bindings/*.yaml contrib/page/* contrib/images/base/Containerfile))
MAN := $(sort $(wildcard man/*.[1-9]))
STORIES_e2e := $(patsubst %,bats:%,$(sort $(wildcard tests/e2e/*.bats)))
STORIES_attack := $(patsubst %,bats:%,$(sort $(wildcard tests/attack/*.bats)))
STORIES_clients := story:tests/clients/run story:tests/agents/run
STORIES := $(filter-out $(patsubst %,bats:tests/%.bats,e2e/podman_rootless e2e/session_docker attack/sandbox_podman \
	attack/planted_docker attack/launch_crash $(patsubst %,e2e/%_podman,detach life session cache)),$(STORIES_e2e) $(STORIES_attack) $(STORIES_clients))
objects = $(patsubst %.c,$(B)/%.o,$(1))
UNIT := $(UNIT_SRC:%.c=$(B)/%)
FUZZ := $(FUZZ_SRC:%.c=$(B)/%)

# ---- mbedTLS, by our own configuration and for speed (HACKING 6)

.PHONY: all deps deps-libs
ifneq ($(filter mbedtls-own,$(DEPS)),)
M := $(D)/src/mbedtls
M_SRC := $(wildcard $(M)/library/*.c) $(addprefix $(M)/3rdparty/everest/library/,everest.c x25519.c \
	Hacl_Curve25519_joined.c)
M_OBJ := $(patsubst $(M)/%.c,$(D)/obj/%.o,$(M_SRC))
M_CONFIG := $(D)/include/mbedtls/mbedtls_config.h
M_INCLUDE := -I$(D)/include -I$(M)/library $(addprefix -I$(M)/3rdparty/everest/include,/ /everest /everest/kremlib)
LDFLAGS += -Wl,--wrap=mbedtls_psa_ecp_export_public_key
$(M_CONFIG): tls/mbedtls_config.h $(wildcard tls/*_alt.h) $(D)/config.mk
	@mkdir -p $(D)/include $(D)/lib
	@cp -r $(M)/include/mbedtls $(M)/include/psa $(M)/3rdparty/everest/include/everest $(D)/include/
	@cp tls/*_alt.h $(D)/include/
	@cp tls/mbedtls_config.h $@
$(D)/obj/%.o: $(M)/%.c $(M_CONFIG)
	@mkdir -p $(@D)
	@gcc -std=gnu11 -O3 -fno-asynchronous-unwind-tables $(HARDEN) $(SECTIONS) -fPIE -ffile-prefix-map=$(CURDIR)=. $(M_INCLUDE) -c -o $@ $<
$(D)/lib/libmbedtls.a: $(M_OBJ)
	@echo "  LIB  $@"
	@rm -f $@ && ar rcsD $@ $^
deps-libs: $(D)/lib/libmbedtls.a
endif

deps:
	@contrib/deps test
	@$(MAKE) --no-print-directory deps-libs

# ---- the program

all: $(BIN)/aileron

# crash/aileron: the same with tests/lib/crash.c around it, for the tests of F01. It is never installed.
$(B)/crash/aileron: $(B)/tests/lib/crash.o
$(B)/crash/aileron: PROGRAM_LDFLAGS += -Wl,--wrap=store_done,--wrap=store_commit,--wrap=audit_append,--wrap=audit_append_all,--wrap=ipc_send
$(B)/aileron $(B)/crash/aileron: $(call objects,$(APPLET_SRC)) $(B)/embed.o $(B)/libaileron.a
	@echo "  LINK $@"
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS) $(PROGRAM_LDFLAGS) $(LDFLAGS) -o $@ $^ $(PROGRAM_LIBS)

$(BIN)/aileron: $(B)/aileron
	@mkdir -p $(@D)
	@$(if $(filter release,$(CONFIG)),strip -o $@.new $<,cp $< $@.new) && mv -f $@.new $@
	@for name in shim proxy wait; do ln -f $@ $(@D)/aileron-$$name; done

$(B)/libaileron.a: $(call objects,$(CORE_SRC))
	@rm -f $@ && ar rcsD $@ $^

$(B)/%.o: %.c Makefile $(D)/config.mk $(M_CONFIG) | deps-libs
	@mkdir -p $(@D)
	@echo "  CC   $<"
	@$(COMPILE)

$(B)/embed.c: $(EMBED) contrib/embed Makefile
	@mkdir -p $(@D)
	@contrib/embed $(@D) $(EMBED) > $@
$(B)/embed.o: $(B)/embed.c $(EMBED) | deps-libs
	@$(COMPILE)
-include $(patsubst %.c,$(B)/%.d,$(CORE_SRC) $(APPLET_SRC) $(UNIT_SRC) $(FUZZ_SRC) $(wildcard tests/lib/*.c))
# ---- tests (tests/lib/run prints failures in full, then "N passed, N failed"; TIMES=4 multiplies their limits)
RUN := tests/lib/run $(TIMES:%=-t %)
export CC_LINT := $(CC) $(CPPFLAGS) $(CFLAGS)
export OBJECTS := $(B)
TEST_LINK = $(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o %.a,$^)
corpus = tests/corpus/$(patsubst fuzz_%,%,$(notdir $(1)))
replays = $(foreach f,$(FUZZ_SRC:%.c=%),"plain:build/asan/$(f) $(call corpus,$(f))")

# The library's own, which what stands in for it is compared with.
$(foreach t,gcm ecdsa crypto,$(B)/tests/unit/test_$t.o $(B)/tests/lib/$t_reference.o): CPPFLAGS += -isystem $(D)/src/mbedtls/library
$(B)/tests/unit/test_gcm $(B)/tests/unit/test_ecdsa: $(B)/tests/unit/test_%: $(B)/tests/lib/%_reference.o
$(UNIT): $(B)/%: $(B)/%.o $(B)/embed.o $(B)/libaileron.a
	@echo "  LINK $@"
	@$(TEST_LINK) -lcmocka $(LIBS)

# With clang a fuzzer makes up its input; with anything else it replays the corpus.
ifeq ($(CONFIG),fuzz)
$(FUZZ): LDFLAGS += -fsanitize=fuzzer
else
$(FUZZ): $(B)/tests/lib/replay.o
endif
$(FUZZ): $(B)/%: $(B)/%.o $(B)/embed.o $(B)/libaileron.a
	@echo "  LINK $@"
	@$(TEST_LINK) $(LIBS)

.PHONY: check unit unit-programs fuzz-programs replay-programs lint e2e attack clients demo bench
check:
	@contrib/deps test
	@tests/lib/image debian archive > /dev/null 2>&1 & \
	$(MAKE) --no-print-directory all $(B)/crash/aileron unit-programs replay-programs
	@tests/lib/with-docker $(RUN) -j2 lint:tests/lib/lint $(UNIT:%=unit:%) $(replays) $(STORIES)
unit-programs: $(UNIT)
fuzz-programs: $(FUZZ)
replay-programs:
	@$(MAKE) --no-print-directory CONFIG=asan fuzz-programs
unit: unit-programs
	@$(RUN) -j2 $(UNIT:%=unit:%)
lint: | deps-libs
	@tests/lib/lint
e2e attack clients: all $(B)/crash/aileron
	@tests/lib/with-docker $(RUN) $(STORIES_$@)
demo: all
	@contrib/deps test
	@tests/lib/demo
bench: all
	@contrib/deps bench
	@tests/lib/with-docker tests/bench/run && tests/bench/page

.PHONY: fuzz fuzz-replay asan valgrind coverage analyze
fuzz:
	@$(MAKE) --no-print-directory CONFIG=fuzz fuzz-programs
	@for name in $(notdir $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)); do \
		mkdir -p build/fuzz/corpus/$$name build/fuzz/findings && echo "  FUZZ $$name, $(FUZZ_SECONDS) s" && \
		build/fuzz/tests/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -max_len=70000 -timeout=10 -rss_limit_mb=1024 \
			-verbosity=0 -print_final_stats=1 -artifact_prefix=build/fuzz/findings/$$name- \
			build/fuzz/corpus/$$name $$(ls -d tests/corpus/$$name 2> /dev/null) > build/fuzz/$$name.log 2>&1 || \
		{ tail -n 60 build/fuzz/$$name.log; exit 1; }; grep -h executed_units build/fuzz/$$name.log; done
fuzz-replay: replay-programs
	@$(RUN) -j2 $(replays)
asan:
	@contrib/deps test
	@$(MAKE) --no-print-directory CONFIG=asan all build/asan/crash/aileron unit-programs fuzz-programs
	@TEST_BIN=build/asan/bin tests/lib/with-docker $(RUN) -j2 -t 3 $(UNIT_SRC:%.c=unit:build/asan/%) $(replays) \
		$(STORIES)
valgrind:
	@$(MAKE) --no-print-directory CONFIG=debug unit-programs
	@$(RUN) -j2 -t 3 $(foreach t,$(UNIT_SRC:%.c=%),"tap:tests/lib/under-valgrind build/debug/$(t)")
coverage:
	@find build/coverage -name '*.gcda' -delete 2> /dev/null || true
	@$(MAKE) --no-print-directory CONFIG=coverage unit
	@tests/lib/coverage $(CORE_SRC)
analyze: | deps-libs
	@printf '%s\n' $(CORE_SRC) $(APPLET_SRC) | tests/lib/analyze $(CPPFLAGS)
# ---- the rest

.PHONY: format man install repro size fresh clean help
format:
	@clang-format -i $(wildcard core/*/*.[ch] tls/*.[ch] applets/*.[ch] tests/*/*.[ch])
man: all
	@tests/clients/page > man/aileron-clients.7 && tests/agents/page > man/aileron-agents.7
	@tests/lib/lint man pages
install: all
	@install -d $(DESTDIR)$(PREFIX)/bin && build/bin/aileron --install $(DESTDIR)$(PREFIX)/bin
	@for page in $(MAN); do install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done
	@install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/bash-completion/completions contrib/completion/aileron
	@install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/aileron README COPYING contrib/dependencies
size: all
	@size $(B)/aileron && stat -c '%n %s bytes' build/bin/aileron
repro: | deps-libs
	@tests/lib/repro
fresh:
	@tests/lib/fresh
clean:
	@rm -rf build/release build/debug build/asan build/coverage build/fuzz build/bin
help:
	@echo 'make [CONFIG=release|debug|asan|coverage|fuzz] TARGET'
	@echo '  all (build/bin)  install  man  size  repro  format  clean  deps  demo  bench'
	@echo '  check  unit  lint  e2e  attack  clients  fuzz  fuzz-replay  asan  valgrind  coverage  analyze  fresh'
