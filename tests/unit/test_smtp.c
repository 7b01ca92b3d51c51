// The SMTP client. Every conversation is held with replies arriving whole, byte by byte and split at each place, and
// with output buffers of several sizes, all flush against a page that may not be touched; all ways must go the same.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../services/proto/smtp.h"
#include "guard_support.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/// Guarded memory ///

#define GUARDED (1u << 17)

static uint8_t *input_end; // the first byte that may not be touched
static uint8_t *output_end;

static int set_up(void **state)
{
    (void)state;
    input_end = guard_behind(GUARDED);
    output_end = guard_behind(GUARDED);
    return 0;
}

static void receive(struct smtp *s, const char *bytes, size_t length)
{
    uint8_t *at = input_end - length;
    memcpy(at, bytes, length);
    smtp_receive(s, at, length);
}

/// What is sent ///

struct bytes {
    char at[GUARDED];
    size_t length;
};

static void add(struct bytes *b, const char *bytes, size_t length)
{
    assert_true(b->length + length < sizeof b->at);
    memcpy(b->at + b->length, bytes, length);
    b->length += length;
    b->at[b->length] = '\0';
}

static void empty(struct bytes *b)
{
    b->length = 0;
    b->at[0] = '\0';
}

static struct bytes sent; // by the client since the last comparison

// Lets the client write all that it wants to, `size` bytes at a time.
static void drain(struct smtp *s, size_t size)
{
    uint8_t *out = output_end - size;
    size_t n;
    while ((n = smtp_write(s, out, size)) > 0) {
        assert_true(n <= size);
        add(&sent, (const char *)out, n);
    }
    assert_int_not_equal(smtp_next(s), SMTP_SEND);
}

/// Conversations as text ///

// One line each:
// C what the client says     everything that it wants to write up to the next other line, and not a byte more
// S what the relay says      the lines up to the next other line arrive together
// E what the relay says      before the client gets to write
// W n                        the client gets to write n bytes, which are not looked at
// T                          the caller is asked for TLS, and brings it up
// X                          the connection ends
struct talk {
    const char *name;
    struct smtp_settings settings;
    const char *to; // NULL: ada@example.org
    const char *body;
    const char *lines;
    const char *outcome; // "accepted", or what smtp_explain() says
    bool temporary;
};

#define SP(S)                                                                                                          \
    {                                                                                                                  \
        S, sizeof S - 1                                                                                                \
    }
#define PLAIN                                                                                                          \
    {                                                                                                                  \
        .host = SP("pipit.example"), .from = SP("chat@pipit.example")                                                  \
    }
#define UPTLS                                                                                                          \
    {                                                                                                                  \
        .host = SP("pipit.example"), .from = SP("chat@pipit.example"), .tls = SMTP_TLS_STARTTLS                        \
    }
#define INTLS                                                                                                          \
    {                                                                                                                  \
        .host = SP("pipit.example"), .from = SP("chat@pipit.example"), .tls = SMTP_TLS_IMPLICIT                        \
    }
#define LOGIN_ .user = SP("tim"), .password = SP("tanstaaf")
#define OPEN                                                                                                           \
    {                                                                                                                  \
        .host = SP("pipit.example"), .from = SP("chat@pipit.example"), .insecure_auth = true, LOGIN_                   \
    }
#define UPAUTH                                                                                                         \
    {                                                                                                                  \
        .host = SP("pipit.example"), .from = SP("chat@pipit.example"), .tls = SMTP_TLS_STARTTLS, LOGIN_                \
    }
#define INAUTH                                                                                                         \
    {                                                                                                                  \
        .host = SP("pipit.example"), .from = SP("chat@pipit.example"), .tls = SMTP_TLS_IMPLICIT, LOGIN_                \
    }

#define HEAD                                                                                                           \
    "C From: chat@pipit.example\nC To: ada@example.org\nC Subject: Your code\n"                                        \
    "C Date: Tue, 14 Nov 2023 22:13:20 +0000\n"                                                                        \
    "C Message-ID: <000102030405060708090a0b0c0d0e0f@pipit.example>\nC MIME-Version: 1.0\n"                            \
    "C Content-Type: text/plain; charset=utf-8\nC Content-Transfer-Encoding: "
#define MESSAGE   HEAD "7bit\nC \nC It is 123456.\nC .\n"
#define HELLO     "S 220 relay.example ESMTP\nC EHLO pipit.example\n"
#define BARE      HELLO "S 250 relay.example\n"
#define MAIL      "C MAIL FROM:<chat@pipit.example>\n"
#define RCPT      "C RCPT TO:<ada@example.org>\n"
#define SENDING   MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 354 go on\n" MESSAGE
#define DELIVER   SENDING "S 250 2.0.0 queued\nC QUIT\nS 221 bye\n"
#define QUIT      "C QUIT\nS 221 bye\n"
#define PIPE      HELLO "S 250-relay.example\nS 250 PIPELINING\n" MAIL RCPT "C DATA\n"
#define PLAIN_A   "C AUTH PLAIN AHRpbQB0YW5zdGFhZg==\n"
#define LOGIN_A   "C AUTH LOGIN\nS 334 VXNlcm5hbWU6\nC dGlt\nS 334 UGFzc3dvcmQ6\nC dGFuc3RhYWY=\n"
#define OFFERS(A) HELLO "S 250-relay.example\nS 250 " A "\n"
#define HUNDRED   "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

