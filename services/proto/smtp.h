// SMTP client (RFC 5321): hands one message for one recipient to a relay. Bytes in, bytes out, streaming; no I/O, no
// clock, no allocation. With STARTTLS (RFC 3207), AUTH PLAIN and LOGIN (RFC 4954), PIPELINING (RFC 2920), SIZE
// (RFC 1870), 8BITMIME (RFC 6152) and SMTPUTF8 (RFC 6531), each used when the relay offers it.
//
//     GREETING -> EHLO (-> HELO) -> STARTTLS -> HANDSHAKE -> EHLO -> AUTH ... -> MAIL -> RCPT -> DATA -> CONTENT
//     HANDSHAKE comes first with implicit TLS: HANDSHAKE -> GREETING -> EHLO ...
//     CONTENT -> QUIT -> DONE
//     any, refused -> QUIT -> FAILED
//     any -> FAILED
//
// How to drive it, where smtp_next() always tells what is wanted:
//
//     smtp_begin()       before connecting: what it refuses needs no connection
//     SMTP_RECEIVE       wait for bytes: smtp_receive(); when the connection ends: smtp_lost()
//     SMTP_SEND          smtp_write() into a buffer of any size, as long as there is room to send
//     SMTP_START_TLS     start the handshake, verify the relay's certificate, then smtp_tls_up(), else smtp_lost()
//     SMTP_END           close; smtp_accepted() and the failure tell the outcome
//
// Bytes that come are always to be received at once, also when there is something to send: a relay may say no early.
// Time limits are the caller's (RFC 5321 section 4.5.3.2 has minutes); smtp_step() names what it waited for.
//
// Nothing goes out over a plain connection that has to go out over TLS: when TLS is asked for and not offered the
// conversation fails. What the relay said before TLS is forgotten (RFC 3207 section 4.2), and a plain byte behind its
// 220 to STARTTLS, which someone on the way could have put there, is the end (CVE-2011-0411).
#ifndef PIPIT_SMTP_H
#define PIPIT_SMTP_H

#include "../../port/text.h"

#define SMTP_HOST_MAX       255   // bytes of our own host name
#define SMTP_ADDRESS_MAX    254   // bytes of an address (RFC 5321 section 4.5.3.1.3, less the brackets)
#define SMTP_CREDENTIAL_MAX 512   // bytes of a user name or of a password
#define SMTP_SUBJECT_MAX    255   // bytes
#define SMTP_BODY_MAX       16384 // bytes
#define SMTP_ID_BYTES       16    // random bytes in a Message-ID
#define SMTP_REPLY_MAX      65536 // bytes of one reply, all its lines together
#define SMTP_TEXT_MAX       100   // bytes kept of a reply's text
#define SMTP_CHUNK          80    // bytes written at once: a folded line of base64 with its CRLF and mbedTLS's NUL

enum smtp_tls {
    SMTP_TLS_NONE,     // plain, also when the relay offers STARTTLS
    SMTP_TLS_STARTTLS, // required: without the offer nothing is sent
    SMTP_TLS_IMPLICIT, // TLS from the first byte (RFC 8314)
};

// What holds for every mail. The bytes stay the caller's and stay where they are until SMTP_END.
struct smtp_settings {
    struct span host;     // our name for EHLO and Message-ID: a domain, or an address literal such as [192.0.2.1]
    struct span user;     // empty: no AUTH
    struct span password; // without NUL (RFC 4616), as is the user
    struct span from;     // local@domain
    enum smtp_tls tls;
    bool insecure_auth; // AUTH over a plain connection too
};

// One mail. Addresses are local@domain as they stand between angle brackets, without quoting, spaces, control
// characters or any of <>()[]",;:\ so that nothing can be smuggled into a command or a header; letters beyond ASCII
// need a relay with SMTPUTF8.
struct smtp_mail {
    struct span to;
    struct span subject;       // UTF-8 without control characters; becomes encoded-words (RFC 2047) where it has to
    struct span body;          // UTF-8 without NUL; CRLF, LF and CR each end a line
    uint64_t date;             // ms since 1970. 0: the clock is unknown, and Date, although RFC 5322 wants it, is left
                               // to the relay (RFC 6409 section 8.1), because a wrong one is worse than none
    uint8_t id[SMTP_ID_BYTES]; // random, anew for each mail
};

enum smtp_state {
    SMTP_HANDSHAKE, // the caller's: TLS
    SMTP_GREETING,
    SMTP_EHLO,
    SMTP_HELO,
    SMTP_STARTTLS,
    SMTP_AUTH_PLAIN,
    SMTP_AUTH_PLAIN_ALONE, // the response does not fit into the command's line
    SMTP_AUTH_PLAIN_RESPONSE,
    SMTP_AUTH_LOGIN,
    SMTP_AUTH_LOGIN_USER,
    SMTP_AUTH_LOGIN_PASSWORD,
    SMTP_MAIL,
    SMTP_RCPT,
    SMTP_DATA,
    SMTP_CONTENT,
    SMTP_ABORT, // a lone dot for a DATA accepted although the recipient was not (RFC 2920 section 3.1)
    SMTP_QUIT,
    SMTP_DONE,
    SMTP_FAILED,
};

enum smtp_step {
    SMTP_STEP_CONNECT, // greeting and EHLO
    SMTP_STEP_TLS,
    SMTP_STEP_AUTH,
    SMTP_STEP_SENDER,
    SMTP_STEP_RECIPIENT,
    SMTP_STEP_DATA,
};

