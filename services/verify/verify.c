#include "verify.h"
#include "../../port/log.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../mail/mail.h"
#include "../proto/api_error.h"
#include "../rpc/message.h"
#include "../rpc/server.h"
#include "../users/users.h"
#include <mbedtls/platform_util.h>
#include <pb_encode.h>
#include <services/proto/message.pb.h>
#include <string.h>

#define QUEUE_FULL_RETRY 10   // seconds
#define MARGIN_MS        1000 // of the caller's time, for the answer's way back

struct verify_settings verify_settings;

// Only the spacing is kept here: the one who asked keeps the code and checks it.
static struct codes spacing;

// A call whose mail is under way.
struct verification {
    struct rpc_call *call;
    struct mail *mail;
    uint64_t budget_slot; // where it was counted
    char code[CODE_DIGITS];
    char subject[sizeof verify_settings.subject]; // the setting may change under way
};

POOL(verifications, struct verification, MAIL_QUEUE);

static struct {
    uint32_t made;
    uint32_t bad_email;
    uint32_t too_soon;
    uint32_t over_budget;
    uint32_t full;
    uint32_t queue_full;
    uint32_t no_entropy;
    uint32_t no_relay;
    uint32_t not_delivered;
    uint32_t given_up;
} counters;

/// Budget ///

// Codes are counted by slots of five minutes. The slot that runs and the twelve before it cover any hour that ends
// now, so no hour has more codes than the budget allows.
#define SLOT_MS 300000u
#define SLOTS   13u

static struct {
    uint64_t newest; // number of the slot that runs, since the clock's start
    uint32_t made[SLOTS];
} budget;

static void budget_move_on(uint64_t now_ms)
{
    uint64_t slot = now_ms / SLOT_MS;
    for (uint32_t i = 0; i < SLOTS && budget.newest < slot; i++)
        budget.made[++budget.newest % SLOTS] = 0;
    if (budget.newest < slot)
        budget.newest = slot;
}

static uint64_t budget_spent(void)
{
    uint64_t spent = 0;
    for (uint32_t i = 0; i < SLOTS; i++)
        spent += budget.made[i];
    return spent;
}

// The moment, in ms, when enough of the old codes no longer count for one more to be made. The budget is spent.
static uint64_t budget_free_at(void)
{
    uint64_t spent = budget_spent();
    uint64_t slot = budget.newest < SLOTS ? 0 : budget.newest - (SLOTS - 1);
    for (; slot < budget.newest; slot++) {
        spent -= budget.made[slot % SLOTS];
        if (spent < verify_settings.budget)
            break;
    }
    return (slot + SLOTS) * SLOT_MS;
}

// 0 when there is budget for a code, else the seconds until there is.
static uint32_t budget_wait(uint64_t now_ms)
{
    budget_move_on(now_ms);
    if (verify_settings.budget == 0 || budget_spent() < verify_settings.budget)
        return 0;
    return (uint32_t)((budget_free_at() - now_ms + 999) / 1000);
}

// Returns the slot that it was counted in.
static uint64_t budget_spend(void)
{
    counters.made++;
    budget.made[budget.newest % SLOTS]++;
    return budget.newest;
}

// A slot that no longer counts has its place taken by a newer one.
static void budget_give_back(uint64_t slot, uint64_t now_ms)
{
    budget_move_on(now_ms);
    if (budget.newest - slot < SLOTS)
        budget.made[slot % SLOTS]--;
}

/// Codes ///

// 2^32 holds 4294 whole millions.
bool verify_code_from(uint32_t random, char code[CODE_DIGITS])
{
    if (random >= 4294000000u)
        return false;
    for (int i = CODE_DIGITS - 1; i >= 0; i--) {
        code[i] = (char)('0' + random % 10);
        random /= 10;
    }
    return true;
}

// One number in 4,400 is thrown away; a source that gives nothing else is stuck.
static bool make_code(char code[CODE_DIGITS])
{
    uint32_t random = 0;
    bool made = false;
    for (int i = 0; i < 16 && !made; i++)
        made = port_entropy(&random, sizeof random) && verify_code_from(random, code);
    mbedtls_platform_zeroize(&random, sizeof random);
    return made;
}

/// Replies ///

static void put_text(char *field, size_t size, struct span text)
{
    struct text t = text_in(field, size);
    text_span(&t, text);
    text_end(&t);
}

