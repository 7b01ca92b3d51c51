// The language of the JSON calls: reading the fields of a request, writing a reply.
#ifndef PIPIT_API_TALK_H
#define PIPIT_API_TALK_H

#include "http_server.h"

/// Requests ///

enum api_field {
    API_USER = 1,
    API_EMAIL = 2,
    API_PASSWORD = 4,
    API_CODE = 8,
    API_NEW = 16, // user and password must be within the bounds of new ones
};

struct api_form {
    struct span user;
    struct span email;
    struct span password;
    struct span code;
};

// Reads the wanted fields. When that fails, replies 1001 or 1003 and returns false; the exchange is gone then.
// The spans are valid until api_forget().
bool api_read_form(struct http_exchange *x, unsigned wanted, struct api_form *form);

// Keeps the texts for later turns; both are within their bounds.
void api_keep(struct http_exchange *x, struct span user, struct span email);
struct span api_kept_user(const struct http_exchange *x);
struct span api_kept_email(const struct http_exchange *x);

// Wipes the body, which holds a password.
void api_forget(struct http_exchange *x);

/// Replies ///

// {"error":N,"name":"value",...}: begun, filled, and sent by api_send(), which ends the request.
struct text api_begin(struct http_exchange *x, enum api_error error);
void api_string(struct text *t, const char *name, struct span value);
void api_number(struct text *t, const char *name, uint32_t value);
void api_send(struct http_exchange *x, struct text *t);

// A whole reply that says no; `retry_after` in seconds, 0 for none.
void api_fail(struct http_exchange *x, enum api_error error, const char *message, uint32_t retry_after);

// The same with a sentence of somebody else's, in valid UTF-8.
void api_fail_saying(struct http_exchange *x, enum api_error error, struct span message, uint32_t retry_after);

#endif
