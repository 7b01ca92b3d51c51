// The verify service: codes, their spacing and their budget, and the mails that they go out with.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../port/text.h"
#include "../../services/mail/mail.h"
#include "../../services/proto/api_error.h"
#include "../../services/rpc/server.h"
#include "../../services/verify/verify.h"
#include "machine.h"

#include <pb_decode.h>
#include <pb_encode.h>
#include <services/proto/message.pb.h>

/// The other services, in the test's hands ///

struct rpc_call {
    uint64_t deadline;
    void *context;
    int answers;
    bool failed; // with `status`
    enum grpc_status status;
    message_GetVarifyRsp reply;
};

static struct letter {
    bool there;
    mail_done *done;
    void *context;
    uint64_t deadline;
    char to[EMAIL_MAX_BYTES + 1];
    char subject[256];
    char body[MAIL_BODY + 1];
} letters[MAIL_QUEUE];

static bool relay;
static size_t queue_size;
static int cancelled;
static bool may_be_out;                     // mail_cancel() says so
static struct rpc_call *ends_when_answered; // rpc_reply() ends the call from within

bool mail_configured(void)
{
    return relay;
}

static void copy(char *to, size_t size, struct span from)
{
    struct text t = text_in(to, size);
    assert_true(from.length < size);
    text_span(&t, from);
    text_end(&t);
}

struct mail *mail_send(const struct mail_letter *letter, mail_done *done, void *context)
{
    for (size_t i = 0; i < queue_size; i++) {
        struct letter *l = &letters[i];
        if (l->there)
            continue;
        *l = (struct letter){.there = true, .done = done, .context = context, .deadline = letter->deadline};
        copy(l->to, sizeof l->to, letter->to);
        copy(l->subject, sizeof l->subject, letter->subject);
        copy(l->body, sizeof l->body, letter->body);
        return (struct mail *)(void *)l;
    }
    return NULL;
}

struct span mail_recipient(const struct mail *m)
{
    const struct letter *l = (const struct letter *)(const void *)m;
    return span_of(l->to);
}

bool mail_cancel(struct mail *m)
{
    struct letter *l = (struct letter *)(void *)m;
    assert_true(l->there);
    l->there = false;
    cancelled++;
    return may_be_out;
}

static void tell_outcome(size_t index, const struct mail_outcome *outcome)
{
    struct letter *l = &letters[index];
    assert_true(l->there);
    l->there = false;
    l->done(l->context, outcome);
}

static void tell(size_t index, const char *step, const char *why)
{
    bool addressed = step == NULL || strcmp(step, "recipient") == 0 || strcmp(step, "data") == 0;
    struct mail_outcome outcome = {.accepted = step == NULL, .addressed = addressed, .step = step, .why = span_of(why)};
    tell_outcome(index, &outcome);
}

void rpc_reply(struct rpc_call *call, struct span message)
{
    pb_istream_t stream = pb_istream_from_buffer((const pb_byte_t *)message.at, message.length);
    assert_true(message.length <= RPC_MESSAGE);
    assert_true(pb_decode(&stream, message_GetVarifyRsp_fields, &call->reply));
    call->answers++;
    if (ends_when_answered == call)
        verify_rpc.ended(call);
}

void rpc_fail(struct rpc_call *call, enum grpc_status status, struct span message)
{
    assert_true(message.length > 0);
    call->answers++;
    call->failed = true;
    call->status = status;
}

uint64_t rpc_deadline(const struct rpc_call *call)
{
    return call->deadline;
}

void rpc_set_context(struct rpc_call *call, void *context)
{
    call->context = context;
}

void *rpc_context(const struct rpc_call *call)
{
    return call->context;
}

/// Asking ///

static struct rpc_call call_now;

static void begin(struct rpc_call *call, const char *email, uint64_t deadline)
{
    uint8_t bytes[message_GetVarifyReq_size];
    message_GetVarifyReq asked = message_GetVarifyReq_init_zero;
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    *call = (struct rpc_call){.deadline = deadline};
    copy(asked.email, sizeof asked.email, span_of(email));
    assert_true(pb_encode(&stream, message_GetVarifyReq_fields, &asked));
    verify_rpc.methods[0].begin(call, (struct span){(const char *)bytes, stream.bytes_written});
    memset(bytes, 'x', sizeof bytes); // the request need not stay
}