static const struct talk talks[] = {
    /// good ones
    {"plain", PLAIN, 0, 0, BARE DELIVER, "accepted", 0},
    {"code alone", PLAIN, 0, 0, "S 220\nC EHLO pipit.example\nS 250\n" DELIVER, "accepted", 0},
    {"multi-line", PLAIN, 0, 0,
     "S 220-relay\nS 220-\nS 220 no spam\nC EHLO pipit.example\nS 250-relay\nS 250-HELP\nS 250 DSN\n" DELIVER,
     "accepted", 0},
    {"long lines", PLAIN, 0, 0,
     "S 220 " HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED
     "\nC EHLO pipit.example\nS 250-relay\nS 250 X" HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED "\n" DELIVER,
     "accepted", 0},
    {"STARTTLS is not taken when not asked for", PLAIN, 0, 0, OFFERS("STARTTLS") DELIVER, "accepted", 0},
    {"251 will forward", PLAIN, 0, 0,
     BARE MAIL "S 250 ok\n" RCPT "S 251 will forward\nC DATA\nS 354 go\n" MESSAGE "S 250 ok\n" QUIT, "accepted", 0},
    {"AUTH PLAIN", OPEN, 0, 0, OFFERS("AUTH LOGIN PLAIN") PLAIN_A "S 235 2.7.0 ok\n" DELIVER, "accepted", 0},
    {"AUTH PLAIN behind many", OPEN, 0, 0,
     OFFERS("AUTH GSSAPI DIGEST-MD5 CRAM-MD5 NTLM SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS "
            "SCRAM-SHA-512 SCRAM-SHA-512-PLUS XOAUTH2 OAUTHBEARER PLAIN") PLAIN_A "S 235 ok\n" DELIVER,
     "accepted", 0},
    {"AUTH LOGIN", OPEN, 0, 0, OFFERS("AUTH LOGIN") LOGIN_A "S 235 ok\n" DELIVER, "accepted", 0},
    {"old AUTH=LOGIN, any case", OPEN, 0, 0, OFFERS("auth=Login") LOGIN_A "S 235 ok\n" DELIVER, "accepted", 0},
    {"STARTTLS", UPTLS, 0, 0,
     OFFERS("StartTLS") "C STARTTLS\nS 220 go\nT\nC EHLO pipit.example\nS 250 relay.example\n" DELIVER, "accepted", 0},
    {"STARTTLS and AUTH", UPAUTH, 0, 0,
     OFFERS("STARTTLS") "C STARTTLS\nS 220 go\nT\nC EHLO pipit.example\nS 250-relay\nS 250 AUTH PLAIN\n" PLAIN_A
                        "S 235 ok\n" DELIVER,
     "accepted", 0},
    {"implicit", INTLS, 0, 0, "T\n" BARE DELIVER, "accepted", 0},
    {"implicit and AUTH", INAUTH, 0, 0, "T\n" OFFERS("AUTH LOGIN") LOGIN_A "S 235 ok\n" DELIVER, "accepted", 0},
    {"pipelined", PLAIN, 0, 0, PIPE "S 250 ok\nS 250 ok\nS 354 go on\n" MESSAGE "S 250 ok\n" QUIT, "accepted", 0},
    {"pipelined, replies one by one", PLAIN, 0, 0,
     PIPE "S 250 ok\nC\nS 250 ok\nC\nS 354 go on\n" MESSAGE "S 250 ok\n" QUIT, "accepted", 0},
    {"HELO", PLAIN, 0, 0, HELLO "S 502 what?\nC HELO pipit.example\nS 250-relay\nS 250 PIPELINING\n" DELIVER,
     "accepted", 0},
    {"a host name is no offer", PLAIN, 0, 0, HELLO "S 250 PIPELINING\n" DELIVER, "accepted", 0},
    {"a greeting offers nothing", PLAIN, 0, 0,
     "S 220-relay\nS 220 PIPELINING\nC EHLO pipit.example\nS 250 relay\n" DELIVER, "accepted", 0},
    {"SIZE 0 has no limit", PLAIN, 0, 0,
     OFFERS("SIZE 0") "C MAIL FROM:<chat@pipit.example> SIZE=278\nS 250 ok\n" RCPT
                      "S 250 ok\nC DATA\nS 354 go\n" MESSAGE "S 250 ok\n" QUIT,
     "accepted", 0},
    {"SIZE fits exactly", PLAIN, 0, 0,
     OFFERS("SIZE 278") "C MAIL FROM:<chat@pipit.example> SIZE=278\nS 250 ok\n" RCPT
                        "S 250 ok\nC DATA\nS 354 go\n" MESSAGE "S 250 ok\n" QUIT,
     "accepted", 0},
    {"dots", PLAIN, 0, ".\n..\r.a\r\nb.\n",
     BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 354 go\n" HEAD "7bit\nC \nC ..\nC ...\nC ..a\nC b.\nC .\n"
               "S 250 ok\n" QUIT,
     "accepted", 0},
    {"empty body", PLAIN, 0, "",
     BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 354 go\n" HEAD "7bit\nC \nC .\nS 250 ok\n" QUIT, "accepted", 0},
    {"8BITMIME", PLAIN, 0, "\xE4\xBD\xA0\xE5\xA5\xBD",
     OFFERS("8BITMIME") "C MAIL FROM:<chat@pipit.example> BODY=8BITMIME\nS 250 ok\n" RCPT
                        "S 250 ok\nC DATA\nS 354 go\n" HEAD
                        "8bit\nC \nC \xE4\xBD\xA0\xE5\xA5\xBD\nC .\nS 250 ok\n" QUIT,
     "accepted", 0},
    {"no 8BITMIME", PLAIN, 0, "\xE4\xBD\xA0\xE5\xA5\xBD\n.",
     BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 354 go\n" HEAD
               "base64\nC \nC 5L2g5aW9DQouDQo=\nC .\nS 250 ok\n" QUIT,
     "accepted", 0},
    {"lost instead of 221", PLAIN, 0, 0, BARE SENDING "S 250 ok\nC QUIT\nX\n", "accepted", 0},
    {"lost before QUIT", PLAIN, 0, 0, BARE SENDING "S 250 ok\nX\n", "accepted", 0},
    {"421 instead of 221", PLAIN, 0, 0, BARE SENDING "S 250 ok\nC QUIT\nS 421 in a hurry\n", "accepted", 0},
    {"garbage instead of 221", PLAIN, 0, 0, BARE SENDING "S 250 ok\nC QUIT\nS ?\n", "accepted", 0},
    {"221 before QUIT", PLAIN, 0, 0, BARE SENDING "S 250 ok\nS 221 bye\n", "accepted", 0},

    /// no, at every step
    {"greeting 554", PLAIN, 0, 0, "S 554 5.7.1 go away\n" QUIT, "connect: the relay refused (554 5.7.1 go away)", 0},
    {"greeting 450", PLAIN, 0, 0, "S 450 later\n" QUIT, "connect: the relay refused (450 later)", 1},
    {"greeting 421", PLAIN, 0, 0, "S 421 4.3.2 too busy\n", "connect: the relay refused (421 4.3.2 too busy)", 1},
    {"greeting 354", PLAIN, 0, 0, "S 354 go\n", "connect: the relay sent a reply that does not fit (354 go)", 0},
    {"EHLO 4yz", PLAIN, 0, 0, HELLO "S 451 later\n" QUIT, "connect: the relay refused (451 later)", 1},
    {"EHLO and HELO 5yz", PLAIN, 0, 0, HELLO "S 550 no\nC HELO pipit.example\nS 550 no\n" QUIT,
     "connect: the relay refused (550 no)", 0},
    {"no STARTTLS", UPAUTH, 0, 0, OFFERS("AUTH PLAIN LOGIN") QUIT, "tls: the relay does not offer STARTTLS", 0},
    {"no STARTTLS behind HELO", UPAUTH, 0, 0, HELLO "S 500 no\nC HELO pipit.example\nS 250 STARTTLS\n" QUIT,
     "tls: the relay does not offer STARTTLS", 0},
    {"STARTTLS 454", UPTLS, 0, 0, OFFERS("STARTTLS") "C STARTTLS\nS 454 4.7.0 not now\n" QUIT,
     "tls: the relay refused (454 4.7.0 not now)", 1},
    {"STARTTLS 501", UPTLS, 0, 0, OFFERS("STARTTLS") "C STARTTLS\nS 501 no\n" QUIT, "tls: the relay refused (501 no)",
     0},
    {"injected command reply", UPTLS, 0, 0, OFFERS("STARTTLS") "C STARTTLS\nS 220 go\nS 250 AUTH PLAIN\n",
     "tls: the relay sent plain text where TLS had to begin", 0},
    {"injected before the handshake", UPTLS, 0, 0, OFFERS("STARTTLS") "C STARTTLS\nS 220 go\nC\nS x\n",
     "tls: the relay sent plain text where TLS had to begin", 0},
    {"injected before the 220", UPTLS, 0, 0, OFFERS("STARTTLS") "E 250 evil\n",
     "tls: the relay sent a reply that does not fit (250 evil)", 0},
    {"plain greeting on implicit TLS", INTLS, 0, 0, "S 220 relay\n",
     "tls: the relay sent plain text where TLS had to begin", 0},
    {"handshake fails", UPTLS, 0, 0, OFFERS("STARTTLS") "C STARTTLS\nS 220 go\nX\n", "tls: the connection ended", 1},
    {"offers before TLS are forgotten", UPAUTH, 0, 0,
     HELLO "S 250-relay\nS 250-STARTTLS\nS 250-PIPELINING\nS 250 AUTH PLAIN\nC STARTTLS\nS 220 go\nT\n"
           "C EHLO pipit.example\nS 250 relay\n" QUIT,
     "auth: the relay offers neither AUTH PLAIN nor AUTH LOGIN", 0},
    {"pipelining before TLS is forgotten", UPTLS, 0, 0,
     HELLO "S 250-relay\nS 250-STARTTLS\nS 250-SIZE 9\nS 250 PIPELINING\nC STARTTLS\nS 220 go\nT\n"
           "C EHLO pipit.example\nS 250 relay\n" DELIVER,
     "accepted", 0},
    {"AUTH CRAM-MD5 only", OPEN, 0, 0, OFFERS("AUTH CRAM-MD5 PLAINX XLOGIN") QUIT,
     "auth: the relay offers neither AUTH PLAIN nor AUTH LOGIN", 0},
    {"AUTH PLAIN 535", OPEN, 0, 0, OFFERS("AUTH PLAIN") PLAIN_A "S 535 5.7.8 what is tanstaaf?\n" QUIT,
     "auth: the relay refused (535 5.7.8)", 0},
    {"AUTH PLAIN 454", OPEN, 0, 0, OFFERS("AUTH PLAIN") PLAIN_A "S 454-AHRpbQB0YW5zdGFhZg==\nS 454 later\n" QUIT,
     "auth: the relay refused (454)", 1},
    {"AUTH PLAIN 334", OPEN, 0, 0, OFFERS("AUTH PLAIN") PLAIN_A "S 334 AHRpbQB0YW5zdGFhZg==\n",
     "auth: the relay sent a reply that does not fit (334)", 0},
    {"AUTH LOGIN 504", OPEN, 0, 0, OFFERS("AUTH LOGIN") "C AUTH LOGIN\nS 504 5.5.4 no\n" QUIT,
     "auth: the relay refused (504 5.5.4 no)", 0},
    {"AUTH LOGIN user 432", OPEN, 0, 0,
     OFFERS("AUTH LOGIN") "C AUTH LOGIN\nS 334 VXNlcm5hbWU6\nC dGlt\nS 432 4.7.12 change it\n" QUIT,
     "auth: the relay refused (432 4.7.12)", 1},
    {"AUTH LOGIN password 535", OPEN, 0, 0, OFFERS("AUTH LOGIN") LOGIN_A "S 535 dGFuc3RhYWY= is wrong\n" QUIT,
     "auth: the relay refused (535)", 0},
    {"MAIL 451", PLAIN, 0, 0, BARE MAIL "S 451 4.7.1 greylisted\n" QUIT,
     "sender: the relay refused (451 4.7.1 greylisted)", 1},
    {"MAIL 553", PLAIN, 0, 0, BARE MAIL "S 553 5.1.8 who?\n" QUIT, "sender: the relay refused (553 5.1.8 who?)", 0},
    {"RCPT 450", PLAIN, 0, 0, BARE MAIL "S 250 ok\n" RCPT "S 450 full\n" QUIT,
     "recipient: the relay refused (450 full)", 1},
    {"RCPT 550 in lines", PLAIN, 0, 0,
     BARE MAIL "S 250 ok\n" RCPT "S 550-5.1.1 No such user\nS 550-5.1.1\nS 550 5.1.1 here.\n" QUIT,
     "recipient: the relay refused (550 5.1.1 No such user here.)", 0},
    {"RCPT 550, another's enhanced code", PLAIN, 0, 0, BARE MAIL "S 250 ok\n" RCPT "S 550 4.1.1 no\n" QUIT,
     "recipient: the relay refused (550 4.1.1 no)", 0},
    {"text is cleaned and cut", PLAIN, 0, 0,
     BARE MAIL "S 250 ok\n" RCPT "S 550 \x1b[2J\xE4\xBD\xA0\tx " HUNDRED "\n" QUIT,
     "recipient: the relay refused (550 ?[2J??? x "
     "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789)",
     0},
    {"DATA 451", PLAIN, 0, 0, BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 451 no\n" QUIT,
     "data: the relay refused (451 no)", 1},
    {"DATA 554", PLAIN, 0, 0, BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 554 no\n" QUIT,
     "data: the relay refused (554 no)", 0},
    {"DATA 250", PLAIN, 0, 0, BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 250 ok\n",
     "data: the relay sent a reply that does not fit (250 ok)", 0},
    {"content 452", PLAIN, 0, 0, BARE SENDING "S 452 disk full\n" QUIT, "data: the relay refused (452 disk full)", 1},
    {"content 554", PLAIN, 0, 0, BARE SENDING "S 554 5.6.0 spam\n" QUIT, "data: the relay refused (554 5.6.0 spam)", 0},
    {"content 354", PLAIN, 0, 0, BARE SENDING "S 354 more?\n",
     "data: the relay sent a reply that does not fit (354 more?)", 0},
    {"content refused early", PLAIN, 0, 0,
     BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 354 go\nW 90\nE 552 too big\n",
     "data: the relay refused (552 too big)", 0},
    {"content taken early", PLAIN, 0, 0, BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 354 go\nW 90\nE 250 ok\n",
     "data: the relay sent a reply that does not fit (250 ok)", 0},
    {"lost in content", PLAIN, 0, 0, BARE MAIL "S 250 ok\n" RCPT "S 250 ok\nC DATA\nS 354 go\nW 90\nX\n",
     "data: the connection ended", 1},
    {"lost behind content", PLAIN, 0, 0, BARE SENDING "X\n", "data: the connection ended", 1},
    {"421 instead of MAIL's", PLAIN, 0, 0, BARE MAIL "S 421 shutting down\n",
     "sender: the relay refused (421 shutting down)", 1},
    {"421 before MAIL", PLAIN, 0, 0, BARE "E 421 shutting down\n", "sender: the relay refused (421 shutting down)", 1},
    {"too big for SIZE", PLAIN, 0, 0, OFFERS("SIZE 277") QUIT, "data: the mail is larger than the relay takes", 0},
    {"replies in advance", PLAIN, 0, 0, "S 220 relay\nS 250 PIPELINING\n",
     "connect: the relay sent a reply that does not fit (250 PIPELINING)", 0},
    {"two codes in a reply", PLAIN, 0, 0, "S 220-relay\nS 221 relay\n",
     "connect: the relay sent something that is no SMTP reply", 0},
    {"HTTP", PLAIN, 0, 0, "S HTTP/1.1 400 Bad Request\n", "connect: the relay sent something that is no SMTP reply", 0},
    {"199", PLAIN, 0, 0, "S 199 no\n", "connect: the relay sent something that is no SMTP reply", 0},
    {"260", PLAIN, 0, 0, "S 260 no\n", "connect: the relay sent something that is no SMTP reply", 0},
    {"2200", PLAIN, 0, 0, "S 2200 no\n", "connect: the relay sent something that is no SMTP reply", 0},
    {"a bare CR", PLAIN, 0, 0, "S 220 re\rlay\n", "connect: the relay sent something that is no SMTP reply", 0},
    {"an empty line", PLAIN, 0, 0, BARE MAIL "S \n", "sender: the relay sent something that is no SMTP reply", 0},
    {"nobody there", PLAIN, 0, 0, "X\n", "connect: the connection ended", 1},

    /// pipelined, and no
    {"pipelined, MAIL refused", PLAIN, 0, 0, PIPE "S 451 4.7.1 no\nS 503 5.5.1 MAIL first\nS 503 RCPT first\n" QUIT,
     "sender: the relay refused (451 4.7.1 no)", 1},
    {"pipelined, RCPT refused", PLAIN, 0, 0, PIPE "S 250 ok\nS 550 5.1.1 no\nS 554 no valid recipients\n" QUIT,
     "recipient: the relay refused (550 5.1.1 no)", 0},
    {"pipelined, RCPT refused, DATA taken", PLAIN, 0, 0, PIPE "S 250 ok\nS 550 no\nS 354 go\nC .\nS 554 nobody\n" QUIT,
     "recipient: the relay refused (550 no)", 0},
    {"pipelined, RCPT refused, even a lone dot taken", PLAIN, 0, 0,
     PIPE "S 250 ok\nS 450 no\nS 354 go\nC .\nS 250 ok\n" QUIT, "recipient: the relay refused (450 no)", 1},
    {"pipelined, lost in the lone dot", PLAIN, 0, 0, PIPE "S 250 ok\nS 550 no\nS 354 go\nC .\nX\n",
     "recipient: the relay refused (550 no)", 0},
    {"pipelined, MAIL refused, DATA taken", PLAIN, 0, 0, PIPE "S 550 no\nS 250 ok\nS 354 go\nC .\nS 503 no\n" QUIT,
     "sender: the relay refused (550 no)", 0},
    {"pipelined, DATA refused", PLAIN, 0, 0, PIPE "S 250 ok\nS 250 ok\nS 452 no\n" QUIT,
     "data: the relay refused (452 no)", 1},
    {"pipelined, MAIL refused, then 421", PLAIN, 0, 0, PIPE "S 550 no\nS 421 bye\n",
     "sender: the relay refused (550 no)", 0},
    {"pipelined, MAIL refused while the rest goes out", PLAIN, 0, 0,
     HELLO "S 250-relay\nS 250 PIPELINING\nW 40\nE 550 no\n", "sender: the relay refused (550 no)", 0},
    {"pipelined, a reply too many", PLAIN, 0, 0, PIPE "S 250 ok\nS 250 ok\nS 354 go\nS 250 ok\n",
     "data: the relay sent a reply that does not fit (250 ok)", 0},

    /// addresses beyond ASCII
    {"SMTPUTF8", PLAIN, "\xE4\xBD\xA0@example.org", 0,
     HELLO "S 250-relay\nS 250-8BITMIME\nS 250 SMTPUTF8\nC MAIL FROM:<chat@pipit.example> SMTPUTF8\nS 250 ok\n"
           "C RCPT TO:<\xE4\xBD\xA0@example.org>\nS 550 no\n" QUIT,
     "recipient: the relay refused (550 no)", 0},
    {"no SMTPUTF8", PLAIN, "\xE4\xBD\xA0@example.org", 0, OFFERS("8BITMIME") QUIT,
     "recipient: the relay does not take addresses beyond ASCII", 0},
};

/// Holding a conversation ///

struct way {
    size_t first; // bytes of an arrival that come first, 0: as `step` says
    size_t step;
    size_t size; // of the output buffer
};

struct hold {
    struct smtp s;
    struct way way;
    struct bytes expected;
    struct bytes arrival;
};

static struct smtp_mail mail_of(const char *to, const char *subject, const char *body)
{
    struct smtp_mail mail = {
        .to = span_of(to), .subject = span_of(subject), .body = span_of(body), .date = 1700000000000};
    for (uint8_t i = 0; i < SMTP_ID_BYTES; i++)
        mail.id[i] = i;
    return mail;
}

static void compare(struct hold *h)
{
    drain(&h->s, h->way.size);
    assert_string_equal(sent.at, h->expected.at);
    assert_int_equal(sent.length, h->expected.length);
    empty(&sent);
    empty(&h->expected);
}

static void deliver(struct hold *h)
{
    for (size_t at = 0; at < h->arrival.length;) {
        size_t n = at == 0 && h->way.first > 0 ? h->way.first : h->way.step;
        n = n < h->arrival.length - at ? n : h->arrival.length - at;
        receive(&h->s, h->arrival.at + at, n);
        at += n;
    }
    empty(&h->arrival);
}

static void write_some(struct hold *h, size_t most)
{
    uint8_t *out = output_end - 1;
    for (size_t i = 0; i < most && smtp_write(&h->s, out, 1) == 1; i++)
        continue;
}

static void play(struct hold *h, struct span line, char next)
{
    char what = line.at[0];
    struct span rest = line.length > 2 ? (struct span){line.at + 2, line.length - 2} : (struct span){line.at, 0};
    struct bytes *into = what == 'C' ? &h->expected : &h->arrival;
    if (what == 'C' && line.length == 1)
        compare(h); // nothing is to be said
    else if (what == 'C' || what == 'S' || what == 'E') {
        add(into, rest.at, rest.length);
        add(into, "\r\n", 2);
    } else if (what == 'W')
        write_some(h, (size_t)strtoul(rest.at, NULL, 10));
    else if (what == 'T') {
        assert_int_equal(smtp_next(&h->s), SMTP_START_TLS);
        assert_int_equal(smtp_step(&h->s), SMTP_STEP_TLS);
        smtp_tls_up(&h->s);
    } else
        smtp_lost(&h->s);
    if (what == 'C' && next != 'C')
        compare(h);
    if ((what == 'S' || what == 'E') && next != what)
        deliver(h);
}

static void check_wiped(const struct smtp *s)
{
    static const struct smtp_settings no_settings;
    static const struct smtp_mail no_mail;
    assert_memory_equal(&s->settings, &no_settings, sizeof no_settings);
    assert_memory_equal(&s->mail, &no_mail, sizeof no_mail);
    for (size_t i = 0; i < sizeof s->pen.chunk; i++)
        assert_int_equal(s->pen.chunk[i], 0);
}

static void check_outcome(struct hold *h, const struct talk *talk)
{
    char words[300];
    struct text text = text_in(words, sizeof words);
    if (smtp_accepted(&h->s))
        text_string(&text, "accepted");
    else
        smtp_explain(&h->s.failure, &text);
    assert_string_equal(text_end(&text), talk->outcome);
    assert_int_equal(smtp_next(&h->s), SMTP_END);
    assert_int_equal(h->s.state, smtp_accepted(&h->s) ? SMTP_DONE : SMTP_FAILED);
    assert_int_equal(h->s.failure.temporary && !smtp_accepted(&h->s), talk->temporary);
    check_wiped(&h->s);
    receive(&h->s, "250 more\r\n", 10); // and nothing changes any more
    smtp_lost(&h->s);
    smtp_tls_up(&h->s);
    compare(h);
    assert_int_equal(smtp_next(&h->s), SMTP_END);
}

static void hold(const struct talk *talk, struct way way)
{
    static struct hold h;
    struct smtp_mail mail =
        mail_of(talk->to ? talk->to : "ada@example.org", "Your code", talk->body ? talk->body : "It is 123456.");
    h.way = way;
    empty(&sent);
    empty(&h.expected);
    empty(&h.arrival);
    smtp_begin(&h.s, &talk->settings, &mail);
    for (struct span rest = span_of(talk->lines); rest.length > 0;) {
        struct span line = span_cut(&rest, '\n');
        bool last = rest.length == 0;
        char what = line.at[0];
        if (what == 'S' && h.arrival.length == 0)
            compare(&h);
        play(&h, line, last ? '\0' : rest.at[0]);
    }
    check_outcome(&h, talk);
}

static void test_talks(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 256, 4096};
    for (size_t i = 0; i < COUNT(talks); i++) {
        print_message("    %s\n", talks[i].name);
        for (size_t k = 0; k < COUNT(sizes); k++) {
            hold(&talks[i], (struct way){0, GUARDED, sizes[k]});
            hold(&talks[i], (struct way){0, 1, sizes[k]});
        }
        for (size_t first = 1; first < 80; first++)
            hold(&talks[i], (struct way){first, GUARDED, 64});
    }
}

