// Every vector is fed whole, byte by byte, cut in two at every place, and flush against a page that nobody may touch.
// What was found is written down as text and compared, so a test says in full what the parser must see.
#include "../../port/text.h"
#include "../../services/proto/http1.h"
#include "guard_support.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

/// What was found, as text ///

#define HTTP1_KEEP 512
static char keep[HTTP1_KEEP];

struct story {
    struct text text;
    char bytes[40000];
    bool told; // the head of the request under way is in the text
};

static void tell_field(struct text *t, const char *name, struct span value)
{
    if (value.at == NULL)
        return;
    text_format(t, " %s=[", name);
    text_span(t, value);
    text_byte(t, ']');
}

static void tell_flags(struct text *t, const struct http1 *p)
{
    if (p->chunked)
        text_string(t, " chunked");
    if (p->content_length > 0)
        text_format(t, " length=%llu", (unsigned long long)p->content_length);
    if (p->has_body != (p->chunked || p->content_length > 0))
        text_string(t, " HAS_BODY IS WRONG");
    if (p->keep_alive)
        text_string(t, " keep");
    if (p->upgrade)
        text_string(t, " up");
    if (p->expects_continue)
        text_string(t, " expects");
}

static void tell_head(struct story *s, const struct http1 *p)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "OTHER"};
    static const char *const names[HTTP1_KEPT_FIELDS] = {
        [HTTP1_HOST] = "host",
        [HTTP1_ORIGIN] = "origin",
        [HTTP1_AUTHORIZATION] = "auth",
        [HTTP1_CONTENT_TYPE] = "type",
        [HTTP1_ACCEPT_ENCODING] = "accept",
        [HTTP1_IF_NONE_MATCH] = "none-match",
        [HTTP1_UPGRADE] = "upgrade",
        [HTTP1_WEBSOCKET_KEY] = "key",
        [HTTP1_WEBSOCKET_VERSION] = "ws-version",
        [HTTP1_WEBSOCKET_PROTOCOL] = "protocol",
    };
    text_format(&s->text, "%s ", methods[p->method]);
    text_span(&s->text, p->path);
    tell_field(&s->text, "query", p->query);
    text_format(&s->text, " 1.%u", (unsigned)p->minor_version);
    for (unsigned i = 0; i < HTTP1_KEPT_FIELDS; i++)
        tell_field(&s->text, names[i], p->fields[i]);
    tell_flags(&s->text, p);
    text_string(&s->text, " {");
    s->told = true;
}

static void story_begin(struct story *s)
{
    s->text = text_in(s->bytes, sizeof(s->bytes));
    s->told = false;
}

// Ends the request when it has ended and makes the parser ready for the next one.
static void tell_end(struct story *s, struct http1 *p)
{
    if (p->state != HTTP1_DONE)
        return;
    text_string(&s->text, "}\n");
    s->told = false;
    http1_begin(p, keep, sizeof keep);
}

static void hear(struct story *s, struct http1 *p, const uint8_t *bytes, size_t length)
{
    while (length > 0 && p->state != HTTP1_BAD) {
        struct http1_step step = http1_feed(p, bytes, length);
        assert_true(step.consumed > 0 && step.consumed <= length);
        if (!s->told && p->state > HTTP1_FIELDS && p->state != HTTP1_BAD)
            tell_head(s, p);
        if (step.body.length > 0)
            assert_true((const uint8_t *)step.body.at + step.body.length <= bytes + step.consumed);
        text_span(&s->text, step.body);
        bytes += step.consumed;
        length -= step.consumed;
        tell_end(s, p);
    }
}

static const char *story_end(struct story *s, const struct http1 *p)
{
    if (p->state == HTTP1_BAD)
        text_format(&s->text, "!%u", (unsigned)p->status);
    else if (p->state != HTTP1_START_LINE)
        text_format(&s->text, "...%u", (unsigned)p->state);
    assert_false(s->text.cut);
    return text_end(&s->text);
}

/// The ways that bytes arrive ///

static struct story story;
static struct http1 parser;

static const char *fed_in_pieces(const char *bytes, size_t length, size_t first, size_t others)
{
    memset(&parser, 0xa5, sizeof(parser)); // http1_begin() must not rely on what was there
    http1_begin(&parser, keep, sizeof keep);
    story_begin(&story);
    for (size_t at = 0, n = first; at < length; at += n, n = others) {
        n = n < length - at ? n : length - at;
        hear(&story, &parser, (const uint8_t *)bytes + at, n);
    }
    return story_end(&story, &parser);
}

// The first byte that may not be read.
static char *guard_page(void)
{
    static char *guard;
    if (guard == NULL)
        guard = (char *)guard_behind(65536);
    return guard;
}

static const char *fed_at_guard_page(const char *bytes, size_t length, size_t pieces)
{
    http1_begin(&parser, keep, sizeof keep);
    story_begin(&story);
    for (size_t at = 0, n; at < length; at += n) {
        n = pieces < length - at ? pieces : length - at;
        char *copy = guard_page() - n;
        memcpy(copy, bytes + at, n);
        hear(&story, &parser, (const uint8_t *)copy, n);
    }
    return story_end(&story, &parser);
}

static void check(const char *bytes, size_t length, const char *expected)
{
    assert_string_equal(fed_in_pieces(bytes, length, length, length), expected);
    assert_string_equal(fed_in_pieces(bytes, length, 1, 1), expected);
    assert_string_equal(fed_at_guard_page(bytes, length, length), expected);
    assert_string_equal(fed_at_guard_page(bytes, length, 1), expected);
    for (size_t cut = 1; cut < length && length < 2000; cut++)
        assert_string_equal(fed_in_pieces(bytes, length, cut, length), expected);
}

struct vector {
    const char *bytes;
    size_t length;
    const char *expected;
};

#define VECTOR(BYTES, EXPECTED)                                                                                        \
    {                                                                                                                  \
        BYTES, sizeof(BYTES) - 1, EXPECTED                                                                             \
    }

static void check_all(const struct vector *vectors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check(vectors[i].bytes, vectors[i].length, vectors[i].expected);
}

#define H "Host: pipit\r\n"

/// Request lines ///

