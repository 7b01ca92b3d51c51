// Commands: how the machine is doing.
#include "../port/log.h"
#include "../port/net.h"
#include "../port/pool.h"
#include "../port/port.h"
#include "../port/syslog/syslog.h"
#include "../services/hub/hub.h"
#include "../services/service.h"
#include "../services/users/users.h"
#include "config.h"
#include "share.h"
#include "shell_private.h"
#include <string.h>

/// Status, and the network ///

static void say_address(void)
{
    char address[16];
    say("address %s (%s), name %s, link %s", net_address_text(net_own_address(), address),
        net_origin_name(net_own_origin()), net_own_name(), net_link_up() != 0 ? "up" : "down");
}

void shell_status(struct span rest)
{
    (void)rest;
    say_address();
    say("%u connections, %u chat clients, %u users, newest event %llu", (unsigned)net_open(), (unsigned)hub_clients(),
        (unsigned)users_count(), (unsigned long long)hub_newest());
    say("longest turn %u us", (unsigned)longest_turn_us);
    if (port_stack_size() > 0)
        say("started after: %s; %zu of %zu bytes of stack used", port_reset_reason(), port_stack_used(),
            port_stack_size());
}

// The services count their connections for /metrics.
static void say_connections(void)
{
    char buffer[SAY_MOST];
    struct text t = text_in(buffer, sizeof buffer);
    text_format(&t, "connections: %u", (unsigned)net_open());
    for (size_t i = 0; i < service_count; i++)
        for (size_t j = 0; j < services[i]->metric_count; j++) {
            const struct metric *m = &services[i]->metrics[j];
            if (strcmp(m->name, "pipit_connections") == 0)
                text_format(&t, ", %s %u", m->labels, (unsigned)m->read());
        }
    say("%s", text_end(&t));
}

void shell_net(struct span rest)
{
    (void)rest;
    char address[16];
    const struct net_counters *c = &net_counters;
    say_address();
    say("gateway %s", net_address_text(net_own_gateway(), address));
    say_connections();
    say("accepted %u, dialled %u, refused %u, no slot %u, resets %u, timeouts %u, bytes relocated %u",
        (unsigned)c->accepted, (unsigned)c->dialled, (unsigned)c->refused, (unsigned)c->no_slot, (unsigned)c->resets,
        (unsigned)c->timeouts, (unsigned)c->relocated);
}

static bool next_pool(uint32_t *at)
{
    const struct pool *p = pool_next(NULL);
    for (uint32_t i = 0; p != NULL && i < *at; i++)
        p = pool_next(p);
    if (p == NULL)
        return false;
    say("%s: %u of %u used, %u at most, %u refused, %zu bytes a slot", p->name, (unsigned)p->used, (unsigned)p->size,
        (unsigned)p->high_water, (unsigned)p->refused, p->slot_size);
    ++*at;
    return true;
}

void shell_pools(struct span rest)
{
    (void)rest;
    shell_go_on(next_pool);
}

/// Who has the time ///

static void say_share(const char *name, const struct share *share, uint32_t longest_us)
{
    uint32_t now = share_now(share), all = share_in_all(share);
    say("%s: %u.%u %% now, %u.%u %% in all, longest step %u us", name, (unsigned)(now / 10), (unsigned)(now % 10),
        (unsigned)(all / 10), (unsigned)(all % 10), (unsigned)longest_us);
}

static bool next_share(uint32_t *at)
{
    uint32_t i = (*at)++;
    if (i < SHARE_PHASES)
        say_share(share_phase_names[i], &share_phases[i], share_phase_longest_us[i]);
    else if (i - SHARE_PHASES < service_count)
        say_share(services[i - SHARE_PHASES]->name, &share_services[i - SHARE_PHASES],
                  service_longest_us[i - SHARE_PHASES]);
    else {
        share_begin();
        return false;
    }
    return true;
}

void shell_top(struct span rest)
{
    (void)rest;
    say("now: the last %u s; in all: %u s; longest turn %u us", (unsigned)(share_interval_ms() / 1000),
        (unsigned)(share_all_ms() / 1000), (unsigned)longest_turn_us);
    shell_go_on(next_share);
}

/// The log ///

static bool next_module(uint32_t *at)
{
    uint32_t module = (*at)++;
    const char *name = log_module_name(module);
    if (name == NULL) {
        if (syslog_settings.host[0] != '\0')
            say("syslog: %u sent to %s, %u dropped", (unsigned)syslog_counters.sent, syslog_settings.host,
                (unsigned)syslog_counters.dropped);
        return false;
    }
    if (log_module_level(module) != log_threshold)
        say("%s: %s", name, log_level_name(log_module_level(module)));
    return true;
}

static void show_levels(void)
{
    say("log.level = %s", log_level_name(log_threshold));
    shell_go_on(next_module);
}

// The number of the name, or -1.
static int find(struct span word, const char *(*name_of)(uint32_t index))
{
    const char *name;
    for (uint32_t i = 0; (name = name_of(i)) != NULL; i++)
        if (span_equal_nocase(word, span_of(name)))
            return (int)i;
    return -1;
}

void shell_log(struct span rest)
{
    struct span word = span_cut(&rest, ' ');
    struct span module = span_trim(rest);
    int level = find(word, log_level_name), number = find(module, log_module_name);
    if (word.length == 0) {
        show_levels();
    } else if (level < 0) {
        say("The levels are error, warning, info and debug.");
    } else if (module.length == 0) {
        log_threshold = (uint32_t)level;
        log_modules_follow();
    } else if (number < 0) {
        say("There is no module %.*s; it is the word behind the level in its lines.", (int)module.length, module.at);
    } else {
        log_module_set((uint32_t)number, (enum log_level)level);
    }
}
