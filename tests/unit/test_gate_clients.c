// The gate's calls to verify and status: answered in a later turn, cancelled at any moment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../services/gateway/status_client.h"
#include "../../services/gateway/verify_client.h"
#include "machine.h"

struct answer {
    int calls;
    int error;
    bool has_node;
    struct verify_reply reply;
    struct status_node node;
    struct verify_call *cancel_verify; // cancelled by this answer
    struct status_call *cancel_status;
    struct answer *then; // asked for by this answer
};

static void verify_told(void *context, const struct verify_reply *reply)
{
    struct answer *a = context;
    a->calls++;
    a->error = reply->error;
    a->reply = *reply;
    if (a->cancel_verify != NULL)
        verify_client_cancel(a->cancel_verify);
    if (a->then != NULL)
        assert_non_null(verify_client_get_code(span_of("then@example.org"), verify_told, a->then));
}

static void status_told(void *context, enum status_error error, const struct status_node *node)
{
    struct answer *a = context;
    a->calls++;
    a->error = error;
    a->has_node = node != NULL;
    if (node != NULL)
        a->node = *node;
    if (a->cancel_status != NULL)
        status_client_cancel(a->cancel_status);
    if (a->then != NULL)
        assert_non_null(status_client_get_chat_server(3, status_told, a->then));
}

static uint32_t verify_step(void)
{
    return verify_client_service.step(machine_now_ms);
}

static uint32_t status_step(void)
{
    return status_client_service.step(machine_now_ms);
}

static void settle(void)
{
    while (verify_step() != SERVICE_IDLE || status_step() != SERVICE_IDLE)
        ;
}

static struct verify_call *get_code(const char *email, struct answer *a)
{
    return verify_client_get_code(span_of(email), verify_told, a);
}

// Each test is a day of its own, so no cooldown reaches into it.
static int fresh(void **state)
{
    (void)state;
    machine_now_ms += 86400000;
    verify_settings.budget = 0;
    return verify_client_service.start() + status_client_service.start();
}

// Tokens that a test left belong to the service, not to its client.
static int empty(void **state)
{
    (void)state;
    settle();
    for (uint32_t uid = 1; uid < 10; uid++)
        status_logout(uid, (struct span){NULL, 0});
    return machine_pools_used() == 0 ? 0 : -1;
}

/// Verify ///

// Not within the call, and not in the first step either: that one may belong to the same turn.
static void verify_answers_later(void **state)
{
    (void)state;
    struct answer a = {0};
    char email[] = "a@example.org";
    assert_non_null(get_code(email, &a));
    memset(email, 'x', sizeof email - 1);
    assert_int_equal(a.calls, 0);
    assert_int_equal(verify_step(), 0);
    assert_int_equal(a.calls, 0);
    assert_int_equal(verify_step(), SERVICE_IDLE);
    assert_int_equal(a.calls, 1);
    assert_int_equal(a.error, VERIFY_OK);
    assert_in_range(a.reply.code[0], '0', '9');
    verify_step();
    assert_int_equal(a.calls, 1);
}

static void verify_errors(void **state)
{
    (void)state;
    struct answer good = {0}, again = {0}, bad = {0}, none = {0};
    get_code("a@example.org", &good);
    get_code("A@example.org", &again);
    settle();
    get_code("no email", &bad);
    verify_client_get_code((struct span){NULL, 0}, verify_told, &none);
    settle();
    assert_int_equal(good.error, VERIFY_OK);
    assert_int_equal(again.error, VERIFY_TOO_MANY);
    assert_int_equal(again.reply.retry_after, 60);
    assert_int_equal(bad.error, VERIFY_BAD_EMAIL);
    assert_int_equal(none.error, VERIFY_BAD_EMAIL);
}

// One that is too long must not become a good one by being cut off.
static void verify_long_email(void **state)
{
    (void)state;
    char email[1000];
    struct answer longest = {0}, longer = {0}, huge = {0};
    memset(email, 'a', sizeof email);
    email[1] = '@';
    verify_client_get_code((struct span){email, EMAIL_MAX_BYTES}, verify_told, &longest);
    settle();
    verify_client_get_code((struct span){email, EMAIL_MAX_BYTES + 1}, verify_told, &longer);
    verify_client_get_code((struct span){email, sizeof email}, verify_told, &huge);
    settle();
    assert_int_equal(longest.error, VERIFY_OK);
    assert_int_equal(longer.error, VERIFY_BAD_EMAIL);
    assert_int_equal(huge.error, VERIFY_BAD_EMAIL);
}

