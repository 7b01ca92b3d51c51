// The console on a UART: what is typed comes through an interrupt, what is said waits for the wire.
//
// A UART has no terminal driver behind it: lines end in CR LF here, and who reads what is typed echoes it.
#include "../../port/port.h"
#include "board.h"

#define TYPED_BYTES 128 // a power of two; a paste at 115,200 baud outruns a turn of 10 ms

static volatile char typed[TYPED_BYTES];
static volatile uint32_t typed_in, typed_out; // counters that wrap around

void console_received(char byte)
{
    if (typed_in - typed_out < TYPED_BYTES) {
        typed[typed_in % TYPED_BYTES] = byte;
        typed_in++;
    }
    machine_wake();
}

size_t port_console_read(char *bytes, size_t size)
{
    size_t n = 0;
    while (n < size && typed_out != typed_in) {
        bytes[n++] = typed[typed_out % TYPED_BYTES];
        typed[typed_out++ % TYPED_BYTES] = 0; // it may be of a password
    }
    return n;
}

bool port_console_is_terminal(void)
{
    return true;
}

void port_console_write(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] == '\n')
            board_write('\r');
        board_write(bytes[i]);
    }
}
