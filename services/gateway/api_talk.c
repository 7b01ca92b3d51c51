#include "api_talk.h"
#include "../users/users.h"
#include "gateway.h"
#include "json.h"
#include <mbedtls/platform_util.h>
#include <string.h>

/// Replies ///

struct text api_begin(struct http_exchange *x, enum api_error error)
{
    if (error >= API_BAD_JSON && error < API_BAD_JSON + GATEWAY_API_ERRORS)
        gateway_counters.api_errors[error - API_BAD_JSON]++;
    struct text t = http_reply_text(x);
    text_format(&t, "{\"error\":%u", (unsigned)error);
    return t;
}

void api_string(struct text *t, const char *name, struct span value)
{
    text_format(t, ",\"%s\":\"", name);
    text_json(t, value);
    text_byte(t, '"');
}

void api_number(struct text *t, const char *name, uint32_t value)
{
    text_format(t, ",\"%s\":%u", name, value);
}

void api_send(struct http_exchange *x, struct text *t)
{
    text_byte(t, '}');
    if (t->cut) {
        *t = api_begin(x, API_INTERNAL);
        api_string(t, "message", span_of("The reply does not fit."));
        text_byte(t, '}');
    }
    http_reply_json(x, t);
}

void api_fail_saying(struct http_exchange *x, enum api_error error, struct span message, uint32_t retry_after)
{
    struct text t = api_begin(x, error);
    api_string(&t, "message", message);
    if (retry_after > 0)
        api_number(&t, "retry_after", retry_after);
    api_send(x, &t);
}

void api_fail(struct http_exchange *x, enum api_error error, const char *message, uint32_t retry_after)
{
    api_fail_saying(x, error, span_of(message), retry_after);
}

/// Requests ///

// What is wrong with a text that is there; NULL for nothing.
typedef const char *check(struct span text);

static const struct {
    const char *name;
    enum api_field field;
    size_t offset; // of its span in struct api_form
    check *always;
    check *when_new;
    const char *missing;
} fields[] = {
    {"user", API_USER, offsetof(struct api_form, user), NULL, users_check_name, "The field user is missing or empty."},
    {"email", API_EMAIL, offsetof(struct api_form, email), users_check_email, NULL,
     "The field email is missing or empty."},
    {"password", API_PASSWORD, offsetof(struct api_form, password), NULL, users_check_password,
     "The field password is missing or empty."},
    {"code", API_CODE, offsetof(struct api_form, code), NULL, NULL, "The field code is missing or empty."},
};
#define FIELDS (sizeof fields / sizeof fields[0])

static struct span *field_of(struct api_form *form, size_t index)
{
    return (struct span *)(void *)((char *)form + fields[index].offset);
}

static const char *parse_trouble(struct http_exchange *x)
{
    switch (json_parse(http_body(x))) {
    case JSON_OK:
        return NULL;
    case JSON_TOO_MANY:
        return "The body holds too many values.";
    default:
        return "The body must be one JSON object, with no name twice, no NUL, and at most 8 levels deep.";
    }
}

static const char *type_trouble(unsigned wanted, struct api_form *form)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if ((wanted & fields[i].field) != 0 && json_string(fields[i].name, field_of(form, i)) == JSON_WRONG_TYPE)
            return "The fields user, email, password and code must be strings.";
    }
    return NULL;
}

static const char *bounds_trouble(unsigned wanted, struct api_form *form)
{
    for (size_t i = 0; i < FIELDS; i++) {
        if ((wanted & fields[i].field) == 0)
            continue;
        struct span text = *field_of(form, i);
        const char *trouble = text.length == 0 ? fields[i].missing : NULL;
        if (trouble == NULL && fields[i].always != NULL)
            trouble = fields[i].always(text);
        if (trouble == NULL && fields[i].when_new != NULL && (wanted & API_NEW) != 0)
            trouble = fields[i].when_new(text);
        if (trouble != NULL)
            return trouble;
    }
    return NULL;
}

bool api_read_form(struct http_exchange *x, unsigned wanted, struct api_form *form)
{
    *form = (struct api_form){0};
    enum api_error error = API_BAD_JSON;
    const char *trouble = parse_trouble(x);
    if (trouble == NULL)
        trouble = type_trouble(wanted, form);
    if (trouble == NULL) {
        error = API_BAD_FIELD;
        trouble = bounds_trouble(wanted, form);
    }
    if (trouble == NULL)
        return true;
    api_forget(x);
    api_fail(x, error, trouble, 0);
    return false;
}

void api_forget(struct http_exchange *x)
{
    mbedtls_platform_zeroize(x->buffer + HTTP_HEAD_ROOM, x->length);
    json_forget();
}

/// Kept for later turns ///

void api_keep(struct http_exchange *x, struct span user, struct span email)
{
    struct api_work *w = &x->work;
    w->user_length = (uint8_t)(user.length < sizeof w->user ? user.length : sizeof w->user);
    w->email_length = (uint8_t)(email.length < sizeof w->email ? email.length : sizeof w->email);
    if (user.length > 0)
        memcpy(w->user, user.at, w->user_length);
    if (email.length > 0)
        memcpy(w->email, email.at, w->email_length);
}

struct span api_kept_user(const struct http_exchange *x)
{
    return (struct span){x->work.user, x->work.user_length};
}

struct span api_kept_email(const struct http_exchange *x)
{
    return (struct span){x->work.email, x->work.email_length};
}