// Answered at once.
static const message_GetVarifyRsp *get(const char *email)
{
    begin(&call_now, email, UINT64_MAX);
    assert_int_equal(call_now.answers, 1);
    assert_false(call_now.failed);
    assert_null(call_now.context);
    verify_rpc.ended(&call_now);
    return &call_now.reply;
}

static const message_GetVarifyRsp *get_numbered(uint32_t number)
{
    char email[32];
    struct text t = text_in(email, sizeof email);
    text_format(&t, "%u@example.org", (unsigned)number);
    return get(text_end(&t));
}

static uint32_t metric(const char *name, const char *labels)
{
    for (size_t i = 0; i < verify_service.metric_count; i++) {
        const struct metric *m = &verify_service.metrics[i];
        if (strcmp(m->name, name) == 0 && (labels == NULL || strcmp(m->labels, labels) == 0))
            return m->value != NULL ? *m->value : m->read();
    }
    fail_msg("no metric %s", name);
    return 0;
}

static uint32_t refused(const char *labels)
{
    return metric("pipit_verify_refused_total", labels);
}

// The service keeps its tables for good, so every test starts a day later. The start of a slot of the budget is met.
// Without a relay, in development mode, unless a test says otherwise.
static int next_day(void **state)
{
    (void)state;
    codes_settings = (struct codes_settings){.ttl = 180, .tries = 5, .cooldown = 60, .echo = 1};
    verify_settings.budget = 0;
    strcpy(verify_settings.subject, "Your Pipit verification code");
    relay = false;
    queue_size = MAIL_QUEUE;
    memset(letters, 0, sizeof letters);
    cancelled = 0;
    may_be_out = false;
    ends_when_answered = NULL;
    machine_has_entropy = true;
    machine_now_ms += 86400000 - machine_now_ms % 300000;
    return 0;
}

static int nothing_left(void **state)
{
    (void)state;
    return machine_pools_used() == 0 ? 0 : -1;
}

static void what_there_is(void **state)
{
    (void)state;
    assert_string_equal(verify_rpc.name, "message.VarifyService");
    assert_string_equal(verify_rpc.methods[0].name, "GetVarifyCode");
    assert_false(verify_rpc.open);
    assert_int_equal(verify_service.start(), 0);
}

static void a_code(void **state)
{
    (void)state;
    uint32_t made = metric("pipit_verify_codes_total", NULL);
    const message_GetVarifyRsp *reply = get("a@example.org");
    assert_int_equal(reply->error, API_OK);
    for (int i = 0; i < CODE_DIGITS; i++)
        assert_in_range(reply->code[i], '0', '9');
    assert_int_equal(metric("pipit_verify_codes_total", NULL) - made, 1);
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 1);
}

// Every code is as likely as any other: whole millions count, the tail of 2^32 does not.
static void from_numbers(void **state)
{
    (void)state;
    char code[CODE_DIGITS];
    static const struct {
        uint32_t random;
        const char *code;
    } rows[] = {{0, "000000"},           {1, "000001"},       {999999, "999999"},  {1000000, "000000"},
                {4293999999u, "999999"}, {4294000000u, NULL}, {4294967295u, NULL}, {123456789, "456789"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(verify_code_from(rows[i].random, code), rows[i].code != NULL);
        if (rows[i].code != NULL)
            assert_memory_equal(code, rows[i].code, CODE_DIGITS);
    }
}

// Chi-square over the digits at each place: 9 degrees of freedom, 27.9 is passed once in a thousand. The entropy of the
// tests is the same sequence in each run.
static void evenly_spread(void **state)
{
    (void)state;
    enum { CODES = 20000 };
    static uint32_t seen[CODE_DIGITS][10];
    codes_settings.cooldown = 0;
    for (int i = 0; i < CODES; i++) {
        const message_GetVarifyRsp *reply = get("a@example.org");
        assert_int_equal(reply->error, API_OK);
        for (int place = 0; place < CODE_DIGITS; place++)
            seen[place][reply->code[place] - '0']++;
    }
    for (int place = 0; place < CODE_DIGITS; place++) {
        double chi = 0, expected = CODES / 10.0;
        for (int digit = 0; digit < 10; digit++)
            chi += (seen[place][digit] - expected) * (seen[place][digit] - expected) / expected;
        assert_true(chi < 27.9);
        assert_true(chi > 0.5);
    }
}

static void cooldown(void **state)
{
    (void)state;
    uint32_t before = refused("reason=\"cooldown\"");
    assert_int_equal(get("a@example.org")->error, API_OK);
    machine_now_ms += 59999;
    const message_GetVarifyRsp *reply = get("A@example.org");
    assert_int_equal(reply->error, API_TOO_MANY);
    assert_int_equal(reply->retry_after, 1);
    assert_int_equal(get("b@example.org")->error, API_OK);
    machine_now_ms += 1;
    assert_int_equal(get("a@example.org")->error, API_OK);
    assert_int_equal(refused("reason=\"cooldown\"") - before, 1);
}

static void bad_email(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a", "a@", "@b", "a@b@c", "a@b\r\nDATA", "<a@b>", "a b@c", "a@b\xC2\x85"};
    uint32_t before = refused("reason=\"email\"");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(get(bad[i])->error, API_BAD_FIELD);
    assert_int_equal(refused("reason=\"email\"") - before, sizeof bad / sizeof bad[0]);
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 0);
}

