// HTTP at the gateway, over lwIP: pages, refusals and connections, against clients that are slow, rude, or gone.
#include "../../app/limits.h"
#include "../../port/net.h"
#include "../../services/gateway/http_lobby.h"
#include "../../services/gateway/http_server.h"
#include "../../services/gateway/reply.h"
#include "../../services/gateway/web.h"
#include "gate_support.h"
#include "peer_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/// Pages ///

static void test_fixed_pages(void **state)
{
    (void)state;
    const char *reply = ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    assert_status(reply, 200);
    assert_whole(reply);
    assert_string_equal(find_body(reply), "ok\n");
    assert_string_equal(find_body(ask("GET /%68ealthz?a=b HTTP/1.1\r\n" HOST "\r\n")), "ok\n");
}

// The page at / is there with gzip or not at all; who has it already is told so.
static void test_home(void **state)
{
    (void)state;
    char text[200];
    const char *plain = ask("GET / HTTP/1.1\r\n" HOST "\r\n");
    assert_status(plain, 406);
    assert_whole(plain);
    assert_has(plain, "Vary: Accept-Encoding\r\n");
    assert_has(find_body(plain), "curl --compressed");
    assert_status(ask("GET / HTTP/1.1\r\n" HOST "Accept-Encoding: br, gzip;q=0.0\r\n\r\n"), 406);

    struct peer *p = &peers[0];
    peer_open(p, 80);
    peer_send_text(p, "GET / HTTP/1.1\r\n" HOST "Accept-Encoding: *\r\n\r\n");
    peer_run(20);
    const char *whole = peer_text(p);
    const size_t size = (size_t)(web_page.length - web_page.body);
    assert_status(whole, 200);
    assert_has(whole, "Content-Encoding: gzip\r\n");
    assert_int_equal(p->length, (size_t)(find_body(whole) - whole) + size);
    assert_memory_equal(find_body(whole), web_page.at + web_page.body, size);

    peer_clear(p);
    snprintf(text, sizeof text,
             "GET / HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\nIf-None-Match: \"x\", W/\"%s\"\r\n\r\n", web_page_tag);
    peer_send_text(p, text);
    peer_run(20);
    assert_status(peer_text(p), 304);
    assert_has(peer_text(p), "ETag: ");
    assert_lacks(peer_text(p), "Content-Length");
    assert_string_equal(find_body(peer_text(p)), "");

    peer_clear(p);
    peer_send_text(p, "HEAD / HTTP/1.1\r\n" HOST "Accept-Encoding: gzip\r\n\r\n");
    peer_run(20);
    assert_status(peer_text(p), 200);
    assert_has(peer_text(p), "Content-Length: ");
    assert_string_equal(find_body(peer_text(p)), "");
}

