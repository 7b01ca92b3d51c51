#include "loop.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

// libwebsockets closes an adopted descriptor on POLLHUP, and a pipe whose writer has gone shows that while there are
// still lines in it. So it is given an epoll descriptor that holds stdin and the signals and never hangs up.
static struct {
    struct lws_context *context;
    int signals;
    int bundle;
    bool is_watching;
    bool was_told;
    bool was_resized;
    bool was_suspended;
} loop = {.signals = -1, .bundle = -1};

static bool take_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGTSTP);
    signal(SIGPIPE, SIG_IGN);
    loop.signals = sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
    return loop.signals >= 0;
}

static bool bundle(void)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = loop.signals};
    loop.bundle = epoll_create1(EPOLL_CLOEXEC);
    return loop.bundle >= 0 && epoll_ctl(loop.bundle, EPOLL_CTL_ADD, loop.signals, &event) == 0;
}

static bool create_context(const struct lws_protocols *protocols, bool tls, const char *cacert)
{
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .timeout_secs = 30, // the default of 5 s would cut off a slow login; callers have timers of their own
    };
    if (tls)
        info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    if (cacert != NULL) {
        info.options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS;
        info.client_ssl_ca_filepath = cacert;
    }
    // libwebsockets would send a chat with 127.0.0.1 through the proxies that these name.
    unsetenv("http_proxy");
    unsetenv("socks_proxy");
    lws_set_log_level(0, NULL);
    loop.context = lws_create_context(&info);
    return loop.context != NULL;
}

bool loop_start(const struct lws_protocols *protocols, bool tls, const char *cacert)
{
    lws_sock_file_fd_type descriptor;
    if (!take_signals() || !bundle() || !create_context(protocols, tls, cacert))
        return false;
    descriptor.filefd = loop.bundle;
    struct lws_vhost *vhost = lws_get_vhost_by_name(loop.context, "default");
    return lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_RAW_FILE_DESC, descriptor, protocols[0].name, NULL) != NULL;
}

void loop_stop(void)
{
    lws_context_destroy(loop.context);
    loop.context = NULL;
    close(loop.signals);
}

struct lws_context *loop_context(void)
{
    return loop.context;
}

// A regular file cannot be watched (EPERM) and need not be: it is always ready, and read before each wait.
void loop_watch_input(bool on)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = STDIN_FILENO};
    if (loop.is_watching == on)
        return;
    epoll_ctl(loop.bundle, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, STDIN_FILENO, &event);
    loop.is_watching = on;
}

static void note_signals(void)
{
    struct signalfd_siginfo signal;
    while (read(loop.signals, &signal, sizeof signal) == sizeof signal) {
        if (signal.ssi_signo == SIGWINCH)
            loop.was_resized = true;
        else if (signal.ssi_signo == SIGTSTP)
            loop.was_suspended = true;
        else
            loop.was_told = true;
    }
}

void loop_turn(void)
{
    lws_service(loop.context, 0);
    note_signals();
}

void loop_wake(void)
{
    lws_cancel_service(loop.context);
}

void loop_wait_input(void)
{
    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = loop.signals, .events = POLLIN}};
    poll(fds, 2, -1);
    note_signals();
}

static bool take(bool *flag)
{
    bool value = *flag;
    *flag = false;
    return value;
}

bool loop_was_told(void)
{
    return loop.was_told;
}

bool loop_was_resized(void)
{
    return take(&loop.was_resized);
}

bool loop_was_suspended(void)
{
    return take(&loop.was_suspended);
}
