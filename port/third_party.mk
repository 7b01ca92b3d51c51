# Third-party source: fetched by port/third_party.sh into build/third_party, or taken from THIRD_PARTY=DIR, which holds
# lwip/, mbedtls/, cjson/ and nanopb/. The stamp is included as a makefile: make makes those first and then starts over, so
# everything below can rely on the trees being there.
THIRD_PARTY ?= build/third_party
LWIP    := $(THIRD_PARTY)/lwip
MBEDTLS := $(THIRD_PARTY)/mbedtls
CJSON   := $(THIRD_PARTY)/cjson
NANOPB  := $(THIRD_PARTY)/nanopb

LWIP_SOURCES := $(addprefix src/core/,def.c dns.c inet_chksum.c init.c ip.c mem.c memp.c \
                  netif.c pbuf.c stats.c tcp.c tcp_in.c tcp_out.c timeouts.c udp.c ipv4/acd.c ipv4/autoip.c ipv4/dhcp.c \
                  ipv4/etharp.c ipv4/icmp.c ipv4/igmp.c ipv4/ip4.c ipv4/ip4_addr.c ipv4/ip4_frag.c) \
                src/netif/ethernet.c $(addprefix src/apps/mdns/,mdns.c mdns_domain.c mdns_out.c)
# Hashes and base64 for everybody; what TLS takes beside them where it is a feature.
MBEDTLS_SOURCES := $(addprefix library/,base64.c constant_time.c platform_util.c sha1.c sha256.c)
MBEDTLS_SOURCES_tls := $(addprefix library/,aes.c aesni.c asn1parse.c asn1write.c bignum.c bignum_core.c chacha20.c \
                         chachapoly.c cipher.c cipher_wrap.c ecdh.c ecdsa.c ecp.c ecp_curves.c gcm.c md.c \
                         hkdf.c memory_buffer_alloc.c oid.c pk.c pk_ecc.c pk_wrap.c pkparse.c platform.c poly1305.c \
                         psa_crypto.c psa_crypto_aead.c psa_crypto_cipher.c psa_crypto_client.c \
                         psa_crypto_driver_wrappers_no_static.c psa_crypto_ecp.c psa_crypto_hash.c psa_crypto_mac.c \
                         psa_crypto_rsa.c psa_crypto_slot_management.c psa_util.c rsa.c rsa_alt_helpers.c sha512.c \
                         ssl_ciphersuites.c ssl_client.c ssl_msg.c ssl_ticket.c ssl_tls.c ssl_tls12_client.c \
                         ssl_tls12_server.c ssl_tls13_client.c ssl_tls13_generic.c ssl_tls13_keys.c \
                         ssl_tls13_server.c x509.c x509_crt.c x509_create.c x509write.c x509write_crt.c pkwrite.c)
MBEDTLS_SOURCES += $(foreach feature,$(FEATURES_$(PROFILE)),$(MBEDTLS_SOURCES_$(feature)))
CJSON_SOURCES := cJSON.c
NANOPB_SOURCES := pb_common.c pb_decode.c pb_encode.c

# With its folder: mbedTLS has a header of the same name, and would find its own first.
THIRD_PARTY_CPPFLAGS := -isystem $(LWIP)/src/include -isystem $(MBEDTLS)/include -isystem $(CJSON) \
                        -isystem $(NANOPB) -isystem build/proto -DPB_VALIDATE_UTF8=1 \
                        -DMBEDTLS_CONFIG_FILE='"port/mbedtls_config.h"'
