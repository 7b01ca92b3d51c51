// The request line: method, target in its three forms, version (RFC 9112 sections 2.3 and 3).
#include "http1_private.h"

#define EMPTY_LINES_MAX 4  // RFC 9112 section 2.2 asks for one at least
#define METHOD_MAX      24 // bytes; the longest one registered has 17

static const char *const method_names[] = {
    [HTTP1_GET] = "GET", [HTTP1_HEAD] = "HEAD",     [HTTP1_POST] = "POST",
    [HTTP1_PUT] = "PUT", [HTTP1_DELETE] = "DELETE", [HTTP1_OPTIONS] = "OPTIONS",
};

static const char *const scheme_names[] = {"http://", "https://"};

uint16_t http1_take_start(struct http1 *p, uint8_t c)
{
    if (c == '\r') {
        http1_go(p, AT_EMPTY_LF);
        return p->empty_lines++ < EMPTY_LINES_MAX ? 0 : MALFORMED;
    }
    if (!is_token(c))
        return MALFORMED;
    http1_word_begin(p, ALL_OF(method_names));
    http1_word_byte(p, method_names, c);
    http1_go(p, AT_METHOD);
    return 0;
}

// Case-sensitive, RFC 9110 section 9.1.
uint16_t http1_take_method(struct http1 *p, uint8_t c)
{
    if (c == ' ') {
        p->method = (enum http1_method)http1_word_found(p, method_names, HTTP1_OTHER_METHOD);
        http1_go(p, AT_TARGET);
        return 0;
    }
    if (!is_token(c))
        return MALFORMED;
    if (p->word_length == METHOD_MAX)
        return NOT_IMPLEMENTED; // RFC 9112 section 3
    http1_word_byte(p, method_names, c);
    return 0;
}

// The first byte tells the form (RFC 9112 section 3.2). The authority-form belongs to CONNECT, which only proxies
// have: it ends as malformed in the scheme.
uint16_t http1_take_target(struct http1 *p, uint8_t c)
{
    if (c == '/') {
        p->path = http1_keep_end(p);
        http1_go(p, AT_PATH);
        return http1_take_path(p, c);
    }
    if (c == '*') {
        p->path = http1_keep_end(p);
        p->path.length = 1;
        http1_go(p, AT_ASTERISK_END);
        return http1_keep_byte(p, c) ? 0 : TARGET_TOO_LONG;
    }
    http1_word_begin(p, ALL_OF(scheme_names));
    http1_go(p, AT_SCHEME);
    return http1_take_scheme(p, c);
}

uint16_t http1_take_scheme(struct http1 *p, uint8_t c)
{
    http1_word_byte(p, scheme_names, lower(c));
    if (p->candidates == 0)
        return MALFORMED;
    if (http1_word_found(p, scheme_names, COUNT(scheme_names)) < COUNT(scheme_names)) {
        p->fields[HTTP1_HOST] = http1_keep_end(p);
        http1_go(p, AT_AUTHORITY);
    }
    return 0;
}

// How many bytes at the start of `host` are a name or, behind '[', an IP literal.
static size_t host_name_length(struct span host, bool literal)
{
    size_t i = 0;
    while (i < host.length && (is_host((uint8_t)host.at[i]) || (literal && host.at[i] == ':'))) {
        if (host.at[i] == '%' && escape_read(span_behind(host, i)) <= 0)
            break;
        i++;
    }
    return i;
}

// uri-host [ ":" port ], RFC 9110 section 7.2.
bool http1_host_is_valid(struct span host)
{
    bool literal = host.length > 0 && host.at[0] == '[';
    if (literal)
        host = span_behind(host, 1);
    size_t name = host_name_length(host, literal);
    host = span_behind(host, name);
    if (literal) {
        if (name == 0 || host.length == 0 || host.at[0] != ']')
            return false;
        host = span_behind(host, 1);
    }
    if (host.length == 0)
        return true;
    size_t i = 1;
    while (i < host.length && is_digit((uint8_t)host.at[i]))
        i++;
    return host.at[0] == ':' && i == host.length;
}

static uint16_t path_end(struct http1 *p)
{
    char *path = p->keep + (p->path.at - p->keep);
    long length = http1_percent_decode(path, (size_t)(p->keep + p->used - path));
    if (length < 0)
        return MALFORMED;
    p->path.length = (size_t)length;
    p->used = (uint16_t)(path + length - p->keep);
    return 0;
}

// The path begins with `c`, or is missing and stands for "/" (RFC 9110 section 4.2.3). An http URI without a host is
// invalid (section 4.2.1), one with user information is treated as an error (section 4.2.4).
static uint16_t authority_end(struct http1 *p, uint8_t c)
{
    struct span *host = &p->fields[HTTP1_HOST];
    host->length = (size_t)(p->keep + p->used - host->at);
    if (host->length == 0 || host->at[0] == ':' || !http1_host_is_valid(*host))
        return MALFORMED;
    p->path = http1_keep_end(p);
    if (!http1_keep_byte(p, '/'))
        return TARGET_TOO_LONG;
    http1_go(p, AT_PATH);
    return c == '/' ? 0 : http1_take_path(p, c);
}

uint16_t http1_take_authority(struct http1 *p, uint8_t c)
{
    if (c == '/' || c == '?' || c == ' ')
        return authority_end(p, c);
    if (!is_target(c))
        return MALFORMED;
    return http1_keep_byte(p, c) ? 0 : TARGET_TOO_LONG;
}

uint16_t http1_take_path(struct http1 *p, uint8_t c)
{
    if (c == ' ' || c == '?') {
        uint16_t refusal = path_end(p);
        p->query = c == '?' ? http1_keep_end(p) : (struct span){NULL, 0};
        http1_word_begin(p, 0);
        http1_go(p, c == '?' ? AT_QUERY : AT_VERSION);
        return refusal;
    }
    if (!is_target(c))
        return MALFORMED;
    return http1_keep_byte(p, c) ? 0 : TARGET_TOO_LONG;
}

uint16_t http1_take_query(struct http1 *p, uint8_t c)
{
    if (c == ' ') {
        http1_go(p, AT_VERSION);
        return 0;
    }
    if (!is_target(c))
        return MALFORMED;
    p->query.length++;
    return http1_keep_byte(p, c) ? 0 : TARGET_TOO_LONG;
}

uint16_t http1_take_asterisk_end(struct http1 *p, uint8_t c)
{
    http1_word_begin(p, 0);
    http1_go(p, AT_VERSION);
    return c == ' ' ? 0 : MALFORMED;
}

// The asterisk-form is for OPTIONS alone. Asked last, so that the preface of HTTP/2, "PRI * HTTP/2.0", gets its 505.
static uint16_t version_end(struct http1 *p)
{
    if (p->digits != 1)
        return VERSION_NOT_SUPPORTED;
    if (p->path.at[0] == '*' && p->method != HTTP1_OPTIONS)
        return MALFORMED;
    http1_go(p, AT_VERSION_LF);
    return 0;
}

// Two digits, no more (RFC 9112 section 2.3). A later HTTP/1 is read as 1.1, which it promises to allow.
uint16_t http1_take_version(struct http1 *p, uint8_t c)
{
    static const char form[] = "HTTP/1.1\r";
    unsigned i = p->word_length++;
    if (form[i] != '1')
        return c != (uint8_t)form[i] ? MALFORMED : c == '\r' ? version_end(p) : 0;
    if (!is_digit(c))
        return MALFORMED;
    if (form[i - 1] == '/')
        p->digits = (uint8_t)(c - '0');
    else
        p->minor_version = c == '0' ? 0 : 1;
    return 0;
}