/// What is no reply at all ///

static struct smtp conversation;

static struct smtp *begin(const struct smtp_settings *settings)
{
    struct smtp_mail mail = mail_of("ada@example.org", "Your code", "It is 123456.");
    smtp_begin(&conversation, settings, &mail);
    return &conversation;
}

static const struct smtp_settings plain = PLAIN;

static void test_reply_without_end(void **state)
{
    (void)state;
    static char line[4096] = "220-";
    memset(line + 4, 'x', sizeof line - 4);
    struct smtp *s = begin(&plain);
    receive(s, line, sizeof line); // one line of 64 KB, but for a byte
    memset(line, 'x', 4);
    for (size_t at = sizeof line; at < SMTP_REPLY_MAX; at += sizeof line)
        receive(s, line, sizeof line);
    assert_int_equal(smtp_next(s), SMTP_RECEIVE);
    receive(s, "x", 1);
    assert_int_equal(smtp_next(s), SMTP_END);
    assert_int_equal(s->failure.reason, SMTP_REPLY_TOO_LONG);
    assert_int_equal(s->failure.text_length, 0);
}

static void test_reply_of_very_many_lines(void **state)
{
    (void)state;
    struct smtp *s = begin(&plain);
    for (size_t i = 0; i < SMTP_REPLY_MAX / 6; i++)
        receive(s, "220-\r\n", 6);
    assert_int_equal(smtp_next(s), SMTP_RECEIVE);
    receive(s, "220 x\r\n", 7);
    assert_int_equal(s->failure.reason, SMTP_REPLY_TOO_LONG);
}

