// Log lines on the console: `12.345 info  hub: alice joined`.
//
// One call, one line of at most LOG_LINE bytes; longer ones are cut. Secrets (passwords, codes, tokens) never go in,
// but for the codes in development mode.
#ifndef PIPIT_LOG_H
#define PIPIT_LOG_H

#include <stdint.h>

#define LOG_LINE 200

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

// An enum log_level; lines above it are dropped. LOG_INFO from the start.
extern uint32_t log_threshold;

// `format` as text_format() has it, without a line end.
void log_line(enum log_level level, const char *module, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