// Without entropy nothing is made, and the email may ask again as soon as there is some.
static void no_entropy(void **state)
{
    (void)state;
    machine_has_entropy = false;
    const message_GetVarifyRsp *reply = get("a@example.org");
    assert_int_equal(reply->error, API_INTERNAL);
    assert_string_equal(reply->code, "");
    assert_string_equal(reply->message, "The server has no source of randomness, so no code can be made.");
    machine_has_entropy = true;
    assert_int_equal(get("a@example.org")->error, API_OK);
}

/// Budget ///

static void budget(void **state)
{
    (void)state;
    verify_settings.budget = 10;
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(get_numbered(i)->error, API_OK);
    const message_GetVarifyRsp *reply = get_numbered(10);
    assert_int_equal(reply->error, API_TOO_MANY);
    assert_int_equal(reply->retry_after, 3900);
    machine_now_ms += 3899999;
    assert_int_equal(get_numbered(10)->retry_after, 1);
    machine_now_ms += 1;
    assert_int_equal(get_numbered(10)->error, API_OK);
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 1);
}

// Spent evenly it comes back evenly; retry_after names the moment exactly.
static void budget_comes_back(void **state)
{
    (void)state;
    verify_settings.budget = 6;
    for (uint32_t i = 0; i < 3; i++) {
        get_numbered(2 * i);
        get_numbered(2 * i + 1);
        machine_now_ms += 300000;
    }
    const message_GetVarifyRsp *reply = get_numbered(6);
    assert_int_equal(reply->error, API_TOO_MANY);
    assert_int_equal(reply->retry_after, 3000);
    verify_settings.budget = 4;
    assert_int_equal(get_numbered(6)->retry_after, 3300);
    verify_settings.budget = 6;
    machine_now_ms += 3000000;
    assert_int_equal(get_numbered(6)->error, API_OK);
    assert_int_equal(get_numbered(7)->error, API_OK);
    assert_int_equal(get_numbered(8)->error, API_TOO_MANY);
}

// Whatever the rhythm of the asking, no hour has more than the budget, and an hour of asking is not starved either.
static void no_hour_has_more(void **state)
{
    (void)state;
    enum { STEP = 7000, STEPS = 4000, HOUR = 3600000 };
    static uint64_t times[STEPS];
    size_t count = 0, oldest = 0;
    verify_settings.budget = 20;
    for (uint32_t i = 0; i < STEPS; i++, machine_now_ms += STEP) {
        if (get_numbered(i)->error != API_OK)
            continue;
        times[count++] = machine_now_ms;
        while (machine_now_ms - times[oldest] >= HOUR)
            oldest++;
        assert_true(count - oldest <= 20);
    }
    assert_true(count >= 20u * STEPS * STEP / 3900000u);
}

static void no_budget(void **state)
{
    (void)state;
    verify_settings.budget = 0;
    for (uint32_t i = 0; i < CODES_MAX; i++)
        assert_int_equal(get_numbered(i)->error, API_OK);
}

static void table_full(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < CODES_MAX; i++)
        assert_int_equal(get_numbered(i)->error, API_OK);
    const message_GetVarifyRsp *reply = get_numbered(CODES_MAX);
    assert_int_equal(reply->error, API_TOO_MANY);
    assert_int_equal(reply->retry_after, 60);
    machine_now_ms += 60000;
    assert_int_equal(get_numbered(CODES_MAX)->error, API_OK);
}

