# The clients: programs of the host, built apart from the firmware and the same for every PROFILE. chat_cli needs
# libwebsockets, GNU readline and cJSON of the host; pkg-config is asked for them only when it is built.
CHAT_CLI         := build/clients$(if $(SANITIZE),-asan)/chat_cli
CHAT_CLI_OBJECTS := $(patsubst clients/%.c,$(dir $(CHAT_CLI))%.o,$(wildcard clients/console/*.c))
CHAT_CLI_FLAGS   := -std=c11 -O2 -g -D_GNU_SOURCE $(SANITIZERS)
CHAT_CLI_LIBS     = $(shell pkg-config --libs libwebsockets libcjson readline)

PACKAGES_clients     := clients
PACKAGES_$(CHAT_CLI) := clients

## clients: build the terminal client, build/clients/chat_cli
clients: $(CHAT_CLI)

$(CHAT_CLI): $(CHAT_CLI_OBJECTS)
	@echo "  LD $@"; $(CC) $(SANITIZERS) $^ $(CHAT_CLI_LIBS) -o $@

$(dir $(CHAT_CLI))%.o: clients/%.c
	@mkdir -p $(@D)
	@echo "  CC $@"; $(CC) $(CHAT_CLI_FLAGS) $(WARNINGS) -MMD -MP -c $< -o $@

-include $(CHAT_CLI_OBJECTS:.o=.d)

.PHONY: clients
