#include "log.h"
#include "port.h"
#include "text.h"

uint32_t log_threshold = LOG_INFO;

static const char *const level_names[] = {"error", "warn ", "info ", "debug"};

void log_line(enum log_level level, const char *module, const char *format, ...)
{
    if ((uint32_t)level > log_threshold)
        return;
    char line[LOG_LINE];
    struct text t = text_in(line, sizeof line - 1);
    uint64_t now = port_now_ms();
    text_format(&t, "%u.%03u %s %s: ", (unsigned)(now / 1000), (unsigned)(now % 1000), level_names[level], module);
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&t, format, arguments);
    va_end(arguments);
    line[t.length++] = '\n';
    port_console_write(line, t.length);
}