/// Without a relay ///

static void no_relay(void **state)
{
    (void)state;
    uint32_t before = refused("reason=\"relay\"");
    codes_settings.echo = 0;
    for (int i = 0; i < 2; i++) { // the email may ask again at once
        const message_GetVarifyRsp *reply = get("a@example.org");
        assert_int_equal(reply->error, API_NOT_DELIVERED);
        assert_string_equal(reply->message, "No mail relay is configured; set mail.host (step: connect).");
        assert_string_equal(reply->code, "");
        assert_string_equal(reply->email, "a@example.org");
    }
    assert_int_equal(refused("reason=\"relay\"") - before, 2);
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 0);
}

// Nothing is spent on codes that nobody gets.
static void no_relay_costs_no_budget(void **state)
{
    (void)state;
    verify_settings.budget = 1;
    codes_settings.echo = 0;
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(get_numbered(i)->error, API_NOT_DELIVERED);
    codes_settings.echo = 1;
    assert_int_equal(get_numbered(9)->error, API_OK);
    assert_int_equal(get_numbered(10)->error, API_TOO_MANY);
}

static void sentences(void **state)
{
    (void)state;
    assert_string_equal(get("")->message, "The email must have 1 to 254 bytes.");
    assert_string_equal(get("a b@c")->email, "a b@c");
    assert_int_equal(get("a@example.org")->error, API_OK);
    assert_string_equal(call_now.reply.message, "");
    assert_string_equal(get("a@example.org")->message, "A code was asked for a moment ago; ask again in 60 seconds.");
    assert_string_equal(call_now.reply.email, "a@example.org");
    verify_settings.budget = 1;
    assert_string_equal(get("b@example.org")->message,
                        "Too many codes were asked for in the last hour; ask again in 3900 seconds.");
}

/// Requests ///

static void bad_requests(void **state)
{
    (void)state;
    static const char long_email[] = "\x0a\x84\x02"; // 260 bytes
    char bytes[400];
    const struct span bad[] = {
        {"\x0a\x05"
         "a@b",
         5}, // shorter than it says
        {"\x0a", 1},
        {"\x08\x01", 2},         // a number
        {"\x0a\x02\xff\xfe", 4}, // no UTF-8
        {"\xff\xff\xff", 3},
        {bytes, 263},
    };
    memset(bytes, 'a', sizeof bytes);
    memcpy(bytes, long_email, 3);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rpc_call call = {.deadline = UINT64_MAX};
        verify_rpc.methods[0].begin(&call, bad[i]);
        assert_int_equal(call.answers, 1);
        assert_true(call.failed);
        assert_int_equal(call.status, GRPC_INVALID_ARGUMENT);
        verify_rpc.ended(&call);
    }
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 0);
}

// A message without its field is a message: the field is empty. What is not known is skipped.
static void odd_requests(void **state)
{
    (void)state;
    struct rpc_call call = {.deadline = UINT64_MAX};
    verify_rpc.methods[0].begin(&call, (struct span){NULL, 0});
    assert_int_equal(call.reply.error, API_BAD_FIELD);
    call = (struct rpc_call){.deadline = UINT64_MAX};
    verify_rpc.methods[0].begin(&call, span_of("\x10\x2a\x0a\x0d"
                                               "a@example.org\x1a\x02hi"));
    assert_int_equal(call.reply.error, API_OK);
    assert_string_equal(call.reply.email, "a@example.org");
}

/// With a relay ///

static void ask(struct rpc_call *call, const char *email)
{
    begin(call, email, machine_now_ms + 15000);
}

static void mailed(void **state)
{
    (void)state;
    struct rpc_call call;
    char line[CODE_DIGITS + 5];
    relay = true;
    codes_settings.echo = 0;
    ask(&call, "Alice@example.org");
    assert_int_equal(call.answers, 0);
    assert_true(letters[0].there);
    assert_string_equal(letters[0].to, "Alice@example.org");
    assert_string_equal(letters[0].subject, "Your Pipit verification code");
    assert_non_null(strstr(letters[0].body, "good for 3 minutes"));
    assert_non_null(strstr(letters[0].body, "ignore this mail"));
    assert_int_equal(letters[0].deadline, machine_now_ms + 14000);
    tell(0, NULL, "");
    assert_int_equal(call.answers, 1);
    assert_int_equal(call.reply.error, API_OK);
    assert_string_equal(call.reply.email, "Alice@example.org");
    assert_int_equal(strlen(call.reply.code), CODE_DIGITS);
    struct text t = text_in(line, sizeof line);
    text_format(&t, "\n\n%s\n\n", call.reply.code);
    assert_non_null(strstr(letters[0].body, text_end(&t)));
    verify_rpc.ended(&call);
    assert_int_equal(cancelled, 0);
    assert_int_equal(call.answers, 1);
    assert_int_equal(machine_pools_used(), 0);
}

