// chat_cli: the chat in a terminal.
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "account.h"
#include "http.h"
#include "input.h"
#include "link.h"
#include "loop.h"
#include "options.h"
#include "screen.h"

static const struct lws_protocols protocols[] = {
    {.name = HTTP_PROTOCOL, .callback = http_callback, .rx_buffer_size = 4096},
    {.name = LINK_PROTOCOL, .callback = link_callback, .rx_buffer_size = 4096},
    {.name = NULL},
};

// The wire is UTF-8, so readline has to count characters in it, also where no locale is set.
static void set_locale(void)
{
    setlocale(LC_ALL, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void take_key_line(const char *line, size_t length)
{
    if (line == NULL)
        link_finish();
    else
        link_typed(line, length);
}

// Reads only as much as can be kept, so a long file waits for the server and not in memory. False at the end.
static bool take_piped(void)
{
    const char *line;
    size_t length;
    while (link_has_room()) {
        switch (input_next(&line, &length)) {
        case INPUT_LINE:
            link_typed(line, length);
            break;
        case INPUT_TOO_LONG:
            screen_status("not sent: a message has at most 1,024 bytes");
            break;
        case INPUT_NONE:
            return true;
        case INPUT_END:
            return false;
        }
    }
    return true;
}

static void take_input(bool *has_ended)
{
    if (screen_is_terminal()) {
        screen_keys(take_key_line);
        return;
    }
    if (!*has_ended && !take_piped()) {
        *has_ended = true;
        link_finish();
    }
}

static void obey_signals(void)
{
    if (loop_was_told() || screen_is_gone())
        link_leave();
    if (loop_was_resized())
        screen_resized();
    if (loop_was_suspended())
        screen_suspend();
}

static int chat(const struct link_settings *settings)
{
    bool has_ended = false;
    int status = 0;
    link_start(settings);
    while (!link_has_ended(&status)) {
        if (link_was_open())
            screen_prompt();
        take_input(&has_ended);
        loop_watch_input(!has_ended && (screen_is_terminal() ? screen_is_prompting() : link_has_room()));
        if (!link_has_ended(&status))
            loop_turn();
        obey_signals();
    }
    screen_stop();
    return status;
}

static bool authenticate(const struct options *options, char *token)
{
    struct http_server server = {options->host, options->port, http_tls_flags(options->tls, options->insecure)};
    if (options->registering)
        return account_register(&server, options->user, token);
    return options->user == NULL || account_login(&server, options->user, token);
}

static int run(const struct options *options)
{
    static char token[ACCOUNT_TOKEN];
    struct link_settings settings = {
        .host = options->host,
        .port = options->port,
        .path = options->path,
        .is_plain = options->plain,
        .tls = http_tls_flags(options->tls, options->insecure),
    };
    if (!authenticate(options, token))
        return loop_was_told() ? 0 : 1;
    if (token[0] != '\0')
        settings.token = token;
    return chat(&settings);
}

int main(int argc, char **argv)
{
    struct options options;
    int status;
    set_locale();
    if (!options_read(&options, argc, argv, &status))
        return status;
    screen_start();
    if (options.insecure)
        screen_status("--insecure: the server's certificate is not checked, so anybody may be listening");
    if (!loop_start(protocols, options.tls, options.cacert)) {
        fputs("chat_cli: cannot set up the network loop.\n", stderr);
        return 1;
    }
    status = run(&options);
    loop_stop();
    return status;
}
