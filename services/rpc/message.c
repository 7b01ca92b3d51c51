#include "message.h"
#include <pb_common.h>
#include <pb_decode.h>

// The tags of the string fields, as bits. Our messages have few fields.
static uint32_t strings_of(const pb_msgdesc_t *fields, void *into)
{
    uint32_t tags = 0;
    pb_field_iter_t at;
    if (!pb_field_iter_begin(&at, fields, into))
        return 0;
    do {
        if (PB_LTYPE(at.type) == PB_LTYPE_STRING && at.tag < 32)
            tags |= 1u << at.tag;
    } while (pb_field_iter_next(&at));
    return tags;
}

static bool skip_text(pb_istream_t *in)
{
    pb_istream_t text;
    pb_byte_t byte = 1;
    if (!pb_make_string_substream(in, &text))
        return false;
    while (text.bytes_left > 0 && byte != 0)
        if (!pb_read(&text, &byte, 1))
            return false;
    return byte != 0 && pb_close_string_substream(in, &text);
}

// The message could be decoded, so what can go wrong here is a NUL alone.
static bool strings_are_text(struct span message, uint32_t tags)
{
    pb_istream_t in = pb_istream_from_buffer((const pb_byte_t *)message.at, message.length);
    pb_wire_type_t type;
    uint32_t tag;
    bool end;
    while (pb_decode_tag(&in, &type, &tag, &end)) {
        bool text = type == PB_WT_STRING && tag < 32 && (tags >> tag & 1) != 0;
        if (!(text ? skip_text(&in) : pb_skip_field(&in, type)))
            return false;
    }
    return true;
}

const char *rpc_decode(struct span message, const pb_msgdesc_t *fields, void *into)
{
    pb_istream_t in = pb_istream_from_buffer((const pb_byte_t *)message.at, message.length);
    if (!pb_decode(&in, fields, into))
        return PB_GET_ERROR(&in);
    return strings_are_text(message, strings_of(fields, into)) ? NULL : "a string with a NUL in it";
}