// RFC 9110 section 9.3.2: the same fields as GET, and no body.
static void test_head(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    peer_open(p, 80);
    peer_send_text(p, "HEAD /healthz HTTP/1.1\r\n" HOST "\r\nHEAD /nowhere HTTP/1.1\r\n" HOST "\r\n"
                      "HEAD /metrics HTTP/1.1\r\n" HOST "\r\nHEAD /login HTTP/1.1\r\n" HOST "\r\n"
                      "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    peer_run(20);
    const char *text = peer_text(p);
    unsigned heads = 0;
    for (const char *at = text; (at = strstr(at, "HTTP/1.1 ")) != NULL; at++)
        heads++;
    assert_int_equal(heads, 5);
    assert_has(text, "Content-Length: 3\r\n");
    assert_has(text, "Content-Length: 14\r\n"); // "url not found\n"
    assert_has(text, "Transfer-Encoding: chunked\r\n");
    assert_has(text, "\r\nAllow: POST\r\n");
    assert_lacks(text, "url not found");
    assert_lacks(text, "pipit_");
    assert_string_equal(text + strlen(text) - 7, "\r\n\r\nok\n");
}

static void unchunk(const char *body, char *out)
{
    for (;;) {
        char *end = NULL;
        unsigned long n = strtoul(body, &end, 16);
        assert_memory_equal(end, "\r\n", 2);
        assert_true(strlen(end + 2) >= n + 2);
        memcpy(out, end + 2, n);
        out += n;
        body = end + 2 + n;
        assert_memory_equal(body, "\r\n", 2);
        body += 2;
        if (n == 0)
            break;
    }
    *out = '\0';
    assert_string_equal(body, "");
}

// Every family has one HELP and one TYPE, in front of its lines, and its lines stand together.
static void assert_prometheus(char *text)
{
    static char seen[200][64];
    size_t families = 0;
    char family[64] = "";
    unsigned values = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char name[64] = "";
        if (sscanf(line, "# HELP %63s", name) == 1) {
            for (size_t i = 0; i < families; i++)
                assert_string_not_equal(seen[i], name);
            assert_true(families < 200);
            strcpy(seen[families++], name);
            strcpy(family, name);
            char *type = strtok(NULL, "\n");
            char kind[16] = "";
            assert_int_equal(sscanf(type, "# TYPE %63s %15s", name, kind), 2);
            assert_string_equal(name, family);
            bool counts = strstr(name, "_total") != NULL;
            assert_string_equal(kind, counts ? "counter" : "gauge");
        } else {
            size_t n = strcspn(line, "{ ");
            assert_int_equal(n, strlen(family));
            assert_memory_equal(line, family, n);
            char *value = strrchr(line, ' ');
            assert_non_null(value);
            assert_int_equal(strspn(value + 1, "0123456789"), strlen(value + 1));
            assert_true(value[1] != '\0');
            values++;
        }
    }
    assert_true(families > 20);
    assert_true(values > families);
}

static char page[sizeof peers[0].received];

