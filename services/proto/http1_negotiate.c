// What a client can take, and what it has already (RFC 9110 sections 12.5.3 and 13.1.2).
#include "http1_private.h"

// weight = OWS ";" OWS "q=" qvalue, with at most three decimals. Anything else behind the coding is no weight that
// we know, and asks for nothing.
static bool weighs_nothing(struct span parameters)
{
    struct span digits = span_trim(parameters);
    if (digits.length == 0)
        return false;
    if (!span_starts_nocase(digits, span_of("q=")))
        return true;
    digits = span_behind(digits, 2);
    for (size_t i = 0; i < digits.length; i++)
        if (digits.at[i] >= '1' && digits.at[i] <= '9')
            return false;
    return true;
}

bool http1_accepts(struct span field, const char *coding)
{
    bool any = false;
    while (field.length > 0) {
        struct span parameters = span_cut(&field, ',');
        struct span name = span_trim(span_cut(&parameters, ';'));
        if (span_equal_nocase(name, span_of(coding)))
            return !weighs_nothing(parameters);
        if (span_equal(name, span_of("*")))
            any = !weighs_nothing(parameters);
    }
    return any;
}

// entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE: between the quotes a comma is a character like others.
static struct span next_tag(struct span *list)
{
    span_cut(list, '"');
    return span_cut(list, '"');
}

bool http1_has_tag(struct span list, struct span tag)
{
    if (span_equal(span_trim(list), span_of("*")))
        return true;
    while (list.length > 0)
        if (span_equal(next_tag(&list), tag))
            return true;
    return false;
}
