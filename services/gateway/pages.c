#include "pages.h"
#include "../../port/pool.h"
#include "../../port/port.h"
#include "../hub/hub.h"
#include "../users/users.h"
#include "gateway.h"
#include <string.h>

/// Fixed ones ///

void pages_health(struct http_connection *h)
{
    static const struct http_text health = {"text/plain; charset=utf-8", "ok\n"};
    http_reply_answer(h, &health);
}

/// Pages made of sections ///

// Appends the cursor's row within one section and moves on; false behind its last row.
typedef bool section_row(struct http_cursor *cursor, struct text *out);

static bool next_row(section_row *const *sections, size_t count, struct http_cursor *cursor, struct text *out)
{
    while (cursor->section < count) {
        if (sections[cursor->section](cursor, out))
            return true;
        *cursor = (struct http_cursor){.section = (uint16_t)(cursor->section + 1)};
    }
    return false;
}

// Counted from the oldest: a pool that is used for the first time comes to the front of the list, and must not move
// those that a half-sent page has shown already.
static const struct pool *pool_number(uint32_t number)
{
    uint32_t count = 0;
    const struct pool *p = NULL;
    for (p = pool_next(NULL); p != NULL; p = pool_next(p))
        count++;
    if (number >= count)
        return NULL;
    p = pool_next(NULL);
    for (uint32_t i = count - 1; i > number; i--)
        p = pool_next(p);
    return p;
}

/// /metrics: Prometheus text format 0.0.4 ///

static const struct metric *metric_number(uint32_t number)
{
    for (size_t i = 0; i < service_count; i++) {
        if (number < services[i]->metric_count)
            return &services[i]->metrics[number];
        number -= (uint32_t)services[i]->metric_count;
    }
    return NULL;
}

static bool shown_before(uint32_t number)
{
    const char *name = metric_number(number)->name;
    for (uint32_t i = 0; i < number; i++) {
        if (strcmp(metric_number(i)->name, name) == 0)
            return true;
    }
    return false;
}

static bool is_counter(const char *name)
{
    static const char ending[] = "_total";
    size_t length = strlen(name);
    return length >= sizeof ending && strcmp(name + length - (sizeof ending - 1), ending) == 0;
}

static void family_head(struct text *out, const struct metric *m)
{
    HELP(text_format(out, "# HELP %s %s\n", m->name, m->help);)
    text_format(out, "# TYPE %s %s\n", m->name, is_counter(m->name) ? "counter" : "gauge");
}

static void metric_line(struct text *out, const struct metric *m, bool first)
{
    if (first)
        family_head(out, m);
    uint32_t value = m->value != NULL ? *m->value : m->read();
    if (m->labels != NULL)
        text_format(out, "%s{%s} %u\n", m->name, m->labels, value);
    else
        text_format(out, "%s %u\n", m->name, value);
}

// All lines of a family must stand together, though several services may have some of them: `group` is the first one's
// number, and `row` counts on from there.
static bool services_row(struct http_cursor *cursor, struct text *out)
{
    for (;;) {
        const struct metric *first = metric_number(cursor->group);
        if (first == NULL)
            return false;
        bool family = cursor->row > 0 || !shown_before(cursor->group);
        const struct metric *m = family ? metric_number((uint32_t)cursor->group + cursor->row) : NULL;
        if (m == NULL) {
            cursor->group++;
            cursor->row = 0;
            continue;
        }
        bool same = strcmp(m->name, first->name) == 0;
        if (same)
            metric_line(out, m, cursor->row == 0);
        cursor->row++;
        if (same)
            return true;
    }
}

static bool longest_row(struct http_cursor *cursor, struct text *out)
{
    static const struct metric family = {.name = "pipit_service_longest_step_us",
                                         HELP(.help = "The longest step of a service so far, in microseconds.")};
    size_t i = cursor->row++;
    if (i >= service_count)
        return false;
    if (i == 0)
        family_head(out, &family);
    text_format(out, "%s{service=\"%s\"} %u\n", family.name, services[i]->name, service_longest_us[i]);
    return true;
}

static const struct {
    struct metric family;
    size_t offset; // in struct pool
} pool_families[] = {
    {{.name = "pipit_pool_used", HELP(.help = "Slots of a pool in use.")}, offsetof(struct pool, used)},
    {{.name = "pipit_pool_high_water", HELP(.help = "Most slots of a pool ever in use at once.")},
     offsetof(struct pool, high_water)},
    {{.name = "pipit_pool_size", HELP(.help = "Slots of a pool.")}, offsetof(struct pool, size)},
    {{.name = "pipit_pool_refused_total", HELP(.help = "Times that a pool had no free slot.")},
     offsetof(struct pool, refused)},
};