// Wipes the reply: it may hold a code.
static void send_reply(struct rpc_call *call, message_GetVarifyRsp *reply)
{
    uint8_t bytes[message_GetVarifyRsp_size];
    _Static_assert(sizeof bytes <= RPC_MESSAGE, "a reply of the verify service must fit a call's message");
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    if (pb_encode(&stream, message_GetVarifyRsp_fields, reply))
        rpc_reply(call, (struct span){(const char *)bytes, stream.bytes_written});
    else
        rpc_fail(call, GRPC_INTERNAL, span_of("The reply could not be encoded."));
    mbedtls_platform_zeroize(bytes, sizeof bytes);
    mbedtls_platform_zeroize(reply, sizeof *reply);
}

static void send_code(struct rpc_call *call, struct span email, const char code[CODE_DIGITS])
{
    message_GetVarifyRsp reply = message_GetVarifyRsp_init_zero;
    put_text(reply.email, sizeof reply.email, email);
    put_text(reply.code, sizeof reply.code, (struct span){code, CODE_DIGITS});
    send_reply(call, &reply);
}

// What a refusal is called in the metrics and on the wire.
struct refusal {
    uint32_t *counter;
    enum api_error error;
    uint32_t retry_after; // seconds
};

static void refuse(struct rpc_call *call, struct span email, const struct refusal *refusal, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void refuse(struct rpc_call *call, struct span email, const struct refusal *refusal, const char *format, ...)
{
    message_GetVarifyRsp reply = message_GetVarifyRsp_init_zero;
    struct text t = text_in(reply.message, sizeof reply.message);
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&t, format, arguments);
    va_end(arguments);
    text_end(&t);
    ++*refusal->counter;
    reply.error = (int32_t)refusal->error;
    reply.retry_after = refusal->retry_after;
    put_text(reply.email, sizeof reply.email, email);
    send_reply(call, &reply);
}

/// Who may have a code ///

static void refuse_spacing(struct rpc_call *call, struct span email, enum codes_error error, uint32_t wait)
{
    if (error == CODES_TOO_SOON) {
        refuse(call, email, &(struct refusal){&counters.too_soon, API_TOO_MANY, wait},
               "A code was asked for a moment ago; ask again in %u seconds.", (unsigned)wait);
        return;
    }
    wait = codes_settings.cooldown > 0 ? codes_settings.cooldown : 1;
    log_line(LOG_WARNING, "verify", "codes for %u emails are under way, no more are made", (unsigned)CODES_MAX);
    refuse(call, email, &(struct refusal){&counters.full, API_TOO_MANY, wait},
           "Too many codes are under way; ask again in %u seconds.", (unsigned)wait);
}

static bool is_good(struct rpc_call *call, struct span email)
{
    const char *wrong = users_check_email(email);
    if (wrong != NULL)
        refuse(call, email, &(struct refusal){&counters.bad_email, API_BAD_FIELD, 0}, "%s", wrong);
    return wrong == NULL;
}

static bool is_spaced(struct rpc_call *call, struct span email, uint64_t now_ms)
{
    uint32_t wait = 0;
    enum codes_error error = codes_ask(&spacing, email, now_ms, &wait);
    if (error != CODES_OK)
        refuse_spacing(call, email, error, wait);
    return error == CODES_OK;
}

static bool is_within_budget(struct rpc_call *call, struct span email, uint64_t now_ms)
{
    uint32_t wait = budget_wait(now_ms);
    if (wait == 0)
        return true;
    codes_withdraw(&spacing, email, now_ms);
    refuse(call, email, &(struct refusal){&counters.over_budget, API_TOO_MANY, wait},
           "Too many codes were asked for in the last hour; ask again in %u seconds.", (unsigned)wait);
    return false;
}

/// Mails ///

static struct span email_of(const struct verification *v)
{
    return mail_recipient(v->mail);
}

static void forget(struct verification *v)
{
    mbedtls_platform_zeroize(v, sizeof *v);
    pool_give(&verifications, v);
}

static void give_back(struct verification *v, uint64_t now_ms)
{
    budget_give_back(v->budget_slot, now_ms);
    codes_withdraw(&spacing, email_of(v), now_ms);
}

