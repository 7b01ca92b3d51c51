#include "api.h"
#include "../../port/log.h"
#include "../../port/port.h"
#include "../hub/hub.h"
#include "../proto/ws.h"
#include "../users/users.h"
#include "../verify/codes.h"
#include "api_talk.h"
#include "bearer.h"
#include "gateway.h"
#include "guard.h"
#include "rate.h"
#include "status_client.h"
#include "verify_client.h"
#include <string.h>

static struct codes codes;
static struct rate mails;

#define BUSY_RETRY_AFTER 1 // seconds

static const char too_many_codes[] = "Too many codes are under way; ask again in a few minutes.";
static const char busy[] = "Too many requests are being worked on; try again in a moment.";

static const char too_many_mails_of_one[] =
    "Too many codes were asked for from this address; ask again after retry_after seconds.";

/// Steps ///

static void set_step(struct http_exchange *x, enum api_step step)
{
    x->work.step = step;
}

void api_cancel(struct http_exchange *x)
{
    switch (x->work.step) {
    case API_IDLE:
        break;
    case API_VERIFYING:
        verify_client_cancel(x->work.call.verify);
        codes_withdraw(&codes, api_kept_email(x), port_now_ms());
        break;
    case API_LOGGING_IN: // the answer is not waited for, and was paid for all the same
        tries_wrong(&x->work.tries, port_now_ms());
        users_cancel(x->work.call.users);
        break;
    case API_REGISTERING:
    case API_RESETTING:
        users_cancel(x->work.call.users);
        break;
    case API_FINDING_NODE:
    case API_CHECKING_TOKEN:
    case API_RENEWING:
    case API_ENDING_SESSIONS:
        status_client_cancel(x->work.call.status);
        break;
    }
    set_step(x, API_IDLE);
}

bool api_abandon(struct http_exchange *x)
{
    if (x->work.step == API_VERIFYING || x->work.step == API_RENEWING || x->work.step == API_ENDING_SESSIONS)
        return false;
    api_cancel(x);
    return true;
}

void api_reset(void)
{
    memset(&codes, 0, sizeof codes);
    rate_reset(&mails, 3600000);
    tries_reset();
}

// Notes the call that `step` waits for. A call that could not be made (NULL) is answered with 1011.
static bool started(struct http_exchange *x, enum api_step step, const void *call)
{
    if (call == NULL) {
        api_fail(x, API_TOO_MANY, busy, BUSY_RETRY_AFTER);
        return false;
    }
    set_step(x, step);
    return true;
}

/// Wrong tries ///

static const char slow_down[] = "There were too many wrong tries; try again after retry_after seconds.";

// True when this try may be made now; else it has had its answer.
static bool may_try(struct http_exchange *x, const struct tries *tries)
{
    uint32_t at = 0, under_way[TRIES_WAYS] = {0};
    for (struct http_exchange *other = http_exchange_walk(&at); other != NULL; other = http_exchange_walk(&at))
        for (int way = 0; way < TRIES_WAYS && other->work.step == API_LOGGING_IN; way++)
            under_way[way] += other->work.tries.keys[way] == tries->keys[way];
    uint32_t wait = tries_wait(tries, under_way, port_now_ms());
    if (wait == 0)
        return true;
    gateway_counters.slowed++;
    api_forget(x);
    api_fail(x, API_TOO_MANY, slow_down, wait);
    return false;
}

// The account belongs to somebody at the other end of this connection.
static void note_home(const struct http_exchange *x, uint32_t uid)
{
    if (x->connection != NULL)
        users_set_home(uid, net_peer_address(x->connection->net));
}

/// get_verifycode ///

static void code_failed(struct http_exchange *x, enum api_error error, struct span message, uint32_t retry_after)
{
    codes_withdraw(&codes, api_kept_email(x), port_now_ms());
    api_fail_saying(x, error, message, retry_after);
}