// The relay comes first: with one the code goes nowhere else before it took the mail, in development mode neither.
static void mailed_in_development_mode(void **state)
{
    (void)state;
    struct rpc_call call;
    relay = true;
    ask(&call, "a@example.org");
    assert_int_equal(call.answers, 0);
    tell(0, "connect", "connect: the relay did not answer in time");
    assert_int_equal(call.reply.error, API_NOT_DELIVERED);
    assert_string_equal(call.reply.code, "");
}

static void lifetimes(void **state)
{
    (void)state;
    static const struct {
        uint32_t ttl;
        const char *text;
    } rows[] = {{1, "good for 1 second and"},
                {60, "good for 1 minute and"},
                {90, "good for 90 seconds and"},
                {86400, "good for 1440 minutes and"}};
    relay = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rpc_call call;
        codes_settings.ttl = rows[i].ttl;
        begin(&call, "a@example.org", UINT64_MAX);
        assert_non_null(strstr(letters[0].body, rows[i].text));
        assert_int_equal(letters[0].deadline, machine_now_ms + (uint64_t)rows[i].ttl * 1000);
        tell(0, "sender", "sender: no");
    }
}

// A second for the way back, but never more than half of the time; the code's own time ends it anyway.
static void deadlines(void **state)
{
    (void)state;
    static const struct {
        uint64_t left, mine;
    } rows[] = {{15000, 14000}, {2000, 1000}, {1000, 500}, {3, 2}, {0, 0}, {200000, 180000}, {180500, 179500}};
    relay = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rpc_call call;
        begin(&call, "a@example.org", machine_now_ms + rows[i].left);
        assert_int_equal(letters[0].deadline - machine_now_ms, rows[i].mine);
        tell(0, "timeout", "timeout: the relay did not answer in time (connect)");
    }
    struct rpc_call call;
    begin(&call, "a@example.org", machine_now_ms - 5); // has passed
    assert_int_equal(letters[0].deadline, machine_now_ms);
    tell(0, "timeout", "timeout: other mails were in front of this one for too long");
}

// The subject may be set anew while a mail is on its way.
static void subject_stays(void **state)
{
    (void)state;
    struct rpc_call call;
    relay = true;
    strcpy(verify_settings.subject, "H\xC3\xA4llo");
    ask(&call, "a@example.org");
    assert_string_equal(letters[0].subject, "H\xC3\xA4llo");
    verify_rpc.ended(&call);
}

// What says nothing about the address costs nothing: the email may ask again at once, and there is budget for it.
static void not_delivered(void **state)
{
    (void)state;
    static const char *const steps[] = {"dns", "connect", "tls", "auth", "sender", "timeout"};
    struct rpc_call call;
    uint32_t before = metric("pipit_verify_undelivered_total", "reason=\"mail\"");
    relay = true;
    verify_settings.budget = 1;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        ask(&call, "a@example.org");
        tell(0, steps[i], "sender: the relay refused (550 5.7.1 Not you)");
        assert_int_equal(call.answers, 1);
        assert_int_equal(call.reply.error, API_NOT_DELIVERED);
        assert_string_equal(call.reply.message,
                            "The mail could not be handed over: sender: the relay refused (550 5.7.1 Not you).");
        assert_string_equal(call.reply.code, "");
        assert_string_equal(call.reply.email, "a@example.org");
        assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 0);
        verify_rpc.ended(&call);
    }
    assert_int_equal(metric("pipit_verify_undelivered_total", "reason=\"mail\"") - before, 6);
    assert_int_equal(cancelled, 0);
    assert_int_equal(machine_pools_used(), 0);
}