static void refuse_mail(struct verification *v, const struct mail_outcome *outcome)
{
    const char *what = outcome->unsure ? "may have gone out anyway" : "could not be handed over";
    refuse(v->call, email_of(v), &(struct refusal){&counters.not_delivered, API_NOT_DELIVERED, 0}, "The mail %s: %.*s.",
           what, (int)outcome->why.length, outcome->why.at);
}

// A refused recipient costs as much as a mail: or whoever asks could try addresses out on the relay without limit. So
// does a mail that may be out although nobody says so: or one address could be sent many.
static void on_outcome(void *context, const struct mail_outcome *outcome)
{
    struct verification *v = context;
    rpc_set_context(v->call, NULL);
    if (!outcome->addressed)
        give_back(v, port_now_ms());
    if (outcome->accepted)
        send_code(v->call, email_of(v), v->code);
    else
        refuse_mail(v, outcome);
    forget(v);
}

static void write_lifetime(struct text *t)
{
    uint32_t ttl = codes_settings.ttl;
    bool minutes = ttl % 60 == 0;
    uint32_t number = minutes ? ttl / 60 : ttl;
    text_format(t, "%u %s%s", (unsigned)number, minutes ? "minute" : "second", number == 1 ? "" : "s");
}

static void write_body(struct text *t, const char code[CODE_DIGITS])
{
    text_format(t, "Your verification code is\n\n%.*s\n\nIt is good for ", (int)CODE_DIGITS, code);
    write_lifetime(t);
    text_string(t, " and can be used once.\n\nIf you did not ask for it, somebody has typed in your address, "
                   "perhaps by mistake. Then you may\nignore this mail. Do not tell the code to anybody.\n");
}

// The answer needs time for its way back, but never more than half of what the caller gives.
static uint64_t mail_deadline(const struct rpc_call *call, uint64_t now_ms)
{
    uint64_t latest = now_ms + (uint64_t)codes_settings.ttl * 1000;
    uint64_t deadline = rpc_deadline(call);
    if (deadline == UINT64_MAX)
        return latest;
    uint64_t left = deadline > now_ms ? deadline - now_ms : 0;
    uint64_t margin = left / 2 < MARGIN_MS ? left / 2 : MARGIN_MS;
    return now_ms + left - margin < latest ? now_ms + left - margin : latest;
}

static struct mail *queue_mail(struct verification *v, struct span email, uint64_t now_ms)
{
    char body[MAIL_BODY];
    struct text t = text_in(body, sizeof body);
    write_body(&t, v->code);
    struct mail_letter letter = {
        .to = email,
        .subject = span_of(v->subject),
        .body = text_whole(&t),
        .deadline = mail_deadline(v->call, now_ms),
    };
    struct mail *mail = mail_send(&letter, on_outcome, v);
    mbedtls_platform_zeroize(body, sizeof body);
    return mail;
}

static struct verification *begin_verification(struct rpc_call *call, struct span email, const char code[CODE_DIGITS],
                                               uint64_t now_ms)
{
    struct verification *v = pool_take(&verifications);
    if (v == NULL)
        return NULL;
    v->call = call;
    memcpy(v->code, code, CODE_DIGITS);
    memcpy(v->subject, verify_settings.subject, sizeof v->subject);
    v->mail = queue_mail(v, email, now_ms);
    if (v->mail != NULL)
        return v;
    forget(v);
    return NULL;
}

static void mail_code(struct rpc_call *call, struct span email, const char code[CODE_DIGITS], uint64_t now_ms)
{
    struct verification *v = begin_verification(call, email, code, now_ms);
    if (v != NULL) {
        v->budget_slot = budget_spend();
        rpc_set_context(call, v);
        return;
    }
    codes_withdraw(&spacing, email, now_ms);
    refuse(call, email, &(struct refusal){&counters.queue_full, API_TOO_MANY, QUEUE_FULL_RETRY},
           "Too many mails are on their way; ask again in %u seconds.", (unsigned)QUEUE_FULL_RETRY);
}

/// Calls ///

static void tell_code(struct rpc_call *call, struct span email, const char code[CODE_DIGITS])
{
    budget_spend();
    send_code(call, email, code);
}