// Development mode: whoever asks is told, without a mail.
static void show_code(struct text *t, struct span email, struct span code)
{
    log_line(LOG_WARNING, "api", "code for %.*s is %.*s (development mode)", (int)email.length, email.at,
             (int)code.length, code.at);
    api_string(t, "code", code);
}

static void code_made(struct http_exchange *x, struct span code)
{
    struct span email = api_kept_email(x);
    if (codes_put(&codes, email, code, port_now_ms()) != CODES_OK) {
        code_failed(x, API_INTERNAL, span_of(too_many_codes), 0);
        return;
    }
    struct text t = api_begin(x, API_OK);
    api_string(&t, "email", email);
    if (codes_settings.echo != 0)
        show_code(&t, email, code);
    api_send(x, &t);
}

static void on_code(void *context, const struct verify_reply *reply)
{
    struct http_exchange *x = context;
    set_step(x, API_IDLE);
    if (reply->error == API_OK)
        code_made(x, reply->code);
    else
        code_failed(x, reply->error, reply->message, reply->retry_after);
}

// A mail takes seconds, and who only wants to log in shall not wait for it: one exchange is left for them.
static bool too_many_mails(void)
{
    uint32_t at = 0, verifying = 0;
    for (const struct http_exchange *x = http_exchange_walk(&at); x != NULL; x = http_exchange_walk(&at))
        verifying += x->work.step == API_VERIFYING;
    return verifying >= HTTP_EXCHANGES - 1;
}

static void ask_for_code(struct http_exchange *x)
{
    struct span email = api_kept_email(x);
    if (too_many_mails()) {
        code_failed(x, API_TOO_MANY, span_of(busy), BUSY_RETRY_AFTER);
        return;
    }
    x->work.call.verify = verify_client_get_code(email, on_code, x);
    if (x->work.call.verify == NULL)
        codes_withdraw(&codes, email, port_now_ms());
    started(x, API_VERIFYING, x->work.call.verify);
}

void api_get_code(struct http_connection *h)
{
    struct http_exchange *x = h->exchange;
    struct api_form form;
    uint32_t retry_after = 0;
    if (!api_read_form(x, API_EMAIL, &form))
        return;
    api_keep(x, (struct span){0}, form.email);
    api_forget(x);
    uint32_t caller = net_peer_address(h->net);
    switch (codes_ask(&codes, api_kept_email(x), port_now_ms(), &retry_after)) {
    case CODES_OK:
        if (rate_allow(&mails, caller, gateway_settings.code_rate, port_now_ms(), &retry_after))
            ask_for_code(x);
        else
            code_failed(x, API_TOO_MANY, span_of(too_many_mails_of_one), retry_after);
        break;
    case CODES_TOO_SOON:
        api_fail(x, API_TOO_MANY, "A code was asked for a moment ago; ask again after retry_after seconds.",
                 retry_after);
        break;
    default:
        api_fail(x, API_INTERNAL, too_many_codes, 0);
        break;
    }
}

/// Using a code, once ///

// The claim of api.h: another call with this email's code is under way.
static bool claimed(struct span email)
{
    uint32_t at = 0;
    for (struct http_exchange *x = http_exchange_walk(&at); x != NULL; x = http_exchange_walk(&at)) {
        bool uses_code = x->work.step == API_REGISTERING || x->work.step == API_RESETTING;
        if (uses_code && span_equal_nocase(api_kept_email(x), email))
            return true;
    }
    return false;
}

static bool refuse_code(struct http_exchange *x, enum api_error error, const char *message)
{
    api_forget(x);
    api_fail(x, error, message, 0);
    return false;
}

static bool code_good(struct http_exchange *x, const struct api_form *form)
{
    uint64_t now_ms = port_now_ms();
    struct tries tries = tries_of_code(net_peer_address(x->connection->net), form->email);
    if (!may_try(x, &tries))
        return false;
    switch (codes_check(&codes, form->email, form->code, now_ms)) {
    case CODES_OK:
        tries_right(&tries, now_ms);
        if (!claimed(form->email))
            return true;
        return refuse_code(x, API_CODE_GONE, "The code is being used by another request.");
    case CODES_WRONG:
        tries_wrong(&tries, now_ms);
        return refuse_code(x, API_CODE_WRONG, "The code does not match.");
    default:
        return refuse_code(x, API_CODE_GONE,
                           "The code has expired, was used up, or was never asked for; ask for a new one.");
    }
}