static void expect_spent(const char *email)
{
    uint32_t spaced = refused("reason=\"cooldown\""), over = refused("reason=\"budget\"");
    assert_int_equal(get(email)->error, API_TOO_MANY);
    assert_int_equal(call_now.reply.retry_after, 60);
    assert_int_equal(refused("reason=\"cooldown\"") - spaced, 1);
    assert_int_equal(get("another@example.org")->error, API_TOO_MANY);
    assert_int_equal(refused("reason=\"budget\"") - over, 1);
}

// 40 addresses were tried out on the relay in two seconds, when each refusal was given back.
static void refused_recipient_costs(void **state)
{
    (void)state;
    struct rpc_call call;
    relay = true;
    verify_settings.budget = 2;
    for (int i = 0; i < 2; i++) {
        ask(&call, i == 0 ? "a@example.org" : "b@example.org");
        tell(0, "recipient", "recipient: the relay refused (550 5.1.1 No such user)");
        assert_int_equal(call.reply.error, API_NOT_DELIVERED);
        assert_string_equal(call.reply.code, "");
    }
    expect_spent("b@example.org");
    assert_false(letters[0].there);
}

// An address got five mails in ten seconds, when the relay took them and did not say so in time.
static void silent_relay_costs(void **state)
{
    (void)state;
    struct rpc_call call;
    relay = true;
    verify_settings.budget = 1;
    ask(&call, "a@example.org");
    tell_outcome(0, &(struct mail_outcome){.unsure = true,
                                           .addressed = true,
                                           .step = "timeout",
                                           .why = span_of("timeout: the relay did not answer in time (data)")});
    assert_int_equal(call.reply.error, API_NOT_DELIVERED);
    assert_string_equal(call.reply.message,
                        "The mail may have gone out anyway: timeout: the relay did not answer in time (data).");
    assert_string_equal(call.reply.code, "");
    expect_spent("a@example.org");
    assert_false(letters[0].there);
}

// So when whoever asks hangs up just then.
static void call_ends_too_late(void **state)
{
    (void)state;
    struct rpc_call call;
    relay = true;
    verify_settings.budget = 1;
    may_be_out = true;
    ask(&call, "a@example.org");
    verify_rpc.ended(&call);
    assert_int_equal(cancelled, 1);
    expect_spent("a@example.org");
    assert_int_equal(machine_pools_used(), 0);
}

// The longest reason that the mail service gives still fits.
static void long_reason(void **state)
{
    (void)state;
    struct rpc_call call;
    char why[MAIL_WHY + 1];
    relay = true;
    memset(why, 'w', MAIL_WHY);
    why[MAIL_WHY] = '\0';
    for (int i = 0; i < 2; i++) {
        ask(&call, "a@example.org");
        tell_outcome(0, &(struct mail_outcome){.unsure = i == 1, .step = "timeout", .why = span_of(why)});
        size_t length = strlen(call.reply.message);
        assert_string_equal(call.reply.message + length - 2, "w.");
    }
}

// A call that is over before the mail can be out takes it with it, and the email may ask again at once.
static void call_ends_first(void **state)
{
    (void)state;
    struct rpc_call call;
    uint32_t before = metric("pipit_verify_undelivered_total", "reason=\"caller\"");
    relay = true;
    ask(&call, "a@example.org");
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 1);
    verify_rpc.ended(&call);
    assert_int_equal(cancelled, 1);
    assert_int_equal(call.answers, 0);
    assert_int_equal(metric("pipit_verify_emails_cooling", NULL), 0);
    assert_int_equal(machine_pools_used(), 0);
    assert_int_equal(metric("pipit_verify_undelivered_total", "reason=\"caller\"") - before, 1);
    ask(&call, "a@example.org");
    assert_true(letters[0].there);
    tell(0, NULL, "");
    assert_int_equal(call.reply.error, API_OK);
}

// A server that ends the call from within the answer finds nothing to cancel.
static void answer_ends_the_call(void **state)
{
    (void)state;
    struct rpc_call call;
    relay = true;
    ends_when_answered = &call;
    ask(&call, "a@example.org");
    tell(0, NULL, "");
    assert_int_equal(call.reply.error, API_OK);
    ask(&call, "b@example.org");
    tell(0, "tls", "tls: the certificate has expired");
    assert_int_equal(call.reply.error, API_NOT_DELIVERED);
    assert_int_equal(cancelled, 0);
    assert_int_equal(machine_pools_used(), 0);
}