# Messages come from buffers and hold no 64-bit numbers. Where flash is short, what is wrong with one is "(none)".
NANOPB_FLAGS_small := -DPB_NO_ERRMSG=1 -DPB_WITHOUT_64BIT=1 -DPB_BUFFER_ONLY=1
NANOPB_FLAGS_tls   := $(NANOPB_FLAGS_small)
THIRD_PARTY_CPPFLAGS += $(NANOPB_FLAGS_$(PROFILE))
THIRD_PARTY_OBJECTS := $(LWIP_SOURCES:%.c=$(B)/lwip/%.o) $(MBEDTLS_SOURCES:%.c=$(B)/mbedtls/%.o) \
                       $(CJSON_SOURCES:%.c=$(B)/cjson/%.o) $(NANOPB_SOURCES:%.c=$(B)/nanopb/%.o)

# cJSON's default hooks name malloc; the names are turned into ours, which hand out an arena (services/gateway/json.h).
CJSON_FLAGS := -Dmalloc=json_arena_malloc -Drealloc=json_arena_realloc -Dfree=json_arena_free -Dstrtod=json_skip_number \
               -DCJSON_NESTING_LIMIT=8

# A server that asks for no client's certificate has no use for what checks one (port/tls/small/server.c): 5 KB.
MBEDTLS_FLAGS_tls := -Dmbedtls_ssl_parse_certificate=tls_no_client_certificate

ifneq ($(filter-out $(GOALS_WITHOUT_SOURCES),$(GOALS)),)
ifeq ($(THIRD_PARTY),build/third_party)
# Another list is another stamp; a new date of the script alone fetches nothing again.
TREES := lwip mbedtls cjson nanopb
THIRD_PARTY_STAMP := build/third_party/$(subst $(eval ) ,+,$(TREES)).mk
include $(THIRD_PARTY_STAMP)
$(THIRD_PARTY_STAMP): | $$(PACKAGE_STAMP)
	@port/third_party.sh $@ $(TREES)
else ifneq ($(words $(wildcard $(LWIP)/src/core/init.c $(MBEDTLS)/library/sha256.c $(CJSON)/cJSON.c $(NANOPB)/pb_encode.c)),4)
$(error THIRD_PARTY=$(THIRD_PARTY) must hold the source trees lwip/, mbedtls/, cjson/ and nanopb/)
endif
endif

$(B)/lwip/%.o: $(LWIP)/%.c $(FLAG_FILES)
	$(call compile,$(CPPFLAGS) $(CFLAGS) -Wno-address)
$(B)/mbedtls/library/ssl_tls12_server.o: CPPFLAGS += $(MBEDTLS_FLAGS_$(PROFILE))
$(B)/mbedtls/%.o: $(MBEDTLS)/%.c $(FLAG_FILES)
	$(call compile,$(CPPFLAGS) $(CFLAGS))
$(B)/cjson/%.o: $(CJSON)/%.c $(FLAG_FILES) port/third_party.mk
	$(call compile,$(CPPFLAGS) $(CFLAGS) $(CJSON_FLAGS))
$(B)/nanopb/%.o: $(NANOPB)/%.c $(FLAG_FILES)
	$(call compile,$(CPPFLAGS) $(CFLAGS))

# Protocol Buffers: NAME.proto with its NAME.options becomes build/proto/services/.../NAME.pb.[ch], included as
# <services/.../NAME.pb.h>. The generator is nanopb's own, run with the distribution's Python.
PROTOS := $(wildcard services/*/*.proto)
PROTO_HEADERS := $(PROTOS:%.proto=build/proto/%.pb.h)
build/proto/%.pb.c build/proto/%.pb.h &: %.proto %.options $(THIRD_PARTY_STAMP)
	@mkdir -p $(@D); echo "  PROTO $<"
	@NANOPB_PB2_TEMP_DIR=$(abspath build/proto) /usr/bin/python3 -B $(NANOPB)/generator/nanopb_generator.py \
	    -q --error-on-unmatched -I . -D build/proto $<
$(B)/%.pb.o: build/proto/%.pb.c Makefile
	$(call compile,$(CPPFLAGS) $(CFLAGS))

## licences: third-party names, versions, licences and where their texts are
licences:
	@port/licences.sh $(THIRD_PARTY)

.PHONY: licences
