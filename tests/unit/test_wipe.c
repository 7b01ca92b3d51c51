// What is left in memory of passwords, codes and tokens once they have done their work: nothing.
//
// The whole firmware runs here, with the gate's calls to verify and status over lwIP's loopback. The secrets are made,
// and kept, where the scan does not look: on the heap and the stack. What it looks at is everything static.
#define _GNU_SOURCE // memmem
#include "../../app/config.h"
#include "../../app/shell.h"
#include "../../services/gateway/gateway.h"
#include "../../services/mail/mail.h"
#include "../../services/rpc/rpc.h"
#include "../../services/service.h"
#include "../../services/verify/codes.h"
#include "lwip/memp.h"
#include "peer_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/// Where static memory is ///

extern char __data_start[], _end[]; // the linker's

struct region {
    const char *from;
    const char *to;
};

static bool in(struct region r, const char *at)
{
    return at >= r.from && at < r.to;
}

// Of segments that were sent lwIP has copies, which stay until their memory is needed again. A password is never sent.
static bool in_lwip(const char *at)
{
    for (int i = 0; i < MEMP_MAX; i++) {
        const struct memp_desc *pool = memp_pools[i];
        const char *base = (const char *)pool->base;
        if (in((struct region){base, base + (size_t)pool->num * pool->size}, at))
            return true;
    }
    return false;
}

enum where { ANYWHERE, BUT_IN_LWIP };

// The sanitizers' redzones between variables are theirs to read.
__attribute__((no_sanitize("address"))) static unsigned count(const char *secret, size_t length, enum where where)
{
    unsigned found = 0;
    for (const char *at = __data_start; at + length <= _end; at++) {
        size_t i = 0;
        while (i < length && at[i] == secret[i])
            i++;
        if (i == length && (where == ANYWHERE || !in_lwip(at))) {
            fprintf(stderr, "a secret is left at __data_start + %#zx\n", (size_t)(at - __data_start));
            found++;
        }
    }
    return found;
}

static unsigned left_of(const char *secret, enum where where)
{
    return count(secret, strlen(secret), where);
}

/// Texts that stand nowhere else ///

// The compiler must not keep them as constants, so they are put together.
static char *secret_text(const char *kind)
{
    static unsigned made;
    char *text = malloc(64);
    assert_non_null(text);
    made++;
    snprintf(text, 64, "%s~%08x~%u", kind, 0x5eed0000u + 7919u * made, made);
    return text;
}

/// The machine ///

static void step_services(void)
{
    for (size_t i = 0; i < service_count; i++)
        if (services[i]->step != NULL)
            services[i]->step(port_now_ms());
    shell_step();
}

static int start(void **state)
{
    (void)state;
    config_defaults();
    peer_network_start();
    gateway_settings.code_rate = 0;
    codes_settings.echo = 1;
    codes_settings.cooldown = 0;
    for (size_t i = 0; i < service_count; i++)
        if (services[i]->start != NULL)
            assert_int_equal(services[i]->start(), 0);
    peer_services = step_services;
    return 0;
}

/// A client, whose memory is not scanned ///

static const char *find_body(const char *reply)
{
    const char *end = strstr(reply, "\r\n\r\n");
    return end == NULL ? NULL : end + 4;
}

static bool complete(const char *reply)
{
    const char *body = find_body(reply), *length = strstr(reply, "Content-Length: ");
    if (strncmp(reply, "HTTP/1.1 101", 12) == 0)
        return body != NULL && strlen(body) > 0;
    return body != NULL && length != NULL && strlen(body) >= strtoul(length + 16, NULL, 10);
}

static struct peer *new_peer(void)
{
    struct peer *p = calloc(1, sizeof *p);
    assert_non_null(p);
    peer_open(p, 80);
    return p;
}

static char *ask(struct peer *p, const char *request)
{
    peer_send_text(p, request);
    for (int i = 0; i < 20000 && !complete(peer_text(p)); i++)
        peer_run(1);
    char *reply = strdup(peer_text(p));
    peer_clear(p);
    return reply;
}

