#include "log.h"
#include "app/limits.h"
#include "port.h"
#include "syslog/syslog.h"
#include "text.h"
#include <string.h>

#define SECOND_MS 1000

uint32_t log_threshold = LOG_INFO;
void (*log_before_write)(void);

/// Modules ///

// Those that have a level and a count of their own; all others share the last row.
static const char *const names[] = {"net", "http",  "api", "hub",  "users", "mail", "verify", "status",
                                    "rpc", "nodes", "tls", "main", "board", "sim",  "other"};

#define MODULES (sizeof names / sizeof names[0])

static struct {
    uint8_t spent;    // lines of the LOG_BURST
    uint8_t level;    // 1 more than its own enum log_level, or 0: log_threshold counts
    uint16_t omitted; // lines, not yet told
} modules[MODULES];

static bool some_have_levels;
static uint32_t counted_ms; // what every second gives was given until then

_Static_assert(LOG_BURST <= UINT8_MAX, "a module's lines are counted in a byte");

static size_t module_find(const char *name)
{
    size_t i = 0;
    while (i < MODULES - 1 && strcmp(name, names[i]) != 0)
        i++;
    return i;
}

const char *log_module_name(uint32_t module)
{
    return module < MODULES ? names[module] : NULL;
}

uint32_t log_module_level(uint32_t module)
{
    return modules[module].level > 0 ? modules[module].level - 1u : log_threshold;
}

void log_module_set(uint32_t module, enum log_level level)
{
    modules[module].level = (uint8_t)(level + 1);
    some_have_levels = true;
}

void log_modules_follow(void)
{
    for (size_t i = 0; i < MODULES; i++)
        modules[i].level = 0;
    some_have_levels = false;
}

/// The bound ///

static bool may_log(size_t module)
{
    if (modules[module].spent < LOG_BURST) {
        modules[module].spent++;
        return true;
    }
    if (modules[module].omitted < UINT16_MAX)
        modules[module].omitted++;
    return false;
}

/// Lines ///

static const char *const level_names[] = {"error", "warning", "info", "debug"};

const char *log_level_name(uint32_t level)
{
    return level <= LOG_DEBUG ? level_names[level] : NULL;
}

void log_write(const char *bytes, size_t length)
{
    if (log_before_write != NULL)
        log_before_write();
    port_console_write(bytes, length);
}

// "12.345 warn  mail: "
static void head(struct text *t, enum log_level level, const char *module)
{
    uint64_t now = port_now_ms();
    struct span name = span_of(level_names[level]);
    if (level == LOG_WARNING)
        name.length = 4;
    text_format(t, "%u.%03u %.*s%s %s: ", (unsigned)(now / 1000), (unsigned)(now % 1000), (int)name.length, name.at,
                name.length < 5 ? " " : "", module);
}

static void line_out(enum log_level level, const char *module, const char *format, va_list arguments)
{
    char line[LOG_LINE];
    struct text t = text_in(line, sizeof line - 1);
    head(&t, level, module);
    size_t begin = t.length;
    t.escapes = true;
    text_vformat(&t, format, arguments);
    syslog_line(level, module, (struct span){line + begin, t.length - begin});
    line[t.length++] = '\n';
    log_write(line, t.length);
}

/// Once a second ///

static void put(enum log_level level, const char *module, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void put(enum log_level level, const char *module, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    line_out(level, module, format, arguments);
    va_end(arguments);
}

// A module that has not used all that it was given has come to rest.
static void count_off(size_t module, uint32_t given)
{
    uint8_t spent = modules[module].spent;
    if (modules[module].omitted > 0 && spent < LOG_BURST) {
        put(LOG_WARNING, names[module], "%u lines of %s left out", (unsigned)modules[module].omitted, names[module]);
        modules[module].omitted = 0;
    }
    modules[module].spent = spent > given ? (uint8_t)(spent - given) : 0;
}

void log_poll(void)
{
    uint32_t passed_ms = (uint32_t)port_now_ms() - counted_ms;
    if (passed_ms < SECOND_MS)
        return;
    uint32_t passed = passed_ms / SECOND_MS;
    counted_ms += passed * SECOND_MS;
    for (size_t i = 0; i < MODULES; i++)
        count_off(i, passed < LOG_BURST ? passed * LOG_PER_SECOND : LOG_BURST);
}

/// Logging ///

void log_line(enum log_level level, const char *module, const char *format, ...)
{
    if ((uint32_t)level > log_threshold && !some_have_levels)
        return;
    log_poll();
    size_t number = module_find(module);
    if ((uint32_t)level > log_module_level((uint32_t)number) || (level != LOG_DEBUG && !may_log(number)))
        return;
    va_list arguments;
    va_start(arguments, format);
    line_out(level, module, format, arguments);
    va_end(arguments);
}
