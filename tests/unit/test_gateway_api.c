// The API and the way into the chat, with verify and status services that say what they like.
#define _GNU_SOURCE // memmem
#include "../../app/limits.h"
#include "../../port/net.h"
#include "../../services/gateway/bearer.h"
#include "../../services/gateway/http_server.h"
#include "../../services/gateway/tries.h"
#include "../../services/hub/hub.h"
#include "../../services/users/users.h"
#include "../../services/verify/codes.h"
#include "gate_support.h"
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

/// The API ///

static const char *get_code(const char *email, char code[32])
{
    char body[400];
    snprintf(body, sizeof body, "{\"email\":\"%s\"}", email);
    peer_run(61000); // past the cooldown
    const char *reply = post("/get_verifycode", body);
    assert_error(reply, 0);
    return value_of(reply, "code", code, 32);
}

static const char *with_code(const char *path, const char *user, const char *email, const char *password,
                             const char *code)
{
    char body[800];
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"email\":\"%s\",\"password\":\"%s\",\"code\":\"%s\"}", user, email,
             password, code);
    return post(path, body);
}

static const char *login(const char *user, const char *password)
{
    char body[400];
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"%s\"}", user, password);
    return post("/login", body);
}

static void add_account(const char *user, const char *email, const char *password)
{
    char code[32];
    assert_error(with_code("/register", user, email, password, get_code(email, code)), 0);
}

static void test_get_code(void **state)
{
    (void)state;
    char code[32], line[100];
    machine_console_clear();
    const char *reply = post("/get_varifycode", "{\"email\":\"carol@example.org\",\"unknown\":1}");
    assert_error(reply, 0);
    assert_has(reply, "\"email\":\"carol@example.org\"");
    assert_string_equal(value_of(reply, "code", code, sizeof code), gate_verify.code);
    snprintf(line, sizeof line, "code for carol@example.org is %s (development mode)", code);
    assert_has(machine_console, line);
    reply = post("/get_verifycode", "{\"email\":\"CAROL@example.org\"}");
    assert_error(reply, 1011);
    assert_has(reply, "\"retry_after\":");
    assert_lacks(reply, "\"code\"");
    assert_int_equal(gate_verify.asked, 1); // the service was not even asked
    peer_run(61000);
    reply = post("/get_verifycode", "{\"email\":\"carol@example.org\"}");
    assert_error(reply, 0);
    assert_string_equal(value_of(reply, "code", code, sizeof code), gate_verify.code);
    assert_int_equal(gate_verify.asked, 2);
}

// One caller cannot spend the mails of all. A code that was refused for another reason costs nothing.
static void test_code_rate_of_an_address(void **state)
{
    (void)state;
    char wait[16];
    gateway_settings.code_rate = 2;
    assert_error(post("/get_verifycode", "{\"email\":\"r1@example.org\"}"), 0);
    assert_error(post("/get_verifycode", "{\"email\":\"r1@example.org\"}"), 1011);
    assert_error(post("/get_verifycode", "{\"email\":\"r2@example.org\"}"), 0);
    const char *reply = post("/get_verifycode", "{\"email\":\"r3@example.org\"}");
    assert_error(reply, 1011);
    assert_has(reply, "from this address");
    const char *after = strstr(reply, "\"retry_after\":");
    assert_non_null(after);
    snprintf(wait, sizeof wait, "%s", after + 14);
    assert_in_range(strtoul(wait, NULL, 10), 1790, 1800);
    assert_int_equal(gate_verify.asked, 2);
    peer_run(1);
    machine_now_ms += 1800000;
    assert_error(post("/get_verifycode", "{\"email\":\"r3@example.org\"}"), 0);
    assert_error(post("/get_verifycode", "{\"email\":\"r4@example.org\"}"), 1011);
    peers[0].address = 0x0a000263;
    assert_error(send_to(&peers[0], post_request("/get_verifycode", "{\"email\":\"r4@example.org\"}")), 0);
}

// While mails are slow there is always an exchange for those who want none.
static void test_slow_mails_leave_an_exchange(void **state)
{
    (void)state;
    gate_verify.holds = true;
    for (size_t i = 0; i < HTTP_EXCHANGES + 1; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"email\":\"slow%zu@example.org\"}", i);
        peer_open(&peers[i], 80);
        peer_send_text(&peers[i], post_request("/get_verifycode", body));
    }
    peer_run(20);
    assert_int_equal(gate_verify.asked, HTTP_EXCHANGES - 1);
    assert_error(wait_reply(&peers[HTTP_EXCHANGES]), 1011);
    const char *login = post_request("/login", "{\"user\":\"nobody\",\"password\":\"secret1\"}");
    assert_error(send_to(&peers[HTTP_EXCHANGES + 1], login), 1008);
    gate_verify.holds = false;
    assert_error(wait_reply(&peers[0]), 0);
}

// Outside development mode the code goes to nobody but the service's mail; and it is good.
static void test_code_by_mail(void **state)
{
    (void)state;
    codes_settings.echo = 0;
    machine_console_clear();
    const char *reply = post("/get_verifycode", "{\"email\":\"dave@example.org\"}");
    assert_string_equal(find_body(reply), "{\"error\":0,\"email\":\"dave@example.org\"}");
    assert_lacks(machine_console, gate_verify.code);
    assert_error(with_code("/register", "dave", "dave@example.org", "secret1", gate_verify.code), 0);
}

static const struct {
    enum api_error error;
    const char *message;
    uint32_t retry_after;
    const char *body;
} code_failures[] = {
    {API_NOT_DELIVERED, "The verify service could not be reached (connect: timed out).", 0,
     "{\"error\":1002,\"message\":\"The verify service could not be reached (connect: timed out).\"}"},
    {API_BAD_FIELD, "It says \"no\\yes\".", 0, "{\"error\":1003,\"message\":\"It says \\\"no\\\\yes\\\".\"}"},
    {API_INTERNAL, "caf\xc3\xa9", 0, "{\"error\":1009,\"message\":\"caf\xc3\xa9\"}"},
    {API_TOO_MANY, "Slow down.", 17, "{\"error\":1011,\"message\":\"Slow down.\",\"retry_after\":17}"},
};

