# Pipit. `make help` lists what there is; `make run` and `make test` each work as the first command.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SECONDEXPANSION:
# `make -n` shows and does nothing: no package, no download.
DRY_RUN := $(findstring n,$(firstword -$(MAKEFLAGS)))
MAKEFLAGS += --no-builtin-rules
SHELL := /bin/bash

# One folder below build/ for each variant: PROFILE=sim|medium|small (app/limits.h), SANITIZE=1, FUZZ=1; or BOARD=NAME,
# whose board.mk chooses the profile, the compiler and the rest. BOARD=lm3s6965evb has PROFILE=tls too.
BOARD    ?=
SANITIZE ?=
FUZZ     ?=
ifneq ($(BOARD),)
ifeq ($(wildcard boards/$(BOARD)/board.mk),)
$(error BOARD is one of $(patsubst boards/%/board.mk,%,$(wildcard boards/*/board.mk)), not '$(BOARD)')
endif
include boards/$(BOARD)/board.mk
endif
PROFILE  ?= sim
VARIANT  := $(or $(BOARD)$(if $(BOARD),$(patsubst %,-%,$(filter tls,$(PROFILE)))),$(PROFILE)$(if $(SANITIZE),-asan)$(if $(FUZZ),-fuzz))
B        := build/$(VARIANT)
ifeq ($(filter $(PROFILE),sim medium small $(if $(BOARD),tls)),)
$(error PROFILE is sim, medium, small, or tls for a board, not '$(PROFILE)')
endif
ifeq ($(origin CC),default)
CC := $(CROSS)$(if $(FUZZ),clang,gcc)
endif
ifeq ($(origin AR),default)
AR := $(CROSS)ar
endif

GOALS                 := $(if $(DRY_RUN),help,$(or $(MAKECMDGOALS),$(if $(BOARD),elf,help)))
GOALS_WITHOUT_SOURCES := help clean format fuzz asan

CPPFLAGS  = -iquote . -iquote port -iquote port/arch -DPIPIT_PROFILE_$(shell echo $(PROFILE) | tr a-z A-Z)=1 $(THIRD_PARTY_CPPFLAGS)
OPTIMIZE ?= $(if $(BOARD),-Os,-O2)
CFLAGS   := -std=c11 $(OPTIMIZE) -g -ffunction-sections -fdata-sections -fno-strict-aliasing
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion -Wvla -Werror
LDFLAGS  := -Wl,--gc-sections
ifneq ($(SANITIZE)$(FUZZ),)
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS  += $(SANITIZERS) $(if $(FUZZ),-fsanitize=fuzzer-no-link)
LDFLAGS += $(SANITIZERS)
endif
ifneq ($(FUZZ),)
WARNINGS := # gcc's word counts
endif

# Where the flags come from: another flag is another object.
FLAG_FILES := Makefile $(if $(BOARD),boards/boards.mk boards/$(BOARD)/board.mk)
compile = @mkdir -p $(@D); echo "  CC $@"; $(CC) $(1) -MD -MP -c $< -o $@

# Features, and the profiles that have them; elsewhere their absent.c says that they are not there. echo and interop are
# for tests of the simulator alone.
FEATURES    := tls nodes syslog echo interop
FEATURES_sim    := $(FEATURES)
FEATURES_medium := tls nodes syslog
FEATURES_small  :=
FEATURES_tls    := tls
ABSENT      := $(filter-out $(FEATURES_$(PROFILE)),$(FEATURES))
SOURCES_tls     := port/tls/% app/tls/% services/https/%
SOURCES_nodes   := services/nodes/%
SOURCES_syslog  := port/syslog/%
SOURCES_echo    := services/echo/%
SOURCES_interop := services/interop/%

include port/third_party.mk clients/web/web.mk

# The profile tls has a server that speaks TLS 1.2 alone, no client, no certificate but its own, and no mDNS.
INSTEAD_tls := port/net_names.c $(addprefix port/tls/,server.c tls.c tls_explain.c tls_verify.c identity_paste.c)
ADDED_tls   := port/mdns/absent.c $(wildcard port/tls/small/*.c)

# The firmware: everything that goes to a board too.
OUR_SOURCES := $(filter-out %/absent.c $(INSTEAD_$(PROFILE)) $(foreach feature,$(ABSENT),$(SOURCES_$(feature))), \
                 $(wildcard app/*.c app/tls/*.c port/*.c port/tls/*.c port/syslog/*.c services/*/*.c)) \
               $(wildcard $(foreach feature,$(ABSENT),$(patsubst %/%,%/absent.c,$(SOURCES_$(feature))))) $(ADDED_$(PROFILE))
OUR_OBJECTS := $(OUR_SOURCES:%.c=$(B)/%.o) $(PROTOS:%.proto=$(B)/%.pb.o) $(WEB_OBJECT)
FIRMWARE    := $(OUR_OBJECTS) $(THIRD_PARTY_OBJECTS)
LIBPIPIT    := $(B)/libpipit.a

ifeq ($(BOARD),)
include sim/sim.mk clients/clients.mk tests/tests.mk
else
include boards/boards.mk
endif

## size: code and data of the firmware, object by object
size: $(FIRMWARE)
	@size -t $(FIRMWARE)

## help: this list
help:
	@sed -n 's/^## //p' $(sort $(MAKEFILE_LIST) $(wildcard boards/boards.mk sim/sim.mk)) | sort | awk -F': ' '{printf "  make %-10s %s\n", $$1, $$2}'

## clean: remove what was built, but for the downloads
clean:
	rm -rf $(filter-out build/third_party,$(wildcard build/*))

# `q` and not `r`: two members of one name must both stay. The gates and `make ram` read the list of objects.
$(LIBPIPIT): $(FIRMWARE)
	@rm -f $@; echo "  AR $@"; $(AR) qcs $@ $^; printf "%s\n" $^ >$(@:.a=.objects)

$(B)/%.o: %.c $(FLAG_FILES) | $(PROTO_HEADERS)
	$(call compile,$(CPPFLAGS) $(CFLAGS) $(WARNINGS))

# When this was built, for devices that don't know the time yet: the last commit's date, so that the same source makes the
# same program.
BUILD_TIME := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),1704067200)
CPPFLAGS += -DPIPIT_BUILD_TIME=$(BUILD_TIME)
$(B)/port/tls/identity_make.o: $(B)/build-time
$(B)/build-time: .FORCE
	@mkdir -p $(@D); echo $(BUILD_TIME) | cmp -s - $@ || echo $(BUILD_TIME) >$@

# Debian packages: the set `build` for everything, and those that PACKAGES_goal names (port/packages.sh). The stamp is
# included as a makefile: make makes those first and then starts over, so pkg-config finds what was just installed.
PACKAGE_STAMP := build/packages/$(subst $(eval ) ,+,$(sort build $(foreach goal,$(GOALS),$(PACKAGES_$(goal))))).mk
ifneq ($(filter-out help clean,$(GOALS)),)
include $(PACKAGE_STAMP)
endif
build/packages/%.mk: port/packages.sh
	@port/packages.sh $@ $(subst +, ,$*)

-include $(shell find $(B) -name '*.d' 2>/dev/null)

.PHONY: run size help clean .FORCE
