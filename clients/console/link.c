#include "link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"
#include "loop.h"
#include "screen.h"
#include "session.h"
#include "text.h"

#define FRAME_MAX     65536 // bytes of one message from the server
#define CONNECT_TIME  10000 // ms for the connection and the answer to the upgrade
#define RETRY_FIRST   500   // ms
#define RETRY_LONGEST 15000 // ms
#define STEADY        10000 // ms that a connection must stand for the next retry to be the first again
#define REPLAY_TIME   1000  // ms for the history after a reconnection
#define ANSWER_TIME   1000  // ms without an answer after which the end of input leaves
#define PAUSE_TIME    6000  // the same where each line is answered, though a server may pause a hasty client for 5 s
#define QUIET_TIME    100   // ms more once all was answered: a long /who comes in several frames
#define CLOSE_TIME    1000  // ms for the server's side of the closing handshake
#define QUIT_TIME     2000  // ms for the server to close after /quit
#define GIVE_UP_TIME  30000 // ms for a lost connection to come back when input has ended

enum link_state {
    LINK_CONNECTING,
    LINK_OPEN,
    LINK_CLOSING,    // the close frame is to be sent
    LINK_CLOSE_SENT, // and is answered by the server
    LINK_WAITING,    // for the next try
    LINK_ENDED,
};

static struct {
    struct link_settings settings;
    enum link_state state;
    struct lws *wsi;
    int status; // exit status, once ended
    bool has_been_open;
    bool is_finishing; // no more input will come
    bool is_json;
    unsigned tries;
    uint64_t opened_at; // ms
    uint16_t close_code;
    char close_reason[124];
    char path[2048];
    char address[300];
    size_t received;
    char frame[FRAME_MAX];
    lws_sorted_usec_list_t timer;  // what the state waits for
    lws_sorted_usec_list_t giveup; // GIVE_UP_TIME
    lws_sorted_usec_list_t replay; // REPLAY_TIME
} link_;

static void connect_now(void);

static void set_timer(lws_sorted_usec_list_t *timer, sul_cb_t callback, uint64_t ms)
{
    lws_sul_schedule(loop_context(), 0, timer, callback, (lws_usec_t)(ms * LWS_US_PER_MS));
}

static uint64_t now_ms(void)
{
    return (uint64_t)(lws_now_usecs() / LWS_US_PER_MS);
}

// Each state has one timer at most; leaving a state stops it.
static void set_state(enum link_state state)
{
    lws_sul_cancel(&link_.timer);
    if (state != LINK_OPEN)
        lws_sul_cancel(&link_.replay);
    link_.state = state;
    loop_wake();
}

static void end(int status)
{
    set_state(LINK_ENDED);
    lws_sul_cancel(&link_.giveup);
    link_.status = status;
}

/// Closing ///

static void close_expired(lws_sorted_usec_list_t *timer)
{
    (void)timer;
    end(0);
}

static void begin_close(void)
{
    set_state(LINK_CLOSING);
    set_timer(&link_.timer, close_expired, CLOSE_TIME);
    lws_callback_on_writable(link_.wsi);
}

static void wait_expired(lws_sorted_usec_list_t *timer)
{
    (void)timer;
    begin_close();
}

// After all input: leaves once the server has answered everything, or does not go on answering.
static void check_finished(void)
{
    if (link_.state != LINK_OPEN || !link_.is_finishing || session_has_quit() || session_waiting() > 0)
        return;
    unsigned patience = link_.is_json ? PAUSE_TIME : ANSWER_TIME;
    set_timer(&link_.timer, wait_expired, session_is_settled() ? QUIET_TIME : patience);
}

/// Losing the connection, and the next try ///

static void retry(lws_sorted_usec_list_t *timer)
{
    (void)timer;
    connect_now();
}

