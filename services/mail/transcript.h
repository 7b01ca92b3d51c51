// A conversation with the relay as lines on the console, for mail_test():
//
//     -- connected to 192.0.2.25
//     S: 220 relay.example ESMTP
//     C: EHLO [10.0.2.15]
//     C: AUTH PLAIN (secret)
//     S: 235
//     C: (the message, 412 bytes)
//
// Credentials are not shown, nor what the relay answers to them but for its number, because relays quote. Whatever is
// not printable ASCII becomes a question mark, so that nobody sends commands to the terminal. There is one transcript:
// one conversation at a time.
#ifndef PIPIT_TRANSCRIPT_H
#define PIPIT_TRANSCRIPT_H

#include "../proto/smtp.h"

// A line of our own, behind two dashes.
void transcript_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

// What we send in `state`; `more` of it follows.
void transcript_said(enum smtp_state state, struct span bytes, bool more);

// What the relay sends in `state`: a line or a piece of one, with nothing behind its LF.
void transcript_heard(enum smtp_state state, struct span piece);

// The conversation is over: shows a line that was not finished.
void transcript_end(void);

#endif
