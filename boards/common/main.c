// A board's life: prepare, read the note, run.
#include "../../app/main.h"
#include "../../app/config.h"
#include "../../port/log.h"
#include "../../port/port.h"
#include "board.h"
#include "entropy.h"
#include "note.h"
#include "retained.h"

static void apply_note(void)
{
    char buffer[200];
    struct text why = text_in(buffer, sizeof buffer);
    if (!config_read(note_settings(), &why))
        log_line(LOG_ERROR, "board", "boot note: %s", text_end(&why));
}

static void greet(bool has_entropy)
{
    log_line(LOG_INFO, "board", "%s, started after: %s", board_name, port_reset_reason());
    if (!has_entropy)
        log_line(LOG_ERROR, "board",
                 "this machine has no seed for its random numbers: it can make no codes, tokens or passwords until it "
                 "is given one (boards/%s/README.md says how)",
                 board_name);
}

_Noreturn void board_main(void)
{
    board_start();
    machine_start();
    config_defaults();
    retained_begin();
    note_read();
    bool has_entropy = entropy_start();
    pipit_recall();
    apply_note();
    greet(has_entropy);
    pipit_main();
    port_reboot("it could not start");
}

bool port_stopping(void)
{
    return false;
}

_Noreturn void port_reboot(const char *reason)
{
    char buffer[80];
    struct text t = text_in(buffer, sizeof buffer);
    text_format(&t, "reboot: %s", reason);
    retained_reason(text_end(&t));
    log_line(LOG_WARNING, "board", "%s", buffer);
    board_reset();
}
