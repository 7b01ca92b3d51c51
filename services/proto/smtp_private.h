// What smtp.c, smtp_reply.c and smtp_message.c share; nobody else includes it.
#ifndef PIPIT_SMTP_PRIVATE_H
#define PIPIT_SMTP_PRIVATE_H

#include "smtp.h"
#include <string.h>

#define COUNT(A) (sizeof(A) / sizeof((A)[0]))

enum smtp_capability {
    CAN_PIPELINING = 1 << 0,
    CAN_STARTTLS = 1 << 1,
    CAN_8BITMIME = 1 << 2,
    CAN_SMTPUTF8 = 1 << 3,
    CAN_SIZE = 1 << 4,
    CAN_AUTH_PLAIN = 1 << 5,
    CAN_AUTH_LOGIN = 1 << 6,
};

/// smtp_reply.c ///

enum smtp_reading {
    READING,
    READ_REPLY, // s->reply.code, and the failure's text and enhanced code
    READ_GARBAGE,
    READ_TOO_MUCH,
};

struct smtp_listening {
    bool offers; // the lines behind the first are EHLO's
    bool text;   // the text is wanted
    bool secret; // though not to be kept, but for its enhanced code
};

void smtp_reply_begin(struct smtp *s);
enum smtp_reading smtp_reply_byte(struct smtp *s, char c, struct smtp_listening listening);

/// smtp_message.c ///

void smtp_pen_begin(struct smtp_pen *pen, enum smtp_state state, const char *script);

// Makes bytes ready in the chunk; false when the script is at its end.
bool smtp_pen_ready(const struct smtp *s, struct smtp_pen *pen);

extern const char smtp_message_script[]; // with the dot at its end

// Bytes of the message as RFC 1870 section 3 counts them: CRLFs are, dots that were put in front are not.
uint32_t smtp_message_size(const struct smtp *s);

bool smtp_needs_smtputf8(struct span address);

// Measures the body; then returns why something is refused, or SMTP_NO_FAILURE, and at which step.
enum smtp_reason smtp_check(struct smtp *s, enum smtp_step *step);

#endif