static void test_long_reply_that_ends(void **state)
{
    (void)state;
    static char line[60000];
    struct smtp *s = begin(&plain);
    memset(line, 'x', sizeof line);
    memcpy(line, "220 ", 4);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    receive(s, line, sizeof line);
    assert_int_equal(s->state, SMTP_EHLO);
}

static void test_binary_garbage(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        char bytes[3] = {(char)first, '\0', (char)0xFF};
        struct smtp *s = begin(&plain);
        receive(s, bytes, sizeof bytes);
        assert_int_equal(s->state, SMTP_FAILED);
        assert_int_equal(s->failure.reason, SMTP_MALFORMED);
        assert_false(s->failure.temporary);
    }
}

static void test_bare_lf_ends_a_line(void **state)
{
    (void)state;
    struct smtp *s = begin(&plain);
    receive(s, "220-relay\n220\n", 14);
    assert_int_equal(s->state, SMTP_EHLO);
}

static void test_cr_ends_no_line(void **state)
{
    (void)state;
    static const char *const greetings[] = {"220 relay\rx", "220 relay\r\r", "220\r2"};
    for (size_t i = 0; i < COUNT(greetings); i++) {
        struct smtp *s = begin(&plain);
        receive(s, greetings[i], strlen(greetings[i]));
        assert_int_equal(s->state, SMTP_FAILED);
        assert_int_equal(s->failure.reason, SMTP_MALFORMED);
        assert_int_equal(s->failure.step, SMTP_STEP_CONNECT);
    }
}