// The sentence goes through, and the failure is not held against the email: it may ask again at once.
static void test_code_refused_by_the_service(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof code_failures / sizeof code_failures[0]; i++) {
        gate_verify.error = code_failures[i].error;
        gate_verify.message = code_failures[i].message;
        gate_verify.retry_after = code_failures[i].retry_after;
        const char *reply = post("/get_verifycode", "{\"email\":\"frank@example.org\"}");
        assert_whole(reply);
        assert_string_equal(find_body(reply), code_failures[i].body);
    }
    gate_verify.error = API_OK;
    gate_verify.full = true;
    const char *reply = post("/get_verifycode", "{\"email\":\"frank@example.org\"}");
    assert_error(reply, 1011);
    assert_has(reply, "\"retry_after\":1}");
    gate_verify.full = false;
    assert_error(post("/get_verifycode", "{\"email\":\"frank@example.org\"}"), 0);
}

// A code from before stays good when a new one cannot be had.
static void test_old_code_stays_good(void **state)
{
    (void)state;
    char code[32];
    get_code("olga@example.org", code);
    peer_run(61000);
    gate_verify.error = API_NOT_DELIVERED;
    gate_verify.message = "No.";
    assert_error(post("/get_verifycode", "{\"email\":\"olga@example.org\"}"), 1002);
    assert_error(with_code("/register", "olga", "olga@example.org", "secret1", code), 0);
}

static const struct {
    const char *path;
    const char *body;
    unsigned error;
    const char *part;
} forms[] = {
    {"/get_verifycode", "", 1001, "JSON"},
    {"/get_verifycode", "[]", 1001, "JSON"},
    {"/get_verifycode", "{\"email\":5}", 1001, "string"},
    {"/get_verifycode", "{\"email\":null}", 1001, "string"},
    {"/get_verifycode", "{\"email\":\"a@b\",\"email\":\"c@d\"}", 1001, "JSON"},
    {"/get_verifycode", "{\"email\":\"a\\u0000@b\"}", 1001, "JSON"},
    {"/get_verifycode", "{}", 1003, "email"},
    {"/get_verifycode", "{\"Email\":\"a@b\"}", 1003, "email"},
    {"/get_verifycode", "{\"email\":\"\"}", 1003, "email"},
    {"/get_verifycode", "{\"email\":\"nobody\"}", 1003, "email"},
    {"/get_verifycode", "{\"email\":\"a@b\\r\\nRCPT TO:<c@d>\"}", 1003, "email"},
    {"/register", "{\"email\":\"a@b\",\"password\":\"secret1\",\"code\":\"123456\"}", 1003, "user"},
    {"/register", "{\"user\":\"a\",\"password\":\"secret1\",\"code\":\"123456\"}", 1003, "email"},
    {"/register", "{\"user\":\"a\",\"email\":\"a@b\",\"code\":\"123456\"}", 1003, "password"},
    {"/register", "{\"user\":\"a\",\"email\":\"a@b\",\"password\":\"secret1\"}", 1003, "code"},
    {"/register", "{\"user\":\"a\",\"email\":\"a@b\",\"password\":\"short\",\"code\":\"123456\"}", 1003, "password"},
    {"/register", "{\"user\":\"guest-1\",\"email\":\"a@b\",\"password\":\"secret1\",\"code\":\"1\"}", 1003, "guest-"},
    {"/register", "{\"user\":\"a\",\"email\":\"a@b\",\"password\":\"secret1\",\"code\":123456}", 1001, "code"},
    {"/register", "{\"user\":\"a\",\"email\":\"a@b\",\"password\":\"secret1\",\"code\":\"123456\"}", 1004, "code"},
    {"/login", "{\"user\":\"nobody\"}", 1003, "password"},
    {"/login", "{\"user\":\"\",\"password\":\"x\"}", 1003, "user"},
    {"/login", "{\"user\":true,\"password\":\"x\"}", 1001, "string"},
    {"/login", "{\"user\":\"nobody\",\"password\":\"x\"}", 1008, "wrong"}, // bounds are no oracle at a login
    {"/login", "{\"user\":\"guest-1\",\"password\":\"whatever\"}", 1008, "wrong"},
    {"/reset_pwd", "{\"user\":\"a\",\"email\":\"a@b\",\"password\":\"secret1\",\"code\":\"123456\"}", 1004, "code"},
    {"/logout", "", 1010, "token"},
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        const char *reply = post(forms[i].path, forms[i].body);
        assert_error(reply, forms[i].error);
        assert_has(find_body(reply), forms[i].part);
    }
    assert_int_equal(gateway_counters.api_errors[7], 2);
}

static void test_content_types(void **state)
{
    (void)state;
    static const char *const types[] = {"application/json", "Application/JSON", "application/json; charset=utf-8",
                                        "application/json ;charset=utf-8"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        snprintf(request, sizeof request,
                 "POST /login HTTP/1.1\r\n" HOST "Content-Type: %s\r\nContent-Length: 2\r\n\r\n{}", types[i]);
        assert_error(ask(request), 1003);
    }
}

static void test_account_life(void **state)
{
    (void)state;
    char code[32], token[96], text[32];
    get_code("alice@example.org", code);
    char wrong[32];
    strcpy(wrong, code);
    wrong[0] = (char)(code[0] == '9' ? '0' : code[0] + 1);
    assert_error(with_code("/register", "alice", "alice@example.org", "secret1", wrong), 1005);
    assert_error(with_code("/register", "alice", "alice@example.org", "secret1", "1"), 1005);
    const char *reply = with_code("/register", "alice", "alice@example.org", "secret1", code);
    assert_error(reply, 0);
    assert_has(reply, "\"uid\":");
    assert_has(reply, "\"user\":\"alice\",\"email\":\"alice@example.org\",\"message\":\"register success\"}");
    assert_error(with_code("/register", "alice2", "alice@example.org", "secret1", code), 1004); // used up

    // Name and email are taken, whatever their case; the code stays good then.
    get_code("other@example.org", code);
    assert_error(with_code("/register", "ALICE", "other@example.org", "secret1", code), 1006);
    assert_error(with_code("/register", "other", "other@example.org", "secret1", code), 0);
    get_code("Alice@Example.org", code);
    assert_error(with_code("/register", "someone", "alice@example.org", "secret1", code), 1006);

    assert_error(login("alice", "wrong-password"), 1008);
    assert_error(login("nobody", "wrong-password"), 1008);
    reply = login("alice@example.org", "secret1"); // by email too
    assert_error(reply, 0);
    assert_has(reply, "\"message\":\"login success\"");
    assert_string_equal(value_of(reply, "host", text, sizeof text), "10.0.2.15");
    assert_string_equal(value_of(reply, "port", text, sizeof text), "80");
    value_of(reply, "token", token, sizeof token);
    uint32_t uid = 0;
    struct span hex;
    assert_true(bearer_parse(span_of(token), &uid, &hex));

    // The token ends at logout; a second time it is invalid.
    snprintf(request, sizeof request, "POST /logout HTTP/1.1\r\n" HOST "Authorization: bearer %s\r\n\r\n", token);
    assert_string_equal(find_body(ask(request)), "{\"error\":0}");
    snprintf(request, sizeof request, "POST /logout HTTP/1.1\r\n" HOST "Authorization: Bearer %s\r\n\r\n", token);
    assert_error(ask(request), 1010);
}