static bool pools_row(struct http_cursor *cursor, struct text *out)
{
    const struct pool *p = pool_number(cursor->row);
    if (p == NULL) {
        cursor->group++;
        cursor->row = 0;
        p = pool_number(0);
    }
    if (p == NULL || cursor->group >= sizeof pool_families / sizeof pool_families[0])
        return false;
    uint32_t value = 0;
    const struct metric *family = &pool_families[cursor->group].family;
    memcpy(&value, (const char *)p + pool_families[cursor->group].offset, sizeof value);
    if (cursor->row == 0)
        family_head(out, family);
    text_format(out, "%s{pool=\"%s\"} %u\n", family->name, p->name, value);
    cursor->row++;
    return true;
}

static bool metrics_row(struct http_cursor *cursor, struct text *out)
{
    static section_row *const sections[] = {services_row, longest_row, pools_row};
    return next_row(sections, sizeof sections / sizeof sections[0], cursor, out);
}

void pages_metrics(struct http_connection *h)
{
    static const struct http_page page = {"text/plain; version=0.0.4; charset=utf-8", metrics_row};
    http_reply_page(h, &page);
}

/// /status: JSON for people ///

static bool status_head_row(struct http_cursor *cursor, struct text *out)
{
    char address[16];
    if (cursor->row++ > 0)
        return false;
    text_format(out, "{\"name\":\"%s\",\n\"uptime_seconds\":%llu,\n\"address\":\"%s\",\n\"address_from\":\"%s\",\n",
                net_own_name(), (unsigned long long)(port_now_ms() / 1000),
                net_address_text(net_own_address(), address), net_origin_name(net_own_origin()));
    text_format(out, "\"guests\":%s,\n\"message_bytes\":%u,\n", gateway_settings.guests != 0 ? "true" : "false",
                HUB_MESSAGE);
    text_format(out, "\"clients\":%u,\n\"users\":%u,\n\"newest_event\":%llu,\n", hub_clients(), users_count(),
                (unsigned long long)hub_newest());
    text_format(out, "\"http_connections\":%u,\n\"http_requests\":%u,\n\"longest_turn_us\":%u,\n",
                http_server_connections(), gateway_counters.requests, longest_turn_us);
    return true;
}

static bool status_machine_row(struct http_cursor *cursor, struct text *out)
{
    if (cursor->row++ > 0)
        return false;
    text_string(out, "\"started_after\":\"");
    text_json(out, span_of(port_reset_reason()));
    text_format(out, "\",\n\"stack\":{\"size\":%zu,\"used\":%zu},\n\"services\":[", port_stack_size(),
                port_stack_used());
    return true;
}

static bool status_service_row(struct http_cursor *cursor, struct text *out)
{
    size_t i = cursor->row++;
    if (i >= service_count)
        return false;
    text_format(out, "%s\n{\"name\":\"%s\",\"longest_step_us\":%u}", i > 0 ? "," : "", services[i]->name,
                service_longest_us[i]);
    return true;
}

static bool status_middle_row(struct http_cursor *cursor, struct text *out)
{
    if (cursor->row++ > 0)
        return false;
    text_string(out, "],\n\"pools\":[");
    return true;
}

static bool status_pool_row(struct http_cursor *cursor, struct text *out)
{
    uint32_t i = cursor->row++;
    const struct pool *p = pool_number(i);
    if (p == NULL)
        return false;
    text_format(out, "%s\n{\"name\":\"%s\",\"used\":%u,\"high_water\":%u,\"size\":%u,\"refused\":%u}", i > 0 ? "," : "",
                p->name, p->used, p->high_water, p->size, p->refused);
    return true;
}

static bool status_tail_row(struct http_cursor *cursor, struct text *out)
{
    if (cursor->row++ > 0)
        return false;
    text_string(out, "]}\n");
    return true;
}

static bool status_row(struct http_cursor *cursor, struct text *out)
{
    static section_row *const sections[] = {status_head_row,   status_machine_row, status_service_row,
                                            status_middle_row, status_pool_row,    status_tail_row};
    return next_row(sections, sizeof sections / sizeof sections[0], cursor, out);
}

void pages_status(struct http_connection *h)
{
    static const struct http_page page = {"application/json", status_row};
    http_reply_page(h, &page);
}
