// The status service: tokens, their time and their table.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../services/status/status.h"
#include "machine.h"

static struct status_node get(uint32_t uid)
{
    return status_get_chat_server(uid, machine_now_ms);
}

static struct span token_of(const struct status_node *node)
{
    return (struct span){node->token, sizeof node->token};
}

static enum status_error login(uint32_t uid, const struct status_node *node)
{
    return status_login(uid, token_of(node), machine_now_ms);
}

static uint32_t step(void)
{
    return status_service.step(machine_now_ms);
}

static uint32_t metric(const char *name)
{
    for (size_t i = 0; i < status_service.metric_count; i++) {
        const struct metric *m = &status_service.metrics[i];
        if (strcmp(m->name, name) == 0)
            return m->value != NULL ? *m->value : m->read();
    }
    fail_msg("no metric %s", name);
    return 0;
}

static int fresh(void **state)
{
    (void)state;
    status_settings.ttl = 86400;
    return status_service.start();
}

static int empty(void **state)
{
    (void)state;
    machine_now_ms += (uint64_t)status_settings.ttl * 1000;
    while (step() == 0)
        ;
    return status_tokens() == 0 && machine_pools_used() == 0 && step() == SERVICE_IDLE ? 0 : -1;
}

static void a_token(void **state)
{
    (void)state;
    struct status_node node = get(7);
    assert_int_equal(node.error, STATUS_OK);
    assert_string_equal(node.host, "");
    assert_string_equal(node.port, "");
    for (size_t i = 0; i < sizeof node.token; i++)
        assert_non_null(memchr("0123456789abcdef", node.token[i], 16));
    assert_int_equal(login(7, &node), STATUS_OK);
    assert_int_equal(login(7, &node), STATUS_OK);
    assert_int_equal(login(8, &node), STATUS_BAD_TOKEN);
    assert_int_equal(login(0, &node), STATUS_BAD_TOKEN);
    assert_int_equal(status_tokens(), 1);
}

static void wrong_tokens(void **state)
{
    (void)state;
    struct status_node node = get(7);
    uint32_t refused = metric("pipit_tokens_refused_total");
    for (size_t i = 0; i < sizeof node.token; i++) {
        struct status_node other = node;
        other.token[i] = (char)(other.token[i] ^ 1);
        assert_int_equal(login(7, &other), STATUS_BAD_TOKEN);
    }
    assert_int_equal(status_login(7, (struct span){node.token, 31}, machine_now_ms), STATUS_BAD_TOKEN);
    assert_int_equal(status_login(7, (struct span){"0", 1}, machine_now_ms), STATUS_BAD_TOKEN);
    assert_int_equal(status_login(7, (struct span){NULL, 0}, machine_now_ms), STATUS_BAD_TOKEN);
    assert_int_equal(metric("pipit_tokens_refused_total") - refused, sizeof node.token + 3);
    assert_int_equal(login(7, &node), STATUS_OK);
}

static void several_of_one_user(void **state)
{
    (void)state;
    struct status_node phone = get(7), laptop = get(7), other = get(8);
    assert_memory_not_equal(phone.token, laptop.token, sizeof phone.token);
    status_logout(7, token_of(&phone));
    assert_int_equal(login(7, &phone), STATUS_BAD_TOKEN);
    assert_int_equal(login(7, &laptop), STATUS_OK);
    status_logout(7, token_of(&phone));
    status_logout(7, token_of(&other));
    assert_int_equal(login(8, &other), STATUS_OK);
    assert_int_equal(status_tokens(), 2);
}

static void all_of_one_user(void **state)
{
    (void)state;
    struct status_node mine[5], other[5];
    for (int i = 0; i < 5; i++) {
        mine[i] = get(7);
        other[i] = get((uint32_t)(100 + i));
    }
    status_logout(7, (struct span){NULL, 0});
    for (int i = 0; i < 5; i++) {
        assert_int_equal(login(7, &mine[i]), STATUS_BAD_TOKEN);
        assert_int_equal(login((uint32_t)(100 + i), &other[i]), STATUS_OK);
    }
    assert_int_equal(status_tokens(), 5);
    status_logout(7, (struct span){NULL, 0});
    assert_int_equal(status_tokens(), 5);
}

