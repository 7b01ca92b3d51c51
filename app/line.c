#include "line.h"
#include "../port/port.h"
#include "../port/text.h"
#include "limits.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define COLUMNS 79 // of the screen, as nobody tells us how many there are; the last one is left for the cursor

// Where we are in an escape sequence (ECMA-48 section 5.4): ESC, then '[' or 'O', then digits, then a letter or '~'.
enum escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_PARAMETERS };

static struct {
    char bytes[SHELL_LINE];
    uint16_t length;
    uint16_t cursor;    // bytes before it
    uint16_t on_screen; // bytes that stand there with the cursor behind them, when nothing else has changed
    uint8_t escape;     // an enum escape
    uint8_t parameter;
    uint8_t missing; // bytes of the UTF-8 character that is arriving
    bool redraw;     // the screen shows something else
    bool drawn;      // something of the line stands on the screen
    bool too_long;
    bool after_return; // a line feed belongs to it
    uint8_t back;      // lines that we have gone back in the history
} line;

// Lines, oldest first, each ended by a NUL.
static char history[LINE_HISTORY];
static uint16_t history_length;

_Static_assert(SHELL_LINE <= UINT16_MAX && LINE_HISTORY <= UINT16_MAX, "the console's line is counted in 16 bits");

struct span line_text(void)
{
    return (struct span){line.bytes, line.length};
}

/// Characters ///

static bool is_continuation(char byte)
{
    return ((uint8_t)byte & 0xc0) == 0x80;
}

// The beginning of the character before `at`, and the end of the one that begins there.
static uint16_t before(uint16_t at)
{
    while (at > 0 && is_continuation(line.bytes[--at]))
        ;
    return at;
}

static uint16_t behind(uint16_t at)
{
    if (at < line.length)
        at++;
    while (at < line.length && is_continuation(line.bytes[at]))
        at++;
    return at;
}

static uint32_t columns(size_t from, size_t to)
{
    uint32_t n = 0;
    for (; from < to; from++)
        n += !is_continuation(line.bytes[from]);
    return n;
}

// RFC 3629: how many bytes follow a first one, or -1 when it is none.
static int followers(char first)
{
    uint8_t c = (uint8_t)first;
    if (c < 0x80)
        return 0;
    if (c < 0xc2 || c > 0xf4)
        return -1;
    return c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
}

/// The screen ///

static void write_string(const char *s)
{
    port_console_write(s, strlen(s));
}

static void write_from_to(size_t from, size_t to)
{
    size_t shown = line_shown(line_text());
    if (from < shown)
        port_console_write(line.bytes + from, (to < shown ? to : shown) - from);
    for (size_t at = from > shown ? from : shown; at < to; at++)
        if (!is_continuation(line.bytes[at]))
            port_console_write("*", 1);
}

// What is on the screen is the part of the line that has the cursor in it.
static void draw(void)
{
    uint16_t from = 0;
    while (columns(from, line.cursor) >= COLUMNS)
        from = behind(from);
    uint16_t to = from;
    while (to < line.length && columns(from, to) < COLUMNS)
        to = behind(to);
    write_string("\r");
    write_from_to(from, to);
    write_string("\x1b[K");
    if (line.cursor < to) {
        char bytes[16];
        struct text t = text_in(bytes, sizeof bytes);
        text_format(&t, "\x1b[%uD", (unsigned)columns(line.cursor, to));
        port_console_write(t.at, t.length);
    }
}

static bool only_grew(void)
{
    return !line.redraw && line.cursor == line.length && line.on_screen <= line.length &&
           columns(0, line.length) < COLUMNS;
}

bool line_is_stale(void)
{
    return (line.redraw || line.on_screen != line.length) && line.missing == 0 && port_console_is_terminal();
}

void line_show(void)
{
    if (!line_is_stale())
        return;
    if (only_grew())
        write_from_to(line.on_screen, line.length);
    else
        draw();
    line.redraw = false;
    line.on_screen = line.length;
    line.drawn = line.length > 0;
}

void line_hide(void)
{
    if (!line.drawn)
        return;
    write_string("\r\x1b[K");
    line.drawn = false;
    line.redraw = true;
}

static void end_on_screen(void)
{
    if (!port_console_is_terminal())
        return;
    line.cursor = line.length;
    line_show();
    write_string("\n");
    line.drawn = false;
}

/// Changing it ///

void line_clear(void)
{
    bool after_return = line.after_return;
    mbedtls_platform_zeroize(&line, sizeof line);
    line.after_return = after_return;
}

static void changed(void)
{
    line.redraw = true;
}

