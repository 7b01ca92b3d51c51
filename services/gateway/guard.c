#include "guard.h"
#include "../../port/net.h"

/// Authorities ///

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

// Only whether it can be nothing but an IPv6 literal: in brackets no name can stand, so there is nothing to rebind.
static bool is_ipv6(struct span s)
{
    size_t colons = 0;
    for (size_t i = 0; i < s.length; i++) {
        if (s.at[i] == ':')
            colons++;
        else if (!is_hex(s.at[i]) && s.at[i] != '.')
            return false;
    }
    return colons >= 2 && s.length <= 45;
}

static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.length; i++) {
        char c = s.at[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        bool digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '-' && c != '.' && c != '_')
            return false;
    }
    return s.length > 0 && s.length <= 253;
}

// ":80", ":" (RFC 3986 allows an empty port) or nothing.
static bool read_port(struct span s, uint16_t *port)
{
    *port = 0;
    if (s.length == 0)
        return true;
    if (s.at[0] != ':')
        return false;
    uint64_t value = 0;
    struct span number = span_behind(s, 1);
    if (number.length == 0)
        return true;
    if (!span_number(number, UINT16_MAX, &value) || value == 0)
        return false;
    *port = (uint16_t)value;
    return true;
}

static size_t find_byte(struct span s, char byte)
{
    size_t at = 0;
    while (at < s.length && s.at[at] != byte)
        at++;
    return at;
}

static bool bracketed_authority(struct span text, struct guard_authority *authority)
{
    size_t end = find_byte(text, ']');
    if (end == text.length)
        return false;
    authority->bracketed = true;
    authority->host = (struct span){text.at + 1, end - 1};
    return is_ipv6(authority->host) && read_port(span_behind(text, end + 1), &authority->port);
}

bool guard_authority(struct span text, struct guard_authority *authority)
{
    *authority = (struct guard_authority){0};
    if (text.length == 0)
        return false;
    if (text.at[0] == '[')
        return bracketed_authority(text, authority);
    size_t end = find_byte(text, ':');
    authority->host = (struct span){text.at, end};
    return is_name(authority->host) && read_port(span_behind(text, end), &authority->port);
}

/// Lists ///

static bool listed(struct span list, struct span item)
{
    size_t at = 0;
    while (at < list.length) {
        size_t begin = at;
        while (at < list.length && list.at[at] != ',' && list.at[at] != ' ')
            at++;
        struct span entry = {list.at + begin, at - begin};
        if (entry.length > 0 && span_equal_nocase(entry, item))
            return true;
        at++;
    }
    return false;
}

/// Checks ///

static bool host_is_ours(const struct guard_authority *host, struct span names)
{
    uint32_t address;
    if (host->bracketed || net_address_read(host->host, &address) || net_is_own_name(host->host))
        return true;
    return span_equal_nocase(host->host, span_of("localhost")) || listed(names, host->host);
}

// An origin's default port counts for Host too when that names none: behind a proxy that ends TLS we see
// `Origin: https://chat.example` with `Host: chat.example`.
static bool same_origin(struct span origin, bool secure, const struct guard_authority *host)
{
    static const struct {
        const char *prefix;
        uint16_t port;
    } schemes[] = {{"http://", 80}, {"https://", 443}};
    for (size_t i = secure ? 1 : 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        struct span prefix = span_of(schemes[i].prefix);
        struct guard_authority from;
        if (!span_starts_nocase(origin, prefix))
            continue;
        if (!guard_authority(span_behind(origin, prefix.length), &from))
            return false;
        uint16_t from_port = from.port != 0 ? from.port : schemes[i].port;
        uint16_t host_port = host->port != 0 ? host->port : schemes[i].port;
        return from_port == host_port && from.bracketed == host->bracketed && span_equal_nocase(from.host, host->host);
    }
    return false;
}

enum guard_verdict guard_check(struct span host, struct span origin, bool secure, struct span names,
                               struct span origins)
{
    struct guard_authority authority = {0};
    if (host.at != NULL && (!guard_authority(host, &authority) || !host_is_ours(&authority, names)))
        return GUARD_FOREIGN_HOST;
    if (origin.at == NULL || listed(origins, origin))
        return GUARD_PASS;
    return host.at != NULL && same_origin(origin, secure, &authority) ? GUARD_PASS : GUARD_FOREIGN_ORIGIN;
}
