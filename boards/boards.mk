# A board: `make BOARD=NAME`. boards/NAME/board.mk sets
#
#     PROFILE       its class in app/limits.h: small or medium
#     CROSS, CPU    the compiler's prefix, and its flags for the processor
#     COMMON        its choice of boards/common: the processor's file, and seed_pages.c or no_seed.c;
#                   ram_flash.c where there is no flash; small_division.c where flash is short
#     OPTIMIZE      what the compiler is to optimize for (-Os)
#     FLASH_BUDGET  bytes that the program may take
#     LINKED_AS     more options for the link, where the script leaves something open
#     QEMU          the emulator and the machine; NIC_MODEL: its network card, or NIC_DEVICE: the -device of one
#     OPENOCD       OpenOCD's configuration, for a board that exists and has flash; SEED_AT: where its seed pages lie
#     BOARD_TOOLS   the Debian packages (port/packages.sh): arm or riscv; CLANG_TARGET: what clang-tidy calls the processor
#
# The same ELF is flashed and emulated. What an emulator wants otherwise it hands over in a boot note (boards/note.sh).
CPPFLAGS += -D_DEFAULT_SOURCE
CFLAGS   += $(CPU) --specs=picolibc.specs -fno-builtin-malloc
# There uint32_t is a long, of the same 32 bits as an int. The compiler of the simulator looks at the formats.
WARNINGS += -Wno-format

PACKAGES_elf   := $(BOARD_TOOLS)
PACKAGES_lint  := $(BOARD_TOOLS) lint test clients
PACKAGES_cost  := $(BOARD_TOOLS) qemu
PACKAGES_run   := $(BOARD_TOOLS) qemu
PACKAGES_debug := $(BOARD_TOOLS) qemu
PACKAGES_flash := $(BOARD_TOOLS) flash
PACKAGES_board-suite := $(BOARD_TOOLS) qemu clients test

ELF           := $(B)/pipit.elf
CHOICES       := $(addprefix boards/common/,cortex_m.c seed_pages.c no_seed.c ram_flash.c small_division.c)
BOARD_SOURCES := $(wildcard boards/$(BOARD)/*.c) \
                 $(filter-out $(CHOICES),$(wildcard boards/common/*.c)) $(addprefix boards/common/,$(COMMON))
BOARD_OBJECTS := $(BOARD_SOURCES:%.c=$(B)/%.o)
# Assembler and debuggers call these by name: they stay functions of their own.
$(B)/boards/common/cortex_m.o $(B)/boards/$(BOARD)/eth.o: CFLAGS += -fno-lto
BOARD_SCRIPT  := boards/$(BOARD)/$(BOARD).ld

.DEFAULT_GOAL := elf

## elf: (with BOARD=NAME, the default there) the program, its map, and tables of its flash and RAM
elf: $(ELF)
	@tests/ram.py $(B) --flash $(FLASH_BUDGET)

# picolibc's start-up code and script are left out: boards/common has its own, without a heap.
# Objects and no archive, so that the map has their whole paths.
$(ELF): $(BOARD_OBJECTS) $(FIRMWARE) $(BOARD_SCRIPT) boards/common/sections.ld
	@echo "  LD $@"; $(LINK) $(BOARD_OBJECTS) $(FIRMWARE) -Wl,-Map=$(B)/pipit.map -o $@
LINK = $(CC) $(CFLAGS) $(LDFLAGS) $(LINKED_AS) -nostartfiles -T $(BOARD_SCRIPT)

# For the gate that sees an allocator refused: links a call of $(ALLOCATOR) too, which must not work.
with-allocator: $(ELF)
	@echo 'char $(ALLOCATOR)(); void call(void) { $(ALLOCATOR)(); }' | $(CC) $(CFLAGS) -fno-builtin -x c -c - -o $(B)/call.o
	@$(LINK) -Wl,-u,call $(B)/call.o $(BOARD_OBJECTS) $(FIRMWARE) -o $(B)/with_allocator.elf

# The same program with a script in the place of its network and of its sleep (tests/bench/cost.c), for which the smallest
# board has room in a shorter stack alone.
COST_ELF     := $(B)/cost.elf
COST_TLS     := $(if $(filter tls,$(FEATURES_$(PROFILE))),cost_tls.o,cost_no_tls.o)
COST_STACK   := $(if $(filter tls,$(FEATURES_$(PROFILE))),16384,4096)
COST_OBJECTS := $(addprefix $(B)/tests/bench/,cost.o $(COST_TLS) main.o) \
                $(filter-out $(B)/app/main.o $(B)/boards/$(BOARD)/eth.o,$(BOARD_OBJECTS) $(FIRMWARE))
$(B)/tests/bench/main.o: app/main.c $(FLAG_FILES)
	$(call compile,$(CPPFLAGS) $(CFLAGS) $(WARNINGS) -Dport_idle=cost_idle)
$(COST_ELF): $(COST_OBJECTS)
	@echo "  LD $@"; $(LINK) -Wl,--defsym=STACK_BYTES=$(COST_STACK) $(COST_OBJECTS) -o $@

## cost: (with BOARD=NAME) instructions for a request, a login, a chat message, and the longest turn
cost: $(COST_ELF)
	@$(RUN_ENVIRONMENT) tests/bench/cost.sh

RUN_ENVIRONMENT = BOARD=$(BOARD) B=$(B) NM=$(CROSS)nm QEMU="$(QEMU)" NIC_MODEL="$(NIC_MODEL)" NIC_DEVICE="$(NIC_DEVICE)"
RUN             = $(RUN_ENVIRONMENT) FORWARD="$(FORWARD)" boards/run.sh

## run: (with BOARD=NAME) in QEMU; FORWARD="HOSTPORT:DEVICEPORT ..." and ARGS="--set chat.rate=0" as with the simulator
run: $(ELF)
	@$(RUN) $(ARGS)

## debug: (with BOARD=NAME) the same with gdb attached, halted at the start
debug: $(ELF)
	@GDB=1 $(RUN) $(ARGS)

lint:
	@tests/lint.sh --target=$(CLANG_TARGET) $(filter -m%,$(filter-out -misa-spec%,$(CPU))) \
	    -isystem /usr/lib/picolibc/$(CROSS:-=)/include $(CPPFLAGS) -- $(BOARD_SOURCES)

## flash: (with BOARD=NAME) write the program, and a fresh seed, to the board's flash with OpenOCD
flash: $(ELF)
	@OPENOCD="$(OPENOCD)" SEED_AT=$(SEED_AT) BOARD=$(BOARD) boards/flash.sh $(ELF)

## board-suite: (with BOARD=NAME) the tests of tests/boards against it in QEMU; BOARD_TESTS=FILE... some of them
# The profile tls has its own.
BOARD_TESTS ?= $(sort $(wildcard tests/boards/$(if $(filter tls,$(PROFILE)),tls/)*.test.mjs))
CHAT_CLI    ?= $(abspath build/clients/chat_cli)
board-suite: $(ELF) board-peers
	@$(RUN_ENVIRONMENT) CHAT_CLI=$(CHAT_CLI) BOARD_TESTS="$(BOARD_TESTS)" tests/run.sh boards

# Whom the board talks to are programs of this machine.
board-peers:
	@$(MAKE) -s --no-print-directory BOARD= PROFILE=sim clients tests/system/node_modules/.pipit

.PHONY: elf cost lint debug flash with-allocator board-suite board-peers
