#include "outbox.h"

#include <string.h>

#include "text.h"

static struct outbox_line *at(struct outbox *outbox, size_t index)
{
    return &outbox->lines[(outbox->first + index) % OUTBOX_LINES];
}

static const struct outbox_line *peek(const struct outbox *outbox, size_t index)
{
    return &outbox->lines[(outbox->first + index) % OUTBOX_LINES];
}

bool outbox_add(struct outbox *outbox, const char *text, size_t length)
{
    // A server that answers nothing must not fill the box: what was sent is only kept to find its answer.
    if (outbox->count == OUTBOX_LINES && outbox->sent > 0)
        outbox_drop(outbox);
    if (outbox->count == OUTBOX_LINES || length > OUTBOX_LINE)
        return false;
    struct outbox_line *line = at(outbox, outbox->count++);
    memcpy(line->text, text, length);
    line->text[length] = '\0';
    line->length = length;
    return true;
}

const struct outbox_line *outbox_next(const struct outbox *outbox)
{
    return outbox->sent < outbox->count ? peek(outbox, outbox->sent) : NULL;
}

void outbox_sent(struct outbox *outbox)
{
    outbox->sent++;
}

size_t outbox_waiting(const struct outbox *outbox)
{
    return outbox->count - outbox->sent;
}

bool outbox_answered(struct outbox *outbox, bool (*match)(const struct outbox_line *, const void *), const void *what)
{
    for (size_t i = 0; i < outbox->sent; i++) {
        if (!match(peek(outbox, i), what))
            continue;
        for (size_t done = 0; done <= i; done++)
            outbox_drop(outbox);
        return true;
    }
    return false;
}

const struct outbox_line *outbox_on_its_way(const struct outbox *outbox)
{
    return outbox->sent > 0 ? peek(outbox, 0) : NULL;
}

void outbox_drop(struct outbox *outbox)
{
    outbox->first = (outbox->first + 1) % OUTBOX_LINES;
    outbox->count--;
    if (outbox->sent > 0)
        outbox->sent--;
}

void outbox_return(struct outbox *outbox, bool (*keep)(const struct outbox_line *))
{
    size_t kept = 0;
    for (size_t i = 0; i < outbox->count; i++) {
        const struct outbox_line *line = peek(outbox, i);
        if (i >= outbox->sent || keep(line))
            *at(outbox, kept++) = *line;
    }
    outbox->count = kept;
    outbox->sent = 0;
}

bool outbox_is_public(const struct outbox_line *line)
{
    return line->text[0] != '/' || text_has_word(line->text, line->length, "/me");
}