static void remove_bytes(uint16_t from, uint16_t to)
{
    if (from == to)
        return;
    memmove(line.bytes + from, line.bytes + to, (size_t)(line.length - to));
    line.length = (uint16_t)(line.length - (to - from));
    line.cursor = from;
    memset(line.bytes + line.length, 0, (size_t)(to - from));
    changed();
}

static void insert(const char *bytes, size_t length)
{
    if (length > sizeof line.bytes - line.length)
        line.too_long = true;
    if (length == 0 || length > sizeof line.bytes - line.length)
        return;
    if (line.cursor < line.length)
        changed();
    memmove(line.bytes + line.cursor + length, line.bytes + line.cursor, (size_t)(line.length - line.cursor));
    memcpy(line.bytes + line.cursor, bytes, length);
    line.length = (uint16_t)(line.length + length);
    line.cursor = (uint16_t)(line.cursor + length);
}

// A character whose end never came, or found no room.
static void drop_partial(void)
{
    if (line.missing == 0)
        return;
    line.missing = 0;
    remove_bytes(before(line.cursor), line.cursor);
}

static void insert_typed(char byte)
{
    int more = followers(byte);
    if (is_continuation(byte)) {
        if (line.missing == 0)
            return;
        insert(&byte, 1);
        line.missing--;
        return;
    }
    drop_partial();
    if (more < 0)
        return;
    if ((size_t)more >= sizeof line.bytes - line.length) {
        line.too_long = true;
        return;
    }
    insert(&byte, 1);
    line.missing = (uint8_t)more;
}

static void replace(struct span text)
{
    remove_bytes(0, line.length);
    insert(text.at, text.length);
    changed();
}

static void move(uint16_t to)
{
    if (line.cursor != to)
        changed();
    line.cursor = to;
}

static void delete_word(void)
{
    uint16_t from = line.cursor;
    while (from > 0 && line.bytes[from - 1] == ' ')
        from--;
    while (from > 0 && line.bytes[from - 1] != ' ')
        from--;
    remove_bytes(from, line.cursor);
}

/// History ///

// The line that was `back` lines ago, 1 being the newest; without `at` when there is none.
static struct span history_line(unsigned back)
{
    size_t end = history_length, from = end;
    for (unsigned i = 0; i < back; i++) {
        if (from == 0)
            return (struct span){NULL, 0};
        end = from - 1;
        for (from = end; from > 0 && history[from - 1] != '\0'; from--)
            ;
    }
    return (struct span){history + from, end - from};
}

void line_remember(void)
{
    struct span text = span_trim(line_text());
    if (text.length == 0 || text.length + 1 > sizeof history || span_equal(text, history_line(1)))
        return;
    size_t drop = 0;
    while (history_length - drop + text.length + 1 > sizeof history)
        drop += strlen(history + drop) + 1;
    history_length = (uint16_t)(history_length - drop);
    memmove(history, history + drop, history_length);
    memcpy(history + history_length, text.at, text.length);
    history_length = (uint16_t)(history_length + text.length + 1);
    history[history_length - 1] = '\0';
}

static void show_history(unsigned back)
{
    struct span text = history_line(back);
    if ((back > 0 && text.at == NULL) || back > UINT8_MAX)
        return;
    line.back = (uint8_t)back;
    replace(back > 0 ? text : (struct span){NULL, 0});
}

static void go_down(void)
{
    if (line.back > 0)
        show_history(line.back - 1u);
}

/// Completion ///

struct completion {
    struct span before; // what stands before the word
    struct span word;   // up to the cursor
    const char *first;
    size_t common; // bytes that all candidates begin with
    uint32_t count;
};