// An enhanced code is one only when its class is the reply's (RFC 2034 section 4).
static void test_enhanced_codes(void **state)
{
    (void)state;
    static const struct {
        const char *reply;
        uint16_t enhanced[3];
        const char *text;
    } replies[] = {
        {"554 5.7.1 no\r\n", {5, 7, 1}, "no"},
        {"554 5.7.1\r\n", {5, 7, 1}, ""},
        {"554 5.999.999 no\r\n", {5, 999, 999}, "no"},
        {"454-4.3.2 a\r\n454 4.3.9 b\r\n", {4, 3, 2}, "a b"},
        {"554 4.7.1 no\r\n", {0}, "4.7.1 no"},
        {"554 5.1000.1 no\r\n", {0}, "5.1000.1 no"},
        {"554 5.1 no\r\n", {0}, "5.1 no"},
        {"554 5.1.1.1 no\r\n", {0}, "5.1.1.1 no"},
        {"554 5.1.1no\r\n", {0}, "5.1.1no"},
        {"554 no 5.7.1\r\n", {0}, "no 5.7.1"},
    };
    for (size_t i = 0; i < COUNT(replies); i++) {
        struct smtp *s = begin(&plain);
        receive(s, replies[i].reply, strlen(replies[i].reply));
        assert_int_equal(s->failure.reason, SMTP_REFUSED);
        assert_memory_equal(s->failure.enhanced, replies[i].enhanced, sizeof replies[i].enhanced);
        assert_int_equal(s->failure.text_length, strlen(replies[i].text));
        assert_memory_equal(s->failure.text, replies[i].text, strlen(replies[i].text));
    }
}

/// Credentials ///