static void test_targets(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        VECTOR("GET / HTTP/1.1\r\n" H "\r\n", "GET / 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET /%68ealthz HTTP/1.1\r\n" H "\r\n", "GET /healthz 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET /%25%36%38%2fa%2Fb HTTP/1.1\r\n" H "\r\n", "GET /%68/a/b 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET /%c3%a9 HTTP/1.1\r\n" H "\r\n", "GET /\xc3\xa9 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET /ws?since=17&x=%41 HTTP/1.1\r\n" H "\r\n",
               "GET /ws query=[since=17&x=%41] 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET /%61?a?b/%zz%00|{} HTTP/1.1\r\n" H "\r\n",
               "GET /a query=[a?b/%zz%00|{}] 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET /? HTTP/1.1\r\n" H "\r\n", "GET / query=[] 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET //a//b HTTP/1.1\r\n" H "\r\n", "GET //a//b 1.1 host=[pipit] keep {}\n"),
        VECTOR("OPTIONS * HTTP/1.1\r\n" H "\r\n", "OPTIONS * 1.1 host=[pipit] keep {}\n"),
        VECTOR("OPTIONS /* HTTP/1.1\r\n" H "\r\n", "OPTIONS /* 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET http://a.b:80/c?d HTTP/1.1\r\n" H "\r\n", "GET /c query=[d] 1.1 host=[a.b:80] keep {}\n"),
        VECTOR("GET hTTps://a.b HTTP/1.1\r\n" H "\r\n", "GET / 1.1 host=[a.b] keep {}\n"),
        VECTOR("GET http://[::1]:8080?q HTTP/1.1\r\n" H "\r\n", "GET / query=[q] 1.1 host=[[::1]:8080] keep {}\n"),
        VECTOR("GET http://a/%41 HTTP/1.1\r\nHost: evil\r\nOrigin: o\r\n\r\n",
               "GET /A 1.1 host=[a] origin=[o] keep {}\n"),
        VECTOR("GET http://a/ HTTP/1.0\r\n\r\n", "GET / 1.0 host=[a] {}\n"),
        VECTOR("OPTIONS http://a HTTP/1.1\r\n" H "\r\n", "OPTIONS / 1.1 host=[a] keep {}\n"),
        VECTOR("GET http://a HTTP/1.1\r\nHost:\r\n\r\n", "GET / 1.1 host=[a] keep {}\n"),
    };
    check_all(vectors, COUNT(vectors));
}