typedef struct users_job *users_work(struct span name, struct span email, struct span password, users_done *done,
                                     void *context);

// What a code is for: an account's name, email and new password.
static void work_with_code(struct http_connection *h, users_work *work, users_done *done, enum api_step step)
{
    struct http_exchange *x = h->exchange;
    struct api_form form;
    if (!api_read_form(x, API_USER | API_EMAIL | API_PASSWORD | API_CODE | API_NEW, &form) || !code_good(x, &form))
        return;
    api_keep(x, form.user, form.email);
    x->work.call.users = work(api_kept_user(x), api_kept_email(x), form.password, done, x);
    api_forget(x);
    started(x, step, x->work.call.users);
}

static void users_failed(struct http_exchange *x, enum users_error error)
{
    static const struct {
        enum api_error error;
        const char *message;
    } meanings[] = {
        [-USERS_TAKEN] = {API_TAKEN, "The user name or the email is taken."},
        [-USERS_UNKNOWN] = {API_UNKNOWN_USER, "There is no account with this user name and email."},
        [-USERS_WRONG_PASSWORD] = {API_WRONG_PASSWORD, "The user name or the password is wrong."},
        [-USERS_FULL] = {API_INTERNAL, "No more accounts can be kept; nothing was changed."},
        [-USERS_NO_ENTROPY] = {API_INTERNAL, "The machine has no randomness to keep a password with."},
        [-USERS_NOT_KEPT] = {API_INTERNAL, "The flash memory failed; nothing was changed."},
    };
    api_fail(x, meanings[-(int)error].error, meanings[-(int)error].message, 0);
}

/// register ///

static void on_registered(void *context, enum users_error result, const struct users_account *account)
{
    struct http_exchange *x = context;
    set_step(x, API_IDLE);
    if (result != USERS_OK) {
        users_failed(x, result);
        return;
    }
    codes_use(&codes, api_kept_email(x), port_now_ms());
    note_home(x, account->uid);
    struct text t = api_begin(x, API_OK);
    api_number(&t, "uid", account->uid);
    api_string(&t, "user", account->name);
    api_string(&t, "email", account->email);
    api_string(&t, "message", span_of("register success"));
    api_send(x, &t);
}

void api_register(struct http_connection *h)
{
    work_with_code(h, users_register, on_registered, API_REGISTERING);
}

/// login ///

// Where the client is to go when the node is this very machine: to where it has found us already.
static void put_own_address(struct http_connection *h, struct text *t)
{
    struct guard_authority here;
    char buffer[16];
    char port[6];
    struct text number = text_in(port, sizeof port);
    struct span host = h->parser.fields[HTTP1_HOST];
    if (host.at == NULL || !guard_authority(host, &here))
        here = (struct guard_authority){.host = span_of(net_address_text(net_own_address(), buffer))};
    text_format(&number, "%u", here.port != 0 ? here.port : 80u);
    api_string(t, "host", here.host);
    api_string(t, "port", text_whole(&number));
}

static void put_token(struct text *t, uint32_t uid, struct span token)
{
    text_format(t, ",\"token\":\"%u.%.*s\"", uid, (int)token.length, token.at);
}

static void put_lifetime(struct text *t, uint32_t expires_in)
{
    if (expires_in > 0)
        api_number(t, "expires_in", expires_in);
}