static void expiry(void **state)
{
    (void)state;
    struct status_node first = get(7);
    machine_now_ms += 1000;
    struct status_node second = get(7);
    assert_int_equal(step(), 86399000);
    machine_now_ms += 86398999;
    assert_int_equal(login(7, &first), STATUS_OK);
    assert_int_equal(step(), 1);
    machine_now_ms += 1;
    assert_int_equal(login(7, &first), STATUS_BAD_TOKEN);
    assert_int_equal(login(7, &second), STATUS_OK);
    assert_int_equal(step(), 1000);
    assert_int_equal(status_tokens(), 1);
    machine_now_ms += 1000;
    assert_int_equal(step(), SERVICE_IDLE);
    assert_int_equal(status_tokens(), 0);
}

// A new setting holds for tokens that are out, and the longest wait still fits into the step's answer.
static void ttl_setting(void **state)
{
    (void)state;
    struct status_node node = get(7);
    status_settings.ttl = 31536000;
    assert_int_equal(step(), SERVICE_IDLE - 1);
    machine_now_ms += 100000;
    status_settings.ttl = 60;
    assert_int_equal(login(7, &node), STATUS_BAD_TOKEN);
    status_settings.ttl = 101;
    assert_int_equal(login(7, &node), STATUS_OK);
}

// What expires at once goes a few a turn.
static void many_expire(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 20; i++)
        get(i + 1);
    machine_now_ms += 86400000;
    assert_int_equal(step(), 0);
    assert_in_range(status_tokens(), 1, 19);
    assert_int_equal(step(), SERVICE_IDLE);
    assert_int_equal(status_tokens(), 0);
}

static void full_drops_the_oldest(void **state)
{
    (void)state;
    static struct status_node nodes[TOKENS_MAX + 2];
    uint32_t dropped = metric("pipit_tokens_dropped_total");
    for (uint32_t i = 0; i < TOKENS_MAX + 2; i++) {
        machine_now_ms++;
        nodes[i] = get(i % 5 + 1);
        assert_int_equal(nodes[i].error, STATUS_OK);
    }
    assert_int_equal(status_tokens(), TOKENS_MAX);
    assert_int_equal(metric("pipit_tokens_dropped_total") - dropped, 2);
    for (uint32_t i = 0; i < TOKENS_MAX + 2; i++)
        assert_int_equal(login(i % 5 + 1, &nodes[i]), i < 2 ? STATUS_BAD_TOKEN : STATUS_OK);
}

// Given back out of order, at both ends and in the middle, the lists still hold together.
static void out_of_order(void **state)
{
    (void)state;
    static struct status_node nodes[TOKENS_MAX];
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        nodes[i] = get(i + 1);
    for (uint32_t i = 0; i < TOKENS_MAX; i++)
        if (i == 0 || i == TOKENS_MAX - 1 || i % 3 == 1)
            status_logout(i + 1, token_of(&nodes[i]));
    uint32_t left = 0;
    for (uint32_t i = 0; i < TOKENS_MAX; i++) {
        bool gone = i == 0 || i == TOKENS_MAX - 1 || i % 3 == 1;
        assert_int_equal(login(i + 1, &nodes[i]), gone ? STATUS_BAD_TOKEN : STATUS_OK);
        left += !gone;
    }
    assert_int_equal(status_tokens(), left);
    struct status_node again = get(1);
    assert_int_equal(login(1, &again), STATUS_OK);
}

static void no_entropy(void **state)
{
    (void)state;
    machine_has_entropy = false;
    struct status_node node = get(7);
    machine_has_entropy = true;
    assert_int_equal(node.error, STATUS_INTERNAL);
    assert_int_equal(node.token[0], 0);
    assert_int_equal(login(7, &node), STATUS_BAD_TOKEN);
    assert_int_equal(status_tokens(), 0);
}

static void nobodys_uid(void **state)
{
    (void)state;
    assert_int_equal(get(0).error, STATUS_INTERNAL);
    assert_int_equal(get(UINT32_MAX).error, STATUS_OK);
    assert_int_equal(status_tokens(), 1);
}

#define TEST(NAME) cmocka_unit_test_setup_teardown(NAME, fresh, empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_token),      TEST(wrong_tokens), TEST(several_of_one_user), TEST(all_of_one_user),
        TEST(expiry),       TEST(ttl_setting),  TEST(many_expire),         TEST(full_drops_the_oldest),
        TEST(out_of_order), TEST(no_entropy),   TEST(nobodys_uid),
    };
    return cmocka_run_group_tests(tests, fresh, NULL);
}