static void verify_counts_from_the_asking(void **state)
{
    (void)state;
    struct answer first = {0}, second = {0};
    get_code("a@example.org", &first);
    machine_now_ms += 500;
    settle();
    machine_now_ms += 59500;
    get_code("a@example.org", &second);
    settle();
    assert_int_equal(first.error, VERIFY_OK);
    assert_int_equal(second.error, VERIFY_OK);
}

static void verify_cancelled(void **state)
{
    (void)state;
    struct answer first = {0}, second = {0};
    struct verify_call *call = get_code("a@b", &first);
    get_code("b@b", &second);
    verify_client_cancel(call);
    verify_client_cancel(call);
    settle();
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 1);
    get_code("c@b", &second);
    call = get_code("a@b", &first);
    verify_step();
    verify_client_cancel(call);
    settle();
    assert_int_equal(first.calls, 0);
    assert_int_equal(second.calls, 2);
}

// The first answer cancels the second call; the third's cancels itself, which does nothing.
static void verify_cancelled_from_an_answer(void **state)
{
    (void)state;
    struct answer first = {0}, second = {0}, third = {0};
    get_code("a@b", &first);
    first.cancel_verify = get_code("b@b", &second);
    settle();
    third.cancel_verify = get_code("c@b", &third);
    settle();
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 0);
    assert_int_equal(third.calls, 1);
}

// All slots taken: refused. An answer frees its slot for a call of its own, which again waits for a later turn.
static void verify_all_slots(void **state)
{
    (void)state;
    static struct answer a[VERIFY_CALLS];
    struct answer then = {0};
    memset(a, 0, sizeof a);
    for (int i = 0; i < VERIFY_CALLS; i++) {
        char email[] = "aa@b";
        email[0] = (char)('a' + i / 26);
        email[1] = (char)('a' + i % 26);
        assert_non_null(get_code(email, &a[i]));
    }
    assert_null(get_code("one@more", NULL));
    a[0].then = &then;
    verify_step();
    verify_step();
    for (int i = 0; i < VERIFY_CALLS; i++) {
        assert_int_equal(a[i].calls, 1);
        assert_int_equal(a[i].error, VERIFY_OK);
    }
    assert_int_equal(then.calls, 0);
    settle();
    assert_int_equal(then.calls, 1);
    assert_int_equal(then.error, VERIFY_OK);
}

/// Status ///

static struct span token_of(const struct answer *a)
{
    return (struct span){a->node.token, sizeof a->node.token};
}

static struct answer get_node(uint32_t uid)
{
    struct answer a = {0};
    assert_non_null(status_client_get_chat_server(uid, status_told, &a));
    assert_int_equal(a.calls, 0);
    assert_int_equal(status_step(), 0);
    assert_int_equal(a.calls, 0);
    assert_int_equal(status_step(), SERVICE_IDLE);
    assert_int_equal(a.calls, 1);
    assert_true(a.has_node);
    return a;
}

static int login_now(uint32_t uid, struct span token)
{
    struct answer a = {0};
    assert_non_null(status_client_login(uid, token, status_told, &a));
    assert_int_equal(a.calls, 0);
    settle();
    assert_int_equal(a.calls, 1);
    assert_false(a.has_node);
    return a.error;
}

static void status_token(void **state)
{
    (void)state;
    struct answer a = get_node(1), gone = {0};
    assert_int_equal(a.error, STATUS_OK);
    assert_int_equal(login_now(1, token_of(&a)), STATUS_OK);
    assert_int_equal(login_now(2, token_of(&a)), STATUS_BAD_TOKEN);
    assert_non_null(status_client_logout(1, token_of(&a), status_told, &gone));
    assert_int_equal(status_login(1, token_of(&a), machine_now_ms), STATUS_OK);
    settle();
    assert_int_equal(gone.calls, 1);
    assert_int_equal(gone.error, STATUS_OK);
    assert_false(gone.has_node);
    assert_int_equal(login_now(1, token_of(&a)), STATUS_BAD_TOKEN);
}