static void on_node(void *context, const struct status_reply *reply)
{
    struct http_exchange *x = context;
    set_step(x, API_IDLE);
    if (reply->error != API_OK) {
        api_fail_saying(x, API_INTERNAL, reply->message, 0);
        return;
    }
    struct text t = api_begin(x, API_OK);
    api_number(&t, "uid", x->work.uid);
    api_string(&t, "user", api_kept_user(x));
    api_string(&t, "email", api_kept_email(x));
    api_string(&t, "message", span_of("login success"));
    put_token(&t, x->work.uid, reply->token);
    if (reply->host.length == 0) {
        put_own_address(x->connection, &t);
    } else {
        api_string(&t, "host", reply->host);
        api_string(&t, "port", reply->port);
    }
    put_lifetime(&t, reply->expires_in);
    api_send(x, &t);
}

static void on_logged_in(void *context, enum users_error result, const struct users_account *account)
{
    struct http_exchange *x = context;
    set_step(x, API_IDLE);
    if (result == USERS_OK)
        tries_right(&x->work.tries, port_now_ms());
    else if (result == USERS_WRONG_PASSWORD)
        tries_wrong(&x->work.tries, port_now_ms());
    if (result != USERS_OK) {
        // USERS_UNKNOWN never comes from a login, and must not tell a stranger anything if it did.
        users_failed(x, result == USERS_UNKNOWN ? USERS_WRONG_PASSWORD : result);
        return;
    }
    note_home(x, account->uid);
    api_keep(x, account->name, account->email);
    x->work.uid = account->uid;
    x->work.call.status = status_client_get_chat_server(account->uid, on_node, x);
    started(x, API_FINDING_NODE, x->work.call.status);
}

void api_login(struct http_connection *h)
{
    struct http_exchange *x = h->exchange;
    struct api_form form;
    if (!api_read_form(x, API_USER | API_PASSWORD, &form))
        return;
    uint32_t caller = net_peer_address(h->net);
    x->work.tries = tries_of_login(caller, form.user, users_is_home(form.user, caller));
    if (!may_try(x, &x->work.tries))
        return;
    x->work.call.users = users_login(form.user, form.password, on_logged_in, x);
    api_forget(x);
    started(x, API_LOGGING_IN, x->work.call.users);
}

/// reset_pwd ///

static void reset_done(struct http_exchange *x, const char *message)
{
    struct text t = api_begin(x, API_OK);
    api_string(&t, "user", api_kept_user(x));
    api_string(&t, "email", api_kept_email(x));
    api_string(&t, "message", span_of(message));
    api_send(x, &t);
}

static const char tokens_left[] =
    "The password was changed, but older logins could not be ended and stay good until they expire.";

static const char password_changed[] = "The password was changed; log in again.";

// The password is changed already: saying 1009 ("nothing was changed") would be wrong. A token that was looked at
// before it was ended may have begun a chat since.
static void on_sessions_ended(void *context, const struct status_reply *reply)
{
    struct http_exchange *x = context;
    set_step(x, API_IDLE);
    if (reply->error != API_OK)
        log_line(LOG_WARNING, "api", "the tokens of uid %u could not be ended: %.*s", x->work.uid,
                 (int)reply->message.length, reply->message.at);
    else
        hub_close_account(x->work.uid, password_changed);
    reset_done(x, reply->error == API_OK ? "reset success" : tokens_left);
}

static void on_reset(void *context, enum users_error result, const struct users_account *account)
{
    struct http_exchange *x = context;
    set_step(x, API_IDLE);
    if (result != USERS_OK) {
        users_failed(x, result);
        return;
    }
    codes_use(&codes, api_kept_email(x), port_now_ms());
    note_home(x, account->uid);
    x->work.uid = account->uid;
    hub_close_account(account->uid, password_changed);
    x->work.call.status = status_client_logout(account->uid, (struct span){0}, on_sessions_ended, x);
    if (x->work.call.status == NULL)
        on_sessions_ended(x, &(struct status_reply){.error = API_TOO_MANY, .message = span_of(busy)});
    else
        set_step(x, API_ENDING_SESSIONS);
}

void api_reset_password(struct http_connection *h)
{
    work_with_code(h, users_reset_password, on_reset, API_RESETTING);
}

/// Tokens, renew, and logout ///

