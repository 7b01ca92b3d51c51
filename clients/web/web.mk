# The page that the gateway serves at /: one constant, the same for every variant.
WEB_SOURCES := $(wildcard clients/web/*.html clients/web/*.css clients/web/*.js)
WEB_BYTES   := 14336 # what fits ten segments of a full Ethernet, a first window of TCP (RFC 6928)
WEB_OBJECT  := $(B)/web/page.o

build/web/page.c: clients/web/bundle.py clients/web/squeeze.py $(WEB_SOURCES)
	@echo "  WEB $@"; /usr/bin/python3 -B $< --most $(WEB_BYTES) -o $@ $(WEB_SOURCES)
$(WEB_OBJECT): build/web/page.c $(FLAG_FILES)
	$(call compile,$(CPPFLAGS) $(CFLAGS) $(WARNINGS))