static void test_login_host_and_port(void **state)
{
    (void)state;
    static const char *const hosts[][3] = {{"localhost:8080", "localhost", "8080"}, {"[::1]:81", "::1", "81"}};
    add_account("heidi", "heidi@example.org", "secret1");
    for (size_t i = 0; i < 2; i++) {
        char text[64];
        const char *body = "{\"user\":\"heidi\",\"password\":\"secret1\"}";
        snprintf(request, sizeof request,
                 "POST /login HTTP/1.1\r\nHost: %s\r\n" JSON_TYPE "Content-Length: %zu\r\n\r\n%s", hosts[i][0],
                 strlen(body), body);
        const char *reply = ask(request);
        assert_error(reply, 0);
        assert_string_equal(value_of(reply, "host", text, sizeof text), hosts[i][1]);
        assert_string_equal(value_of(reply, "port", text, sizeof text), hosts[i][2]);
    }
}

// Quotes and backslashes of the longest texts still fit the reply.
static void test_longest_texts(void **state)
{
    (void)state;
    char user[80] = "", email[300] = "", name[33] = "";
    for (int i = 0; i < 32; i++) {
        strcat(user, "\\\"");
        strcat(name, "\"");
    }
    memset(email, 'e', EMAIL_MAX_BYTES);
    email[200] = '@';
    add_account(user, email, "secret1");
    const char *reply = login(user, "secret1");
    assert_error(reply, 0);
    assert_has(reply, user);
    assert_has(reply, email);
    struct users_account account;
    assert_true(users_by_name(span_of(name), &account));
}

static void test_fifth_wrong_try(void **state)
{
    (void)state;
    char code[32];
    get_code("mallory@example.org", code);
    for (int i = 0; i < 5; i++)
        assert_error(with_code("/register", "mallory", "mallory@example.org", "secret1", "x"), 1005);
    assert_error(with_code("/register", "mallory", "mallory@example.org", "secret1", code), 1004);
}

static void test_code_expires(void **state)
{
    (void)state;
    char code[32];
    get_code("trent@example.org", code);
    peer_run(180001);
    assert_error(with_code("/register", "trent", "trent@example.org", "secret1", code), 1004);
}

// Two requests with one code at once: one account.
static void test_one_code_once(void **state)
{
    (void)state;
    char code[32], body[300];
    get_code("twin@example.org", code);
    for (int i = 0; i < 2; i++) {
        snprintf(body, sizeof body,
                 "{\"user\":\"twin%d\",\"email\":\"%s@example.org\",\"password\":\"secret1\",\"code\":\"%s\"}", i,
                 i == 0 ? "twin" : "TWIN", code);
        peer_open(&peers[i], 80);
        peer_send_text(&peers[i], post_request("/register", body));
    }
    assert_error(wait_reply(&peers[1]), 1004);
    assert_error(wait_reply(&peers[0]), 0);
    struct users_account account;
    assert_true(users_by_name(span_of("twin0"), &account));
    assert_false(users_by_name(span_of("twin1"), &account));
}

// A client that goes while its password is hashed leaves nothing behind, and its code is still good.
static void test_register_is_called_off(void **state)
{
    (void)state;
    char code[32], body[300];
    get_code("gone@example.org", code);
    snprintf(body, sizeof body,
             "{\"user\":\"gone\",\"email\":\"gone@example.org\",\"password\":\"secret1\",\"code\":\"%s\"}", code);
    peer_open(&peers[0], 80);
    peer_send_text(&peers[0], post_request("/register", body));
    peer_run(2);
    assert_int_equal(http_server_connections(), 1);
    peer_abort(&peers[0]);
    peer_run(3000);
    peer_forget(&peers[0]);
    struct users_account account;
    assert_false(users_by_name(span_of("gone"), &account));
    assert_error(post("/register", body), 0);
}

// A client that goes while the verify service has not answered yet.
static void leave_before_the_answer(const char *email)
{
    char body[100];
    unsigned asked = gate_verify.asked;
    snprintf(body, sizeof body, "{\"email\":\"%s\"}", email);
    peer_run(61000);
    gate_verify.holds = true;
    peer_open(&peers[0], 80);
    peer_send_text(&peers[0], post_request("/get_verifycode", body));
    peer_run(100);
    assert_int_equal(gate_verify.asked, asked + 1);
    peer_abort(&peers[0]);
    peer_run(100);
    peer_forget(&peers[0]);
    assert_int_equal(http_server_connections(), 0);
    assert_int_equal(gate_verify.cancelled, 0);
    gate_verify.holds = false;
    peer_run(100);
}

// A code that is on its way when the client goes is kept: it may have been mailed.
static void test_code_arrives_after_the_client_left(void **state)
{
    (void)state;
    uint32_t at = 0;
    leave_before_the_answer("leaver@example.org");
    assert_null(http_exchange_walk(&at));
    assert_error(post("/get_verifycode", "{\"email\":\"leaver@example.org\"}"), 1011);
    assert_error(with_code("/register", "leaver", "leaver@example.org", "secret1", gate_verify.code), 0);
}

