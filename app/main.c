// turn: frames in -> lwIP's timers -> connections -> each service one step -> output -> sleep
#include "main.h"
#include "../port/log.h"
#include "../port/net.h"
#include "../port/net_private.h"
#include "../port/port.h"
#include "../port/syslog/syslog.h"
#include "../port/trail.h"
#include "../services/service.h"
#include "../services/users/journal.h"
#include "config.h"
#include "share.h"
#include "shell.h"

#include "lwip/timeouts.h"

#define GOODBYE_MS       1000 // for the peers to take our last words
#define LONGEST_SLEEP_MS 1000

uint32_t longest_turn_us;

static int start_services(void)
{
    for (size_t i = 0; i < service_count; i++)
        if (services[i]->start != NULL && services[i]->start() != 0) {
            log_line(LOG_ERROR, "main", "the service %s could not be started", services[i]->name);
            return -1;
        }
    return 0;
}

static void stop_services(void)
{
    for (size_t i = 0; i < service_count; i++)
        if (services[i]->stop != NULL)
            services[i]->stop();
}

static void note_longest(uint32_t *longest, uint32_t us)
{
    if (us > *longest)
        *longest = us;
}

/// The turn ///

static uint32_t part_began_us;

// What ends here began where the part before it ended.
static uint32_t part_ended(struct share *share)
{
    uint32_t now = port_now_us();
    uint32_t us = now - part_began_us;
    share->us += us;
    if (share->us > SHARE_MOST_US)
        share_begin();
    part_began_us = now;
    return us;
}

static void phase_ended(enum share_phase phase)
{
    note_longest(&share_phase_longest_us[phase], part_ended(&share_phases[phase]));
}

// Returns how long the services agree to sleep, in milliseconds.
static uint32_t step_services(void)
{
    uint32_t sleep = LONGEST_SLEEP_MS;
    uint64_t now = port_now_ms();
    for (size_t i = 0; i < service_count; i++) {
        if (services[i]->step == NULL)
            continue;
        trail_turn = services[i]->name;
        uint32_t wish = services[i]->step(now);
        note_longest(&service_longest_us[i], part_ended(&share_services[i]));
        if (wish < sleep)
            sleep = wish;
    }
    return sleep;
}

static uint32_t turn(void)
{
    uint32_t before = port_now_us();
    part_began_us = before;
    trail_turn = "frames";
    bool more_frames = port_netif_poll(&net_interface);
    phase_ended(SHARE_FRAMES);
    trail_turn = "timers";
    sys_check_timeouts();
    phase_ended(SHARE_TIMERS);
    trail_turn = "connections";
    net_poll();
    phase_ended(SHARE_CONNECTIONS);
    uint32_t sleep = step_services();
    trail_turn = "console";
    log_poll();
    syslog_poll();
    bool more_lines = shell_step();
    phase_ended(SHARE_CONSOLE);
    trail_turn = "output";
    net_flush();
    phase_ended(SHARE_OUTPUT);
    note_longest(&longest_turn_us, part_began_us - before);
    if (more_frames || more_lines || shell_is_stale() || net_pending())
        return 0;
    uint32_t timer = sys_timeouts_sleeptime();
    return timer < sleep ? timer : sleep;
}

// Goodbyes are sent and, for a second at most, waited for.
static void run_down(void)
{
    uint64_t end = port_now_ms() + GOODBYE_MS;
    net_stop_listening();
    stop_services();
    while (port_now_ms() < end && net_open() > 0)
        port_idle(turn());
}

void pipit_recall(void)
{
    if (journal_start())
        config_recall();
}

int pipit_main(void)
{
    if (net_start() != 0 || start_services() != 0)
        return 1;
    shell_start();
    while (!port_stopping())
        port_idle(turn());
    run_down();
    return 0;
}
