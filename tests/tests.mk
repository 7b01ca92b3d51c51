# Everything that checks the rest. A unit test is a file tests/unit/test_NAME.c; it links the firmware, the fake machine,
# and X_support.c when it, or a support of its own, includes "X_support.h". A fuzz target is a file
# tests/fuzz/fuzz_NAME.c with its inputs in tests/fuzz/corpus/NAME/. A system test is a file tests/system/NAME.test.mjs,
# and one of the boards a file tests/boards/NAME.test.mjs. A gate is a script in tests/gates/.
BOARDS := $(patsubst boards/%/board.mk,%,$(wildcard boards/*/board.mk))

# SKIP_BOARDS=1 keeps `make test` from emulating boards. Only the plain simulator's test does: with another variant of the
# simulator they are the same.
SKIP_BOARDS ?=
SUITES      ?= gates unit corpora system $(if $(filter sim,$(VARIANT)),boards)
WITH_BOARDS := $(if $(SKIP_BOARDS),,$(filter boards,$(SUITES)))

PACKAGES_suites := clients test
PACKAGES_boards := clients test arm riscv qemu
PACKAGES_test   := $(if $(WITH_BOARDS),$(PACKAGES_boards),$(PACKAGES_suites))
PACKAGES_asan   := $(PACKAGES_suites)
PACKAGES_system := $(PACKAGES_suites)
PACKAGES_bench  := $(PACKAGES_suites)
PACKAGES_unit   := test
PACKAGES_corpora := test
PACKAGES_gates  := test
PACKAGES_ram    := tools
PACKAGES_lint   := lint test clients
PACKAGES_format := lint
PACKAGES_fuzz   := fuzz

UNIT_SOURCES := $(sort $(wildcard tests/unit/test_*.c))
UNIT_TESTS   := $(UNIT_SOURCES:%.c=$(B)/%)
FUZZ_SOURCES := $(sort $(wildcard tests/fuzz/fuzz_*.c))
CORPUS_TESTS := $(FUZZ_SOURCES:%.c=$(B)/%)
SYSTEM_TESTS := $(sort $(wildcard tests/system/*.test.mjs))
SYSTEM_LOCK  := $(wildcard tests/system/package-lock.json)
NODE_MODULES := $(SYSTEM_LOCK:package-lock.json=node_modules/.pipit)
# The simulator whose pools the system tests fill.
SMALL_PIPIT  := build/$(VARIANT:$(PROFILE)%=small%)/pipit
PROFILES     := sim medium small

# What each suite needs built; tests/run.sh runs them and counts.
NEEDS_gates   := gate-libraries board-programs $(B)/tests/bench/segment
NEEDS_unit    := $(UNIT_TESTS)
NEEDS_corpora := $(CORPUS_TESTS)
NEEDS_system  := $(B)/pipit small-simulator $(CHAT_CLI) $(NODE_MODULES)
NEEDS_boards  := $(CHAT_CLI) $(NODE_MODULES)
RUN_SUITES     = B=$(B) PIPIT=$(abspath $(B)/pipit) PIPIT_SMALL=$(abspath $(SMALL_PIPIT)) CHAT_CLI=$(abspath $(CHAT_CLI)) UNIT_TESTS="$(UNIT_TESTS)" \
                 CORPUS_TESTS="$(CORPUS_TESTS)" SYSTEM_TESTS="$(SYSTEM_TESTS)" tests/run.sh

## test: gates, unit tests, fuzz corpora and system tests, and the boards in QEMU unless SKIP_BOARDS=1
test: $(foreach suite,$(filter-out boards,$(SUITES)) $(WITH_BOARDS),$(NEEDS_$(suite)))
	@$(RUN_SUITES) $(filter-out boards,$(SUITES)); echo $$? >$(B)/test-status
	@$(if $(WITH_BOARDS),$(MAKE) --no-print-directory boards || echo 1 >$(B)/test-status,$(say_left_out))
	@exit $$(cat $(B)/test-status)
say_left_out = $(if $(filter boards,$(SUITES)),echo "== boards are left out: SKIP_BOARDS=$(SKIP_BOARDS)")

## unit: the unit tests alone; gates, corpora and system work likewise
gates unit corpora system: $$(NEEDS_$$@)
	@$(RUN_SUITES) $@

## boards: each board's program in QEMU, one after the other; `make BOARD=NAME board-suite` has one alone
boards: $(NEEDS_boards)
	@status=0; for board in $(BOARDS:%=BOARD=%) "BOARD=lm3s6965evb PROFILE=tls"; do \
	    $(MAKE) --no-print-directory $$board CHAT_CLI=$(abspath $(CHAT_CLI)) board-suite || status=1; done; exit $$status

## asan: unit tests, corpora and system tests under AddressSanitizer and UBSan
asan:
	@JOURNAL_LOOPS=$${JOURNAL_LOOPS:-40} $(MAKE) --no-print-directory SANITIZE=1 SUITES="unit corpora system" test

# What boards share and a host can run.
LIBBOARDS := $(B)/libboards.a
$(LIBBOARDS): $(addprefix $(B)/boards/common/,drbg.o note.o seed_pages.o)
	@rm -f $@; echo "  AR $@"; $(AR) rcs $@ $^

$(B)/tests/unit/test_rpc_server: LDFLAGS += -Wl,--wrap=mbedtls_platform_zeroize
# The rule of the page: link the test before the archive, so that what it fakes is not taken from there.
$(UNIT_TESTS): $(B)/tests/unit/%: $(B)/tests/unit/%.o $(B)/tests/unit/machine.o $$(call support_of,tests/unit/$$*.c) $(LIBBOARDS) $(LIBPIPIT)
	@echo "  LD $@"; $(CC) $(LDFLAGS) $^ -lcmocka -o $@
support_of = $(patsubst %,$(B)/tests/unit/%.o,$(sort $(call supports_in,$(1)) \
                 $(call supports_in,$(patsubst %,tests/unit/%.[ch],$(call supports_in,$(1))))))
supports_in = $(patsubst "%.h",%,$(shell grep -ho '"[a-z0-9_]*_support\.h"' $(1) /dev/null))

$(CORPUS_TESTS): %: %.o $(B)/tests/fuzz/run_corpus.o $(B)/tests/unit/machine.o $(LIBPIPIT)
	@echo "  LD $@"; $(CC) $(LDFLAGS) $^ -o $@

# npm ci checks every package against the lock file's hashes and runs none of their install scripts.
tests/system/node_modules/.pipit: tests/system/package-lock.json
	cd tests/system && npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier
	@mkdir -p $(@D) && touch $@

## fuzz: libFuzzer on each codec for FUZZ_SECONDS=60; what it finds goes below build/fuzz
FUZZ_SECONDS ?= 60
ifneq ($(FUZZ),)
FUZZERS := $(FUZZ_SOURCES:%.c=$(B)/%-libfuzzer)
$(FUZZERS): %-libfuzzer: %.o $(B)/tests/unit/machine.o $(LIBPIPIT)
	@echo "  LD $@"; $(CC) $(LDFLAGS) -fsanitize=fuzzer $^ -o $@
fuzzers: $(FUZZERS)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run_fuzz.sh $^
endif
fuzz:
	@$(MAKE) --no-print-directory FUZZ=1 fuzzers
PACKAGES_fuzzers := fuzz

small-simulator: $(if $(filter $(SMALL_PIPIT),$(B)/pipit),$(B)/pipit)
	@[ "$(SMALL_PIPIT)" = $(B)/pipit ] || $(MAKE) --no-print-directory PROFILE=small $(SMALL_PIPIT)

# The other profiles compile too, without a warning and with their static asserts.
# After the small simulator, because two makes at a time would write the same objects.
gate-libraries: $(LIBPIPIT) | small-simulator
	@for profile in $(filter-out $(VARIANT),$(PROFILES)); do \
	    $(MAKE) --no-print-directory PROFILE=$$profile SANITIZE= FUZZ= build/$$profile/libpipit.a || exit 1; done

board-programs:
	@for board in $(BOARDS); do $(MAKE) --no-print-directory BOARD=$$board elf >build/$$board.ram 2>&1 || { cat build/$$board.ram; exit 1; }; done

## ram: who owns how many bytes of RAM, in each profile
ram: gate-libraries
	@for profile in $(PROFILES); do tests/ram.py build/$$profile || exit 1; done

## lint: clang-tidy and cppcheck on our own code; warnings fail
LINT_SOURCES = $(OUR_SOURCES) $(wildcard sim/*.c services/echo/absent.c clients/console/*.c)
lint: $(foreach board,$(BOARDS),lint-$(board))
	@tests/lint.sh $(CPPFLAGS) -- $(LINT_SOURCES)

lint-%:
	@$(MAKE) --no-print-directory BOARD=$* lint

## cost: on every board, the instructions for a request, a login, a chat message, and the longest turn
cost:
	@for board in $(BOARDS); do $(MAKE) --no-print-directory BOARD=$$board cost || exit 1; done

## format: lay our own code out as .clang-format says
format:
	clang-format -i $(wildcard $(foreach folder,app app/tls port port/arch port/tls port/tls/small port/mdns port/syslog boards/* services services/* sim clients/* tests/*,$(folder)/*.c $(folder)/*.h))

$(B)/tests/bench/segment: $(addprefix $(B)/tests/,bench/segment.o unit/peer_support.o unit/machine.o) $(LIBPIPIT)
	@echo "  LD $@"; $(CC) $(LDFLAGS) -Wl,--wrap=demux_ip4_input $^ -o $@

## bench: the benchmarks
bench: $(B)/pipit $(B)/tests/bench/segment $(CHAT_CLI) $(NODE_MODULES)
	@for bench in $(sort $(wildcard tests/bench/*.sh tests/bench/*.mjs)); do echo "== $$bench"; \
	    case $$bench in *.mjs) runner=node;; *) runner=bash;; esac; \
	    B=$(B) PIPIT=$(abspath $(B)/pipit) CHAT_CLI=$(abspath $(CHAT_CLI)) $$runner $$bench || exit 1; done

.PHONY: cost test small-simulator gates unit corpora system boards asan fuzz fuzzers gate-libraries ram lint format bench
.SECONDARY:
