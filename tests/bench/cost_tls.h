// A TLS client that lives in the measured program: its work is done where the loop would sleep, so it does not count.
#ifndef PIPIT_COST_TLS_H
#define PIPIT_COST_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// False where the board has no TLS.
bool cost_tls_exists(void);

// Begins anew, with TLS 1.`minor`; `resume` shows the ticket of the session before.
void cost_tls_begin(int minor, bool resume);

// Shakes hands, or reads, as far as the bytes at hand go. True once hands were shaken.
bool cost_tls_shake(void);

// What has come as plain text goes behind `text`, a string with room for `size` bytes.
void cost_tls_read(char *text, size_t size);

void cost_tls_write(const char *text);

// The wire: where `length` bytes from the device go, NULL when there is no room for them; and up to `most` for it.
uint8_t *cost_tls_take(size_t length);
size_t cost_tls_give(const uint8_t **bytes, size_t most);

// True when the server took a ticket since this was last asked.
bool cost_tls_was_resumed(void);

#endif
