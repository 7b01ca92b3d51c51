#include "transcript.h"
#include "../../port/log.h"
#include <mbedtls/platform_util.h>
#include <string.h>

#define LINE_MOST 160 // bytes of a console line; longer ones are cut and end in three dots

// A line that is being gathered.
struct line {
    bool number_only;
    bool cut;
    size_t length;
    char bytes[LINE_MOST - 8];
};

static struct line heard;
static struct line said;

static const char *mark_of(const struct line *line)
{
    return line == &said ? "C: " : "S: ";
}

static size_t message; // bytes of it that were sent

/// What may be seen ///

// What is shown of our own bytes in a state: themselves, or words in their place ("" for the size of the message). A
// state that is not in the table shows nothing.
static const struct {
    bool plain;
    const char *instead;
} shows[] = {
    [SMTP_EHLO] = {true, NULL},
    [SMTP_HELO] = {true, NULL},
    [SMTP_STARTTLS] = {true, NULL},
    [SMTP_AUTH_PLAIN] = {false, "AUTH PLAIN (secret)"},
    [SMTP_AUTH_PLAIN_ALONE] = {true, NULL},
    [SMTP_AUTH_PLAIN_RESPONSE] = {false, "(secret)"},
    [SMTP_AUTH_LOGIN] = {true, NULL},
    [SMTP_AUTH_LOGIN_USER] = {false, "(secret)"},
    [SMTP_AUTH_LOGIN_PASSWORD] = {false, "(secret)"},
    [SMTP_MAIL] = {true, NULL},
    [SMTP_RCPT] = {true, NULL},
    [SMTP_DATA] = {true, NULL},
    [SMTP_CONTENT] = {false, ""},
    [SMTP_ABORT] = {true, NULL},
    [SMTP_QUIT] = {true, NULL},
    [SMTP_FAILED] = {false, NULL},
};

static bool answers_credentials(enum smtp_state state)
{
    return state >= SMTP_AUTH_PLAIN && state <= SMTP_AUTH_LOGIN_PASSWORD;
}

/// Lines ///

static void show(const char *mark, struct span text, bool cut)
{
    char bytes[LINE_MOST];
    struct text t = text_in(bytes, sizeof bytes - 4);
    text_string(&t, mark);
    for (size_t i = 0; i < text.length; i++)
        text_byte(&t, text.at[i] >= ' ' && text.at[i] <= '~' ? text.at[i] : '?');
    t.size = sizeof bytes;
    if (cut || t.cut)
        text_string(&t, "...");
    text_byte(&t, '\n');
    log_write(t.at, t.length);
}

// The code, and whether more lines follow.
static struct span number_of(struct span text)
{
    size_t n = 0;
    while (n < text.length && n < 3 && text.at[n] >= '0' && text.at[n] <= '9')
        n++;
    return (struct span){text.at, n + (n == 3 && text.length > 3 && text.at[3] == '-')};
}

static void end_line(struct line *line)
{
    struct span text = {line->bytes, line->length};
    if (text.length > 0 && text.at[text.length - 1] == '\r')
        text.length--;
    if (line->number_only)
        show(mark_of(line), number_of(text), false);
    else
        show(mark_of(line), text, line->cut);
    mbedtls_platform_zeroize(line->bytes, sizeof line->bytes);
    line->number_only = line->cut = false;
    line->length = 0;
}

static void gather(struct line *line, struct span bytes)
{
    for (size_t i = 0; i < bytes.length; i++) {
        if (bytes.at[i] == '\n')
            end_line(line);
        else if (line->length < sizeof line->bytes)
            line->bytes[line->length++] = bytes.at[i];
        else
            line->cut = true;
    }
}

void transcript_note(const char *format, ...)
{
    char bytes[LINE_MOST];
    struct text t = text_in(bytes, sizeof bytes);
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&t, format, arguments);
    va_end(arguments);
    show("-- ", text_whole(&t), t.cut);
}

/// Both sides ///

static void show_instead(const char *instead)
{
    char bytes[48];
    struct text t = text_in(bytes, sizeof bytes);
    if (instead[0] != '\0')
        text_string(&t, instead);
    else
        text_format(&t, "(the message, %zu bytes)", message);
    show(mark_of(&said), text_whole(&t), false);
    message = 0;
}

void transcript_said(enum smtp_state state, struct span bytes, bool more)
{
    if (shows[state].plain) {
        gather(&said, bytes);
        return;
    }
    message += bytes.length;
    if (!more && shows[state].instead != NULL)
        show_instead(shows[state].instead);
}

void transcript_heard(enum smtp_state state, struct span piece)
{
    heard.number_only = heard.number_only || answers_credentials(state);
    gather(&heard, piece);
}

void transcript_end(void)
{
    if (heard.length > 0)
        end_line(&heard);
    if (said.length > 0)
        end_line(&said);
    message = 0;
}