// And when it never arrives, the email may ask again at once.
static void test_code_fails_after_the_client_left(void **state)
{
    (void)state;
    gate_verify.error = API_NOT_DELIVERED;
    gate_verify.message = "The relay is gone.";
    leave_before_the_answer("quitter@example.org");
    gate_verify.error = API_OK;
    assert_error(post("/get_verifycode", "{\"email\":\"quitter@example.org\"}"), 0);
}

/// A status service that fails ///

static const char *logout(const char *token)
{
    snprintf(request, sizeof request, "POST /logout HTTP/1.1\r\n" HOST "Authorization: Bearer %s\r\n\r\n", token);
    return ask(request);
}

static void test_login_without_status_service(void **state)
{
    (void)state;
    char token[96];
    add_account("peggy", "peggy@example.org", "secret1");
    gate_status.node_error = API_INTERNAL;
    gate_status.message = "The status service did not answer in time (step: timeout).";
    const char *reply = login("peggy", "secret1");
    assert_error(reply, 1009);
    assert_string_equal(find_body(reply),
                        "{\"error\":1009,\"message\":\"The status service did not answer in time (step: timeout).\"}");
    gate_status.full = true;
    reply = login("peggy", "secret1");
    assert_error(reply, 1011);
    assert_has(reply, "\"retry_after\":1}");
    gate_status.full = false;
    gate_status.node_error = API_OK;
    reply = login("peggy", "secret1");
    assert_error(reply, 0);
    value_of(reply, "token", token, sizeof token);
    gate_status.login_error = API_INTERNAL;
    gate_status.message = "The status service failed (INTERNAL).";
    assert_has(logout(token), "{\"error\":1009,\"message\":\"The status service failed (INTERNAL).\"}");
    gate_status.login_error = API_OK;
    gate_status.logout_error = API_INTERNAL;
    gate_status.message = "The status service does not know Logout; look at status.target.";
    assert_has(logout(token), "{\"error\":1009,\"message\":\"The status service does not know Logout; look at ");
    gate_status.logout_error = API_BAD_TOKEN; // ended meanwhile
    assert_error(logout(token), 1010);
    gate_status.logout_error = API_OK;
    assert_string_equal(find_body(logout(token)), "{\"error\":0}");
}

// A login goes where the status service says, with the longest token that it may give out.
static void test_login_elsewhere(void **state)
{
    (void)state;
    char text[96];
    gate_status.host = "chat.example";
    gate_status.port = "8090";
    gate_status.token_length = TOKEN_MAX_BYTES;
    add_account("walter", "walter@example.org", "secret1");
    const char *reply = login("walter", "secret1");
    assert_error(reply, 0);
    assert_string_equal(value_of(reply, "host", text, sizeof text), "chat.example");
    assert_string_equal(value_of(reply, "port", text, sizeof text), "8090");
    value_of(reply, "token", text, sizeof text);
    assert_int_equal(strlen(strchr(text, '.') + 1), TOKEN_MAX_BYTES);
    assert_string_equal(find_body(logout(text)), "{\"error\":0}");
    assert_error(logout(text), 1010);
}

// The password is new, whatever becomes of the old tokens.
static void test_reset_without_status_service(void **state)
{
    (void)state;
    char code[32];
    add_account("victor", "victor@example.org", "secret1");
    for (int full = 0; full < 2; full++) {
        get_code("victor@example.org", code);
        gate_status.logout_error = API_INTERNAL;
        gate_status.message = "It is gone.";
        gate_status.full = full == 1;
        machine_console_clear();
        const char *reply = with_code("/reset_pwd", "victor", "victor@example.org", full ? "secret3" : "secret2", code);
        assert_error(reply, 0);
        assert_has(reply, "\"message\":\"The password was changed, but older logins could not be ended");
        assert_has(machine_console, full ? "Too many requests" : "could not be ended: It is gone.");
    }
    gate_status.full = false;
    assert_error(login("victor", "secret3"), 0);
}

/// WebSocket ///

static void test_guest(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    // "hi", masked, right behind the handshake: it is the hub's to read.
    static const char frame[] = {(char)0x81, (char)0x82, 1, 2, 3, 4, 'h' ^ 1, 'i' ^ 2};
    snprintf(request, sizeof request, "GET /ws HTTP/1.1\r\n" HOST HANDSHAKE "\r\n");
    size_t n = strlen(request);
    memcpy(request + n, frame, sizeof frame);
    peer_open(p, 80);
    peer_send(p, request, n + sizeof frame);
    peer_run(20);
    const char *reply = peer_text(p);
    assert_status(reply, 101);
    assert_has(reply, "\r\nUpgrade: websocket\r\n");
    assert_has(reply, "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"); // RFC 6455 section 1.3
    assert_lacks(reply, "Sec-WebSocket-Protocol");
    assert_lacks(reply, "Content-Length");
    assert_has(reply, "[system] guest-");
    assert_has(reply, "] hi");
    assert_int_equal(hub_clients(), 1);
    assert_int_equal(http_server_connections(), 0); // the slot is free
    hang_up(p);
}

static void test_subprotocol(void **state)
{
    (void)state;
    struct peer *p = &peers[0];
    const char *reply = upgrade(p, "/ws?since=0", "Sec-WebSocket-Protocol: other, pipit.v1.json\r\n");
    assert_status(reply, 101);
    assert_has(reply, "\r\nSec-WebSocket-Protocol: pipit.v1.json\r\n");
    peer_run(20);
    assert_has(peer_text(p), "\"kind\":\"welcome\"");
    hang_up(p);
    reply = upgrade(p, "/ws", "Sec-WebSocket-Protocol: chat, superchat, pipit.v1.jsonx\r\n");
    assert_status(reply, 101);
    assert_lacks(reply, "Sec-WebSocket-Protocol");
    hang_up(p);
}