static void many_at_once(void **state)
{
    (void)state;
    static struct rpc_call calls[MAIL_QUEUE];
    relay = true;
    for (uint32_t i = 0; i < MAIL_QUEUE; i++) {
        char email[32];
        struct text t = text_in(email, sizeof email);
        text_format(&t, "%u@example.org", (unsigned)i);
        ask(&calls[i], text_end(&t));
        assert_int_equal(calls[i].answers, 0);
    }
    uint32_t before = refused("reason=\"queue\"");
    assert_int_equal(get("more@example.org")->error, API_TOO_MANY);
    assert_int_equal(call_now.reply.retry_after, 10);
    assert_int_equal(refused("reason=\"queue\"") - before, 1);
    tell(7, NULL, "");
    for (uint32_t i = 0; i < MAIL_QUEUE; i++) {
        assert_int_equal(calls[i].answers, i == 7);
        verify_rpc.ended(&calls[i]);
    }
    assert_string_equal(calls[7].reply.email, "7@example.org");
    assert_int_equal(cancelled, MAIL_QUEUE - 1);
    assert_int_equal(machine_pools_used(), 0);
    ask(&call_now, "more@example.org"); // was not spaced by the refusal
    assert_true(letters[0].there);
    verify_rpc.ended(&call_now);
}

// The mail service has a smaller queue than we have slots, or another's letters in it.
static void queue_full(void **state)
{
    (void)state;
    relay = true;
    queue_size = 0;
    assert_int_equal(get("a@example.org")->error, API_TOO_MANY);
    assert_string_equal(call_now.reply.message, "Too many mails are on their way; ask again in 10 seconds.");
    assert_int_equal(machine_pools_used(), 0);
}

/// Budget of mails ///

static void budget_of_mails(void **state)
{
    (void)state;
    struct rpc_call calls[3];
    relay = true;
    verify_settings.budget = 2;
    ask(&calls[0], "a@example.org");
    ask(&calls[1], "b@example.org");
    assert_int_equal(get("c@example.org")->error, API_TOO_MANY); // both are under way
    tell(0, NULL, "");
    assert_int_equal(get("c@example.org")->error, API_TOO_MANY);
    tell(1, "sender", "sender: no"); // failed: given back
    ask(&calls[2], "c@example.org");
    assert_int_equal(calls[2].answers, 0);
    verify_rpc.ended(&calls[2]); // broken off: it may be out all the same
    assert_int_equal(get("d@example.org")->error, API_TOO_MANY);
}

// What is given back is given back to the slot of five minutes that it was taken from, however late; never to another.
static void budget_given_back_late(void **state)
{
    (void)state;
    struct rpc_call call;
    relay = true;
    verify_settings.budget = 1;
    ask(&call, "a@example.org");
    machine_now_ms += 300000;
    assert_int_equal(get("b@example.org")->error, API_TOO_MANY);
    tell(0, "sender", "sender: no");
    ask(&call, "b@example.org");
    assert_int_equal(call.answers, 0);
    machine_now_ms += 13 * 300000; // it counts no longer
    tell(0, "sender", "sender: no");
    for (int i = 0; i < 2; i++) {
        ask(&call, i == 0 ? "c@example.org" : "d@example.org");
        assert_int_equal(call.answers, i);
        if (i == 0)
            tell(0, NULL, "");
    }
    assert_int_equal(call.reply.error, API_TOO_MANY);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, next_day, nothing_left)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_there_is),
        TEST(a_code),
        TEST(from_numbers),
        TEST(evenly_spread),
        TEST(cooldown),
        TEST(bad_email),
        TEST(no_entropy),
        TEST(budget),
        TEST(budget_comes_back),
        TEST(no_hour_has_more),
        TEST(no_budget),
        TEST(table_full),
        TEST(no_relay),
        TEST(no_relay_costs_no_budget),
        TEST(sentences),
        TEST(bad_requests),
        TEST(odd_requests),
        TEST(mailed),
        TEST(mailed_in_development_mode),
        TEST(lifetimes),
        TEST(deadlines),
        TEST(subject_stays),
        TEST(not_delivered),
        TEST(refused_recipient_costs),
        TEST(silent_relay_costs),
        TEST(call_ends_too_late),
        TEST(long_reason),
        TEST(call_ends_first),
        TEST(answer_ends_the_call),
        TEST(many_at_once),
        TEST(queue_full),
        TEST(budget_of_mails),
        TEST(budget_given_back_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
