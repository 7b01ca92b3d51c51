// The last words of a machine that has failed.
#include "../../port/port.h"
#include "../../port/text.h"
#include "../../port/trail.h"
#include "board.h"
#include "retained.h"

static char line_bytes[160]; // not on the stack: that may be what has failed

static void say(struct text *line)
{
    text_byte(line, '\n');
    port_console_write(line->at, line->length);
    line->length = 0;
}

static void say_registers(struct text *line, const struct fault_register *registers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        text_format(line, "  %s %08x", registers[i].name, (unsigned)registers[i].value);
        if (i % 6 == 5 || i + 1 == count)
            say(line);
    }
}

static void say_trail(struct text *line)
{
    const struct trail_entry *e;
    text_format(line, "  in the turn of: %s", trail_turn);
    say(line);
    for (size_t i = 0; (e = trail_entry(i)) != NULL; i++) {
        text_format(line, "  %u ms %s: %s %u: %s -> %s", (unsigned)e->ms, e->module, e->object, (unsigned)e->number,
                    e->from, e->to);
        say(line);
    }
}

_Noreturn void fault_report(const char *what, const struct fault_register *registers, size_t count)
{
    struct text line = text_in(line_bytes, sizeof line_bytes - 1);
    text_format(&line, "fault: %s in the turn of %s", what, trail_turn);
    retained_reason(text_end(&line));
    say(&line);
    say_registers(&line, registers, count);
    say_trail(&line);
    board_reset();
}
