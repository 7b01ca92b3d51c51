#include "screen.h"

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "text.h"

static struct {
    bool is_terminal;
    bool has_colours;
    bool is_prompting;
    bool has_entered; // Enter was pressed: `entered` holds the line
    bool has_ended;   // Ctrl-D
    bool is_gone;
    char *entered;
} screen;

static const char *const colours[] = {
    [STYLE_MESSAGE] = "",        [STYLE_ACTION] = "\x1b[36m", [STYLE_PRIVATE] = "\x1b[35m",
    [STYLE_SYSTEM] = "\x1b[32m", [STYLE_CLIENT] = "\x1b[33m",
};

/// Keys ///

// Enter wipes the typed line before it is accepted: it comes back as the server's echo, with the name in front.
static int enter(int count, int key)
{
    (void)count;
    (void)key;
    free(screen.entered);
    screen.entered = strdup(rl_line_buffer);
    rl_clear_visible_line();
    // Through the undo list, because Enter on a line of the history reverts what was changed there.
    rl_delete_text(0, rl_end);
    rl_point = 0;
    rl_on_new_line();
    rl_redisplay();
    return rl_newline(1, '\n');
}

// Only records: screen_keys() acts once readline has put the terminal back in order.
static void accepted(char *line)
{
    screen.has_entered = line != NULL;
    screen.has_ended = line == NULL;
    free(line);
    if (screen.has_ended) { // here and not later: readline would show another prompt
        screen.is_prompting = false;
        rl_callback_handler_remove();
    }
}

static void bind_keys(void)
{
    Keymap maps[] = {emacs_standard_keymap, vi_insertion_keymap, vi_movement_keymap};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        rl_bind_key_in_map('\r', enter, maps[i]);
        rl_bind_key_in_map('\n', enter, maps[i]);
    }
    rl_bind_key_in_map('\t', rl_insert, emacs_standard_keymap); // file names complete nothing here
    rl_bind_key_in_map('\t', rl_insert, vi_insertion_keymap);
}

static void start_readline(void)
{
    rl_readline_name = "chat_cli";
    rl_catch_signals = 0; // loop.c owns them
    rl_catch_sigwinch = 0;
    rl_erase_empty_line = 1;
    rl_initialize();
    bind_keys();
    using_history();
    stifle_history(1000);
}

void screen_start(void)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    screen.is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    screen.has_colours = screen.is_terminal && (no_colour == NULL || no_colour[0] == '\0') && terminal != NULL &&
                         strcmp(terminal, "dumb") != 0;
    if (screen.is_terminal)
        start_readline();
}

bool screen_is_terminal(void)
{
    return screen.is_terminal;
}

void screen_prompt(void)
{
    if (!screen.is_terminal || screen.is_prompting || screen.has_ended)
        return;
    screen.is_prompting = true;
    rl_callback_handler_install("> ", accepted);
}

void screen_stop(void)
{
    if (!screen.is_prompting)
        return;
    screen.is_prompting = false;
    rl_clear_visible_line();
    rl_callback_handler_remove();
    fflush(stdout);
}

bool screen_is_prompting(void)
{
    return screen.is_prompting;
}

static bool has_key(void)
{
    struct pollfd keyboard = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&keyboard, 1, 0) == 1;
}

// A pasted text may hold several lines: each is a message.
static void take_entered(void (*take)(const char *line, size_t length))
{
    char *text = screen.entered;
    screen.entered = NULL;
    if (text == NULL)
        return;
    if (text[0] != '\0')
        add_history(text);
    using_history();
    for (char *line = text; line != NULL;) {
        char *end = strchr(line, '\n');
        take(line, end != NULL ? (size_t)(end - line) : strlen(line));
        line = end != NULL ? end + 1 : NULL;
    }
    free(text);
}

void screen_keys(void (*take)(const char *line, size_t length))
{
    while (screen.is_prompting && has_key()) {
        rl_callback_read_char();
        if (screen.has_ended) {
            take(NULL, 0);
        } else if (screen.has_entered) {
            screen.has_entered = false;
            take_entered(take);
        }
    }
}

void screen_resized(void)
{
    if (screen.is_prompting)
        rl_resize_terminal();
}

void screen_suspend(void)
{
    if (screen.is_prompting)
        rl_deprep_terminal();
    raise(SIGSTOP);
    if (!screen.is_prompting)
        return;
    rl_prep_terminal(1);
    rl_forced_update_display();
}

/// Lines ///

static void print(FILE *stream, enum style style, const char *prefix, const char *text)
{
    const char *colour = screen.has_colours ? colours[style] : "";
    if (screen.is_prompting)
        rl_clear_visible_line();
    fprintf(stream, "%s%s%s%s\n", colour, prefix, text, colour[0] != '\0' ? "\x1b[0m" : "");
    if (fflush(stream) != 0 && stream == stdout)
        screen.is_gone = true;
    if (screen.is_prompting) {
        rl_on_new_line();
        rl_redisplay();
    }
}

void screen_line(enum style style, const char *text, size_t length)
{
    static char shown[3 * 65536 + 1]; // a byte becomes three at the most
    text_printable(shown, sizeof shown, text, length);
    print(stdout, style, "", shown);
}

static void say(bool is_sorry, const char *format, va_list arguments)
{
    char words[2048];
    char shown[4096];
    vsnprintf(words, sizeof words, format, arguments);
    text_printable(shown, sizeof shown, words, strlen(words));
    if (is_sorry || !screen.is_terminal)
        print(stderr, STYLE_MESSAGE, "chat_cli: ", shown);
    else
        print(stdout, STYLE_CLIENT, "-- ", shown);
}

void screen_status(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(false, format, arguments);
    va_end(arguments);
}

void screen_sorry(const char *format, ...)
{
    va_list arguments;
    screen_stop();
    va_start(arguments, format);
    say(true, format, arguments);
    va_end(arguments);
}

bool screen_is_gone(void)
{
    return screen.is_gone;
}
