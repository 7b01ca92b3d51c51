// The bounds of names, emails and passwords. Knows nothing of the store.
#include "../proto/utf8.h"
#include "users.h"
#include <string.h>

/// Characters ///

// Cuts the first character off valid UTF-8 that is not empty.
static uint32_t next_character(struct span *text)
{
    uint8_t lead = (uint8_t)text->at[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t character = length == 1 ? lead : lead & (0x7fu >> length);
    for (size_t i = 1; i < length; i++)
        character = character << 6 | ((uint8_t)text->at[i] & 0x3fu);
    text->at += length;
    text->length -= length;
    return character;
}

// C0, DEL and C1.
static bool is_control(uint32_t character)
{
    return character < 0x20 || (character >= 0x7f && character <= 0x9f);
}

// Unicode's White_Space property without the control characters, and the characters without width that a reader
// can't see either: a name must not look like another one.
static bool is_blank(uint32_t character)
{
    static const struct {
        uint16_t first, last;
    } blanks[] = {{0x20, 0x20},     {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200f},
                  {0x2028, 0x202f}, {0x205f, 0x2060}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    for (size_t i = 0; i < sizeof blanks / sizeof blanks[0]; i++)
        if (character >= blanks[i].first && character <= blanks[i].last)
            return true;
    return false;
}

static bool any(struct span text, bool (*is)(uint32_t character))
{
    while (text.length > 0)
        if (is(next_character(&text)))
            return true;
    return false;
}

static bool has(struct span text, char byte)
{
    return text.length > 0 && memchr(text.at, byte, text.length) != NULL;
}

/// Names ///

// `text` is not empty.
static bool blank_at_an_end(struct span text)
{
    uint32_t character = next_character(&text);
    bool blank = is_blank(character);
    while (text.length > 0)
        character = next_character(&text);
    return blank || is_blank(character);
}

const char *users_check_name(struct span name)
{
    if (name.length == 0 || name.length > NAME_MAX_BYTES)
        return "The user name must have 1 to 32 bytes.";
    if (!utf8_valid(name))
        return "The user name must be valid UTF-8.";
    if (any(name, is_control))
        return "The user name must not contain control characters.";
    if (blank_at_an_end(name))
        return "The user name must not begin or end with white space.";
    if (has(name, '@'))
        return "The user name must not contain an @, because an email could be meant.";
    if (span_starts_nocase(name, span_of("guest-")))
        return "The user name must not begin with guest-, because guests are named so.";
    if (span_equal_nocase(name, span_of("system")))
        return "The user name system belongs to the server itself.";
    return NULL;
}

/// Emails ///

// Characters that would need quoting in an SMTP path (RFC 5321 section 4.1.2), where this text goes.
static bool is_special(uint32_t character)
{
    return is_blank(character) || (character < 0x80 && strchr("<>()[]\",;:\\", (int)character) != NULL);
}

static bool has_two_sides(struct span email)
{
    struct span local = span_cut(&email, '@');
    return local.length > 0 && email.length > 0 && !has(email, '@');
}

const char *users_check_email(struct span email)
{
    if (email.length == 0 || email.length > EMAIL_MAX_BYTES)
        return "The email must have 1 to 254 bytes.";
    if (!utf8_valid(email))
        return "The email must be valid UTF-8.";
    if (any(email, is_control))
        return "The email must not contain control characters.";
    if (!has_two_sides(email))
        return "The email must have exactly one @ with something on both sides.";
    if (any(email, is_special))
        return "The email must not contain spaces or any of < > ( ) [ ] \" , ; : \\.";
    return NULL;
}

/// Passwords ///

const char *users_check_password(struct span password)
{
    if (password.length < PASSWORD_MIN_BYTES || password.length > PASSWORD_MAX_BYTES)
        return "The password must have 6 to 64 bytes.";
    if (!utf8_valid(password))
        return "The password must be valid UTF-8.";
    return NULL;
}
