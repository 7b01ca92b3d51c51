// Who may ask: checks of Host and Origin against attacks that come through somebody's browser.
//
// DNS rebinding: a page from evil.example, whose name suddenly resolves to our address, would be same-origin with us;
// but then Host says evil.example. So Host must be an IP literal (no name, nothing to rebind), `localhost`, a name of
// our own (net_is_own_name()) or stand in http.names; any port.
// Cross-site requests: Origin, when sent, must name the host and port that Host names, or stand in http.origins. Over
// TLS it must be https: whoever is on the way may write what plain pages say.
#ifndef PIPIT_GUARD_H
#define PIPIT_GUARD_H

#include "../../port/span.h"

enum guard_verdict {
    GUARD_PASS = 0,
    GUARD_FOREIGN_HOST = -1,
    GUARD_FOREIGN_ORIGIN = -2,
};

// A host and port as they stand in Host and Origin (RFC 3986 section 3.2). `host` without the brackets of an IPv6 one.
struct guard_authority {
    struct span host;
    bool bracketed;
    uint16_t port; // 0 when none was given
};

// False when it is no host[:port].
bool guard_authority(struct span text, struct guard_authority *authority);

// `host` and `origin` as the parser kept them; `at` is NULL for a field that was not sent. Without Host (HTTP/1.0) an
// Origin must stand in `origins`. The lists are separated by commas or spaces.
// `secure`: the request came over TLS.
enum guard_verdict guard_check(struct span host, struct span origin, bool secure, struct span names,
                               struct span origins);

#endif