static void test_metrics(void **state)
{
    (void)state;
    const char *reply = ask("GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    assert_status(reply, 200);
    assert_has(reply, "Content-Type: text/plain; version=0.0.4");
    unchunk(find_body(reply), page);
    assert_has(page, "\npipit_connections{kind=\"http\"} 1\n");
    assert_has(page, "\npipit_connections{kind=\"ws\"} 0\n");
    assert_has(page, "\npipit_pool_used{pool=\"http_connections\"} 1\n");
    assert_has(page, "\npipit_http_requests_total 1\n");
    assert_has(page, "\npipit_api_errors_total{error=\"1011\"} 0\n");
    assert_has(page, "\npipit_pool_high_water{pool=\"http_exchanges\"} ");
    assert_prometheus(page);
}

static void test_metrics_for_http_1_0(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    const char *reply = send_to(p, "GET /metrics HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_status(reply, 200);
    assert_true(p->fin); // the end of the connection is the end of the page
    assert_has(reply, "Connection: close\r\n");
    assert_lacks(reply, "chunked");
    assert_lacks(reply, "Content-Length");
    strcpy(page, find_body(reply));
    assert_prometheus(page);
}

// The names at the beginning of both pages' lines are the same: nothing is missing and nothing comes twice.
static void assert_same_rows(const char *a, const char *b)
{
    while (*a != '\0' && *b != '\0') {
        size_t n = strcspn(a, " \n");
        assert_int_equal(n, strcspn(b, " \n"));
        assert_memory_equal(a, b, n);
        a += strcspn(a, "\n") + 1;
        b += strcspn(b, "\n") + 1;
    }
    assert_int_equal(*a, *b);
}

// A page that does not fit the peer's window is made bit by bit, and arrives whole.
static void test_page_for_a_slow_reader(void **state)
{
    (void)state;
    static char whole[sizeof page];
    struct peer *p = &peers[0];
    unchunk(find_body(ask("GET /metrics HTTP/1.1\r\n" HOST "\r\n")), whole);
    p->window = 300;
    peer_open(p, 80);
    peer_send_text(p, "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    wait_reply(p);
    assert_true(p->segments > 10);
    unchunk(find_body(peer_text(p)), page);
    assert_same_rows(whole, page);
    assert_prometheus(page);
    assert_string_equal(find_body(send_to(p, "GET /healthz HTTP/1.1\r\n" HOST "\r\n")), "ok\n");
}

static void test_status(void **state)
{
    (void)state;
    const char *reply = ask("GET /status HTTP/1.1\r\n" HOST "\r\n");
    assert_status(reply, 200);
    assert_has(reply, "Content-Type: application/json");
    unchunk(find_body(reply), page);
    assert_has(page, "\"address\":\"10.0.2.15\"");
    assert_has(page, "\"name\":\"gateway\"");
    assert_has(page, "{\"name\":\"http_connections\",\"used\":1,");
    int depth = 0;
    for (const char *c = page; *c != '\0'; c++)
        depth += (*c == '{' || *c == '[') - (*c == '}' || *c == ']');
    assert_int_equal(depth, 0);
    assert_lacks(page, ",,");
    assert_lacks(page, "[,");
    assert_string_equal(page + strlen(page) - 3, "]}\n");
}

/// Dates ///

static void test_date(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *date;
    } dates[] = {
        {784111777, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"}, // RFC 9110 section 5.6.7
        {951782400, "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n"},
        {951868800, "Date: Wed, 01 Mar 2000 00:00:00 GMT\r\n"},
        {1709164799, "Date: Wed, 28 Feb 2024 23:59:59 GMT\r\n"},
        {1767225599, "Date: Wed, 31 Dec 2025 23:59:59 GMT\r\n"},
        {1767225600, "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"},
        {4107542400, "Date: Mon, 01 Mar 2100 00:00:00 GMT\r\n"}, // no leap year
    };
    uint64_t wall = machine_wall_ms;
    for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
        char buffer[400];
        struct text out = text_in(buffer, sizeof buffer);
        machine_wall_ms = dates[i].seconds * 1000 - machine_now_ms;
        reply_head(&out, 200, "text/plain", 0, REPLY_KEEP);
        assert_has(text_end(&out), dates[i].date);
    }
    machine_wall_ms = 0;
    assert_lacks(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n"), "Date:");
    machine_wall_ms = wall;
}

/// Refusals ///

static const struct {
    const char *request;
    unsigned status;
    bool closes;
    const char *part;
} refusals[] = {
    {"GET /nowhere HTTP/1.1\r\n" HOST "\r\n", 404, false, "\r\n\r\nurl not found\n"},
    {"GET /ws-echo HTTP/1.1\r\n" HOST "\r\n", 404, false, "url not found"}, // switched off
    {"GET /login/ HTTP/1.1\r\n" HOST "\r\n", 404, false, "url not found"},
    {"POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n", 404, true, "url not found"},
    {"GET /login HTTP/1.1\r\n" HOST "\r\n", 405, false, "\r\nAllow: POST\r\n"},
    {"POST / HTTP/1.1\r\n" HOST "\r\n", 405, false, "\r\nAllow: GET, HEAD\r\n"},
    {"OPTIONS /login HTTP/1.1\r\n" HOST "\r\n", 405, false, "\r\nAllow: POST\r\n"},
    {"BREW /status HTTP/1.1\r\n" HOST "\r\n", 405, false, "\r\nAllow: GET, HEAD\r\n"},
    {"POST /login HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 415, true, "\"error\":415"},
    {"POST /login HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", 415, true, "JSON"},
    {"POST /login HTTP/1.1\r\n" HOST "Content-Type: application/jsonx\r\n\r\n", 415, false, "JSON"},
    {"POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 4097\r\n\r\n", 413, true, "\"error\":413"},
    {"GET /healthz HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n", 413, true, "large"},
    {"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, false, "\"error\":403"},
    {"GET / HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n", 403, false, "Origin"},
    {"GET / HTTP/1.1\r\n" HOST "Origin: null\r\n\r\n", 403, false, "Origin"},
    {"GET / HTTP/1.1\r\n\r\n", 400, true, "\"error\":400"},
    {"GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400, true, "\"error\":400"},
    {"nonsense\r\n\r\n", 400, true, "\"error\":400"},
    {"GET / HTTP/1.1\n" HOST "\r\n", 400, true, "\"error\":400"},
    {"GET / HTTP/2.0\r\n" HOST "\r\n", 505, true, "\"error\":505"},
    {"POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Transfer-Encoding: gzip\r\n\r\n", 501, true, "\"error\":501"},
    {"POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Transfer-Encoding: chunked\r\n\r\nx\r\n", 400, true, "\"error\":400"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct peer *p = &peers[i % 8];
        const char *reply = send_to(p, refusals[i].request);
        assert_status(reply, refusals[i].status);
        assert_whole(reply);
        assert_has(reply, refusals[i].part);
        peer_run(5);
        if (p->fin != refusals[i].closes || p->reset)
            fail_msg("closing after: %s", refusals[i].request);
        if (refusals[i].closes)
            assert_has(reply, "Connection: close\r\n");
        else
            assert_string_equal(find_body(send_to(p, "GET /healthz HTTP/1.1\r\n" HOST "\r\n")), "ok\n");
        peer_abort(p);
        peer_turn();
        peer_forget(p);
    }
}

static void test_long_target_and_fields(void **state)
{
    (void)state;
    char text[HTTP_KEEP * 2];
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    strcpy(text + HTTP_KEEP + 40, " HTTP/1.1\r\n\r\n");
    assert_status(ask(text), 414);
    memset(text, 'a', sizeof text);
    memcpy(text, "GET / HTTP/1.1\r\nOrigin: ", 24);
    strcpy(text + HTTP_KEEP + 40, "\r\n\r\n");
    assert_status(ask(text), 431);
}

/// Connections ///

static void test_pipelining(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    peer_open(p, 80);
    peer_send_text(p, "GET /healthz HTTP/1.1\r\n" HOST "\r\nGET /nowhere HTTP/1.1\r\n" HOST "\r\n"
                      "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 2\r\n\r\n{}\r\n"
                      "GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /healthz HTTP/1.1\r\n" HOST "\r\n");
    peer_run(20);
    const char *text = peer_text(p);
    const char *first = strstr(text, "ok\n");
    assert_non_null(first);
    const char *second = strstr(first, "url not found");
    assert_non_null(second);
    const char *third = strstr(second, "{\"error\":1003");
    assert_non_null(third);
    const char *fourth = strstr(third, "The chat page");
    assert_non_null(fourth);
    assert_null(strstr(fourth, "ok\n")); // behind Connection: close
    assert_true(p->fin);
    assert_int_equal(gateway_counters.requests, 4);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    const char *text = post_request("/login", "{\"user\":1}");
    peer_open(p, 80);
    for (const char *at = text; *at != '\0'; at++) {
        assert_int_equal(p->length, 0);
        peer_send(p, at, 1);
        peer_turn();
    }
    assert_error(wait_reply(p), 1001);
}

static void test_http_1_0(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    const char *reply = send_to(p, "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_whole(reply);
    assert_has(reply, "\r\nConnection: keep-alive\r\n");
    reply = send_to(p, "GET /healthz HTTP/1.0\r\n\r\n");
    assert_has(reply, "\r\nConnection: close\r\n");
    peer_run(3);
    assert_true(p->fin);
}

static void test_late_head(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    gateway_settings.header_timeout = 5;
    peer_open(p, 80);
    for (int i = 0; i < 4; i++) { // the deadline is absolute: a byte now and then does not move it
        peer_send_text(p, i == 0 ? "GET / HTTP/1.1\r\n" : "X");
        peer_run(1200);
        assert_int_equal(p->length, 0);
    }
    peer_run(600);
    assert_status(peer_text(p), 408);
    assert_whole(peer_text(p));
    assert_true(p->fin);
    assert_int_equal(gateway_counters.late, 1);
}

static void test_late_body(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    gateway_settings.body_timeout = 3;
    peer_open(p, 80);
    peer_send_text(p, "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 20\r\n\r\n{");
    peer_run(2900);
    assert_int_equal(p->length, 0);
    peer_run(500);
    assert_status(peer_text(p), 408);
    assert_true(p->fin);
}

static void test_idle_connection_is_closed_silently(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    gateway_settings.idle_timeout = 2;
    send_to(p, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    peer_clear(p);
    peer_run(1900);
    assert_false(p->fin);
    peer_run(500);
    assert_true(p->fin);
    assert_int_equal(p->length, 0);
}

static void test_half_closed(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    peer_open(p, 80);
    peer_send_text(p, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
    peer_close(p);
    peer_run(10);
    assert_has(peer_text(p), "ok\n");
    assert_true(p->fin);
    p = &peers[1]; // in the middle of a call: answered all the same
    peer_open(p, 80);
    peer_send_text(p, post_request("/login", "{\"user\":\"nobody\",\"password\":\"whatever\"}"));
    peer_close(p);
    assert_error(wait_reply(p), 1008);
    p = &peers[2]; // a request that can never become whole
    peer_open(p, 80);
    peer_send_text(p, "GET /healthz HTT");
    peer_close(p);
    peer_run(10);
    assert_true(p->fin);
    assert_int_equal(p->length, 0);
}

static void test_expect_continue(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    peer_open(p, 80);
    peer_send_text(p, "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    peer_run(3);
    assert_string_equal(peer_text(p), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_error(send_to(p, "{}"), 1003);
    // The body is on its way already: no invitation.
    assert_error(
        send_to(p, "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}"),
        1003);
    peer_clear(p);
    peer_send_text(p, "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{");
    peer_run(3);
    assert_int_equal(p->length, 0); // half of it
    assert_error(send_to(p, "}"), 1003);
    // A final answer at once, without the body.
    assert_status(send_to(p, "POST /nowhere HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
                  404);
    peer_run(3);
    assert_true(p->fin);
}

static void test_chunked_body(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
#define CHUNKED "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Transfer-Encoding: chunked\r\n\r\n"
    assert_error(send_to(p, CHUNKED "3;x=y\r\n{\"u\r\n7\r\nser\":1}\r\n0\r\nTrailer: 1\r\n\r\n"), 1001);
    peer_clear(p);
    peer_send_text(p, CHUNKED);
    char chunk[512 + 8];
    memset(chunk, ' ', sizeof chunk);
    memcpy(chunk, "200\r\n", 5);
    memcpy(chunk + 5 + 512, "\r\n", 2);
    for (size_t sent = 0; sent < HTTP_BODY; sent += 512) {
        peer_turn();
        assert_int_equal(p->length, 0);
        peer_send(p, chunk, 5 + 512 + 2);
    }
    peer_turn();
    assert_int_equal(p->length, 0);
    peer_send(p, chunk, 5 + 512 + 2); // grows over
    assert_status(wait_reply(p), 413);
    assert_has(peer_text(p), "Connection: close\r\n");
}

static void test_body_of_exactly_the_limit(void **state)
{
    (void)state;
    static char body[HTTP_BODY + 1];
    struct peer *p = &peers[0];
    memset(body, ' ', HTTP_BODY);
    memcpy(body, "{}", 2);
    post_request("/login", body);
    peer_open(p, 80);
    for (size_t at = 0, n; (n = strlen(request + at)) > 0; at += n) {
        n = n < 900 ? n : 900;
        peer_send(p, request + at, n);
        peer_run(2);
    }
    assert_error(wait_reply(p), 1003);
}

// A body that nobody asked for is read and thrown away, and the connection goes on.
static void test_unwanted_body(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    assert_string_equal(find_body(send_to(p, "GET /healthz HTTP/1.1\r\n" HOST "Content-Length: 8\r\n\r\nGET / HT")),
                        "ok\n");
    assert_string_equal(find_body(send_to(p, "GET /healthz HTTP/1.1\r\n" HOST "\r\n")), "ok\n");
}

static void fill_house(const char *text)
{
    for (size_t i = 0; i < HTTP_CONNECTIONS; i++) {
        peer_open(&peers[i], 80);
        peer_send_text(&peers[i], text);
        peer_run(1);
    }
    assert_int_equal(http_server_connections(), HTTP_CONNECTIONS);
}

// Some wait; the next one is turned away.
static void test_full_house(void **state)
{
    (void)state;
    fill_house("");
    struct peer *waiting = &peers[HTTP_CONNECTIONS];
    struct peer *late = &waiting[HTTP_LOBBY];
    for (size_t i = 0; i < HTTP_LOBBY; i++) {
        peer_open(&waiting[i], 80); // nobody is idle after a reply: no room
        peer_send_text(&waiting[i], "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
        peer_run(1);
    }
    peer_open(late, 80);
    peer_run(3);
    assert_status(peer_text(late), 503);
    assert_whole(peer_text(late));
    assert_has(peer_text(late), "\r\nRetry-After: ");
    assert_has(peer_text(late), "\r\nConnection: close\r\n");
    assert_true(late->fin);
    assert_string_equal(peer_text(&waiting[0]), "");
    assert_string_equal(find_body(send_to(&peers[3], "GET /healthz HTTP/1.1\r\n" HOST "\r\n")), "ok\n");
    peer_run(10 * HTTP_LOBBY);
    assert_true(peers[3].fin); // idle after its reply, so it made room
    for (size_t i = 0; i < HTTP_LOBBY; i++)
        assert_string_equal(find_body(peer_text(&waiting[i])), "ok\n"); // one after the other
    assert_int_equal(gateway_counters.evicted, HTTP_LOBBY);
    assert_int_equal(http_server_connections(), HTTP_CONNECTIONS);
    assert_false(peers[2].fin);
}

// Who has not got in after five seconds is told to come back, in the order of coming; who goes leaves its place.
static void test_waiting_for_a_slot(void **state)
{
    (void)state;
    gate_status.holds = true;
    fill_house("POST /logout HTTP/1.1\r\n" HOST "Authorization: Bearer 1.abc\r\n\r\n");
    struct peer *first = &peers[HTTP_CONNECTIONS], *gone = first + 1, *second = first + 2;
    peer_open(first, 80);
    peer_run(1000);
    peer_open(gone, 80);
    peer_open(second, 80);
    peer_run(1000);
    peer_abort(gone);
    peer_run(3500);
    assert_status(peer_text(first), 503);
    assert_true(first->fin);
    assert_string_equal(peer_text(second), "");
    assert_false(http_lobby_empty());
    gate_status.holds = false;
    peer_run(50);
    assert_string_equal(find_body(send_to(second, "GET /healthz HTTP/1.1\r\n" HOST "\r\n")), "ok\n");
}

static void begin_body(struct peer *p)
{
    peer_open(p, 80);
    peer_send_text(p, "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 2\r\n\r\n{");
    peer_run(2);
}

static void test_waiting_for_an_exchange(void **state)
{
    (void)state;
    for (size_t i = 0; i < HTTP_EXCHANGES; i++)
        begin_body(&peers[i]);
    struct peer *first = &peers[HTTP_EXCHANGES], *second = &peers[HTTP_EXCHANGES + 1];
    peer_open(first, 80);
    peer_send_text(first, post_request("/login", "{}"));
    peer_run(50);
    peer_open(second, 80);
    peer_send_text(second, "POST /logout HTTP/1.1\r\n" HOST "\r\n"); // complete, without a body
    peer_run(50);
    assert_int_equal(first->length, 0);
    assert_int_equal(second->length, 0);
    peer_send_text(&peers[0], "}"); // gives its exchange back
    peer_run(5);
    assert_error(peer_text(&peers[0]), 1003);
    assert_error(peer_text(first), 1003);
    assert_error(peer_text(second), 1010);
}

static void test_no_exchange_in_time(void **state)
{
    (void)state;
    gateway_settings.body_timeout = 5;
    struct peer *late = &peers[HTTP_EXCHANGES];
    for (size_t i = 0; i < HTTP_EXCHANGES; i++)
        begin_body(&peers[i]);
    peer_open(late, 80);
    peer_send_text(late, post_request("/login", "{}"));
    peer_run(2);
    gateway_settings.body_timeout = 1; // from now on
    struct peer *later = &peers[HTTP_EXCHANGES + 1];
    peer_open(later, 80);
    peer_send_text(later, post_request("/login", "{}"));
    peer_run(1400);
    assert_status(peer_text(later), 503);
    assert_has(peer_text(later), "\r\nRetry-After: ");
    assert_int_equal(late->length, 0);
    peer_abort(&peers[0]); // a client that goes makes room too
    peer_run(5);
    assert_error(peer_text(late), 1003);
}

// The time that a request has waited is part of the time that its body has.
static void test_waiting_counts_for_the_body(void **state)
{
    (void)state;
    for (size_t i = 0; i < HTTP_EXCHANGES; i++)
        begin_body(&peers[i]);
    gateway_settings.body_timeout = 4;
    struct peer *late = &peers[HTTP_EXCHANGES];
    begin_body(late);
    peer_run(3000);
    peer_send_text(&peers[0], "}");
    peer_run(700);
    assert_int_equal(late->length, 0);
    peer_run(700);
    assert_status(peer_text(late), 408);
}

static void test_per_address(void **state)
{
    (void)state;
    net_settings.per_address = 2;
    peer_open(&peers[0], 80);
    peer_open(&peers[1], 80);
    peer_open(&peers[2], 80);
    peer_run(3);
    assert_status(peer_text(&peers[2]), 429);
    assert_whole(peer_text(&peers[2]));
    assert_true(peers[2].fin);
    peers[3].address = 0x0a000303;
    assert_string_equal(find_body(send_to(&peers[3], "GET /healthz HTTP/1.1\r\n" HOST "\r\n")), "ok\n");
    assert_int_equal(gateway_counters.limited, 1);
}

static void test_api_rate(void **state)
{
    (void)state;
    gateway_settings.api_rate = 3;
    for (int i = 0; i < 3; i++)
        assert_error(post("/login", "{}"), 1003);
    const char *reply = post("/login", "{}");
    assert_status(reply, 429);
    assert_has(reply, "\r\nRetry-After: 20\r\n");
    assert_has(reply, "{\"error\":1011,");
    assert_has(reply, "\"retry_after\":20}");
    assert_status(ask("GET /healthz HTTP/1.1\r\n" HOST "\r\n"), 200); // pages are not counted
    peer_run(20000);
    assert_error(post("/login", "{}"), 1003);
}

// A peer that takes nothing of its replies is broken off long before TCP would give up, and its slot is free.
static void test_reply_is_not_taken(void **state)
{
    (void)state;
    gateway_settings.body_timeout = 3;
    gateway_settings.idle_timeout = 10000;
    struct peer *p = &peers[0];
    peer_open(p, 80);
    p->silent = true;
    for (int i = 0; i < 150 && !p->reset; i++) { // until lwIP's buffer is full, and 3 s more
        peer_send_text(p, "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
        peer_run(20);
    }
    peer_run(3300);
    assert_true(p->reset);
    assert_int_equal(http_server_connections(), 0);
}

// However much of lwIP's buffer earlier replies fill, the invitation is not lost.
static void test_continue_waits_for_room(void **state)
{
    (void)state;
    for (int replies = 0; replies < 20; replies++) {
        struct peer *p = &peers[0];
        peer_open(p, 80);
        p->silent = true;
        request[0] = '\0';
        for (int i = 0; i < replies; i++)
            strcat(request, "GET /healthz HTTP/1.1\r\n" HOST "\r\n");
        strcat(request, "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        peer_send_text(p, request);
        peer_run(60);
        p->silent = false;
        peer_acknowledge(p);
        peer_run(2000);
        const char *invitation = strstr(peer_text(p), "HTTP/1.1 100 Continue\r\n\r\n");
        if (invitation == NULL)
            fail_msg("not invited behind %d replies", replies);
        assert_null(strstr(invitation + 1, "HTTP/1.1 "));
        assert_error(send_to(p, "{}"), 1003);
        peer_abort(p);
        peer_turn();
        peer_forget(p);
    }
}

static void test_connection_lost_anywhere(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "GET / HT",
        "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 2\r\n\r\n{",
        "POST /logout HTTP/1.1\r\n" HOST "Authorization: Bearer 1.0123456789abcdef0123456789abcdef\r\n\r\n",
        "POST /get_verifycode HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 18\r\n\r\n{\"email\":\"lost@x\"}",
        "POST /login HTTP/1.1\r\n" HOST JSON_TYPE
        "Content-Length: 39\r\n\r\n{\"user\":\"nobody\",\"password\":\"whatever\"}",
        "GET /ws?token=1.0123456789abcdef0123456789abcdef HTTP/1.1\r\n" HOST
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET /metrics HTTP/1.1\r\n" HOST "\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (uint32_t turns = 0; turns < 4; turns++) {
            struct peer *p = &peers[0];
            peer_open(p, 80);
            if (texts[i][0] != '\0')
                peer_send_text(p, texts[i]);
            peer_run(turns);
            peer_abort(p);
            peer_run(50);
            uint32_t at = 0;
            assert_int_equal(http_server_connections(), 0);
            assert_null(http_exchange_walk(&at));
            peer_forget(p);
        }
    }
}

/// The end ///

static void test_stop(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        peer_open(&peers[i], 80);
    peer_send_text(&peers[1], "POST /login HTTP/1.1\r\n" HOST JSON_TYPE "Content-Length: 20\r\n\r\n{");
    peer_send_text(&peers[2], post_request("/login", "{\"user\":\"nobody\",\"password\":\"whatever\"}"));
    peer_run(2);
    gateway_service.stop();
    uint32_t at = 0;
    assert_int_equal(http_server_connections(), 0);
    assert_null(http_exchange_walk(&at));
    peer_run(10);
    for (size_t i = 0; i < 3; i++)
        assert_true(peers[i].fin);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, gate_setup, gate_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fixed_pages),
        TEST(test_home),
        TEST(test_head),
        TEST(test_metrics),
        TEST(test_metrics_for_http_1_0),
        TEST(test_page_for_a_slow_reader),
        TEST(test_status),
        TEST(test_date),
        TEST(test_refusals),
        TEST(test_long_target_and_fields),
        TEST(test_pipelining),
        TEST(test_byte_by_byte),
        TEST(test_http_1_0),
        TEST(test_late_head),
        TEST(test_late_body),
        TEST(test_idle_connection_is_closed_silently),
        TEST(test_half_closed),
        TEST(test_expect_continue),
        TEST(test_chunked_body),
        TEST(test_body_of_exactly_the_limit),
        TEST(test_unwanted_body),
        TEST(test_full_house),
        TEST(test_waiting_for_a_slot),
        TEST(test_waiting_for_an_exchange),
        TEST(test_no_exchange_in_time),
        TEST(test_waiting_counts_for_the_body),
        TEST(test_per_address),
        TEST(test_api_rate),
        TEST(test_reply_is_not_taken),
        TEST(test_continue_waits_for_room),
        TEST(test_connection_lost_anywhere),
        TEST(test_stop),
    };
    return cmocka_run_group_tests(tests, gate_start, NULL);
}
