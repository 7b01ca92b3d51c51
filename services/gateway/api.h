// The JSON calls (README, "The wire"): get_verifycode, register, login, reset_pwd, renew, logout.
//
// What takes time (hashing, the verify and the status service) is asked now and answered in a later turn; what is
// needed then is kept in the exchange's `struct api_work`.
//
// One code, one use: while a register or reset_pwd with a checked code is under way, its exchange holds a claim on the
// code's email, and another call with the same code is told 1004. The code is used up when the account was written;
// when that fails, the claim ends and the code is as good as before, with the tries and the time that it had left.
#ifndef PIPIT_API_H
#define PIPIT_API_H

#include "../../app/limits.h"
#include "../../port/span.h"
#include "../proto/api_error.h"
#include "status_client.h"
#include "tries.h"

struct http_connection;
struct http_exchange;

enum api_step {
    API_IDLE,
    API_VERIFYING,       // the verify service makes a code
    API_REGISTERING,     // users hash a password: register
    API_LOGGING_IN,      // login
    API_RESETTING,       // reset_pwd
    API_FINDING_NODE,    // the status service makes a token for a login
    API_CHECKING_TOKEN,  // the status service checks a token, for a logout or an upgrade
    API_RENEWING,        // the status service makes a new token for an old one
    API_ENDING_SESSIONS, // the status service ends tokens
};

struct api_work {
    enum api_step step;
    union {
        struct users_job *users;
        struct verify_call *verify;
        struct status_call *status;
    } call;                                                                     // the one that `step` names
    void (*checked)(struct http_exchange *x, const struct status_reply *reply); // who asked for API_CHECKING_TOKEN
    uint32_t uid;
    union {
        struct tries tries; // of API_LOGGING_IN
        uint32_t expires;   // s: when the token that was checked ends, 0 for never
    };
    uint8_t user_length;
    uint8_t email_length;
    uint8_t token_length;
    char user[NAME_MAX_BYTES];
    char email[EMAIL_MAX_BYTES];
    char token[TOKEN_MAX_BYTES];
};

// Asks the status service whether "UID.TOKEN" is good; `checked` is told in a later turn, with all about the token in
// x->work.
// API_BAD_TOKEN or API_TOO_MANY at once, and then no later call.
enum api_error api_check_token(struct http_exchange *x, struct span text,
                               void (*checked)(struct http_exchange *x, const struct status_reply *reply));

// Handlers for the table of routes.
void api_get_code(struct http_connection *h);
void api_register(struct http_connection *h);
void api_login(struct http_connection *h);
void api_reset_password(struct http_connection *h);
void api_renew(struct http_connection *h);
void api_logout(struct http_connection *h);

// The client has gone. True when the work was called off and the exchange is free now. False when the work has to come
// to its end (a code that was sent must be kept, sessions must end): then it gives the exchange back itself.
bool api_abandon(struct http_exchange *x);

// Calls off everything, also what api_abandon() would let go on: the machine stops.
void api_cancel(struct http_exchange *x);

// Forgets all codes.
void api_reset(void);

#endif