static size_t common_length(const char *a, const char *b, size_t most)
{
    size_t n = 0;
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

static struct completion candidates(void)
{
    size_t from = line.cursor;
    while (from > 0 && line.bytes[from - 1] != ' ')
        from--;
    struct completion c = {.before = {line.bytes, from}, .word = {line.bytes + from, line.cursor - from}};
    const char *name;
    for (uint32_t i = 0; (name = line_candidate(c.before, i)) != NULL; i++) {
        if (!span_starts(span_of(name), c.word))
            continue;
        c.common = c.count == 0 ? strlen(name) : common_length(c.first, name, c.common);
        c.first = c.count == 0 ? name : c.first;
        c.count++;
    }
    return c;
}

// One line of them; those that find no room there are three dots.
static void list(const struct completion *c)
{
    char bytes[COLUMNS + 1];
    struct text t = text_in(bytes, COLUMNS - 4);
    const char *name;
    for (uint32_t i = 0; (name = line_candidate(c->before, i)) != NULL; i++) {
        if (!span_starts(span_of(name), c->word))
            continue;
        if (t.length + strlen(name) + 2 > t.size) {
            t.size = COLUMNS;
            text_string(&t, "...");
            break;
        }
        text_format(&t, "%s  ", name);
    }
    t.size = sizeof bytes;
    text_byte(&t, '\n');
    line_hide();
    port_console_write(t.at, t.length);
}

static void complete(void)
{
    struct completion c = candidates();
    if (c.count == 0)
        return;
    if (c.count > 1 && c.common == c.word.length) {
        list(&c);
        return;
    }
    insert(c.first + c.word.length, c.common - c.word.length);
    if (c.count == 1 && line.cursor == line.length)
        insert(" ", 1);
}

/// Keys ///

static void key(char letter)
{
    switch (letter) {
    case 'A':
        show_history(line.back + 1u);
        break;
    case 'B':
        go_down();
        break;
    case 'C':
        move(behind(line.cursor));
        break;
    case 'D':
        move(before(line.cursor));
        break;
    case 'H':
        move(0);
        break;
    case 'F':
        move(line.length);
        break;
    default:
        break;
    }
}

// "ESC [ 3 ~": the number is a key of a VT220.
static void numbered_key(uint8_t number)
{
    if (number == 1 || number == 7)
        move(0);
    else if (number == 4 || number == 8)
        move(line.length);
    else if (number == 3) {
        uint16_t at = line.cursor;
        remove_bytes(at, behind(at));
    }
}

// True when the byte belongs to an escape sequence, which may arrive in pieces.
static bool escaped(char byte)
{
    if (line.escape == ESCAPE_NONE || (uint8_t)byte < 0x20)
        return false;
    if (line.escape == ESCAPE_BEGUN) {
        line.escape = byte == '[' || byte == 'O' ? ESCAPE_PARAMETERS : ESCAPE_NONE;
        line.parameter = 0;
        return true;
    }
    if (byte >= '0' && byte <= '9')
        line.parameter = (uint8_t)(line.parameter * 10 + byte - '0');
    else if (byte == ';')
        line.parameter = 0;
    if ((uint8_t)byte < 0x40)
        return true;
    line.escape = ESCAPE_NONE;
    if (byte == '~')
        numbered_key(line.parameter);
    else
        key(byte);
    return true;
}

#define CONTROL(LETTER) ((LETTER)&0x1f)

static enum line_event cancel(void)
{
    end_on_screen();
    line_clear();
    return LINE_CANCELLED;
}

static enum line_event control(char byte)
{
    switch (byte) {
    case '\b':
    case 127:
        remove_bytes(before(line.cursor), line.cursor);
        break;
    case '\t':
        complete();
        break;
    case CONTROL('A'):
        move(0);
        break;
    case CONTROL('C'):
        return cancel();
    case CONTROL('D'):
        if (line.length == 0)
            return cancel();
        numbered_key(3);
        break;
    case CONTROL('E'):
        move(line.length);
        break;
    case CONTROL('K'):
        remove_bytes(line.cursor, line.length);
        break;
    case CONTROL('L'):
        write_string("\x1b[H\x1b[2J");
        changed();
        break;
    case CONTROL('N'):
        go_down();
        break;
    case CONTROL('P'):
        show_history(line.back + 1u);
        break;
    case CONTROL('U'):
        remove_bytes(0, line.cursor);
        line.too_long = false;
        break;
    case CONTROL('W'):
        delete_word();
        break;
    case '\x1b':
        line.escape = ESCAPE_BEGUN;
        break;
    default:
        break;
    }
    return LINE_TYPING;
}

static enum line_event end_line(char byte)
{
    bool second = byte == '\n' && line.after_return;
    line.after_return = byte == '\r';
    if (second)
        return LINE_TYPING;
    drop_partial();
    end_on_screen();
    return line.too_long ? LINE_TOO_LONG : LINE_DONE;
}

// Without a person there is nothing to edit, and every byte is meant as it is.
static void plain_byte(char byte)
{
    if (byte == '\b' || byte == 127)
        remove_bytes(before(line.cursor), line.cursor);
    else if ((uint8_t)byte >= 0x20)
        insert(&byte, 1);
}

enum line_event line_byte(char byte)
{
    if (byte == '\n' || byte == '\r')
        return end_line(byte);
    line.after_return = false;
    if (!port_console_is_terminal()) {
        plain_byte(byte);
        return LINE_TYPING;
    }
    if (escaped(byte))
        return LINE_TYPING;
    line.escape = ESCAPE_NONE;
    if ((uint8_t)byte >= 0x20 && byte != 127) {
        insert_typed(byte);
        return LINE_TYPING;
    }
    drop_partial();
    return control(byte);
}