enum smtp_reason {
    SMTP_NO_FAILURE,
    SMTP_REFUSED,         // the relay answered 4yz or 5yz
    SMTP_UNEXPECTED,      // a reply that does not fit what was asked, or that came before it was asked
    SMTP_MALFORMED,       // bytes that are no reply
    SMTP_REPLY_TOO_LONG,  // more than SMTP_REPLY_MAX bytes
    SMTP_LOST,            // the connection ended; at step data the relay may still have taken the mail
    SMTP_PLAIN_BYTES,     // bytes in the plain where TLS had to begin
    SMTP_NO_STARTTLS,     // not offered
    SMTP_NO_AUTH,         // neither PLAIN nor LOGIN is offered
    SMTP_NO_SMTPUTF8,     // not offered, and an address needs it
    SMTP_TOO_BIG,         // for the relay's SIZE
    SMTP_AUTH_IN_PLAIN,   // the settings ask for AUTH over a plain connection and do not allow it
    SMTP_BAD_HOST,        // these were refused by smtp_begin()
    SMTP_BAD_CREDENTIALS, //
    SMTP_BAD_ADDRESS,     //
    SMTP_BAD_SUBJECT,     //
    SMTP_BAD_BODY,        //
};

struct smtp_failure {
    enum smtp_step step;
    enum smtp_reason reason;
    bool temporary;       // worth another try later: 4yz, or the connection was lost
    uint16_t code;        // of the reply, 0 when none is to blame
    uint16_t enhanced[3]; // class, subject and detail (RFC 3463), all 0 when there was none
    uint8_t text_length;  // of the reply's text without enhanced codes, lines joined by a space, printable ASCII only;
    char text[SMTP_TEXT_MAX]; // none behind a password, because relays quote commands that they don't know
};

enum smtp_wish {
    SMTP_RECEIVE,
    SMTP_SEND,
    SMTP_START_TLS,
    SMTP_END,
};

// What is being written: the script of a state, a text with %letters for what is written in their place.
struct smtp_pen {
    enum smtp_state state; // whose script; SMTP_DONE when nothing is to be written
    const char *script;    // what is left of it
    size_t at;             // how far the thing that stands for the present %letter was read
    uint32_t dots;         // put in front of dots at a line's start so far (RFC 5321 section 4.5.2)
    bool lf_due;           // a line end of the body is half written
    uint8_t have;          // bytes in the chunk
    uint8_t given;         // of them handed out
    char chunk[SMTP_CHUNK];
};

// The reply being read.
struct smtp_reply {
    uint8_t place;   // in its line
    uint8_t digits;  // of the line's code
    bool more;       // the line is not the last
    uint16_t number; // the line's code
    uint16_t code;   // of the reply
    uint32_t bytes;
    uint32_t lines;
    uint8_t line_text; // where the line's text begins in the failure's
    uint8_t words;     // of an EHLO line, 0, 1 or more
    uint8_t keyword;   // that began the EHLO line
    uint8_t word_length;
    char word[20]; // RFC 1870: a size has at most 20 digits
};

// A conversation. Read `state` and `failure`, leave the rest alone.
struct smtp {
    enum smtp_state state;
    struct smtp_failure failure; // of any meaning once its reason is set
    struct smtp_settings settings;
    struct smtp_mail mail;
    uint64_t size_limit;   // that the relay announced, 0 for none
    uint32_t message_size; // with those capabilities
    uint16_t capabilities; // that it offered since the last EHLO
    bool secure;           // TLS is up
    bool accepted;
    bool body_8bit; // it has bytes beyond ASCII
    bool body_long; // it has lines of more than 998 bytes
    struct smtp_reply reply;
    struct smtp_pen pen;
};

// Checks everything and begins; call it before connecting. When something is refused the conversation is over at once:
// smtp_next() says SMTP_END, and the failure says why.
void smtp_begin(struct smtp *s, const struct smtp_settings *settings, const struct smtp_mail *mail);

enum smtp_wish smtp_next(const struct smtp *s);

// Takes all of the bytes. Lines may be split anywhere, be longer than the 512 bytes of RFC 5321, and end in a bare LF;
// a CR without LF is refused. After SMTP_END bytes are ignored.
void smtp_receive(struct smtp *s, const uint8_t *bytes, size_t length);

// Writes what is to be sent into `out`, at most `size` bytes, and returns how many; 0 when there is nothing now. Wipe
// `out` when it has been sent: it may have held the password.
size_t smtp_write(struct smtp *s, uint8_t *out, size_t size);

// TLS stands and the certificate is good. Without SMTP_START_TLS it does nothing.
void smtp_tls_up(struct smtp *s);

// The connection ended, by whomever, or TLS could not be had. Also for a time limit: then smtp_step(), asked before,
// names what was slow. It does not undo an accepted mail.
void smtp_lost(struct smtp *s);

// True as soon as the relay has taken the mail; QUIT, which comes after, changes that no more.
bool smtp_accepted(const struct smtp *s);

// What the conversation is at. After a failure: s->failure.step.
enum smtp_step smtp_step(const struct smtp *s);

// "connect", "tls", "auth", "sender", "recipient", "data"
const char *smtp_step_name(enum smtp_step step);

const char *smtp_state_name(enum smtp_state state);

// The failure for people, such as: recipient: the relay refused (550 5.1.1 No such user)
void smtp_explain(const struct smtp_failure *failure, struct text *out);

// Wipes everything. By SMTP_END it already has, but for the state and the outcome.
void smtp_end(struct smtp *s);

#endif
