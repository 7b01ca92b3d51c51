// Fuzzes the console: what is typed, in pieces, with log lines in between, on a terminal or not. The first byte says
// which, and how long the pieces are. Nothing of it may get a control character to the console that is not the line
// editor's own, nor a secret; and the shell comes to rest.
#include "../../app/config.h"
#include "../../app/limits.h"
#include "../../app/line.h"
#include "../../app/shell.h"
#include "../../app/shell_private.h"
#include "../../port/log.h"
#include "../../services/proto/utf8.h"
#include "../unit/machine.h"
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "Xyzzy-Plugh-7"

// Nobody starts the network.
int port_netif_init(struct netif *netif)
{
    (void)netif;
    return -1;
}

static jmp_buf rebooted;

static void on_reboot(const char *reason)
{
    (void)reason;
    longjmp(rebooted, 1);
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

// ESC [ digits letter, as the line editor writes it.
static const char *skip_escape(const char *at)
{
    require(machine_console_is_terminal && at[1] == '[');
    at += 2 + strspn(at + 2, "0123456789");
    require(*at != '\0' && strchr("KDHJ", *at) != NULL);
    return at + 1;
}

static void require_clean(bool secret_was_typed)
{
    require(secret_was_typed || strstr(machine_console, SECRET) == NULL);
    for (const char *at = machine_console; *at != '\0';) {
        if (*at == '\x1b') {
            at = skip_escape(at);
            continue;
        }
        require((uint8_t)*at >= 0x20 || *at == '\n' || (*at == '\r' && machine_console_is_terminal));
        require(*at != 0x7f);
        at++;
    }
    machine_console_clear();
}

// Editing puts bytes in any order, so every input that has all of the secret's may show it.
static bool may_have_typed(const uint8_t *data, size_t size)
{
    for (const char *at = SECRET; *at != '\0'; at++)
        if (memchr(data, *at, size) == NULL)
            return false;
    return true;
}

static void rest(bool secret_was_typed)
{
    for (unsigned i = 0; shell_step() || shell_is_stale(); i++) {
        require(i < 10000);
        require_clean(secret_was_typed);
    }
    require_clean(secret_was_typed);
    require(!machine_console_is_terminal || utf8_valid(line_text()) || line_text().length > 0);
}

// What the last input has typed must not show up in this one.
static void forget_history(void)
{
    machine_console_is_terminal = false;
    for (unsigned i = 0; i <= LINE_HISTORY / 64; i++) {
        for (unsigned j = 0; j < 64; j++)
            (void)line_byte((char)('A' + i % 26));
        line_remember();
        line_clear();
    }
}

static void type_pieces(const uint8_t *data, size_t size, size_t piece)
{
    bool typed = size == 0 || may_have_typed(data, size);
    while (size > 0) {
        char text[64];
        size_t n = size < piece ? size : piece;
        memcpy(text, data, n);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(text[i] == '\0' ? '\n' : text[i]);
        text[n] = '\0';
        machine_type(text);
        rest(typed);
        log_line(LOG_INFO, "hub", "%s", text);
        require_clean(typed);
        machine_now_ms += 1000;
        log_poll();
        data += n;
        size -= n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char sentence[200];
    struct text why = text_in(sentence, sizeof sentence);
    if (size == 0 || size > 2000)
        return 0;
    config_defaults();
    log_modules_follow();
    require(config_set(span_of("rpc.secret"), span_of(SECRET), &why));
    forget_history();
    machine_console_is_terminal = (data[0] & 1) != 0;
    machine_reboot = on_reboot;
    shell_start();
    machine_console_clear();
    if (setjmp(rebooted) == 0) {
        type_pieces(data + 1, size - 1, 1u + (data[0] >> 1) % 60);
        machine_type("\x03\n\n"); // whatever was asked or begun
        rest(true);
    }
    line_clear();
    shell_ask(NULL, false);
    char left[64];
    while (port_console_read(left, sizeof left) > 0)
        ;
    return 0;
}