// Doubles from try to try; up to a quarter is taken off by chance, so that a thousand clients do not come back at once.
static unsigned next_delay(void)
{
    unsigned delay = link_.tries < 5 ? (unsigned)RETRY_FIRST << link_.tries : RETRY_LONGEST;
    uint16_t chance = 0;
    lws_get_random(loop_context(), &chance, sizeof chance);
    link_.tries++;
    return delay - delay * (chance % 256u) / 1024u;
}

static void try_again(const char *why)
{
    unsigned delay = next_delay();
    unsigned tenths = (delay + 50) / 100;
    set_state(LINK_WAITING);
    if (tenths % 10 == 0)
        screen_status("connection lost%s, trying again in %u s", why, tenths / 10);
    else
        screen_status("connection lost%s, trying again in %u.%u s", why, tenths / 10, tenths % 10);
    set_timer(&link_.timer, retry, delay);
}

static void say_unsent(void)
{
    size_t waiting = session_waiting();
    if (waiting > 0)
        screen_status("%zu line%s not sent", waiting, waiting == 1 ? " was" : "s were");
}

static void given_up(lws_sorted_usec_list_t *timer)
{
    (void)timer;
    if (link_.state == LINK_OPEN)
        return;
    say_unsent();
    screen_sorry("the connection did not come back.");
    end(1);
}

static void leave_unsent(void)
{
    say_unsent();
    end(0);
}

// At the end of input a person leaves; a script's lines are worth some more tries.
static bool finish_unconnected(void)
{
    if (screen_is_terminal() || session_is_settled()) {
        leave_unsent();
        return true;
    }
    if (link_.giveup.list.owner == NULL)
        set_timer(&link_.giveup, given_up, GIVE_UP_TIME);
    return false;
}

static void reconnect(const char *why)
{
    if (!link_.is_finishing || !finish_unconnected())
        try_again(why);
}

/// Why a connection ended ///

// Close codes after which another try would end the same way.
static const struct {
    uint16_t code;
    const char *sentence;
} final_codes[] = {
    {4001, "this account was connected elsewhere, so this connection was closed"},
    {4002, "this login has expired or was ended; log in again"},
    {1008, "the server has closed this connection for a breach of its rules"},
};

static const char *final_sentence(uint16_t code)
{
    for (size_t i = 0; i < sizeof final_codes / sizeof final_codes[0]; i++)
        if (final_codes[i].code == code)
            return final_codes[i].sentence;
    return NULL;
}

static bool is_our_fault(uint16_t code)
{
    return code == 1003 || code == 1007 || code == 1009;
}

static void say_final(const char *sentence)
{
    if (link_.close_reason[0] != '\0')
        screen_sorry("%s: %s", sentence, link_.close_reason);
    else
        screen_sorry("%s.", sentence);
    end(1);
}

static void lost_while_open(void)
{
    const char *sentence = final_sentence(link_.close_code);
    char why[200] = "";
    if (link_.close_code != 0 && link_.close_reason[0] != '\0')
        snprintf(why, sizeof why, " (%s)", link_.close_reason);
    if (now_ms() - link_.opened_at >= STEADY)
        link_.tries = 0;
    session_lost();
    if (is_our_fault(link_.close_code))
        session_refused();
    if (sentence != NULL)
        say_final(sentence);
    else
        reconnect(why);
}

static bool is_closing(void)
{
    return link_.state == LINK_CLOSING || link_.state == LINK_CLOSE_SENT;
}

static void closed(void)
{
    link_.wsi = NULL;
    if (link_.state == LINK_ENDED)
        return;
    if (is_closing() || session_has_quit())
        end(0);
    else
        lost_while_open();
}

// 4xx says that the next try will fail as well, but for "too slow" and "too often".
static bool is_final_status(unsigned status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429;
}

static void failed(unsigned status, const char *detail)
{
    link_.wsi = NULL;
    if (link_.state == LINK_ENDED)
        return;
    if (link_.has_been_open && !is_final_status(status)) {
        reconnect("");
        return;
    }
    if (status >= 200)
        screen_sorry("%s port %d refused the connection: %s (HTTP status %u).", link_.settings.host,
                     link_.settings.port, http_status_words(status), status);
    else
        screen_sorry("cannot connect to %s port %d: %s.", link_.settings.host, link_.settings.port, detail);
    end(1);
}