static void make_and_send(struct rpc_call *call, struct span email, uint64_t now_ms)
{
    char code[CODE_DIGITS];
    if (!make_code(code)) {
        codes_withdraw(&spacing, email, now_ms);
        log_line(LOG_ERROR, "verify", "no entropy: no code can be made");
        refuse(call, email, &(struct refusal){&counters.no_entropy, API_INTERNAL, 0},
               "The server has no source of randomness, so no code can be made.");
    } else if (mail_configured()) {
        mail_code(call, email, code, now_ms);
    } else {
        tell_code(call, email, code);
    }
    mbedtls_platform_zeroize(code, sizeof code);
}

static void answer(struct rpc_call *call, struct span email, uint64_t now_ms)
{
    if (!is_good(call, email) || !is_spaced(call, email, now_ms) || !is_within_budget(call, email, now_ms))
        return;
    if (mail_configured() || codes_settings.echo != 0) {
        make_and_send(call, email, now_ms);
        return;
    }
    codes_withdraw(&spacing, email, now_ms);
    refuse(call, email, &(struct refusal){&counters.no_relay, API_NOT_DELIVERED, 0},
           "No mail relay is configured; set mail.host (step: connect).");
}

static void get_verify_code(struct rpc_call *call, struct span request)
{
    message_GetVarifyReq asked = message_GetVarifyReq_init_zero;
    if (rpc_decode(request, message_GetVarifyReq_fields, &asked) == NULL)
        answer(call, span_of(asked.email), port_now_ms());
    else
        rpc_fail(call, GRPC_INVALID_ARGUMENT, span_of("The request is no message.GetVarifyReq."));
}

// Before its outcome the mail goes with the call. Its place in the budget stays taken, or whoever asks and hangs up
// could keep the relay busy without limit.
static void call_ended(struct rpc_call *call)
{
    struct verification *v = rpc_context(call);
    if (v == NULL)
        return;
    counters.given_up++;
    rpc_set_context(call, NULL);
    char email[EMAIL_MAX_BYTES];
    struct span to = {email, email_of(v).length};
    memcpy(email, email_of(v).at, to.length);
    if (!mail_cancel(v->mail))
        codes_withdraw(&spacing, to, port_now_ms());
    forget(v);
}

// The original's spelling.
static const struct rpc_method methods[] = {{"GetVarifyCode", get_verify_code}};

const struct rpc_service verify_rpc = {
    .name = "message.VarifyService",
    .methods = methods,
    .method_count = sizeof methods / sizeof methods[0],
    .ended = call_ended,
};

/// Service ///

static int verify_start(void)
{
    pool_list(&verifications);
    return 0;
}

static uint32_t emails_cooling(void)
{
    return codes_count(&spacing, port_now_ms());
}

#define REFUSED      "pipit_verify_refused_total"
#define REFUSED_HELP "Verification codes refused, by reason."

static const struct metric metrics[] = {
    {"pipit_verify_codes_total", NULL, &counters.made, NULL, HELP("Verification codes made.")},
    {REFUSED, "reason=\"email\"", &counters.bad_email, NULL, HELP(REFUSED_HELP)},
    {REFUSED, "reason=\"cooldown\"", &counters.too_soon, NULL, HELP(REFUSED_HELP)},
    {REFUSED, "reason=\"budget\"", &counters.over_budget, NULL, HELP(REFUSED_HELP)},
    {REFUSED, "reason=\"full\"", &counters.full, NULL, HELP(REFUSED_HELP)},
    {REFUSED, "reason=\"queue\"", &counters.queue_full, NULL, HELP(REFUSED_HELP)},
    {REFUSED, "reason=\"entropy\"", &counters.no_entropy, NULL, HELP(REFUSED_HELP)},
    {REFUSED, "reason=\"relay\"", &counters.no_relay, NULL, HELP(REFUSED_HELP)},
    {"pipit_verify_undelivered_total", "reason=\"mail\"", &counters.not_delivered, NULL,
     HELP("Codes made whose mail was not taken.")},
    {"pipit_verify_undelivered_total", "reason=\"caller\"", &counters.given_up, NULL,
     HELP("Codes made whose mail was not taken.")},
    {"pipit_verify_emails_cooling", NULL, NULL, emails_cooling, HELP("Emails that may not ask for another code yet.")},
};

const struct service verify_service = {
    .name = "verify",
    .start = verify_start,
    .metrics = metrics,
    .metric_count = sizeof metrics / sizeof metrics[0],
};