static void test_methods_and_versions(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        VECTOR("HEAD /a HTTP/1.1\r\n" H "\r\n", "HEAD /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("POST /a HTTP/1.1\r\n" H "\r\n", "POST /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("PUT /a HTTP/1.1\r\n" H "\r\n", "PUT /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("DELETE /a HTTP/1.1\r\n" H "\r\n", "DELETE /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("get /a HTTP/1.1\r\n" H "\r\n", "OTHER /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("GE /a HTTP/1.1\r\n" H "\r\n", "OTHER /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("GETS /a HTTP/1.1\r\n" H "\r\n", "OTHER /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("P /a HTTP/1.1\r\n" H "\r\n", "OTHER /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("PROPFIND /a HTTP/1.1\r\n" H "\r\n", "OTHER /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("!#$%&'*+-.^_`|~09AZaz /a HTTP/1.1\r\n" H "\r\n", "OTHER /a 1.1 host=[pipit] keep {}\n"),
        VECTOR("ABCDEFGHIJKLMNOPQRSTUVWX / HTTP/1.1\r\n" H "\r\n", "OTHER / 1.1 host=[pipit] keep {}\n"),
        VECTOR("ABCDEFGHIJKLMNOPQRSTUVWXY / HTTP/1.1\r\n" H "\r\n", "!501"),
        VECTOR("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 {}\n"),
        VECTOR("GET / HTTP/1.0\r\nHost: b\r\n\r\n", "GET / 1.0 host=[b] {}\n"),
        VECTOR("GET / HTTP/1.2\r\n" H "\r\n", "GET / 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET / HTTP/1.9\r\n" H "\r\n", "GET / 1.1 host=[pipit] keep {}\n"),
        VECTOR("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", "GET / 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET / HTTP/1.1\r\n" H, "...1"),
        VECTOR("GET / HTTP/1.1\r\n" H "\r", "...1"),
        VECTOR("GET / HTT", ""),
    };
    check_all(vectors, COUNT(vectors));
}

static void test_bad_request_lines(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        VECTOR(" GET / HTTP/1.1\r\n", "!400"),
        VECTOR("\tGET / HTTP/1.1\r\n", "!400"),
        VECTOR("\nGET / HTTP/1.1\r\n", "!400"),
        VECTOR("\r\n\nGET / HTTP/1.1\r\n", "!400"),
        VECTOR("\rGET / HTTP/1.1\r\n", "!400"),
        VECTOR("\r\r\nGET / HTTP/1.1\r\n", "!400"),
        VECTOR("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", "!400"),
        VECTOR("\0GET / HTTP/1.1\r\n", "!400"),
        VECTOR("\x16\x03\x01\x02\x00\x01", "!400"), // a TLS ClientHello
        VECTOR("G\xc3\x89T / HTTP/1.1\r\n", "!400"),
        VECTOR("G(T / HTTP/1.1\r\n", "!400"),
        VECTOR("GET\t/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET\r\n", "!400"),
        VECTOR("GET\n", "!400"),
        VECTOR("GET  / HTTP/1.1\r\n", "!400"),
        VECTOR("GET /  HTTP/1.1\r\n", "!400"),
        VECTOR("GET /\tHTTP/1.1\r\n", "!400"),
        VECTOR("GET /a b HTTP/1.1\r\n", "!400"),
        VECTOR("GET /\r\n", "!400"), // HTTP/0.9
        VECTOR("GET /\n", "!400"),
        VECTOR("GET a HTTP/1.1\r\n", "!400"),
        VECTOR("GET ?a HTTP/1.1\r\n", "!400"),
        VECTOR("GET ../a HTTP/1.1\r\n", "!400"),
        VECTOR("GET /a#b HTTP/1.1\r\n", "!400"),
        VECTOR("GET /?a#b HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://a#b HTTP/1.1\r\n", "!400"),
        VECTOR("GET /\xc3\xa9 HTTP/1.1\r\n", "!400"),
        VECTOR("GET /?\xff HTTP/1.1\r\n", "!400"),
        VECTOR("GET /\x7f HTTP/1.1\r\n", "!400"),
        VECTOR("GET /a\0b HTTP/1.1\r\n", "!400"),
        VECTOR("GET /?a\x01 HTTP/1.1\r\n", "!400"),
        VECTOR("GET /%00 HTTP/1.1\r\n", "!400"),
        VECTOR("GET /a%00?b HTTP/1.1\r\n", "!400"),
        VECTOR("GET /% HTTP/1.1\r\n", "!400"),
        VECTOR("GET /%4 HTTP/1.1\r\n", "!400"),
        VECTOR("GET /%4?1 HTTP/1.1\r\n", "!400"),
        VECTOR("GET /%zz HTTP/1.1\r\n", "!400"),
        VECTOR("GET /%-1 HTTP/1.1\r\n", "!400"),
        VECTOR("GET /%+4 HTTP/1.1\r\n", "!400"),
        VECTOR("GET * HTTP/1.1\r\n", "!400"),
        VECTOR("OPTIONS ** HTTP/1.1\r\n", "!400"),
        VECTOR("OPTIONS *?a HTTP/1.1\r\n", "!400"),
        VECTOR("CONNECT a.b:443 HTTP/1.1\r\n", "!400"),
        VECTOR("CONNECT https:443 HTTP/1.1\r\n", "!400"),
        VECTOR("GET http:/a/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http:///a HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://:80/a HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://u:p@a/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://u@a/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://a:8x/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://a:8:9/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://[::1/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://[]/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://[::1]a/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://a%0/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://a%00/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET http://a\\b/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET ftp://a/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET httpss://a/ HTTP/1.1\r\n", "!400"),
        VECTOR("GET / http/1.1\r\n", "!400"),
        VECTOR("GET / HTTP/1\r\n", "!400"),
        VECTOR("GET / HTTP/1.\r\n", "!400"),
        VECTOR("GET / HTTP/1.10\r\n", "!400"),
        VECTOR("GET / HTTP/11.1\r\n", "!400"),
        VECTOR("GET / HTTP/01.1\r\n", "!400"),
        VECTOR("GET / HTTP/1,1\r\n", "!400"),
        VECTOR("GET / HTTP/x.1\r\n", "!400"),
        VECTOR("GET / HTTPS/1.1\r\n", "!400"),
        VECTOR("GET / HTTP/1.1 \r\n", "!400"),
        VECTOR("GET / HTTP/1.1\n", "!400"),
        VECTOR("GET / HTTP/1.1\r\r\n", "!400"),
        VECTOR("GET / HTTP/1.1\rHost: a\r\n", "!400"),
        VECTOR("GET / HTTP/2.0\r\n", "!505"),
        VECTOR("GET / HTTP/2\r\n", "!400"),
        VECTOR("GET / HTTP/0.9\r\n", "!505"),
        VECTOR("GET / HTTP/3.1\r\n", "!505"),
        VECTOR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "!505"),
    };
    check_all(vectors, COUNT(vectors));
}

/// Fields ///

static void test_fields(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        VECTOR("GET / HTTP/1.1\r\nhOsT:pipit\r\n\r\n", "GET / 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET / HTTP/1.1\r\nHost: \t pipit:8080\t \t\r\n\r\n", "GET / 1.1 host=[pipit:8080] keep {}\n"),
        VECTOR("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / 1.1 host=[] keep {}\n"),
        VECTOR("GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]:80\r\n\r\n", "GET / 1.1 host=[[fe80::1%25eth0]:80] keep {}\n"),
        VECTOR("GET / HTTP/1.1\r\nHost: 10.0.2.15:\r\n\r\n", "GET / 1.1 host=[10.0.2.15:] keep {}\n"),
        VECTOR("GET / HTTP/1.1\r\n" H "Hosts: x\r\nHos: y\r\nXHost: z\r\nH: \xff\t\x80~\r\n\r\n",
               "GET / 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET / HTTP/1.1\r\nOrigin: null\r\n" H
               "Authorization: Bearer  a\tb c \r\nContent-Type: application/json\r\n"
               "Accept-Encoding: gzip, br\r\nIf-None-Match: \"x\"\r\n\r\n",
               "GET / 1.1 host=[pipit] origin=[null] auth=[Bearer  a\tb c] type=[application/json] accept=[gzip, br] "
               "none-match=[\"x\"] keep {}\n"),
        VECTOR("GET /ws HTTP/1.1\r\n" H "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Protocol: pipit.v1.json, pipit.token.T\r\n\r\n",
               "GET /ws 1.1 host=[pipit] upgrade=[websocket] key=[dGhlIHNhbXBsZSBub25jZQ==] ws-version=[13] "
               "protocol=[pipit.v1.json, pipit.token.T] keep up {}\n"),
        VECTOR("GET / HTTP/1.1\r\n" H "Content-Type:\r\nOrigin: \t \r\n\r\n",
               "GET / 1.1 host=[pipit] origin=[] type=[] keep {}\n"),
        // a name longer than the counter of its bytes
        VECTOR("GET / HTTP/1.1\r\n" H "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
               "0123456789abcdef0123456789abcdef"
               "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456"
               "789abcdef"
               "0123456789abcdef0123456789abcdef0123456789abcdefhost: x\r\n\r\n",
               "GET / 1.1 host=[pipit] keep {}\n"),
    };
    check_all(vectors, COUNT(vectors));
}

static void test_lists_that_join(void **state)
{
    (void)state;
    static const struct vector vectors[] = {
        VECTOR("GET / HTTP/1.1\r\n" H "Upgrade: a\r\nUpgrade: b\r\n\r\n",
               "GET / 1.1 host=[pipit] upgrade=[a, b] keep {}\n"),
        // moved behind the fields between its lines, which move down
        VECTOR(
            "GET / HTTP/1.1\r\nUpgrade: one\r\n" H "Origin: o\r\nUpgrade: two\r\nSec-WebSocket-Protocol: x\r\n"
            "Accept-Encoding:\r\nUpgrade: three \r\nSec-WebSocket-Protocol: \ty\r\nSec-WebSocket-Key: k\r\n\r\n",
            "GET / 1.1 host=[pipit] origin=[o] accept=[] upgrade=[one, two, three] key=[k] protocol=[x, y] keep {}\n"),
        // lines that add nothing
        VECTOR("GET / HTTP/1.1\r\nUpgrade:\r\nUpgrade: \r\n" H
               "Upgrade: a\r\nUpgrade:\r\nUpgrade: b\r\nUpgrade: \t\r\n\r\n",
               "GET / 1.1 host=[pipit] upgrade=[a, b] keep {}\n"),
        VECTOR("GET http://t/ HTTP/1.1\r\nUpgrade: a\r\n" H "Upgrade: b\r\n\r\n",
               "GET / 1.1 host=[t] upgrade=[a, b] keep {}\n"),
        VECTOR("GET http://t/ HTTP/1.1\r\nHost: longer.than.that\r\nOrigin: o\r\n\r\n",
               "GET / 1.1 host=[t] origin=[o] keep {}\n"),
    };
    check_all(vectors, COUNT(vectors));
}

static void test_connection(void **state)
{
    (void)state;
#define C11(LINES, FLAGS) VECTOR("GET / HTTP/1.1\r\n" H LINES "\r\n", "GET / 1.1 host=[pipit]" FLAGS " {}\n")
#define C10(LINES, FLAGS) VECTOR("GET / HTTP/1.0\r\n" LINES "\r\n", "GET / 1.0" FLAGS " {}\n")
    static const struct vector vectors[] = {
        C11("", " keep"),
        C11("Connection: close\r\n", ""),
        C11("Connection: Close, keep-alive\r\n", ""),
        C11("Connection: ,, \tCLOSE\t ,,\r\n", ""),
        C11("Connection: x, Upgrade\r\nConnection: close\r\n", " up"),
        C11("Connection:upgrade\r\nConnection: y\r\n", " keep up"),
        C11("Connection: closed, clos, close x, x close, close;, \"close\"\r\n", " keep"),
        C11("Connection: up grade, upgrade/1\r\n", " keep"),
        C11("Connection: chunked, 100-continue\r\n", " keep"),
        C11("Proxy-Connection: close\r\n", " keep"),
        C11("Connection:\r\n", " keep"),
        C11("Connection: host, content-length\r\n", " keep"),
        C11("Expect: 100-Continue\r\n", " keep expects"),
        C11("Expect: 100-continue-not, 200-ok\r\n", " keep"),
        C11("Expect: other\r\nExpect: 100-continue\r\n", " keep expects"),
        C11("Expect: close\r\n", " keep"),
        C10("", ""),
        C10("Connection: keep-alive\r\n", " keep"),
        C10("Connection: keep-alive, close\r\n", ""),
        C10("Connection: upgrade\r\n", ""),
        C10("Expect: 100-continue\r\n", ""),
    };
    check_all(vectors, COUNT(vectors));
#undef C11
#undef C10
}

static void test_bad_fields(void **state)
{
    (void)state;
#define BAD(LINES, STATUS) VECTOR("GET / HTTP/1.1\r\n" LINES "\r\n", "!" #STATUS)
    static const struct vector vectors[] = {
        BAD("", 400), // no Host
        BAD("X-Host: a\r\n", 400),
        BAD(H H, 400),
        BAD(H "Host:\r\n", 400),
        BAD("Host:\r\nhost:\r\n", 400),
        BAD("Host: a, b\r\n", 400),
        BAD("Host: a b\r\n", 400),
        BAD("Host: a/b\r\n", 400),
        BAD("Host: a@b\r\n", 400),
        BAD("Host: a:b\r\n", 400),
        BAD("Host: http://a\r\n", 400),
        BAD("Host: ::1\r\n", 400),
        BAD("Host: [::1\r\n", 400),
        BAD("Host: [::1]8\r\n", 400),
        BAD("Host: %\r\n", 400),
        BAD("Host: \xc3\xa9\r\n", 400),
        BAD(H "Origin: a\r\nOrigin: a\r\n", 400),
        BAD(H "Authorization: a\r\nAUTHORIZATION: b\r\n", 400),
        BAD(H "Content-Type: a\r\nContent-Type: a\r\n", 400),
        BAD(H "Accept-Encoding: a\r\nAccept-Encoding: a\r\n", 400),
        BAD(H "If-None-Match: a\r\nIf-None-Match: a\r\n", 400),
        BAD(H "Sec-WebSocket-Key: a\r\nSec-WebSocket-Key: a\r\n", 400),
        BAD(H "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13\r\n", 400),
        BAD(" Host: a\r\n", 400), // white space before the first field
        BAD("\tHost: a\r\n", 400),
        BAD(H "X: a\r\n b\r\n", 400), // obs-fold
        BAD(H "X: a\r\n\tb\r\n", 400),
        BAD(H "X: a\r\n \r\n", 400),
        BAD("Host : a\r\n", 400),
        BAD(H "X\t: a\r\n", 400),
        BAD(H "X Y: a\r\n", 400),
        BAD(H ": a\r\n", 400),
        BAD(H "X\r\n", 400),
        BAD(H "X\n", 400),
        BAD(H "X(: a\r\n", 400),
        BAD(H "X\0: a\r\n", 400),
        BAD(H "\xc3\xa9: a\r\n", 400),
        BAD(H "\"X\": a\r\n", 400),
        BAD(H "X: a\0b\r\n", 400),
        BAD(H "X: a\x7f\r\n", 400),
        BAD(H "X: a\x1f\r\n", 400),
        BAD(H "X: a\x0b\r\n", 400),
        BAD(H "X: a\nY: b\r\n", 400),
        BAD(H "X: a\rY: b\r\n", 400),
        BAD(H "X: a\r\r\n", 400),
        BAD(H "X:\n", 400),
        BAD(H "Authorization: a\x01\r\n", 400),
        BAD(H "Connection: clo\0se\r\n", 400),
    };
    check_all(vectors, COUNT(vectors));
#undef BAD
    static const struct vector endings[] = {
        VECTOR("GET / HTTP/1.1\r\n" H "\n", "!400"),
        VECTOR("GET / HTTP/1.1\r\n" H "\r\r\n", "!400"),
        VECTOR("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "!400"),
        VECTOR("GET http://a/ HTTP/1.1\r\n\r\n", "!400"), // Host is asked for in any case
        VECTOR("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "!400"),
        VECTOR("GET http://a/ HTTP/1.1\r\nHost: b c\r\n\r\n", "!400"),
    };
    check_all(endings, COUNT(endings));
}

/// Framing ///

static void test_bodies(void **state)
{
    (void)state;
#define POST  "POST / HTTP/1.1\r\n" H
#define FOUND "POST / 1.1 host=[pipit]"
    static const struct vector vectors[] = {
        VECTOR(POST "Content-Length: 5\r\n\r\nhello", FOUND " length=5 keep {hello}\n"),
        VECTOR(POST "content-length:\t 0005 \r\n\r\nhello", FOUND " length=5 keep {hello}\n"),
        VECTOR(POST "Content-Length: 0\r\n\r\n", FOUND " keep {}\n"),
        VECTOR(POST "Content-Length: 9\r\n\r\nhello", FOUND " length=9 keep {hello...2"),
        VECTOR(POST "Content-Length: 18446744073709551615\r\n\r\nx", FOUND " length=18446744073709551615 keep {x...2"),
        VECTOR(POST "Content-Length: 00000000000000000000000000001\r\n\r\nx", FOUND " length=1 keep {x}\n"),
        VECTOR("GET / HTTP/1.0\r\nContent-Length: 2\r\n\r\n\r\n", "GET / 1.0 length=2 {\r\n}\n"),
        VECTOR("HEAD / HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nab", "HEAD / 1.1 host=[pipit] length=2 keep {ab}\n"),
        VECTOR(POST "Content-Length: 1\r\nExpect: 100-continue\r\n\r\n", FOUND " length=1 keep expects {...2"),
        // pipelined: each ends where the next one begins
        VECTOR(POST "Content-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n" H "\r\n\r\n" POST
                    "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nGET /4 HTTP/1.0\r\n\r\n",
               FOUND " length=3 keep {abc}\nGET /2 1.1 host=[pipit] keep {}\n" FOUND
                     " chunked keep {x}\nGET /4 1.0 {}\n"),
        VECTOR("GET /1 HTTP/1.1\r\n" H
               "Origin: o\r\nUpgrade: u\r\nConnection: close, upgrade\r\n\r\nGET /2 HTTP/1.1\r\n" H "\r\n",
               "GET /1 1.1 host=[pipit] origin=[o] upgrade=[u] up {}\nGET /2 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET /1 HTTP/1.1\r\n" H "\r\nGARBAGE", "GET /1 1.1 host=[pipit] keep {}\n"),
        VECTOR("GET /1 HTTP/1.1\r\n" H "\r\n\x01", "GET /1 1.1 host=[pipit] keep {}\n!400"),
    };
    check_all(vectors, COUNT(vectors));
}

static void test_chunked(void **state)
{
    (void)state;
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define GOT     FOUND " chunked keep {"
    static const struct vector vectors[] = {
        VECTOR(CHUNKED "0\r\n\r\n", GOT "}\n"),
        VECTOR(CHUNKED "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", GOT "hello world}\n"),
        VECTOR(CHUNKED "00A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", GOT "01234567890123456789}\n"),
        VECTOR(CHUNKED "0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", GOT "x}\n"),
        VECTOR(CHUNKED "4\r\n\r\n\r\n\r\n0\r\n\r\n", GOT "\r\n\r\n}\n"),
        VECTOR(CHUNKED "1;a=b;c=\"d;\xc3\xa9 e\"\r\nx\r\n0;last\r\n\r\n", GOT "x}\n"),
        VECTOR(CHUNKED "1 \t;\ta = b \r\nx\r\n0;\r\n\r\n", GOT "x}\n"),
        VECTOR(CHUNKED "1\r\nx\r\n0\r\nDigest: y\r\nHost: other\r\nContent-Length: 3\r\nX:\r\n\r\n", GOT "x}\n"),
        VECTOR(CHUNKED "ffffffffffffffff\r\nx", GOT "x...3"),
        VECTOR(POST "TRANSFER-ENCODING: \t CHUNKed \r\n\r\n0\r\n\r\n", GOT "}\n"),
        VECTOR(CHUNKED "0\r\n", GOT "...3"),
        VECTOR(CHUNKED "0\r\n\r", GOT "...3"),
        // refused
        VECTOR(CHUNKED "\r\n", GOT "!400"),
        VECTOR(CHUNKED ";a\r\n", GOT "!400"),
        VECTOR(CHUNKED " 1\r\n", GOT "!400"),
        VECTOR(CHUNKED "-1\r\n", GOT "!400"),
        VECTOR(CHUNKED "+1\r\n", GOT "!400"),
        VECTOR(CHUNKED "0x1\r\n", GOT "!400"),
        VECTOR(CHUNKED "1g\r\n", GOT "!400"),
        VECTOR(CHUNKED "1_0\r\n", GOT "!400"),
        VECTOR(CHUNKED "1g;a\r\nx\r\n", GOT "!400"),
        VECTOR(CHUNKED "1\r\nx\rX0\r\n\r\n", GOT "x!400"),
        VECTOR(CHUNKED "1\nx\r\n", GOT "!400"),
        VECTOR(CHUNKED "1\rx\r\n", GOT "!400"),
        VECTOR(CHUNKED "1 \r\nx\r\n", GOT "!400"),
        VECTOR(CHUNKED "1 2\r\n", GOT "!400"),
        VECTOR(CHUNKED "1;a\nx\r\n", GOT "!400"), // an extension that another reader ends at the LF
        VECTOR(CHUNKED "1;a\rx\r\n", GOT "!400"),
        VECTOR(CHUNKED "1;a\0\r\n", GOT "!400"),
        VECTOR(CHUNKED "1;a\x7f\r\n", GOT "!400"),
        VECTOR(CHUNKED "1\r\nxy\r\n", GOT "x!400"),
        VECTOR(CHUNKED "1\r\nx\n0\r\n", GOT "x!400"),
        VECTOR(CHUNKED "1\r\nx\r0\r\n", GOT "x!400"),
        VECTOR(CHUNKED "1\r\nx0\r\n\r\n", GOT "x!400"),
        VECTOR(CHUNKED "10000000000000000\r\n", GOT "!400"),
        VECTOR(CHUNKED "00000000000000000\r\n", GOT "!400"),
        VECTOR(CHUNKED "fffffffffffffffff\r\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\n\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\n\rX", GOT "!400"),
        VECTOR(CHUNKED "0\n\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\n: a\r\n\r\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\nX : a\r\n\r\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\nX\r\n\r\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\nX: a\n\r\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\nX: a\ry\r\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\nX: a\0\r\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\nX: a\r\n b\r\n\r\n", GOT "!400"),
        VECTOR(CHUNKED "0\r\n X: a\r\n\r\n", GOT "!400"),
    };
    check_all(vectors, COUNT(vectors));
}

// Shapes with which one reader is made to see another request than the next one.
static void test_smuggling(void **state)
{
    (void)state;
#define SMUGGLE(LINES, STATUS) VECTOR(POST LINES "\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n", "!" #STATUS)
    static const struct vector vectors[] = {
        SMUGGLE("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        SMUGGLE("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        SMUGGLE("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400),
        SMUGGLE("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", 400),
        SMUGGLE("Transfer-Encoding:\r\nContent-Length: 5\r\n", 400),
        SMUGGLE("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        SMUGGLE("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        SMUGGLE("Content-Length: 0\r\ncontent-length: 5\r\n", 400),
        SMUGGLE("Content-Length: 5, 5\r\n", 400),
        SMUGGLE("Content-Length: 5,\r\n", 400),
        SMUGGLE("Content-Length: 5 5\r\n", 400),
        SMUGGLE("Content-Length: 5 ,5\r\n", 400),
        SMUGGLE("Content-Length: +5\r\n", 400),
        SMUGGLE("Content-Length: -5\r\n", 400),
        SMUGGLE("Content-Length: -0\r\n", 400),
        SMUGGLE("Content-Length: 0x5\r\n", 400),
        SMUGGLE("Content-Length: 5a\r\n", 400),
        SMUGGLE("Content-Length: 5.0\r\n", 400),
        SMUGGLE("Content-Length: 5e0\r\n", 400),
        SMUGGLE("Content-Length: \"5\"\r\n", 400),
        SMUGGLE("Content-Length:\r\n", 400),
        SMUGGLE("Content-Length: \t \r\n", 400),
        SMUGGLE("Content-Length: 18446744073709551616\r\n", 400),
        SMUGGLE("Content-Length: 18446744073709551620\r\n", 400),
        SMUGGLE("Content-Length: 99999999999999999999999\r\n", 400),
        SMUGGLE("Content-Length : 5\r\n", 400),
        SMUGGLE("Content-Length\t: 5\r\n", 400),
        SMUGGLE(" Content-Length: 5\r\n", 400),
        SMUGGLE("Content-Length:\x0b"
                "5\r\n",
                400),
        SMUGGLE("Content-Length: 5\n\r\n", 400),
        SMUGGLE("X: y\nTransfer-Encoding: chunked\r\n", 400),
        SMUGGLE("X: y\rTransfer-Encoding: chunked\r\n", 400),
        SMUGGLE("Transfer-Encoding : chunked\r\n", 400),
        SMUGGLE("Transfer-Encoding\r\n : chunked\r\n", 400),
        SMUGGLE("Transfer-Encoding:\r\n chunked\r\n", 400),
        SMUGGLE("Transfer-Encoding: \x0b"
                "chunked\r\n",
                400),
        SMUGGLE("Transfer-Encoding: chunked\x0c\r\n", 400),
        SMUGGLE("Transfer-Encoding: chunked\0\r\n", 400),
        SMUGGLE("Transfer-Encoding: chunked, chunked\r\n", 400),
        SMUGGLE("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        SMUGGLE("Transfer-Encoding: gzip, chunked\r\n", 501),
        SMUGGLE("Transfer-Encoding: chunked, gzip\r\n", 501),
        SMUGGLE("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 501),
        SMUGGLE("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", 501),
        SMUGGLE("Transfer-Encoding: identity\r\n", 501),
        SMUGGLE("Transfer-Encoding: xchunked\r\n", 501),
        SMUGGLE("Transfer-Encoding: chunkedx\r\n", 501),
        SMUGGLE("Transfer-Encoding: chunke\r\n", 501),
        SMUGGLE("Transfer-Encoding: chunk ed\r\n", 501),
        SMUGGLE("Transfer-Encoding: chunked;q=1\r\n", 501),
        SMUGGLE("Transfer-Encoding: \"chunked\"\r\n", 501),
        SMUGGLE("Transfer-Encoding: 'chunked'\r\n", 501),
        SMUGGLE("Transfer-Encoding: \xff"
                "chunked\r\n",
                501),
        SMUGGLE("Transfer-Encoding: ,chunked\r\n", 501),
        SMUGGLE("Transfer-Encoding: chunked,\r\n", 501),
        SMUGGLE("Transfer-Encoding:\r\n", 501),
        SMUGGLE("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", 501),
        VECTOR("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "!400"),
        VECTOR("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", "!400"),
        // names that only look like one: no body, and what follows is the next request
        VECTOR(POST "Transfer_Encoding: chunked\r\nContent_Length: 9\r\nXTransfer-Encoding: chunked\r\n\r\n",
               FOUND " keep {}\n"),
    };
    check_all(vectors, COUNT(vectors));
}

/// Bounds ///

static char big[60000];
static size_t big_length;

static void big_begin(const char *s)
{
    big_length = strlen(s);
    memcpy(big, s, big_length);
}

static void big_fill(char c, size_t count)
{
    assert_true(big_length + count < sizeof(big));
    memset(big + big_length, c, count);
    big_length += count;
}

static void big_add(const char *s)
{
    size_t length = strlen(s);
    assert_true(big_length + length < sizeof(big));
    memcpy(big + big_length, s, length);
    big_length += length;
}

#define LINE "GET / HTTP/1.1\r\n" H
#define FINE "GET / 1.1 host=[pipit] keep {}\n"

static void test_long_headers_pass(void **state)
{
    (void)state;
    big_begin(LINE "Cookie: ");
    big_fill('c', 8192);
    big_add("\r\n\r\n");
    check(big, big_length, FINE);

    for (size_t size = 8192; size <= 15360; size += 7168) {
        big_begin(LINE);
        while (big_length < size)
            big_add("X-Filler: some value that nobody reads, and that is not kept; a=b; c=\"d\"\r\n");
        big_add("Origin: last\r\n\r\n");
        check(big, big_length, "GET / 1.1 host=[pipit] origin=[last] keep {}\n");
    }
}

// `more` bytes beyond, or below, the bound of the header section.
static void section_of(int more)
{
    big_begin(LINE "X:");
    big_fill('x', (size_t)(HTTP1_FIELDS_MAX - (int)strlen(H "X:\r\n") + more));
    big_add("\r\n\r\n");
}

static void test_section_bound(void **state)
{
    (void)state;
    section_of(0);
    check(big, big_length, FINE);
    section_of(1);
    check(big, big_length, "!431");
    section_of(20000);
    check(big, big_length, "!431");

    big_begin(LINE); // a name counts as well
    big_fill('n', 20000);
    check(big, big_length, "!431");
    big_begin(LINE "Authorization:"); // and blanks
    big_fill(' ', 20000);
    check(big, big_length, "!431");
    big_begin(LINE);
    for (unsigned i = 0; i < 5000; i++)
        big_add("a:\r\n");
    check(big, big_length, "!431");
}

static void test_trailer_bound(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        big_begin(CHUNKED "0\r\nX:");
        big_fill('x', (size_t)(HTTP1_FIELDS_MAX - (int)strlen("X:\r\n") + more));
        big_add("\r\n\r\n");
        check(big, big_length, more == 0 ? GOT "}\n" : GOT "!431");
    }
    // the header section does not count against the trailers
    big_begin(POST "Transfer-Encoding: chunked\r\nX: ");
    big_fill('x', 15000);
    big_add("\r\n\r\n0\r\nX: ");
    big_fill('x', 15000);
    big_add("\r\n\r\n");
    check(big, big_length, GOT "}\n");
}

static void test_extension_bound(void **state)
{
    (void)state;
    for (unsigned more = 0; more < 2; more++) { // counted over all chunks of a request, and from 0 for the next one
        big_begin("");
        for (unsigned request = 0; request < 2; request++) {
            big_add(CHUNKED "1;");
            big_fill('e', 2046);
            big_add("\r\nx\r\n1 \t;");
            big_fill('e', 2046 + more);
            big_add("\r\ny\r\n0\r\n\r\n");
        }
        check(big, big_length, more == 0 ? GOT "xy}\n" GOT "xy}\n" : GOT "x!400");
    }
}

static void test_target_bound(void **state)
{
    (void)state;
    char expected[HTTP1_KEEP + 100];
    for (size_t more = 0; more < 2; more++) {
        big_begin("GET /");
        big_fill('p', HTTP1_KEEP - 1 + more);
        big_add(" HTTP/1.0\r\n\r\n");
        struct text t = text_in(expected, sizeof(expected));
        text_string(&t, "GET ");
        text_span(&t, (struct span){big + 4, HTTP1_KEEP});
        text_string(&t, " 1.0 {}\n");
        check(big, big_length, more == 0 ? text_end(&t) : "!414");
    }
    for (size_t more = 0; more < 2; more++) {
        big_begin("GET http://h");
        big_fill('h', HTTP1_KEEP - 2 + more);
        big_add(" HTTP/1.0\r\n\r\n");
        struct text t = text_in(expected, sizeof(expected));
        text_string(&t, "GET / 1.0 host=[");
        text_span(&t, (struct span){big + 11, HTTP1_KEEP - 1});
        text_string(&t, "] {}\n");
        check(big, big_length, more == 0 ? text_end(&t) : "!414");
    }
    big_begin("GET http://h");
    big_fill('h', HTTP1_KEEP);
    check(big, big_length, "!414");
    big_begin("GET /?");
    big_fill('q', HTTP1_KEEP);
    check(big, big_length, "!414");
}

// A path frees what its escapes took, and a field of exactly the rest still fits.
static void test_field_bound(void **state)
{
    (void)state;
    char expected[HTTP1_KEEP + 100];
    for (size_t more = 0; more < 2; more++) {
        big_begin("GET /%41 HTTP/1.0\r\nOrigin: \t");
        big_fill('o', HTTP1_KEEP - 2 - 10);
        big_fill(' ', 9);
        big_fill('z', 1 + more);
        big_fill('\t', 3000); // at its end, so not kept
        big_add("\r\n\r\n");
        struct text t = text_in(expected, sizeof(expected));
        text_string(&t, "GET /A 1.0 origin=[");
        text_span(&t, (struct span){big + strlen("GET /%41 HTTP/1.0\r\nOrigin: \t"), HTTP1_KEEP - 2});
        text_string(&t, "] {}\n");
        check(big, big_length, more == 0 ? text_end(&t) : "!431");
    }
    big_begin("GET / HTTP/1.0\r\nOrigin: o"); // blanks that do not fit, and then a byte
    big_fill(' ', 600);
    big_add("o\r\n\r\n");
    check(big, big_length, "!431");
}

static void test_joined_list_bound(void **state)
{
    (void)state;
    static char expected[sizeof(story.bytes)];
    for (size_t more = 0; more < 2; more++) {
        big_begin("GET / HTTP/1.0\r\nUpgrade: ");
        big_fill('u', 200);
        big_add("\r\nSec-WebSocket-Protocol: ");
        big_fill('p', 200);
        big_add("\r\nUpgrade: ");
        big_fill('v', HTTP1_KEEP - 1 - 400 - 2 + more);
        big_add("\r\n\r\n");
        const char *found = fed_in_pieces(big, big_length, big_length, 1);
        if (more == 0) {
            const char *list = strstr(found, " upgrade=[uuu");
            assert_non_null(list);
            assert_non_null(strstr(list, "uuu, vvv"));
            assert_non_null(strstr(list, "vvv] protocol=[ppp"));
        }
        check(big, big_length, more == 0 ? strcpy(expected, found) : "!431");
    }
}

// Many lines of two lists, in turns: each is moved behind the other again and again.
static void test_lists_that_alternate(void **state)
{
    (void)state;
    char expected[2000];
    struct text t = text_in(expected, sizeof(expected));
    big_begin(LINE);
    for (unsigned i = 0; i < 60; i++)
        big_add("Upgrade: a\r\nSec-WebSocket-Protocol: b\r\nUpgrade:\r\n");
    big_add("\r\n");
    text_string(&t, "GET / 1.1 host=[pipit] upgrade=[a");
    for (unsigned i = 1; i < 60; i++)
        text_string(&t, ", a");
    text_string(&t, "] protocol=[b");
    for (unsigned i = 1; i < 60; i++)
        text_string(&t, ", b");
    text_string(&t, "] keep {}\n");
    check(big, big_length, text_end(&t));
}

// The Host field that the target overrides gives its room back.
static void test_overridden_host_frees_its_room(void **state)
{
    (void)state;
    for (size_t more = 0; more < 2; more++) {
        big_begin("GET http://t/ HTTP/1.1\r\nHost: ");
        big_fill('h', 400);
        big_add("\r\nOrigin: ");
        big_fill('o', HTTP1_KEEP - 2 + more);
        big_add("\r\n\r\n");
        const char *found = fed_in_pieces(big, big_length, big_length, 1);
        assert_int_equal(strncmp(found, "GET / 1.1 host=[t] origin=[ooo", 30) == 0, more == 0);
        assert_int_equal(strcmp(found, "!431") == 0, more == 1);
    }
}

// Lengths at which a counter of eight bits would be back at 0, or at that of a real name.
static void test_long_words(void **state)
{
    (void)state;
    for (size_t length = 250; length < 530; length++) {
        big_begin(LINE "Connection: ");
        big_fill('c', length);
        big_add("close\r\n");
        big_fill('n', length);
        big_add(": host\r\n\r\n");
        assert_string_equal(fed_in_pieces(big, big_length, big_length, 1), FINE);
    }
}

/// The steps of feeding ///

static void test_steps(void **state)
{
    (void)state;
    static const char bytes[] = POST "Content-Length: 6\r\n\r\nabcdefGET";
    const uint8_t *at = (const uint8_t *)bytes;
    size_t length = sizeof(bytes) - 1;
    http1_begin(&parser, keep, sizeof keep);
    struct http1_step step = http1_feed(&parser, at, length);
    assert_int_equal(parser.state, HTTP1_BODY_LENGTH); // told apart from the body that is there already
    assert_int_equal(step.consumed, length - 9);
    assert_int_equal(step.body.length, 0);
    at += step.consumed;
    step = http1_feed(&parser, at, 0);
    assert_int_equal(step.consumed, 0);
    step = http1_feed(&parser, at, 4);
    assert_int_equal(step.consumed, 4);
    assert_ptr_equal(step.body.at, at);
    assert_int_equal(step.body.length, 4);
    assert_int_equal(parser.state, HTTP1_BODY_LENGTH);
    step = http1_feed(&parser, at + 4, 5);
    assert_int_equal(step.consumed, 2);
    assert_int_equal(step.body.length, 2);
    assert_int_equal(parser.state, HTTP1_DONE);
    step = http1_feed(&parser, at + 6, 3);
    assert_int_equal(step.consumed, 0);
    assert_int_equal(parser.state, HTTP1_DONE);
}

// A chunk's size line and its data come in one step, each piece of data in one of its own.
static void test_steps_of_chunks(void **state)
{
    (void)state;
    static const char bytes[] = CHUNKED "2\r\nab\r\n1\r\nc\r\n0\r\n\r\nX";
    const uint8_t *at = (const uint8_t *)bytes, *end = at + sizeof(bytes) - 1;
    static const char *const pieces[] = {"", "ab", "c", "", ""};
    static const enum http1_state states[] = {HTTP1_BODY_CHUNKED, HTTP1_BODY_CHUNKED, HTTP1_BODY_CHUNKED, HTTP1_DONE,
                                              HTTP1_DONE};
    http1_begin(&parser, keep, sizeof keep);
    for (size_t i = 0; i < COUNT(pieces); i++) {
        struct http1_step step = http1_feed(&parser, at, (size_t)(end - at));
        assert_true(span_equal(step.body, span_of(pieces[i])));
        assert_int_equal(parser.state, states[i]);
        at += step.consumed;
    }
    assert_int_equal(*at, 'X');
}

static void test_nothing_after_bad(void **state)
{
    (void)state;
    static const uint8_t bytes[] = "GET /\n / HTTP/1.1\r\n";
    http1_begin(&parser, keep, sizeof keep);
    struct http1_step step = http1_feed(&parser, bytes, sizeof(bytes) - 1);
    assert_int_equal(parser.state, HTTP1_BAD);
    assert_int_equal(parser.status, 400);
    assert_int_equal(step.consumed, 6); // the byte that is wrong is the last one taken
    step = http1_feed(&parser, bytes, sizeof(bytes) - 1);
    assert_int_equal(step.consumed, 0);
    http1_begin(&parser, keep, sizeof keep);
    assert_int_equal(parser.state, HTTP1_START_LINE);
    assert_int_equal(parser.status, 0);
}

static void test_spans_point_into_keep(void **state)
{
    (void)state;
    char bytes[] = "GET /path?query HTTP/1.1\r\nHost: pipit\r\nOrigin: o\r\n\r\n";
    http1_begin(&parser, keep, sizeof keep);
    http1_feed(&parser, (const uint8_t *)bytes, sizeof(bytes) - 1);
    memset(bytes, '!', sizeof(bytes));
    assert_true(span_equal(parser.path, span_of("/path")));
    assert_true(span_equal(parser.query, span_of("query")));
    assert_true(span_equal(parser.fields[HTTP1_HOST], span_of("pipit")));
    assert_true(span_equal(parser.fields[HTTP1_ORIGIN], span_of("o")));
    assert_null(parser.fields[HTTP1_AUTHORIZATION].at);
}

/// Around the parser ///

static void test_reason(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *reason;
    } rows[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {501, "Not Implemented"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {299, "Unknown"},
        {65936, "Unknown"}, // 400 in 16 bits
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_string_equal(http1_reason(rows[i].status), rows[i].reason);
}

static void test_percent_decode(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; // out: NULL when it is refused
    } rows[] = {
        {"", ""},       {"abc", "abc"},  {"%41%5a%5A", "AZZ"}, {"%25", "%"},    {"%2541", "%41"},
        {"a+b", "a+b"}, {"%ff", "\xff"}, {"%0d%0a", "\r\n"},   {"%", NULL},     {"%4", NULL},
        {"a%", NULL},   {"%4g", NULL},   {"%g4", NULL},        {"%%41", NULL},  {"%00", NULL},
        {"a%00", NULL}, {"%-1", NULL},   {"% 1", NULL},        {"%0x41", NULL}, {"x%41y", "xAy"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t length = strlen(rows[i].in);
        char *bytes = memcpy(guard_page() - length, rows[i].in, length);
        long decoded = http1_percent_decode(bytes, length);
        assert_int_equal(decoded, rows[i].out == NULL ? -1 : (long)strlen(rows[i].out));
        if (rows[i].out != NULL)
            assert_memory_equal(bytes, rows[i].out, strlen(rows[i].out));
    }
    char raw[] = {'a', '\0', 'b'};
    assert_int_equal(http1_percent_decode(raw, 3), -1);
}

static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *query, *name, *value; // value: NULL when it is refused or absent
    } rows[] = {
        {"since=17", "since", "17"},
        {"a=1&since=17", "since", "17"},
        {"since=17&a=1", "since", "17"},
        {"since=1&since=2", "since", "1"},
        {"xsince=1&sincex=2&since=3", "since", "3"},
        {"&&since=4&&", "since", "4"},
        {"since=", "since", ""},
        {"since", "since", ""},
        {"since=a=b", "since", "a=b"},
        {"t=%41%2b+%26", "t", "A++&"},
        {"t=12345678", "t", "12345678"},
        {"t=%31%32%33%34%35%36%37%38", "t", "12345678"}, // the bound is on what it decodes to
        {"t=123456789", "t", NULL},
        {"t=%4", "t", NULL},
        {"t=%zz", "t", NULL},
        {"t=%00", "t", NULL},
        {"Since=1", "since", NULL},
        {"", "since", NULL},
        {"a=since", "since", NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char buffer[9];
        struct span value = {NULL, 0};
        buffer[8] = '#';
        size_t length = strlen(rows[i].query);
        struct span query = {memcpy(guard_page() - length, rows[i].query, length), length};
        bool found = http1_query(query, rows[i].name, buffer, 8, &value);
        assert_int_equal(found, rows[i].value != NULL);
        assert_int_equal(buffer[8], '#');
        if (found)
            assert_true(span_equal(value, span_of(rows[i].value)));
    }
    struct span value;
    assert_false(http1_query((struct span){NULL, 0}, "a", NULL, 0, &value));
}

static void test_list_has(void **state)
{
    (void)state;
    assert_true(http1_list_has(span_of("gzip"), "gzip"));
    assert_true(http1_list_has(span_of("br, GZip ,x"), "gzip"));
    assert_true(http1_list_has(span_of(",\tx\t,"), "X"));
    assert_false(http1_list_has(span_of("gzip;q=0"), "gzip"));
    assert_false(http1_list_has(span_of("xgzip, gzipx, gz ip"), "gzip"));
    assert_false(http1_list_has(span_of(", ,"), ""));
    assert_false(http1_list_has((struct span){NULL, 0}, "gzip"));
}

static void test_accepts(void **state)
{
    (void)state;
    static const char *const yes[] = {"gzip",
                                      "GZip",
                                      "br, gzip",
                                      "gzip;q=1",
                                      "gzip ; Q=0.001",
                                      "*",
                                      "br;q=1,*",
                                      "gzip, *;q=0",
                                      "identity,gzip",
                                      ", ,gzip,",
                                      "gzip;q=1.000",
                                      "gzip;q=0.5",
                                      "deflate\t,\tgzip\t",
                                      "*;q=0.1"};
    static const char *const no[] = {
        "",      ",",       "identity", "br",           "gzip;q=0", "gzip;q=0.000",   "gzip;q=0,*", "*, gzip;q=0",
        "*;q=0", "gzip;q=", "gzip;x=1", "gzipx, xgzip", "gz ip",    "br;q=1, *;q=0.0"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!http1_accepts(span_of(yes[i]), "gzip"))
            fail_msg("not taken: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (http1_accepts(span_of(no[i]), "gzip"))
            fail_msg("taken: %s", no[i]);
    assert_false(http1_accepts((struct span){NULL, 0}, "gzip"));
}

static void test_has_tag(void **state)
{
    (void)state;
    static const char *const yes[] = {"\"abc\"", "W/\"abc\"", "\"x\",\"abc\"", "\"a,b\" , W/\"abc\"", "*", " * "};
    static const char *const no[] = {"",      "abc",       "\"ABC\"", "\"abcd\"", "\"ab\", \"c\"",
                                     "\"*\"", "\"a,\"abc", "W/",      "\""};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!http1_has_tag(span_of(yes[i]), span_of("abc")))
            fail_msg("not found: %s", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (http1_has_tag(span_of(no[i]), span_of("abc")))
            fail_msg("found: %s", no[i]);
    assert_false(http1_has_tag((struct span){NULL, 0}, span_of("abc")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_methods_and_versions),
        cmocka_unit_test(test_bad_request_lines),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_lists_that_join),
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_bad_fields),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_chunked),
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_long_headers_pass),
        cmocka_unit_test(test_section_bound),
        cmocka_unit_test(test_trailer_bound),
        cmocka_unit_test(test_extension_bound),
        cmocka_unit_test(test_target_bound),
        cmocka_unit_test(test_field_bound),
        cmocka_unit_test(test_joined_list_bound),
        cmocka_unit_test(test_lists_that_alternate),
        cmocka_unit_test(test_overridden_host_frees_its_room),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_steps_of_chunks),
        cmocka_unit_test(test_nothing_after_bad),
        cmocka_unit_test(test_spans_point_into_keep),
        cmocka_unit_test(test_reason),
        cmocka_unit_test(test_percent_decode),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_list_has),
        cmocka_unit_test(test_accepts),
        cmocka_unit_test(test_has_tag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