static void test_long_response_goes_alone(void **state)
{
    (void)state;
    static char user[SMTP_CREDENTIAL_MAX];
    memset(user, 'u', sizeof user);
    struct smtp_settings settings = INTLS;
    settings.password = (struct span){user, sizeof user};
    // 2 + 370 bytes make 496 digits: 11 + 496 + 2 is within 512; 373 make 500, which is not
    for (size_t length = 1; length <= 3; length++) {
        settings.user = (struct span){user, length};
        settings.password.length = 371 - 2;
        struct smtp *s = begin(&settings);
        smtp_tls_up(s);
        receive(s, "220 x\r\n", 7);
        empty(&sent);
        drain(s, 256);
        receive(s, "250-x\r\n250 AUTH PLAIN\r\n", 23);
        empty(&sent);
        drain(s, 5);
        assert_true(sent.length <= 512);
        assert_int_equal(s->state, length + 369 + 2 <= 372 ? SMTP_AUTH_PLAIN : SMTP_AUTH_PLAIN_ALONE);
        if (s->state == SMTP_AUTH_PLAIN)
            continue;
        assert_string_equal(sent.at, "AUTH PLAIN\r\n");
        empty(&sent);
        receive(s, "334 \r\n", 6);
        drain(s, 5);
        assert_int_equal(sent.length, (2 + length + 369 + 2) / 3 * 4 + 2);
        receive(s, "235 \r\n", 6);
        assert_int_equal(s->state, SMTP_MAIL);
    }
}

static void test_end_wipes(void **state)
{
    (void)state;
    struct smtp_settings settings = OPEN;
    struct smtp *s = begin(&settings);
    receive(s, "220 x\r\n", 7);
    empty(&sent);
    drain(s, 256);
    receive(s, "250-x\r\n250 AUTH PLAIN\r\n", 23);
    uint8_t out[13];
    assert_int_equal(smtp_write(s, out, sizeof out), sizeof out); // in the middle of the secret
    smtp_end(s);
    check_wiped(s);
    assert_int_equal(smtp_next(s), SMTP_END);
    assert_int_equal(smtp_write(s, out, sizeof out), 0);
}

static void test_chunk_is_wiped_behind_the_secret(void **state)
{
    (void)state;
    struct smtp_settings settings = OPEN;
    struct smtp *s = begin(&settings);
    receive(s, "220 x\r\n", 7);
    empty(&sent);
    drain(s, 256);
    receive(s, "250-x\r\n250 AUTH PLAIN\r\n", 23);
    drain(s, 256);
    assert_non_null(strstr(sent.at, "AHRpbQB0YW5zdGFhZg=="));
    for (size_t i = 0; i < sizeof s->pen.chunk; i++)
        assert_int_equal(s->pen.chunk[i], 0);
}

/// Whose the bytes are ///

// Lets the client write `most` bytes of the batch, then tells it no.
static struct smtp *refused_in_the_batch(char *to, size_t most, const char *replies)
{
    struct smtp_mail mail = mail_of(to, "Your code", "It is 123456.");
    struct smtp *s = &conversation;
    smtp_begin(s, &plain, &mail);
    receive(s, "220 x\r\n", 7);
    drain(s, 256);
    receive(s, "250-x\r\n250 PIPELINING\r\n", 23);
    for (size_t i = 0; i < most; i++)
        assert_int_equal(smtp_write(s, output_end - 1, 1), 1);
    receive(s, replies, strlen(replies));
    assert_int_equal(s->failure.reason, SMTP_REFUSED);
    return s;
}

// Who hears of a failure forgets the mail. The rest of a batch, half written for want of room, was then written from
// bytes that were somebody else's.
static void test_a_refusal_ends_the_batch(void **state)
{
    (void)state;
    static const char sender[] = "MAIL FROM:<chat@pipit.example>\r\n", recipient[] = "RCPT TO:<ada@example.org>\r\n";
    const size_t first = sizeof sender - 1, second = first + sizeof recipient - 1, all = second + 6;
    for (size_t most = first; most <= all; most++)
        for (int replies = 1; replies <= (most < second ? 1 : 2); replies++) {
            char to[] = "ada@example.org";
            struct smtp *s = refused_in_the_batch(to, most, replies == 1 ? "550 no\r\n" : "250 ok\r\n550 no\r\n");
            memset(to, '?', sizeof to - 1);
            empty(&sent);
            drain(s, 256);
            assert_string_equal(sent.at, "");
            assert_int_equal(smtp_next(s), most < all ? SMTP_END : SMTP_RECEIVE);
            if (most == all) {
                receive(s, "503 no\r\n503 no\r\n", replies == 1 ? 16 : 8);
                drain(s, 256);
                assert_string_equal(sent.at, "QUIT\r\n");
            }
        }
}

/// What is refused before anything is sent ///

static const struct {
    struct span value;
    enum smtp_reason reason;
} addresses[] = {
    {SP("a@b"), SMTP_NO_FAILURE},
    {SP("o'brien+tag@example.org"), SMTP_NO_FAILURE},
    {SP("\xE4\xBD\xA0@\xE4\xBE\x8B.example"), SMTP_NO_FAILURE},
    {SP(""), SMTP_BAD_ADDRESS},
    {SP("@"), SMTP_BAD_ADDRESS},
    {SP("a@"), SMTP_BAD_ADDRESS},
    {SP("@b"), SMTP_BAD_ADDRESS},
    {SP("ab"), SMTP_BAD_ADDRESS},
    {SP("a@b@c"), SMTP_BAD_ADDRESS},
    {SP("a@b\r\nDATA"), SMTP_BAD_ADDRESS},
    {SP("a@b\n"), SMTP_BAD_ADDRESS},
    {SP("a\r@b"), SMTP_BAD_ADDRESS},
    {SP("a\0@b"), SMTP_BAD_ADDRESS},
    {SP("a@b\0"), SMTP_BAD_ADDRESS},
    {SP("a@b\x7F"), SMTP_BAD_ADDRESS},
    {SP("<a@b>"), SMTP_BAD_ADDRESS},
    {SP("a@b> SIZE=1"), SMTP_BAD_ADDRESS},
    {SP("a@b>c"), SMTP_BAD_ADDRESS},
    {SP("a@b<c"), SMTP_BAD_ADDRESS},
    {SP("a b@c"), SMTP_BAD_ADDRESS},
    {SP("a,b@c"), SMTP_BAD_ADDRESS},
    {SP("\"a\"@b"), SMTP_BAD_ADDRESS},
    {SP("a\\@b"), SMTP_BAD_ADDRESS},
    {SP("a@b\xC2\x85x"), SMTP_BAD_ADDRESS}, // NEL
    {SP("a@b\xFF"), SMTP_BAD_ADDRESS},
    {SP("a@" HUNDRED HUNDRED "01234567890123456789012345678901234567890123456789xx"), SMTP_NO_FAILURE}, // 254
    {SP("a@" HUNDRED HUNDRED "01234567890123456789012345678901234567890123456789xxx"), SMTP_BAD_ADDRESS},
};

static void expect_begin(struct smtp_settings settings, struct smtp_mail mail, enum smtp_reason reason,
                         enum smtp_step step)
{
    uint8_t out[16];
    struct smtp s;
    smtp_begin(&s, &settings, &mail);
    assert_int_equal(s.failure.reason, reason);
    assert_int_equal(smtp_next(&s), reason == SMTP_NO_FAILURE ? SMTP_RECEIVE : SMTP_END);
    assert_int_equal(smtp_write(&s, out, sizeof out), 0);
    if (reason == SMTP_NO_FAILURE)
        return;
    assert_int_equal(s.failure.step, step);
    assert_int_equal(smtp_step(&s), step);
    assert_false(s.failure.temporary || smtp_accepted(&s));
    check_wiped(&s);
}