static void hang_up(struct peer *p)
{
    peer_abort(p);
    peer_run(50);
    peer_forget(p);
    memset(p, 0, sizeof *p);
    free(p);
}

// The reply's body, which must have this error in it.
static char *post(const char *path, const char *body, unsigned error)
{
    char *request = malloc(2000), expected[32];
    assert_non_null(request);
    snprintf(request, 2000,
             "POST %s HTTP/1.1\r\nHost: 10.0.2.15\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             path, strlen(body), body);
    struct peer *p = new_peer();
    char *reply = ask(p, request);
    hang_up(p);
    free(request);
    snprintf(expected, sizeof expected, "{\"error\":%u", error);
    if (strstr(reply, expected) == NULL)
        fail_msg("%s: no %s in %s", path, expected, reply);
    return reply;
}

static char *post_form(const char *path, const char *user, const char *password, const char *code, unsigned error)
{
    char *body = malloc(600);
    assert_non_null(body);
    snprintf(body, 600, "{\"user\":\"%s\",\"email\":\"%s@example.org\",\"password\":\"%s\",\"code\":\"%s\"}", user,
             user, password, code);
    char *reply = post(path, body, error);
    free(body);
    return reply;
}

static char *field(char *reply, const char *name)
{
    char key[32];
    snprintf(key, sizeof key, "\"%s\":\"", name);
    char *at = strstr(reply, key);
    assert_non_null(at);
    at += strlen(key);
    char *value = strndup(at, strcspn(at, "\""));
    free(reply);
    return value;
}

static char *code_for(const char *user)
{
    char body[80];
    snprintf(body, sizeof body, "{\"email\":\"%s@example.org\"}", user);
    return field(post("/get_verifycode", body, 0), "code");
}

// A code is so short that it may stand somewhere by chance: it is looked for with its reply's JSON around it.
static void assert_no_code_left(const char *code)
{
    char *text = malloc(64);
    assert_non_null(text);
    snprintf(text, 64, "\"code\":\"%s\"", code);
    assert_int_equal(left_of(text, BUT_IN_LWIP), 0);
    free(text);
}

static void assert_no_token_left(const char *token)
{
    assert_int_equal(left_of(token, BUT_IN_LWIP), 0);
    assert_int_equal(left_of(strchr(token, '.') + 1, BUT_IN_LWIP), 0);
}

/// Tests ///

// The scan itself must see what is there.
static void the_scan_sees(void **state)
{
    (void)state;
    static char here[64];
    char *secret = secret_text("seen");
    assert_int_equal(left_of(secret, ANYWHERE), 0);
    strcpy(here, secret);
    assert_int_equal(left_of(secret, ANYWHERE), 1);
    assert_int_equal(left_of(secret, BUT_IN_LWIP), 1);
    memset(here, 0, sizeof here);
    assert_int_equal(left_of(secret, ANYWHERE), 0);
    free(secret);
}

static void passwords_and_codes(void **state)
{
    (void)state;
    char *password = secret_text("pass"), *wrong = secret_text("wrong"), *other = secret_text("other");
    char *code = code_for("alice");
    free(post_form("/register", "alice", wrong, "x", 1005));
    free(post_form("/register", "alice", password, code, 0));
    assert_no_code_left(code);
    free(code);
    free(post_form("/login", "alice", wrong, "", 1008));
    free(post_form("/login", "nobody", wrong, "", 1008));
    char *token = field(post_form("/login", "alice", password, "", 0), "token");
    code = code_for("alice");
    free(post_form("/reset_pwd", "alice", other, code, 0));
    assert_no_code_left(code);
    assert_no_token_left(token);
    assert_int_equal(left_of(password, ANYWHERE), 0);
    assert_int_equal(left_of(wrong, ANYWHERE), 0);
    assert_int_equal(left_of(other, ANYWHERE), 0);
    free(post_form("/login", "alice", other, "", 0));
    assert_int_equal(left_of(other, ANYWHERE), 0);
    free(password), free(wrong), free(other), free(code), free(token);
}

// Bodies that are refused, too long, not JSON, or never complete; and clients that leave in the middle.
static void passwords_in_bad_requests(void **state)
{
    (void)state;
    char *password = secret_text("pass");
    char *body = malloc(600);
    snprintf(body, 600, "{\"user\":\"bob\",\"password\":\"%s\",\"password\":\"%s\"}", password, password);
    free(post("/login", body, 1001));
    snprintf(body, 600, "{\"user\":\"bob\",\"password\":[\"%s\"],\"x\":\"%s\"", password, password);
    free(post("/login", body, 1001));
    assert_int_equal(left_of(password, ANYWHERE), 0);
    snprintf(body, 600, "{\"password\":\"%s\",\"user\":\"bob\"}", password);
    char *request = malloc(1000);
    for (int cut = 0; cut < 2; cut++) {
        struct peer *p = new_peer();
        snprintf(request, 1000,
                 "POST /login HTTP/1.1\r\nHost: 10.0.2.15\r\nContent-Type: application/json\r\nContent-Length: "
                 "%zu\r\n\r\n%s",
                 strlen(body) + (cut == 0 ? 1 : 0), body);
        peer_send_text(p, request);
        peer_run(3); // half read, or hashing
        hang_up(p);
    }
    peer_run(3000);
    assert_int_equal(left_of(password, ANYWHERE), 0);
    free(password), free(body), free(request);
}

static char *bearer_request(const char *line, const char *token, const char *rest)
{
    char *request = malloc(600);
    assert_non_null(request);
    snprintf(request, 600, "%s HTTP/1.1\r\nHost: 10.0.2.15\r\nAuthorization: Bearer %s\r\n%s\r\n", line, token, rest);
    return request;
}

static char *call_with_token(const char *path, const char *token)
{
    char line[40];
    snprintf(line, sizeof line, "POST %s", path);
    char *request = bearer_request(line, token, "");
    struct peer *p = new_peer();
    char *reply = ask(p, request);
    hang_up(p);
    free(request);
    return reply;
}

static void tokens(void **state)
{
    (void)state;
    char *password = secret_text("pass"), *code = code_for("carol");
    free(post_form("/register", "carol", password, code, 0));
    char *token = field(post_form("/login", "carol", password, "", 0), "token");
    assert_no_token_left(token);
    char *request = bearer_request("GET /ws", token,
                                   "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    struct peer *chat = new_peer();
    char *reply = ask(chat, request);
    assert_non_null(strstr(reply, " 101 "));
    assert_no_token_left(token); // while it chats
    char *renewed = field(call_with_token("/renew", token), "token");
    assert_no_token_left(token);
    assert_no_token_left(renewed);
    char *gone = call_with_token("/logout", renewed);
    assert_non_null(strstr(gone, "{\"error\":0}"));
    assert_no_token_left(renewed);
    hang_up(chat);
    peer_run(20000);
    free(password), free(code), free(token), free(request), free(reply), free(renewed), free(gone);
}

// What was typed at the console stays in the setting alone, and nowhere once that is unset.
static void typed_secrets(void **state)
{
    (void)state;
    char *secret = secret_text("mail"), *line = malloc(200);
    snprintf(line, 200, "set mail.password %s\b\bxx\nset nothing %s\n", secret, secret);
    machine_console_clear();
    machine_type(line);
    peer_run(20);
    memset(mail_settings.password, 0, sizeof mail_settings.password);
    secret[strlen(secret) - 2] = '\0'; // without what was taken back
    assert_int_equal(left_of(secret, ANYWHERE), 0);
    free(secret), free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scan_sees),
        cmocka_unit_test(passwords_and_codes),
        cmocka_unit_test(passwords_in_bad_requests),
        cmocka_unit_test(tokens),
        cmocka_unit_test(typed_secrets),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
