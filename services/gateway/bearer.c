#include "bearer.h"
#include "../status/status.h"

bool bearer_parse(struct span text, uint32_t *uid, struct span *token)
{
    uint64_t number = 0;
    struct span rest = text;
    struct span first = span_cut(&rest, '.');
    // The uid is an int32 in message.proto. It counts from 1, and a token has one spelling: no zero leads it.
    if (!span_number(first, INT32_MAX, &number) || first.at[0] == '0' || rest.length != STATUS_TOKEN_BYTES)
        return false;
    for (size_t i = 0; i < rest.length; i++) {
        char c = rest.at[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
    }
    *uid = (uint32_t)number;
    *token = rest;
    return true;
}

bool bearer_field(struct span authorization, struct span *text)
{
    struct span scheme = span_of("Bearer ");
    if (authorization.length <= scheme.length || !span_starts_nocase(authorization, scheme))
        return false;
    *text = span_trim(span_behind(authorization, scheme.length));
    return true;
}