static struct span kept_token(const struct http_exchange *x)
{
    return (struct span){x->work.token, x->work.token_length};
}

// The moment in seconds of our clock, not before the token's end; 0, never, from a service that does not say.
static uint32_t expires_at(const struct status_reply *reply)
{
    return reply->expires_in == 0 ? 0 : (uint32_t)(port_now_ms() / 1000) + 1 + reply->expires_in;
}

static bool keep_token(struct http_exchange *x, struct span text)
{
    struct span token;
    if (!bearer_parse(text, &x->work.uid, &token))
        return false;
    x->work.token_length = (uint8_t)token.length;
    memcpy(x->work.token, token.at, token.length);
    return true;
}

static void on_token_checked(void *context, const struct status_reply *reply)
{
    struct http_exchange *x = context;
    set_step(x, API_IDLE);
    x->work.expires = expires_at(reply);
    x->work.checked(x, reply);
}

enum api_error api_check_token(struct http_exchange *x, struct span text,
                               void (*checked)(struct http_exchange *x, const struct status_reply *reply))
{
    if (!keep_token(x, text))
        return API_BAD_TOKEN;
    x->work.checked = checked;
    x->work.call.status = status_client_login(x->work.uid, kept_token(x), on_token_checked, x);
    if (x->work.call.status == NULL)
        return API_TOO_MANY;
    set_step(x, API_CHECKING_TOKEN);
    return API_OK;
}

static const char bad_token[] = "The token is invalid or has expired; log in again.";

static void on_logged_out(void *context, const struct status_reply *reply)
{
    struct http_exchange *x = context;
    set_step(x, API_IDLE);
    if (reply->error != API_OK) {
        api_fail_saying(x, reply->error, reply->message, 0);
        return;
    }
    hub_close_login(x->work.uid, bearer_login(x->work.uid, kept_token(x)), "you have logged out");
    struct text t = api_begin(x, API_OK);
    api_send(x, &t);
}

static void logout_checked(struct http_exchange *x, const struct status_reply *reply)
{
    if (reply->error != API_OK) {
        api_fail_saying(x, reply->error, reply->message, 0);
        return;
    }
    x->work.call.status = status_client_logout(x->work.uid, kept_token(x), on_logged_out, x);
    started(x, API_ENDING_SESSIONS, x->work.call.status);
}

// What the request shows; empty when it shows nothing of the kind.
static struct span shown_token(const struct http_connection *h)
{
    struct span authorization = h->parser.fields[HTTP1_AUTHORIZATION];
    struct span text = span_of("");
    if (authorization.at != NULL)
        bearer_field(authorization, &text);
    return text;
}

void api_logout(struct http_connection *h)
{
    struct http_exchange *x = h->exchange;
    enum api_error error = api_check_token(x, shown_token(h), logout_checked);
    if (error == API_BAD_TOKEN)
        api_fail(x, error, bad_token, 0);
    else if (error == API_TOO_MANY)
        api_fail(x, error, busy, BUSY_RETRY_AFTER);
}

// The chat goes on with the new token.
static void on_renewed(void *context, const struct status_reply *reply)
{
    struct http_exchange *x = context;
    uint32_t uid = x->work.uid;
    set_step(x, API_IDLE);
    if (reply->error != API_OK) {
        api_fail_saying(x, reply->error, reply->message, 0);
        return;
    }
    hub_renew_login(uid, bearer_login(uid, kept_token(x)), bearer_login(uid, reply->token), expires_at(reply));
    struct text t = api_begin(x, API_OK);
    put_token(&t, uid, reply->token);
    put_lifetime(&t, reply->expires_in);
    api_send(x, &t);
}

void api_renew(struct http_connection *h)
{
    struct http_exchange *x = h->exchange;
    if (!keep_token(x, shown_token(h))) {
        api_fail(x, API_BAD_TOKEN, bad_token, 0);
        return;
    }
    x->work.call.status = status_client_renew(x->work.uid, kept_token(x), on_renewed, x);
    started(x, API_RENEWING, x->work.call.status);
}