static void test_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct smtp_settings settings = PLAIN;
        struct smtp_mail mail = mail_of("a@b", "", "");
        mail.to = addresses[i].value;
        expect_begin(settings, mail, addresses[i].reason, SMTP_STEP_RECIPIENT);
        mail = mail_of("a@b", "", "");
        settings.from = addresses[i].value;
        expect_begin(settings, mail, addresses[i].reason, SMTP_STEP_SENDER);
    }
}

static void test_hosts(void **state)
{
    (void)state;
    static const struct {
        struct span host;
        enum smtp_reason reason;
    } hosts[] = {
        {SP("a"), SMTP_NO_FAILURE},          {SP("[192.0.2.1]"), SMTP_NO_FAILURE},
        {SP("[IPv6:::1]"), SMTP_NO_FAILURE}, {SP(""), SMTP_BAD_HOST},
        {SP("[]"), SMTP_BAD_HOST},           {SP("a:b"), SMTP_BAD_HOST},
        {SP("a b"), SMTP_BAD_HOST},          {SP("a\r\nQUIT"), SMTP_BAD_HOST},
        {SP("[a"), SMTP_BAD_HOST},           {SP("a>"), SMTP_BAD_HOST},
        {SP("[a]]"), SMTP_BAD_HOST},         {SP("a\0"), SMTP_BAD_HOST},
    };
    for (size_t i = 0; i < COUNT(hosts); i++) {
        struct smtp_settings settings = PLAIN;
        settings.host = hosts[i].host;
        expect_begin(settings, mail_of("a@b", "", ""), hosts[i].reason, SMTP_STEP_CONNECT);
    }
}

static void test_settings_and_texts(void **state)
{
    (void)state;
    static char large[SMTP_BODY_MAX + 1];
    struct smtp_settings settings = OPEN;
    settings.insecure_auth = false;
    expect_begin(settings, mail_of("a@b", "", ""), SMTP_AUTH_IN_PLAIN, SMTP_STEP_AUTH);
    settings = (struct smtp_settings)OPEN;
    settings.password = (struct span)SP("a\0b");
    expect_begin(settings, mail_of("a@b", "", ""), SMTP_BAD_CREDENTIALS, SMTP_STEP_AUTH);
    settings.password = (struct span){large, 0};
    settings.user = (struct span)SP("\0");
    expect_begin(settings, mail_of("a@b", "", ""), SMTP_BAD_CREDENTIALS, SMTP_STEP_AUTH);

    memset(large, 'x', sizeof large);
    settings.user = (struct span){large, SMTP_CREDENTIAL_MAX + 1};
    expect_begin(settings, mail_of("a@b", "", ""), SMTP_BAD_CREDENTIALS, SMTP_STEP_AUTH);
    static const char *const subjects[] = {"a\r\nBcc: b@c", "a\n", "\t", "\x7F", "\xFF", "\xE4\xBD"};
    for (size_t i = 0; i < COUNT(subjects); i++)
        expect_begin(plain, mail_of("a@b", subjects[i], ""), SMTP_BAD_SUBJECT, SMTP_STEP_DATA);
    struct smtp_mail mail = mail_of("a@b", "", "");
    mail.subject = (struct span){large, SMTP_SUBJECT_MAX + 1};
    expect_begin(plain, mail, SMTP_BAD_SUBJECT, SMTP_STEP_DATA);
    mail = mail_of("a@b", "", "\xC0\x80");
    expect_begin(plain, mail, SMTP_BAD_BODY, SMTP_STEP_DATA);
    mail.body = (struct span)SP("a\0");
    expect_begin(plain, mail, SMTP_BAD_BODY, SMTP_STEP_DATA);
    mail.body = (struct span){large, sizeof large};
    expect_begin(plain, mail, SMTP_BAD_BODY, SMTP_STEP_DATA);
    mail.body.length--;
    expect_begin(plain, mail, SMTP_NO_FAILURE, SMTP_STEP_DATA);
}

/// The message ///

// The whole message as it goes over the wire, up to its last dot; checks that the announced size is right.
static const char *message(const struct smtp_mail *mail, const char *offers, size_t size)
{
    static char words[128];
    struct smtp *s = &conversation;
    smtp_begin(s, &plain, mail);
    struct text ehlo = text_in(words, sizeof words);
    text_format(&ehlo, "250-x\r\n250-SIZE\r\n250 %s\r\n", offers);
    struct span replies[] = {SP("220 x\r\n"), text_whole(&ehlo), SP("250 x\r\n"), SP("250 x\r\n"), SP("354 x\r\n")};
    size_t announced = 0;
    for (size_t i = 0; i < COUNT(replies); i++) {
        receive(s, replies[i].at, replies[i].length);
        empty(&sent);
        drain(s, size);
        if (i == 1)
            announced = strtoul(strstr(sent.at, "SIZE=") + 5, NULL, 10);
    }
    assert_int_equal(s->state, SMTP_CONTENT);
    assert_true(sent.length > 5 && memcmp(sent.at + sent.length - 5, "\r\n.\r\n", 5) == 0);
    size_t length = sent.length - 3;
    for (const char *dot = sent.at; (dot = strstr(dot, "\r\n..")) != NULL; dot += 2)
        length--;
    assert_int_equal(announced, length);
    return sent.at;
}

static struct span field(const char *whole, const char *name)
{
    const char *at = strstr(whole, name);
    assert_non_null(at);
    at += strlen(name);
    const char *end = strstr(at, "\r\n");
    while (end[2] == ' ')
        end = strstr(end + 2, "\r\n");
    return (struct span){at, (size_t)(end - at)};
}

static void expect_span(struct span found, const char *expected)
{
    assert_int_equal(found.length, strlen(expected));
    assert_memory_equal(found.at, expected, found.length);
}

#define SIXTY "012345678901234567890123456789012345678901234567890123456789"
#define NIHAO "\xE4\xBD\xA0\xE5\xA5\xBD"
#define SEVEN NIHAO NIHAO NIHAO "\xE4\xBD\xA0" // 21 bytes

