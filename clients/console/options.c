#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] = "Usage: chat_cli [OPTION]... [HOST [PORT [PATH]]]\n"
                           "Chats over a WebSocket; without arguments with 127.0.0.1 8080 /ws.\n"
                           "\n"
                           "  --user NAME  log in as NAME (or its email); the password is asked for\n"
                           "  --register   make an account first, then log in with it\n"
                           "  --json       offer the server pipit.v1.json, so that nothing is missed when the\n"
                           "               connection is lost (the default); a server that does not know\n"
                           "               it goes on in plain text\n"
                           "  --plain      plain text only\n"
                           "  --tls        over TLS; without PORT on 8443\n"
                           "  --cacert FILE  the certificates to trust (PEM) in place of the system's\n"
                           "  --insecure   with --tls, take any certificate: whoever is on the way can read\n"
                           "               along, the password too\n"
                           "  --help       this text\n"
                           "  --version    the version\n"
                           "\n"
                           "Each line is a message; lines that begin with / are commands (/help lists them).\n"
                           "/quit, /exit, Ctrl-C and Ctrl-D leave. When stdin or stdout is not a terminal there\n"
                           "is no prompt and no colour, and the end of stdin leaves once all was sent.\n"
                           "NO_COLOR in the environment turns colours off.\n"
                           "\n"
                           "Exit status: 0 after leaving, 1 when the server could not be reached or turned this\n"
                           "client away, or the command line is wrong.\n";

enum {
    OPTION_USER = 1,
    OPTION_REGISTER,
    OPTION_JSON,
    OPTION_PLAIN,
    OPTION_TLS,
    OPTION_CACERT,
    OPTION_INSECURE,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option table[] = {
    {"user", required_argument, NULL, OPTION_USER},   {"register", no_argument, NULL, OPTION_REGISTER},
    {"json", no_argument, NULL, OPTION_JSON},         {"plain", no_argument, NULL, OPTION_PLAIN},
    {"tls", no_argument, NULL, OPTION_TLS},           {"cacert", required_argument, NULL, OPTION_CACERT},
    {"insecure", no_argument, NULL, OPTION_INSECURE}, {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},   {NULL, 0, NULL, 0},
};

static bool stop(int *status, int value)
{
    *status = value;
    return false;
}

static bool wrong(int *status, const char *what, const char *value)
{
    fprintf(stderr, "chat_cli: %s%s; chat_cli --help shows how it is used.\n", what, value);
    return stop(status, 1);
}

static bool take_option(struct options *options, int option, int *status)
{
    switch (option) {
    case OPTION_USER:
        options->user = optarg;
        return true;
    case OPTION_REGISTER:
        options->registering = true;
        return true;
    case OPTION_JSON:
    case OPTION_PLAIN:
        options->plain = option == OPTION_PLAIN;
        return true;
    case OPTION_TLS:
        options->tls = true;
        options->port = 8443;
        return true;
    case OPTION_CACERT:
        options->cacert = optarg;
        return true;
    case OPTION_INSECURE:
        options->insecure = true;
        return true;
    case OPTION_HELP:
        fputs(help, stdout);
        return stop(status, 0);
    case OPTION_VERSION:
        puts("chat_cli 1.0 (Pipit)");
        return stop(status, 0);
    default: // getopt_long has said what was wrong
        return stop(status, 1);
    }
}

static bool take_port(struct options *options, const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || port < 1 || port > 65535)
        return false;
    options->port = (int)port;
    return true;
}

// White space or a control character would end the request line early.
static bool is_path(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '#')
            return false;
    return text[0] == '/';
}

// libwebsockets would go on without, and say nothing.
static bool take_trust(const struct options *options, int *status)
{
    if (!options->tls && (options->cacert != NULL || options->insecure))
        return wrong(status, "--cacert and --insecure go with --tls", "");
    if (options->cacert != NULL && access(options->cacert, R_OK) != 0)
        return wrong(status, "cannot read the certificates to trust, ", options->cacert);
    return true;
}

static bool take_words(struct options *options, int count, char **words, int *status)
{
    if (count > 3)
        return wrong(status, "too many arguments from ", words[3]);
    if (count > 0)
        options->host = words[0];
    if (options->host[0] == '\0' || strpbrk(options->host, "/ \t\r\n") != NULL)
        return wrong(status, "not a host name or address: ", options->host);
    if (count > 1 && !take_port(options, words[1]))
        return wrong(status, "the port must be a number from 1 to 65535, not ", words[1]);
    if (count > 2)
        options->path = words[2];
    if (!is_path(options->path))
        return wrong(status, "the path must begin with / and have no white space: ", options->path);
    return true;
}

bool options_read(struct options *options, int argc, char **argv, int *status)
{
    static char name[] = "chat_cli";
    *options = (struct options){.host = "127.0.0.1", .port = 8080, .path = "/ws"};
    for (;;) {
        argv[0] = name; // getopt_long begins its sentences with it
        int option = getopt_long(argc, argv, "", table, NULL);
        if (option == -1)
            return take_words(options, argc - optind, argv + optind, status) && take_trust(options, status);
        if (!take_option(options, option, status))
            return false;
    }
}