/// Connecting ///

// From here on the callbacks of the old connection are not heard any more.
static void connect_expired(lws_sorted_usec_list_t *timer)
{
    struct lws *late = link_.wsi;
    (void)timer;
    failed(0, "the server did not answer in time");
    if (late != NULL)
        lws_set_timeout(late, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

// The history is asked for from the last event on, behind whatever query the path has already.
static void write_path(void)
{
    uint64_t since;
    const char *path = link_.settings.path;
    if (!link_.settings.is_plain && session_since(&since))
        snprintf(link_.path, sizeof link_.path, "%s%csince=%" PRIu64, path, strchr(path, '?') != NULL ? '&' : '?',
                 since);
    else
        snprintf(link_.path, sizeof link_.path, "%s", path);
}

static void connect_now(void)
{
    // A server that vanished without a word is noticed after 45 s.
    static const lws_retry_bo_t liveness = {.secs_since_valid_ping = 30, .secs_since_valid_hangup = 45};
    struct lws_client_connect_info info = {
        .context = loop_context(),
        .address = link_.settings.host,
        .port = link_.settings.port,
        .path = link_.path,
        .host = link_.address,
        .protocol = link_.settings.is_plain ? NULL : LINK_PROTOCOL,
        .local_protocol_name = LINK_PROTOCOL,
        .ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | link_.settings.tls,
        .alpn = "http/1.1",
        .retry_and_idle_policy = &liveness,
        .pwsi = &link_.wsi,
    };
    write_path();
    set_state(LINK_CONNECTING);
    set_timer(&link_.timer, connect_expired, CONNECT_TIME);
    link_.is_json = false;
    link_.close_code = 0;
    link_.close_reason[0] = '\0';
    link_.received = 0;
    // A failure comes through the callback, but for some that come at once, such as an unknown name.
    if (lws_client_connect_via_info(&info) == NULL && link_.state == LINK_CONNECTING)
        failed(0, http_connect_words(NULL, 0));
}

void link_start(const struct link_settings *settings)
{
    link_.settings = *settings;
    http_host(link_.address, sizeof link_.address, settings->host, settings->port);
    connect_now();
}

static void replay_expired(lws_sorted_usec_list_t *timer)
{
    (void)timer;
    session_replayed();
    lws_callback_on_writable(link_.wsi);
}

static void opened(struct lws *wsi)
{
    if (link_.state != LINK_CONNECTING)
        return;
    set_state(LINK_OPEN);
    link_.has_been_open = true;
    link_.opened_at = now_ms();
    lws_sul_cancel(&link_.giveup);
    session_opened(link_.is_json);
    if (session_is_replaying())
        set_timer(&link_.replay, replay_expired, REPLAY_TIME);
    lws_callback_on_writable(wsi);
    check_finished();
}

/// Frames ///

// What is longer than the buffer is cut, and shown so.
static void collect(const char *piece, size_t length)
{
    size_t room = sizeof link_.frame - link_.received;
    length = length < room ? length : room;
    memcpy(link_.frame + link_.received, piece, length);
    link_.received += length;
}

static void receive(struct lws *wsi, const char *piece, size_t length)
{
    collect(piece, length);
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0)
        return;
    session_frame(link_.frame, link_.received);
    link_.received = 0;
    if (link_.state == LINK_OPEN && session_next() != NULL)
        lws_callback_on_writable(wsi);
    check_finished();
}

// Once: a second -1 would cut the connection before the server has answered, with what is still under way.
static int send_close(struct lws *wsi)
{
    set_state(LINK_CLOSE_SENT);
    set_timer(&link_.timer, close_expired, CLOSE_TIME);
    lws_close_reason(wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
    return -1;
}

static void after_line(struct lws *wsi)
{
    if (session_has_quit())
        set_timer(&link_.timer, wait_expired, QUIT_TIME);
    else if (session_next() != NULL)
        lws_callback_on_writable(wsi);
    check_finished();
}

static int writable(struct lws *wsi)
{
    static unsigned char buffer[LWS_PRE + OUTBOX_LINE];
    if (link_.state == LINK_CLOSING)
        return send_close(wsi);
    const struct outbox_line *line = link_.state == LINK_OPEN ? session_next() : NULL;
    if (line == NULL)
        return 0;
    size_t length = line->length;
    memcpy(buffer + LWS_PRE, line->text, length);
    session_sent();
    // The original's server would show /quit to everybody as a message: there the client closes.
    if (session_has_quit() && !link_.is_json)
        begin_close();
    else if (lws_write(wsi, buffer + LWS_PRE, length, LWS_WRITE_TEXT) < (int)length)
        return -1;
    else
        after_line(wsi);
    return 0;
}

static void note_close(const unsigned char *payload, size_t length)
{
    if (length < 2)
        return;
    link_.close_code = (uint16_t)(payload[0] << 8 | payload[1]);
    length = length - 2 < sizeof link_.close_reason ? length - 2 : sizeof link_.close_reason - 1;
    memcpy(link_.close_reason, payload + 2, length);
    link_.close_reason[length] = '\0';
}

static bool selected_json(struct lws *wsi)
{
    char protocol[32];
    int length = lws_hdr_copy(wsi, protocol, sizeof protocol, WSI_TOKEN_PROTOCOL);
    return length > 0 && strcmp(protocol, LINK_PROTOCOL) == 0;
}

static int add_token(struct lws *wsi, unsigned char **at, size_t room)
{
    char value[512];
    if (link_.settings.token == NULL)
        return 0;
    int length = snprintf(value, sizeof value, "Bearer %s", link_.settings.token);
    return lws_add_http_header_by_token(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, (unsigned char *)value, length, at,
                                        *at + room);
}

int link_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)user;
    if (wsi != link_.wsi) // given up already
        return 0;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return add_token(wsi, in, length);
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
        link_.is_json = selected_json(wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        opened(wsi);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        receive(wsi, in, length);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return writable(wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        note_close(in, length);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        closed();
        return 0;
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP: // ended before the upgrade was answered
        failed(0, "the server closed the connection or did not answer in time");
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        failed(lws_http_client_http_response(wsi), http_connect_words(in, length));
        return 0;
    default:
        return 0;
    }
}

/// What the user wants ///

static void say_kept(void)
{
    size_t waiting = session_waiting();
    screen_status("not connected: %zu line%s kept, to be sent after the next connection", waiting,
                  waiting == 1 ? "" : "s");
}

static bool is_quit(const char *line, size_t length)
{
    text_trim(&line, &length);
    return session_is_quit(line, length);
}

void link_typed(const char *line, size_t length)
{
    size_t before = session_waiting();
    if (link_.state == LINK_WAITING && screen_is_terminal() && is_quit(line, length))
        leave_unsent();
    else if (!session_typed(line, length))
        screen_status("not kept: %zu lines are waiting already", session_waiting());
    else if (link_.state == LINK_OPEN)
        lws_callback_on_writable(link_.wsi);
    else if (link_.has_been_open && session_waiting() > before && screen_is_terminal())
        say_kept();
}

bool link_has_room(void)
{
    return session_waiting() < OUTBOX_LINES;
}

bool link_was_open(void)
{
    return link_.has_been_open;
}

void link_leave(void)
{
    if (link_.state == LINK_OPEN)
        begin_close();
    else if (!is_closing() && link_.state != LINK_ENDED)
        end(0);
}

void link_finish(void)
{
    link_.is_finishing = true;
    if (link_.state == LINK_WAITING || (link_.state == LINK_CONNECTING && link_.has_been_open))
        finish_unconnected();
    check_finished();
}

bool link_has_ended(int *status)
{
    *status = link_.status;
    return link_.state == LINK_ENDED;
}