static const struct {
    const char *request;
    unsigned status;
    const char *part;
} handshakes[] = {
    {"GET /ws HTTP/1.1\r\n" HOST "\r\n", 426, "\r\nSec-WebSocket-Version: 13\r\n"},
    {"HEAD /ws HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 426, "\r\nSec-WebSocket-Version: 13\r\n"},
    {"POST /ws HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 405, "\r\nAllow: GET, HEAD\r\n"},
    {"GET /ws HTTP/1.0\r\n" HOST HANDSHAKE "\r\n", 426, "Upgrade: websocket\r\n"},
    {"GET /ws HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY "\r\n", 426, "13"},
    {"GET /ws HTTP/1.1\r\n" HOST "Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n" KEY "\r\n", 426, "13"},
    {"GET /ws HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: h2c\r\nSec-WebSocket-Version: 13\r\n" KEY "\r\n", 426,
     "13"},
    {"GET /ws HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n" KEY "\r\n",
     426, "\r\nSec-WebSocket-Version: 13\r\n"},
    {"GET /ws HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\n" KEY "\r\n", 426, "13"},
    {"GET /ws HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", 400,
     "Sec-WebSocket-Key"},
    {"GET /ws HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: short\r\n\r\n",
     400, "Sec-WebSocket-Key"},
    {"GET /ws HTTP/1.1\r\n" HOST HANDSHAKE "Content-Length: 2\r\n\r\n{}", 400, "body"},
    {"GET /ws?since=x HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 400, "since"},
    {"GET /ws?since= HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 400, "since"},
    {"GET /ws?since=-1 HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 400, "since"},
    {"GET /ws?since=18446744073709551616 HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 400, "since"},
    {"GET /ws?since=1000000000000000000000000000000 HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 400, "since"},
    {"GET /ws HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n" HANDSHAKE "\r\n", 403, "Origin"},
    {"GET /ws?token= HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 401, "\r\nWWW-Authenticate: Bearer\r\n"},
    {"GET /ws?token=1.x HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 401, "\"error\":1010"},
    {"GET /ws?token=0.x HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 401, "\"error\":1010"},
    {"GET /ws?token=1.x%20y HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 401, "\"error\":1010"},
    {"GET /ws?token=%zz HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 401, "1010"},
    {"GET /ws?token=1.0123456789abcdef0123456789abcdef HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", 401, "1010"},
    {"GET /ws?token=1.0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef HTTP/1.1\r\n" HOST HANDSHAKE
     "\r\n",
     401, "1010"},
    {"GET /ws HTTP/1.1\r\n" HOST "Authorization: Basic YTpi\r\n" HANDSHAKE "\r\n", 401, "1010"},
    {"GET /ws HTTP/1.1\r\n" HOST "Authorization: Bearer nonsense\r\n" HANDSHAKE "\r\n", 401, "1010"},
    {"GET /ws HTTP/1.1\r\n" HOST "Sec-WebSocket-Protocol: pipit.v1.json, pipit.token.x\r\n" HANDSHAKE "\r\n", 401,
     "1010"},
};

static void test_bad_handshakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof handshakes / sizeof handshakes[0]; i++) {
        struct peer *p = &peers[0];
        peer_open(p, 80);
        peer_send_text(p, handshakes[i].request);
        peer_run(20);
        assert_status(peer_text(p), handshakes[i].status);
        assert_has(peer_text(p), handshakes[i].part);
        assert_has(peer_text(p), "\r\nContent-Length: ");
        hang_up(p);
    }
    assert_int_equal(hub_clients(), 0);
}

static void test_no_guests(void **state)
{
    (void)state;
    gateway_settings.guests = 0;
    const char *reply = upgrade(&peers[0], "/ws", "");
    assert_status(reply, 401);
    assert_has(reply, "\r\nWWW-Authenticate: Bearer\r\n");
    hang_up(&peers[0]);
}

// Of what a token may have, + alone means something else in a query.
static const char *percent_encoded(const char *token)
{
    static char text[300];
    size_t n = 0;
    for (; *token != '\0'; token++)
        n += (size_t)snprintf(text + n, sizeof text - n, strchr("+/=~", *token) != NULL ? "%%%02X" : "%c", *token);
    return text;
}

static void test_token_in_three_places(void **state)
{
    (void)state;
    char token[96], text[200];
    gateway_settings.guests = 0;
    gate_status.token_length = TOKEN_MAX_BYTES;
    add_account("ivan", "ivan@example.org", "secret1");
    value_of(login("ivan", "secret1"), "token", token, sizeof token);

    snprintf(text, sizeof text, "/ws?since=1&token=%s", percent_encoded(token));
    assert_status(upgrade(&peers[0], text, ""), 101);
    peer_run(20);
    assert_has(peer_text(&peers[0]), "[system] ivan joined");
    hang_up(&peers[0]);

    snprintf(text, sizeof text, "Authorization: Bearer %s\r\n", token);
    assert_status(upgrade(&peers[0], "/ws", text), 101);
    peer_run(20);
    assert_has(peer_text(&peers[0]), "[system] ivan joined");
    hang_up(&peers[0]);

    snprintf(text, sizeof text, "Sec-WebSocket-Protocol: pipit.v1.json, pipit.token.%s\r\n", token);
    const char *reply = upgrade(&peers[0], "/ws", text);
    assert_status(reply, 101);
    assert_has(reply, "\r\nSec-WebSocket-Protocol: pipit.v1.json\r\n");
    assert_lacks(reply, token);
    peer_run(20);
    assert_has(peer_text(&peers[0]), "\"name\":\"ivan\"");
    hang_up(&peers[0]);
}

// A new password ends every session: the open connection is closed and the token is bad from then on.
static void test_reset_password(void **state)
{
    (void)state;
    char code[32], token[96], target[120];
    add_account("judy", "judy@example.org", "secret1");
    value_of(login("judy", "secret1"), "token", token, sizeof token);
    snprintf(target, sizeof target, "/ws?token=%s", percent_encoded(token));
    struct peer *chat = &peers[1];
    assert_status(upgrade(chat, target, ""), 101);
    peer_run(20);
    assert_int_equal(hub_clients(), 1);

    get_code("judy@example.org", code);
    assert_error(with_code("/reset_pwd", "nobody", "judy@example.org", "secret2", code), 1007);
    const char *reply = with_code("/reset_pwd", "judy", "judy@example.org", "secret2", code);
    assert_error(reply, 0);
    assert_has(reply, "\"user\":\"judy\",\"email\":\"judy@example.org\",\"message\":\"reset success\"}");
    peer_run(2000);
    assert_int_equal(hub_clients(), 0);
    assert_non_null(memmem(chat->received, chat->length, "\x0f\xa2", 2)); // 4002
    assert_error(with_code("/reset_pwd", "judy", "judy@example.org", "secret3", code), 1004);
    assert_status(upgrade(&peers[2], target, ""), 401);
    assert_error(login("judy", "secret1"), 1008);
    assert_error(login("judy", "secret2"), 0);
}

/// Wrong tries ///

static const char *login_from(uint32_t address, const char *user, const char *password)
{
    char body[400];
    struct peer *p = &peers[3];
    static char reply[sizeof p->received];
    snprintf(body, sizeof body, "{\"user\":\"%s\",\"password\":\"%s\"}", user, password);
    p->address = address;
    strcpy(reply, find_body(send_to(p, post_request("/login", body))));
    hang_up(p);
    return reply;
}

static uint32_t hashes(void)
{
    for (size_t i = 0; i < users_service.metric_count; i++)
        if (strcmp(users_service.metrics[i].name, "pipit_password_hashes_total") == 0)
            return *users_service.metrics[i].value;
    fail();
    return 0;
}

#define STRANGER 0x0a000280u

// What a stranger is told, and what it costs us: the same for a name that somebody has and for one that nobody has.
static void test_login_backs_off_alike(void **state)
{
    (void)state;
    static const char *const users[] = {"tina", "tina@example.org", "nobody"};
    char told[3][12][200];
    uint32_t cost[3];
    add_account("tina", "tina@example.org", "secret1");
    for (size_t u = 0; u < 3; u++) {
        tries_reset();
        gateway_settings.login_tries = 5;
        gateway_settings.login_backoff = 2;
        uint32_t before = hashes();
        for (size_t i = 0; i < 12; i++)
            snprintf(told[u][i], sizeof told[u][i], "%s", login_from(STRANGER, users[u], "secret0"));
        cost[u] = hashes() - before;
    }
    assert_int_equal(cost[0], 5); // the right number of hashes: none for those who were told to wait
    assert_has(told[0][4], "{\"error\":1008,");
    assert_has(told[0][5], "{\"error\":1011,\"message\":\"There were too many wrong tries; try again after retry_after "
                           "seconds.\",\"retry_after\":2}");
    for (size_t u = 1; u < 3; u++) {
        assert_int_equal(cost[u], cost[0]);
        for (size_t i = 0; i < 12; i++)
            assert_string_equal(told[u][i], told[0][i]);
    }
    assert_has(login_from(STRANGER + 1, "tina", "secret1"), "{\"error\":0,");
}

// Attackers with an address for every try slow each other down, and strangers too, but not her who was here last.
static void test_nobody_is_locked_out(void **state)
{
    (void)state;
    add_account("uma", "uma@example.org", "secret1");
    gateway_settings.login_tries = 2;
    gateway_settings.login_backoff = 2;
    assert_has(login_from(STRANGER, "uma", "secret1"), "{\"error\":0,");
    for (uint32_t i = 0; i < 2 * TRIES_CROWD; i++)
        assert_has(login_from(STRANGER + 1 + i, "uma", "secret0"), "{\"error\":1008,");
    assert_has(login_from(STRANGER + 100, "uma", "secret0"), "{\"error\":1011,");
    assert_has(login_from(STRANGER, "UMA@example.org", "secret1"), "{\"error\":0,");
    assert_has(login_from(STRANGER, "uma", "secret0"), "{\"error\":1008,");
    assert_has(login_from(STRANGER, "uma", "secret1"), "{\"error\":0,");
    assert_has(login_from(STRANGER + 101, "uma", "secret1"), "{\"error\":1011,");
    peer_run(1);
    machine_now_ms += TRIES_CROWD_MOST * 1000;
    assert_has(login_from(STRANGER + 101, "uma", "secret1"), "{\"error\":0,");
    assert_has(login_from(STRANGER + 101, "uma", "secret1"), "{\"error\":0,"); // here she was last now
    assert_has(login_from(STRANGER + 102, "nobody", "secret1"), "{\"error\":1008,");
}

// Who does not wait for the answer has tried all the same.
static void test_login_called_off_counts(void **state)
{
    (void)state;
    gateway_settings.login_tries = 1;
    gateway_settings.login_backoff = 900;
    peers[3].address = STRANGER;
    peer_open(&peers[3], 80);
    peer_send_text(&peers[3], post_request("/login", "{\"user\":\"vera\",\"password\":\"secret1\"}"));
    peer_run(3);
    hang_up(&peers[3]);
    assert_has(login_from(STRANGER, "vera", "secret1"), "{\"error\":1011,");
}

static void test_codes_back_off(void **state)
{
    (void)state;
    char code[32];
    gateway_settings.login_tries = 3;
    gateway_settings.login_backoff = 100;
    get_code("wendy@example.org", code);
    for (int i = 0; i < 3; i++)
        assert_error(with_code("/register", "wendy", "wendy@example.org", "secret1", "x"), 1005);
    const char *reply = with_code("/register", "wendy", "wendy@example.org", "secret1", code);
    assert_error(reply, 1011);
    assert_has(reply, "\"retry_after\":100}");
    peer_run(1);
    machine_now_ms += 100000;
    assert_error(with_code("/register", "wendy", "wendy@example.org", "secret1", code), 0);
}

/// Renewing ///

static const char *renew(const char *token)
{
    snprintf(request, sizeof request, "POST /renew HTTP/1.1\r\n" HOST "Authorization: Bearer %s\r\n\r\n", token);
    return ask(request);
}

static struct peer *chat_with(struct peer *p, const char *token)
{
    char target[300];
    snprintf(target, sizeof target, "/ws?token=%s", percent_encoded(token));
    assert_status(upgrade(p, target, ""), 101);
    peer_run(20);
    return p;
}

static bool closed_with_4002(const struct peer *p, const char *why)
{
    char expected[100] = "\x0f\xa2";
    strcpy(expected + 2, why);
    return memmem(p->received, p->length, expected, strlen(expected)) != NULL;
}

// Whoever had the old password comes with a token at that moment: it was good when it was looked at, and the chat began
// after those of the account had been ended. It went on for as long as the token would have.
static void test_chat_that_begins_during_a_reset(void **state)
{
    (void)state;
    char code[32], token[96], body[400];
    add_account("jack", "jack@example.org", "secret1");
    value_of(login("jack", "secret1"), "token", token, sizeof token);
    get_code("jack@example.org", code);
    gate_status.holds = true;
    peer_open(&peers[1], 80);
    snprintf(request, sizeof request, "GET /ws?token=%s HTTP/1.1\r\n" HOST HANDSHAKE "\r\n", percent_encoded(token));
    peer_send_text(&peers[1], request);
    peer_run(20);
    snprintf(body, sizeof body,
             "{\"user\":\"jack\",\"email\":\"jack@example.org\",\"password\":\"secret2\",\"code\":\"%s\"}", code);
    peer_open(&peers[2], 80);
    peer_send_text(&peers[2], post_request("/reset_pwd", body));
    peer_run(3000);
    assert_int_equal(hub_clients(), 0);
    gate_status.holds = false;
    assert_error(wait_reply(&peers[2]), 0);
    peer_run(2000);
    assert_status(peer_text(&peers[1]), 101);
    assert_int_equal(hub_clients(), 0);
    assert_true(closed_with_4002(&peers[1], "The password was changed; log in again."));
    hang_up(&peers[2]);
}

// The old token is good for nothing any more, the chat that came with it goes on, and lives as long as the new one.
static void test_renew(void **state)
{
    (void)state;
    char token[96], renewed[96];
    hub_settings.ping = 3600; // the peer does not answer any
    gate_status.expires_in = 60;
    add_account("rosa", "rosa@example.org", "secret1");
    const char *reply = login("rosa", "secret1");
    assert_has(reply, "\"expires_in\":60}");
    value_of(reply, "token", token, sizeof token);
    struct peer *chat = chat_with(&peers[1], token);
    peer_run(40000);
    reply = renew(token);
    assert_error(reply, 0);
    assert_has(reply, "\"expires_in\":60}");
    value_of(reply, "token", renewed, sizeof renewed);
    assert_int_equal(strtoul(token, NULL, 10), strtoul(renewed, NULL, 10));
    assert_string_not_equal(token, renewed);
    assert_error(renew(token), 1010);
    assert_error(logout(token), 1010);
    peer_run(40000);
    assert_int_equal(hub_clients(), 1);
    peer_run(22000);
    assert_int_equal(hub_clients(), 0);
    assert_true(closed_with_4002(chat, "your login has expired; log in again"));
    hub_settings.ping = 25;
}

// Somebody else's old token takes nothing away; and a service that says no time sets none.
static void test_renew_of_another_login(void **state)
{
    (void)state;
    char phone[96], laptop[96];
    add_account("rita", "rita@example.org", "secret1");
    value_of(login("rita", "secret1"), "token", phone, sizeof phone);
    value_of(login("rita", "secret1"), "token", laptop, sizeof laptop);
    struct peer *chat = chat_with(&peers[1], phone);
    gate_status.expires_in = 1;
    assert_error(renew(laptop), 0);
    peer_run(5000);
    assert_int_equal(hub_clients(), 1);
    gate_status.expires_in = 0;
    char renewed[96];
    const char *reply = renew(phone);
    assert_lacks(reply, "expires_in");
    value_of(reply, "token", renewed, sizeof renewed);
    value_of(login("rita", "secret1"), "token", laptop, sizeof laptop);
    assert_error(logout(laptop), 0);
    peer_run(2000);
    assert_int_equal(hub_clients(), 1); // the laptop's logout is none of the phone's
    assert_error(logout(renewed), 0);
    peer_run(2000);
    assert_int_equal(hub_clients(), 0);
    assert_true(closed_with_4002(chat, "you have logged out"));
}

static void test_renew_refused(void **state)
{
    (void)state;
    assert_error(ask("POST /renew HTTP/1.1\r\n" HOST "\r\n"), 1010);
    assert_error(renew("1"), 1010);
    assert_error(renew("1.x"), 1010);
    gate_status.renew_error = API_INTERNAL;
    gate_status.message = "The status service does not know Renew.";
    const char *reply = renew("1.x");
    assert_error(reply, 1009);
    assert_has(reply, "does not know Renew");
    gate_status.full = true;
    assert_error(renew("1.x"), 1011);
    assert_status(ask("GET /renew HTTP/1.1\r\n" HOST "\r\n"), 405);
}

// Whoever goes before the answer has had his token renewed: the chat must not end with the old one.
static void test_renew_without_the_client(void **state)
{
    (void)state;
    char token[96];
    gate_status.expires_in = 60;
    add_account("ruth", "ruth@example.org", "secret1");
    value_of(login("ruth", "secret1"), "token", token, sizeof token);
    chat_with(&peers[1], token);
    hub_settings.ping = 3600;
    peer_run(30000);
    gate_status.holds = true;
    peer_open(&peers[2], 80);
    snprintf(request, sizeof request, "POST /renew HTTP/1.1\r\n" HOST "Authorization: Bearer %s\r\n\r\n", token);
    peer_send_text(&peers[2], request);
    peer_run(10);
    hang_up(&peers[2]);
    gate_status.holds = false;
    peer_run(45000);
    assert_int_equal(hub_clients(), 1);
    peer_run(20000);
    assert_int_equal(hub_clients(), 0);
    hub_settings.ping = 25;
}

// A token that nobody can judge is no guest's either: 503, and why.
static void test_upgrade_without_status_service(void **state)
{
    (void)state;
    gate_status.login_error = API_INTERNAL;
    gate_status.message = "The status service failed (UNKNOWN: it said \"no\").";
    const char *reply = upgrade(&peers[0], "/ws?token=1.x", "");
    assert_status(reply, 503);
    assert_has(reply, "\r\nRetry-After: 2\r\n");
    assert_string_equal(find_body(reply), "{\"error\":503,\"message\":\"The status service failed (UNKNOWN: it said "
                                          "\\\"no\\\").\",\"retry_after\":2}\n");
    assert_string_equal(find_body(send_to(&peers[0], "GET /healthz HTTP/1.1\r\n" HOST "\r\n")), "ok\n");
    hang_up(&peers[0]);
    char longest[256]; // SERVICE_SENTENCE, less the NUL
    memset(longest, '"', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    gate_status.message = longest;
    reply = upgrade(&peers[0], "/ws?token=1.x", "");
    assert_status(reply, 503);
    assert_has(reply, "\\\"\",\"retry_after\":2}\n");
    assert_int_equal(strtoul(strstr(reply, "Content-Length: ") + 16, NULL, 10), strlen(find_body(reply)));
    hang_up(&peers[0]);
    gate_status.full = true;
    reply = upgrade(&peers[0], "/ws?token=1.x", "");
    assert_status(reply, 503);
    assert_has(reply, "The status service could not be asked");
    hang_up(&peers[0]);
}

// There is no memory to send the sentence just then: it is kept.
static void test_refusal_waits_for_room(void **state)
{
    (void)state;
    static void *taken[MEMP_NUM_TCP_SEG + 1];
    size_t n = 0;
    gate_status.login_error = API_INTERNAL;
    gate_status.message = "The status service failed.";
    peer_open(&peers[0], 80);
    while ((taken[n] = memp_malloc(MEMP_TCP_SEG)) != NULL)
        n++;
    peer_send_text(&peers[0], "GET /ws?token=1.x HTTP/1.1\r\n" HOST HANDSHAKE "\r\n");
    peer_run(50);
    assert_int_equal(peers[0].length, 0);
    while (n > 0)
        memp_free(MEMP_TCP_SEG, taken[--n]);
    assert_has(wait_reply(&peers[0]), "\"message\":\"The status service failed.\"");
    hang_up(&peers[0]);
}

// The client of an upgrade or a logout goes before the service has answered: the call is taken back.
static void test_token_check_is_called_off(void **state)
{
    (void)state;
    uint32_t at = 0;
    gate_status.holds = true;
    peer_open(&peers[0], 80);
    peer_send_text(&peers[0], "GET /ws?token=1.x HTTP/1.1\r\n" HOST HANDSHAKE "\r\n");
    peer_open(&peers[1], 80);
    peer_send_text(&peers[1], "POST /logout HTTP/1.1\r\n" HOST "Authorization: Bearer 1.x\r\n\r\n");
    peer_run(100);
    assert_int_equal(http_server_connections(), 2);
    hang_up(&peers[0]);
    hang_up(&peers[1]);
    assert_int_equal(gate_status.cancelled, 2);
    assert_null(http_exchange_walk(&at));
}

// As many as the hub takes get their 101; the next one is told so before it.
static void test_full_hub(void **state)
{
    (void)state;
    // As many as can be between HTTP and the hub at once, and few enough for lwIP's memory: each is told of all.
    const size_t batch = HTTP_CONNECTIONS < 32 ? HTTP_CONNECTIONS : 32;
    for (size_t n = 0; n < HUB_CLIENTS; n += batch) {
        size_t end = n + batch < HUB_CLIENTS ? n + batch : HUB_CLIENTS;
        for (size_t i = n; i < end; i++)
            peer_open(&peers[i], 80);
        for (size_t i = n; i < end; i++)
            peer_send_text(&peers[i], "GET /ws HTTP/1.1\r\n" HOST HANDSHAKE "\r\n");
        peer_run(5);
        assert_int_equal(hub_clients(), end);
    }
    peer_run(5000); // what found no memory is sent again
    for (size_t i = 0; i < HUB_CLIENTS; i++)
        assert_status(peer_text(&peers[i]), 101);
    const char *reply = upgrade(&peers[HUB_CLIENTS], "/ws", "");
    assert_status(reply, 503);
    assert_has(reply, "\r\nRetry-After: ");
    assert_int_equal(hub_clients(), HUB_CLIENTS);
    assert_int_equal(gateway_counters.full, 1);
    assert_int_equal(gateway_counters.replies[1], HUB_CLIENTS);
}

/// The end ///

// The machine stops: every call is taken back, also one that would go on without its client.
static void test_stop_during_calls(void **state)
{
    (void)state;
    uint32_t at = 0;
    gate_verify.holds = gate_status.holds = true;
    peer_run(61000);
    peer_open(&peers[0], 80);
    peer_send_text(&peers[0], post_request("/get_verifycode", "{\"email\":\"late@example.org\"}"));
    peer_open(&peers[1], 80);
    peer_send_text(&peers[1], "GET /ws?token=1.x HTTP/1.1\r\n" HOST HANDSHAKE "\r\n");
    peer_open(&peers[2], 80);
    peer_send_text(&peers[2], post_request("/get_verifycode", "{\"email\":\"later@example.org\"}"));
    peer_run(100);
    hang_up(&peers[2]);
    gateway_service.stop();
    assert_int_equal(gate_verify.cancelled, 2);
    assert_int_equal(gate_status.cancelled, 1);
    assert_int_equal(http_server_connections(), 0);
    assert_null(http_exchange_walk(&at));
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, gate_setup, gate_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_get_code),
        TEST(test_code_rate_of_an_address),
        TEST(test_slow_mails_leave_an_exchange),
        TEST(test_code_by_mail),
        TEST(test_code_refused_by_the_service),
        TEST(test_old_code_stays_good),
        TEST(test_forms),
        TEST(test_content_types),
        TEST(test_account_life),
        TEST(test_login_host_and_port),
        TEST(test_longest_texts),
        TEST(test_fifth_wrong_try),
        TEST(test_code_expires),
        TEST(test_one_code_once),
        TEST(test_register_is_called_off),
        TEST(test_code_arrives_after_the_client_left),
        TEST(test_code_fails_after_the_client_left),
        TEST(test_login_without_status_service),
        TEST(test_login_elsewhere),
        TEST(test_reset_without_status_service),
        TEST(test_guest),
        TEST(test_subprotocol),
        TEST(test_bad_handshakes),
        TEST(test_no_guests),
        TEST(test_token_in_three_places),
        TEST(test_reset_password),
        TEST(test_login_backs_off_alike),
        TEST(test_nobody_is_locked_out),
        TEST(test_login_called_off_counts),
        TEST(test_codes_back_off),
        TEST(test_chat_that_begins_during_a_reset),
        TEST(test_renew),
        TEST(test_renew_of_another_login),
        TEST(test_renew_refused),
        TEST(test_renew_without_the_client),
        TEST(test_upgrade_without_status_service),
        TEST(test_refusal_waits_for_room),
        TEST(test_token_check_is_called_off),
        TEST(test_full_hub),
        TEST(test_stop_during_calls),
    };
    return cmocka_run_group_tests(tests, gate_start, NULL);
}
