#include "machine.h"
#include "../../port/pool.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t machine_now_ms = 1000;
uint64_t machine_wall_ms = 1763841600000;
uint32_t machine_wall_sets;
bool machine_has_entropy = true;
bool (*machine_certificates)(const char *name, const char **pem, size_t *length);
const struct machine_flash *machine_flash;
char machine_console[16384];
bool machine_console_is_terminal;
void (*machine_reboot)(const char *reason);
static size_t console_length;
static char typed[4096];
static size_t typed_length;

uint64_t port_now_ms(void)
{
    return machine_now_ms;
}

uint32_t port_now_us(void)
{
    return (uint32_t)(machine_now_ms * 1000);
}

uint64_t port_wall_ms(void)
{
    return machine_wall_ms == 0 ? 0 : machine_wall_ms + machine_now_ms;
}

void port_wall_set(uint64_t ms)
{
    machine_wall_ms = ms - machine_now_ms;
    machine_wall_sets++;
}

bool port_entropy(void *bytes, size_t length)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < length; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((uint8_t *)bytes)[i] = (uint8_t)(state >> 24);
    }
    return machine_has_entropy;
}

bool port_certificates(const char *name, const char **pem, size_t *length)
{
    return machine_certificates != NULL && machine_certificates(name, pem, length);
}

struct flash_geometry port_flash_geometry(void)
{
    return machine_flash != NULL ? machine_flash->geometry : (struct flash_geometry){0};
}

void port_flash_read(uint32_t offset, void *bytes, size_t length)
{
    machine_flash->read(offset, bytes, length);
}

bool port_flash_program(uint32_t offset, const void *bytes, size_t length)
{
    return machine_flash->program(offset, bytes, length);
}

bool port_flash_erase(uint32_t offset)
{
    return machine_flash->erase(offset);
}

size_t port_console_read(char *bytes, size_t size)
{
    size_t n = typed_length < size ? typed_length : size;
    memcpy(bytes, typed, n);
    memmove(typed, typed + n, typed_length - n);
    typed_length -= n;
    memset(typed + typed_length, 0, n); // as a machine does for which it may have been a password
    return n;
}

bool port_console_is_terminal(void)
{
    return machine_console_is_terminal;
}

void machine_type(const char *text)
{
    size_t n = strlen(text);
    if (typed_length + n > sizeof typed)
        abort();
    memcpy(typed + typed_length, text, n);
    typed_length += n;
}

void port_console_write(const char *bytes, size_t length)
{
    if (length >= sizeof machine_console)
        abort();
    if (console_length + length >= sizeof machine_console)
        console_length = 0;
    memcpy(machine_console + console_length, bytes, length);
    console_length += length;
    machine_console[console_length] = '\0';
}

void machine_console_clear(void)
{
    console_length = 0;
    machine_console[0] = '\0';
}

bool port_netif_poll(struct netif *netif)
{
    (void)netif;
    return false;
}

void port_idle(uint32_t most_ms)
{
    machine_now_ms += most_ms;
}

size_t port_stack_size(void)
{
    return 0;
}

size_t port_stack_used(void)
{
    return 0;
}

const char *port_reset_reason(void)
{
    return "test";
}

bool port_stopping(void)
{
    return false;
}

_Noreturn void port_reboot(const char *reason)
{
    if (machine_reboot != NULL)
        machine_reboot(reason);
    fprintf(stderr, "reboot: %s\n", reason);
    abort();
}

void machine_advance(uint64_t ms, void (*turn)(void))
{
    while (ms > 0) {
        uint64_t step = ms < 10 ? ms : 10;
        machine_now_ms += step;
        ms -= step;
        turn();
    }
}

uint32_t machine_pools_used(void)
{
    uint32_t used = 0;
    for (struct pool *p = pool_next(NULL); p != NULL; p = pool_next(p)) {
        if (p->used > 0)
            fprintf(stderr, "pool %s: %u of %u slots still used\n", p->name, p->used, p->size);
        used += p->used;
    }
    return used;
}
