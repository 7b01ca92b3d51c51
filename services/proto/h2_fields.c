#include "h2_private.h"
#include <string.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

/// Characters ///

// Of a token (RFC 9110 section 5.6.2), without capitals.
static bool is_name_character(char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || memchr(others, c, sizeof others - 1) != NULL;
}

static bool is_name(struct span name)
{
    for (size_t i = 0; i < name.length; i++)
        if (!is_name_character(name.at[i]))
            return false;
    return name.length > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

// Section 8.2.1.
static bool is_value(struct span value)
{
    for (size_t i = 0; i < value.length; i++)
        if (value.at[i] == '\0' || value.at[i] == '\r' || value.at[i] == '\n')
            return false;
    return value.length == 0 || (!is_blank(value.at[0]) && !is_blank(value.at[value.length - 1]));
}

/// Pseudo-header fields (section 8.3) ///

#define METHOD     0x01
#define SCHEME     0x02
#define AUTHORITY  0x04
#define PATH       0x08
#define STATUS     0x10
#define IS_CONNECT 0x20

static bool is_not_empty(struct h2_connection *c, struct span value)
{
    (void)c;
    return value.length > 0;
}

static bool is_anything(struct h2_connection *c, struct span value)
{
    (void)c, (void)value;
    return true;
}

static bool take_method(struct h2_connection *c, struct span value)
{
    if (span_equal(value, span_of("CONNECT")))
        c->pseudo |= IS_CONNECT;
    return value.length > 0;
}

// 101 does not exist here (section 8.6).
static bool take_status(struct h2_connection *c, struct span value)
{
    uint64_t status;
    if (value.length != 3 || !span_number(value, 999, &status) || status < 100 || status == 101)
        return false;
    c->status = (uint16_t)status;
    return true;
}

// bit: that it was there; role: who may get it; good: what its value must be.
static const struct {
    const char *name;
    uint8_t bit;
    enum h2_role role;
    bool (*good)(struct h2_connection *c, struct span value);
} pseudo_fields[] = {
    {":method", METHOD, H2_SERVER, take_method},       {":scheme", SCHEME, H2_SERVER, is_not_empty},
    {":authority", AUTHORITY, H2_SERVER, is_anything}, {":path", PATH, H2_SERVER, is_not_empty},
    {":status", STATUS, H2_CLIENT, take_status},
};

// Of a path that is too large the server answers 414 or 431, so it is well-formed; a status that is too large is none.
static bool pseudo_is_good(struct h2_connection *c, const struct hpack_step *field, size_t row)
{
    uint8_t bit = pseudo_fields[row].bit;
    if (pseudo_fields[row].role != c->role || c->pseudo & bit)
        return false;
    c->pseudo |= bit;
    if (field->event == HPACK_FIELD_TOO_LARGE)
        return c->role == H2_SERVER;
    return pseudo_fields[row].good(c, field->value);
}

// Unknown ones are malformed, and so is one in trailers or behind a regular field.
static bool take_pseudo(struct h2_connection *c, const struct hpack_step *field)
{
    if (c->fields_began || c->stream->section == H2_BEHIND_HEADERS)
        return false;
    for (size_t i = 0; i < COUNT(pseudo_fields); i++)
        if (span_equal(field->name, span_of(pseudo_fields[i].name)))
            return pseudo_is_good(c, field, i);
    return false;
}

bool h2_fields_are_complete(const struct h2_connection *c)
{
    uint8_t needed = METHOD | SCHEME | PATH;
    if (c->role == H2_CLIENT)
        return c->pseudo == STATUS;
    if (c->pseudo & IS_CONNECT) // section 8.5
        return c->pseudo == (METHOD | AUTHORITY | IS_CONNECT);
    return (c->pseudo & needed) == needed;
}

/// Regular fields ///

static bool is_forbidden(struct h2_connection *c, struct span value)
{
    (void)c, (void)value;
    return false;
}

static bool is_trailers(struct h2_connection *c, struct span value)
{
    (void)c;
    return span_equal_nocase(value, span_of("trailers"));
}

// That of an interim response or of a trailer section says nothing about this message's content.
static bool take_content_length(struct h2_connection *c, struct span value)
{
    struct h2_stream *s = c->stream;
    bool interim = c->status >= 100 && c->status < 200;
    if (interim || s->section == H2_BEHIND_HEADERS)
        return true;
    if (s->flags & H2_LENGTH_KNOWN || !span_number(value, INT64_MAX, &s->content_length))
        return false;
    s->flags |= H2_LENGTH_KNOWN;
    return true;
}

// Those that HTTP/2 forbids (section 8.2.2) or reads itself; good: what its value must be.
static const struct {
    const char *name;
    bool (*good)(struct h2_connection *c, struct span value);
} regular_fields[] = {
    {"connection", is_forbidden},
    {"proxy-connection", is_forbidden},
    {"keep-alive", is_forbidden},
    {"transfer-encoding", is_forbidden},
    {"upgrade", is_forbidden},
    {"te", is_trailers},
    {"content-length", take_content_length},
};

// What is too large has an empty value here, which none of them may have.
static bool take_regular(struct h2_connection *c, const struct hpack_step *field)
{
    c->fields_began = true;
    if (!is_name(field->name))
        return false;
    for (size_t i = 0; i < COUNT(regular_fields); i++)
        if (span_equal(field->name, span_of(regular_fields[i].name)))
            return regular_fields[i].good(c, field->value);
    return true;
}

bool h2_field_is_good(struct h2_connection *c, const struct hpack_step *field)
{
    if (!is_value(field->value))
        return false;
    if (field->event == HPACK_FIELD_TOO_LARGE && field->name.length == 0) // nobody knows what it was
        return true;
    if (field->name.length > 0 && field->name.at[0] == ':')
        return take_pseudo(c, field);
    return take_regular(c, field);
}