static void status_logout_all(void **state)
{
    (void)state;
    struct answer a = get_node(1), b = get_node(1), other = get_node(2), gone = {0};
    status_client_logout(1, (struct span){NULL, 0}, status_told, &gone);
    settle();
    assert_int_equal(gone.error, STATUS_OK);
    assert_int_equal(login_now(1, token_of(&a)), STATUS_BAD_TOKEN);
    assert_int_equal(login_now(1, token_of(&b)), STATUS_BAD_TOKEN);
    assert_int_equal(login_now(2, token_of(&other)), STATUS_OK);
}

// Cut off to its size a token that is too long would be a good one.
static void status_long_token(void **state)
{
    (void)state;
    struct answer a = get_node(1), gone = {0};
    char token[100];
    memset(token, '0', sizeof token);
    memcpy(token, a.node.token, sizeof a.node.token);
    assert_int_equal(login_now(1, (struct span){token, 33}), STATUS_BAD_TOKEN);
    assert_int_equal(login_now(1, (struct span){token, 100}), STATUS_BAD_TOKEN);
    assert_int_equal(login_now(1, (struct span){token, 31}), STATUS_BAD_TOKEN);
    assert_int_equal(login_now(1, (struct span){NULL, 0}), STATUS_BAD_TOKEN);
    status_client_logout(1, (struct span){token, 100}, status_told, &gone);
    settle();
    assert_int_equal(login_now(1, (struct span){token, 32}), STATUS_OK);
}

static void status_copies_the_token(void **state)
{
    (void)state;
    struct answer a = get_node(1), login = {0};
    char token[STATUS_TOKEN_BYTES];
    memcpy(token, a.node.token, sizeof token);
    status_client_login(1, (struct span){token, sizeof token}, status_told, &login);
    memset(token, 'x', sizeof token);
    settle();
    assert_int_equal(login.error, STATUS_OK);
}

static void status_no_entropy(void **state)
{
    (void)state;
    machine_has_entropy = false;
    struct answer a = get_node(1);
    machine_has_entropy = true;
    assert_int_equal(a.error, STATUS_INTERNAL);
}

// A cancelled call is not carried out at all.
static void status_cancelled(void **state)
{
    (void)state;
    struct answer a = get_node(1), gone = {0}, other = {0};
    struct status_call *call = status_client_logout(1, token_of(&a), status_told, &gone);
    status_step();
    status_client_get_chat_server(2, status_told, &other);
    status_client_cancel(call);
    status_client_cancel(call);
    settle();
    assert_int_equal(gone.calls, 0);
    assert_int_equal(other.calls, 1);
    assert_int_equal(login_now(1, token_of(&a)), STATUS_OK);
}

static void status_cancelled_from_an_answer(void **state)
{
    (void)state;
    struct answer first = {0}, second = {0}, third = {0};
    status_client_get_chat_server(1, status_told, &first);
    first.cancel_status = status_client_get_chat_server(2, status_told, &second);
    settle();
    third.cancel_status = status_client_get_chat_server(3, status_told, &third);
    settle();
    assert_int_equal(first.calls, 1);
    assert_int_equal(second.calls, 0);
    assert_int_equal(third.calls, 1);
}

static void status_all_slots(void **state)
{
    (void)state;
    static struct answer a[STATUS_CALLS];
    struct answer then = {0};
    memset(a, 0, sizeof a);
    for (int i = 0; i < STATUS_CALLS; i++)
        assert_non_null(status_client_get_chat_server(1, status_told, &a[i]));
    assert_null(status_client_get_chat_server(1, status_told, NULL));
    assert_null(status_client_login(1, span_of("x"), status_told, NULL));
    assert_null(status_client_logout(1, span_of("x"), status_told, NULL));
    a[0].then = &then;
    status_step();
    status_step();
    for (int i = 0; i < STATUS_CALLS; i++)
        assert_int_equal(a[i].calls, 1);
    assert_int_equal(then.calls, 0);
    settle();
    assert_int_equal(then.calls, 1);
    assert_true(then.has_node);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, fresh, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(verify_answers_later),    TEST(verify_errors),
        TEST(verify_long_email),       TEST(verify_counts_from_the_asking),
        TEST(verify_cancelled),        TEST(verify_cancelled_from_an_answer),
        TEST(verify_all_slots),        TEST(status_token),
        TEST(status_logout_all),       TEST(status_long_token),
        TEST(status_copies_the_token), TEST(status_no_entropy),
        TEST(status_cancelled),        TEST(status_cancelled_from_an_answer),
        TEST(status_all_slots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