static const struct {
    const char *subject, *encoded;
} subjects[] = {
    {"", ""},
    {"Your code is 123456", "Your code is 123456"},
    {"a = b?", "a = b?"},
    {SIXTY, SIXTY},
    {SIXTY "x", "=?UTF-8?B?MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4?=\r\n "
                "=?UTF-8?B?OTAxMjM0NTY3ODkwMTIzNDU2Nzg5eA==?="},
    {" a", "=?UTF-8?B?IGE=?="},
    {"a ", "=?UTF-8?B?YSA=?="},
    {"=?UTF-8?B?eA==?=", "=?UTF-8?B?PT9VVEYtOD9CP2VBPT0/PQ==?="},
    {"\xE9\xAA\x8C\xE8\xAF\x81\xE7\xA0\x81", "=?UTF-8?B?6aqM6K+B56CB?="},
    {"Gr\xC3\xBC\xC3\x9F", "=?UTF-8?B?R3LDvMOf?="},
    {SEVEN SEVEN, // 42 bytes: 39 go into the first
     "=?UTF-8?B?5L2g5aW95L2g5aW95L2g5aW95L2g5L2g5aW95L2g5aW95L2g5aW9?=\r\n =?UTF-8?B?5L2g?="},
    {"x" SEVEN SEVEN, // 37 and 6: no character is torn
     "=?UTF-8?B?eOS9oOWlveS9oOWlveS9oOWlveS9oOS9oOWlveS9oOWlveS9oA==?=\r\n =?UTF-8?B?5aW95L2g?="},
    {"0123456789012345678901234567890123456" // 37, then a character of four that does not fit
     "\xF0\x9F\x90\xA6",
     "=?UTF-8?B?MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Ng==?=\r\n =?UTF-8?B?8J+Qpg==?="},
};

static void test_subjects(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(subjects); i++) {
        struct smtp_mail mail = mail_of("ada@example.org", subjects[i].subject, "x");
        expect_span(field(message(&mail, "X", 1), "\r\nSubject: "), subjects[i].encoded);
        expect_span(field(message(&mail, "X", 256), "\r\nSubject: "), subjects[i].encoded);
    }
}

// Every length, and characters of one to four bytes: no line beyond 76 characters (RFC 2047 section 2).
static void test_subject_lines(void **state)
{
    (void)state;
    static const char *const characters[] = {"x", "\xC3\xBC", "\xE4\xBD\xA0", "\xF0\x9F\x90\xA6"};
    char text[SMTP_SUBJECT_MAX + 1];
    for (size_t i = 0; i < COUNT(characters); i++)
        for (size_t n = 61; n + 4 <= SMTP_SUBJECT_MAX; n++) {
            struct text subject = text_in(text, sizeof text);
            for (size_t pad = n % 4; pad > 0; pad--)
                text_byte(&subject, '.');
            while (subject.length + strlen(characters[i]) <= n)
                text_string(&subject, characters[i]);
            struct smtp_mail mail = mail_of("ada@example.org", text_end(&subject), "x");
            struct span lines = field(message(&mail, "X", 256), "Subject: ");
            for (size_t before = strlen("Subject: "); lines.length > 0; before = 0) {
                struct span line = span_cut(&lines, '\n');
                line = span_trim(line);
                assert_true(before + (before == 0) + line.length <= 76);
                assert_true(span_starts(line, span_of("=?UTF-8?B?")) && line.at[line.length - 1] == '=');
            }
        }
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        uint64_t date;
        const char *text; // NULL: no Date
    } dates[] = {
        {0, NULL},
        {1, "Thu, 1 Jan 1970 00:00:00 +0000"},
        {951782400000, "Tue, 29 Feb 2000 00:00:00 +0000"},
        {951868799999, "Tue, 29 Feb 2000 23:59:59 +0000"},
        {951868800000, "Wed, 1 Mar 2000 00:00:00 +0000"},
        {1709210096000, "Thu, 29 Feb 2024 12:34:56 +0000"},
        {1735689599000, "Tue, 31 Dec 2024 23:59:59 +0000"},
        {1735689600000, "Wed, 1 Jan 2025 00:00:00 +0000"},
        {4107542400000, "Mon, 1 Mar 2100 00:00:00 +0000"},
        {253402300799999, "Fri, 31 Dec 9999 23:59:59 +0000"},
        {253402300800000, NULL},
        {UINT64_MAX, NULL},
    };
    for (size_t i = 0; i < COUNT(dates); i++) {
        struct smtp_mail mail = mail_of("ada@example.org", "x", "x");
        mail.date = dates[i].date;
        const char *whole = message(&mail, "X", 256);
        if (dates[i].text == NULL)
            assert_null(strstr(whole, "Date:"));
        else
            expect_span(field(whole, "\r\nDate: "), dates[i].text);
    }
}

static void test_long_lines_become_base64(void **state)
{
    (void)state;
    static char body[3000];
    for (size_t length = 997; length <= 999; length++) {
        memset(body, 'x', sizeof body);
        memcpy(body + length, "\n.\n", 4);
        struct smtp_mail mail = mail_of("ada@example.org", "x", body);
        const char *whole = message(&mail, "8BITMIME", 256);
        assert_int_equal(strstr(whole, "Encoding: base64\r\n") != NULL, length > 998);
        for (const char *line = whole; *line != '\0'; line = strstr(line, "\r\n") + 2)
            assert_true((size_t)(strstr(line, "\r\n") - line) <= (length > 998 ? 78u : 998u));
    }
}

// A dot at every distance from the start, so that it meets every border of a chunk and of a buffer.
static void test_dots_at_every_border(void **state)
{
    (void)state;
    char body[400];
    static const char *const ends[] = {"\n", "\r", "\r\n"};
    for (size_t at = 0; at < 3 * 200; at++) {
        const char *end = ends[at % 3];
        size_t n = at / 3;
        memset(body, 'x', n);
        strcpy(body + n, end);
        strcat(body, ".y");
        struct smtp_mail mail = mail_of("ada@example.org", "x", body);
        const char *text = strstr(message(&mail, "X", 1 + at % 90), "\r\n\r\n") + 4;
        assert_int_equal(strspn(text, "x"), n);
        assert_string_equal(text + n, "\r\n..y\r\n.\r\n");
    }
}

/// Names ///

static void test_names(void **state)
{
    (void)state;
    static const char *const names[] = {"connect", "tls", "auth", "sender", "recipient", "data"};
    for (size_t i = 0; i < COUNT(names); i++)
        assert_string_equal(smtp_step_name((enum smtp_step)i), names[i]);
    for (enum smtp_state i = SMTP_HANDSHAKE; i <= SMTP_FAILED; i++)
        assert_true(strlen(smtp_state_name(i)) >= 4);
    for (enum smtp_reason i = SMTP_NO_FAILURE; i <= SMTP_BAD_BODY; i++) {
        char words[100];
        struct smtp_failure failure = {.reason = i, .step = SMTP_STEP_DATA};
        struct text text = text_in(words, sizeof words);
        smtp_explain(&failure, &text);
        assert_true(!text.cut && text.length > 12);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talks),
        cmocka_unit_test(test_reply_without_end),
        cmocka_unit_test(test_reply_of_very_many_lines),
        cmocka_unit_test(test_long_reply_that_ends),
        cmocka_unit_test(test_binary_garbage),
        cmocka_unit_test(test_bare_lf_ends_a_line),
        cmocka_unit_test(test_cr_ends_no_line),
        cmocka_unit_test(test_enhanced_codes),
        cmocka_unit_test(test_long_response_goes_alone),
        cmocka_unit_test(test_end_wipes),
        cmocka_unit_test(test_chunk_is_wiped_behind_the_secret),
        cmocka_unit_test(test_a_refusal_ends_the_batch),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_settings_and_texts),
        cmocka_unit_test(test_subjects),
        cmocka_unit_test(test_subject_lines),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_long_lines_become_base64),
        cmocka_unit_test(test_dots_at_every_border),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
