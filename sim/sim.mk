# The simulator: the firmware on a POSIX machine, linked with libslirp.
SIM_PACKAGES := slirp glib-2.0
SIM_CPPFLAGS  = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(SIM_PACKAGES)))
SIM_LIBS      = $(shell pkg-config --libs $(SIM_PACKAGES))
SIM_OBJECTS  := $(patsubst %.c,$(B)/%.o,$(wildcard sim/*.c))

# Asked for while the recipe runs, not before: the packages may not be there yet when make starts.
$(SIM_OBJECTS): CPPFLAGS += -D_GNU_SOURCE
$(B)/sim/slirp.o: CPPFLAGS += $(SIM_CPPFLAGS)

$(B)/pipit: $(SIM_OBJECTS) $(FIRMWARE)
	@echo "  LD $@"; $(CC) $(LDFLAGS) $^ $(SIM_LIBS) -o $@

## sim: build the simulator, build/sim/pipit
sim: $(B)/pipit

## run: start the simulator; ARGS="--set chat.rate=0" passes options on
run: sim
	$(B)/pipit $(ARGS)

.PHONY: sim
