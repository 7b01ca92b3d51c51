# Third-party source: fetched by port/third_party.sh into build/third_party, or taken from THIRD_PARTY=DIR, which holds
# lwip/, mbedtls/ and cjson/. The stamp is included as a makefile: make makes those first and then starts over, so
# everything below can rely on the trees being there.
THIRD_PARTY ?= build/third_party
LWIP    := $(THIRD_PARTY)/lwip
MBEDTLS := $(THIRD_PARTY)/mbedtls
CJSON   := $(THIRD_PARTY)/cjson

LWIP_SOURCES := $(addprefix src/core/,altcp.c altcp_alloc.c altcp_tcp.c def.c dns.c inet_chksum.c init.c ip.c mem.c memp.c \
                  netif.c pbuf.c stats.c tcp.c tcp_in.c tcp_out.c timeouts.c udp.c ipv4/etharp.c ipv4/icmp.c ipv4/ip4.c \
                  ipv4/ip4_addr.c ipv4/ip4_frag.c) src/netif/ethernet.c
MBEDTLS_SOURCES := $(addprefix library/,sha256.c sha1.c base64.c constant_time.c platform_util.c)
CJSON_SOURCES := cJSON.c

# With its folder: mbedTLS has a header of the same name, and would find its own first.
THIRD_PARTY_CPPFLAGS := -isystem $(LWIP)/src/include -isystem $(MBEDTLS)/include -isystem $(CJSON) \
                        -DMBEDTLS_CONFIG_FILE='"port/mbedtls_config.h"'
THIRD_PARTY_OBJECTS := $(LWIP_SOURCES:%.c=$(B)/lwip/%.o) $(MBEDTLS_SOURCES:%.c=$(B)/mbedtls/%.o) \
                       $(CJSON_SOURCES:%.c=$(B)/cjson/%.o)

# cJSON's default hooks name malloc; the names are turned into ours, which hand out an arena (services/gateway/json.c).
CJSON_FLAGS := -Dmalloc=json_arena_malloc -Drealloc=json_arena_realloc -Dfree=json_arena_free -DCJSON_NESTING_LIMIT=8

ifneq ($(filter-out $(GOALS_WITHOUT_SOURCES),$(GOALS)),)
ifeq ($(THIRD_PARTY),build/third_party)
# Another list is another stamp; a new date of the script alone fetches nothing again.
TREES := lwip mbedtls cjson
THIRD_PARTY_STAMP := build/third_party/$(subst $(eval ) ,+,$(TREES)).mk
include $(THIRD_PARTY_STAMP)
$(THIRD_PARTY_STAMP): | $$(PACKAGE_STAMP)
	@port/third_party.sh $@ $(TREES)
else ifneq ($(words $(wildcard $(LWIP)/src/core/init.c $(MBEDTLS)/library/sha256.c $(CJSON)/cJSON.c)),3)
$(error THIRD_PARTY=$(THIRD_PARTY) must hold the source trees lwip/, mbedtls/ and cjson/)
endif
endif

$(B)/lwip/%.o: $(LWIP)/%.c Makefile
	$(call compile,$(CPPFLAGS) $(CFLAGS) -Wno-address)
$(B)/mbedtls/%.o: $(MBEDTLS)/%.c Makefile
	$(call compile,$(CPPFLAGS) $(CFLAGS))
$(B)/cjson/%.o: $(CJSON)/%.c Makefile
	$(call compile,$(CPPFLAGS) $(CFLAGS) $(CJSON_FLAGS))

## licences: third-party names, versions, licences and where their texts are
licences:
	@port/licences.sh $(THIRD_PARTY)

.PHONY: licences
