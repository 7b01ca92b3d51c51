// Log lines on the console: `12.345 info  hub: alice joined`; and to a syslog server (syslog/syslog.h).
//
// One call, one line of at most LOG_LINE bytes; longer ones are cut. Control characters in what a %s stands for are
// escaped, so nobody can make a line up or play with the terminal. Secrets (passwords, codes, tokens) never go in, but
// for the codes in development mode.
//
// A module may log LOG_BURST lines at once and LOG_PER_SECOND for ever; what is more is left out, and counted in a line
// when that ends. Debug lines are not counted: whoever turns them on wants them all.
#ifndef PIPIT_LOG_H
#define PIPIT_LOG_H

#include "span.h"

#define LOG_LINE 200

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

// An enum log_level; lines above it are dropped. LOG_INFO from the start.
extern uint32_t log_threshold;

// `format` as text_format() has it, without a line end.
void log_line(enum log_level level, const char *module, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Tells of the lines that were left out. Once per turn, or less often.
void log_poll(void);

/// Levels ///

// "error", "warning", "info" or "debug"; NULL behind them.
const char *log_level_name(uint32_t level);

// The modules that can have a level of their own; NULL behind the last one.
const char *log_module_name(uint32_t module);

// Gives one module another level than log_threshold, until log_modules_follow().
void log_module_set(uint32_t module, enum log_level level);
uint32_t log_module_level(uint32_t module);

// All modules have log_threshold.
void log_modules_follow(void);

/// The console ///

// Writes whole lines to the console, over the line that is being typed there.
void log_write(const char *bytes, size_t length);

// Called before each of these, when it is not NULL: whoever shows what is being typed takes it away.
extern void (*log_before_write)(void);

#endif
