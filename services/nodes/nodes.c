#include "nodes.h"
#include "../../port/log.h"
#include "../../port/net.h"
#include "../../port/port.h"
#include "../hub/hub.h"
#include "probe.h"
#include <string.h>

enum node_state {
    NODE_UNUSED, // the slot is free
    NODE_NEW,    // not asked yet
    NODE_ALIVE,
    NODE_LOST,
};

struct node {
    char host[NODE_HOST_MAX + 1]; // empty: this machine
    char port[NODE_PORT_MAX + 1];
    uint16_t number; // of the port
    uint8_t state;
    bool listed;      // while the key is being read: it is still there
    uint32_t load;    // as it said last
    uint32_t chosen;  // users sent there since
    uint32_t counted; // of those, who were sent before it was asked
    uint64_t due;     // ms: when it is to be asked
};

static struct node table[NODES_MAX];
static char known[sizeof nodes_settings.list]; // the key as it was read last
static uint32_t last;                          // the slot that was chosen last
static bool stopped;
uint32_t nodes_probes_failed;
struct nodes_settings nodes_settings;

/// The key ///

struct address {
    struct span host;
    struct span port;
    uint16_t number;
};

struct list {
    struct address items[NODES_MAX];
    size_t count;
};

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

// A label of a name (RFC 1123 section 2.1), and the underscore that some networks have in theirs.
static bool is_label(struct span s)
{
    for (size_t i = 0; i < s.length; i++) {
        char byte = span_fold(s.at[i]);
        bool inner = i > 0 && i + 1 < s.length;
        if (!is_digit(byte) && !(byte >= 'a' && byte <= 'z') && byte != '_' && !(byte == '-' && inner))
            return false;
    }
    return s.length > 0;
}

// A name whose last label is a number is meant as an address, so it has to be one: 10.0.0.300 would be asked of the
// name server, and 010.0.0.1 be read as octal there.
static bool is_host(struct span s)
{
    struct span label, rest = s;
    uint64_t number;
    uint32_t address;
    do {
        size_t before = rest.length;
        label = span_cut(&rest, '.');
        if (!is_label(label) || (rest.length == 0 && label.length < before))
            return false;
    } while (rest.length > 0);
    return net_address_read(s, &address) || !span_number(label, UINT64_MAX, &number);
}

static bool read_port(struct span s, uint16_t *number)
{
    uint64_t value = 0;
    if (s.length == 0 || s.at[0] == '0' || !span_number(s, UINT16_MAX, &value))
        return false;
    *number = (uint16_t)value;
    return true;
}

static const char *read_item(struct span item, struct address *address)
{
    *address = (struct address){.number = 0};
    if (span_equal(item, span_of("this")))
        return NULL;
    address->port = item;
    address->host = span_cut(&address->port, ':');
    if (address->host.length == item.length)
        return "list chat nodes as HOST:PORT (or this, for this machine), separated by commas";
    if (address->host.length > NODE_HOST_MAX || !is_host(address->host))
        return "name hosts by an IPv4 address, or a name of at most 63 letters, digits, dots and hyphens";
    if (!read_port(address->port, &address->number))
        return "give each host a port from 1 to 65535";
    return NULL;
}

static bool is_listed(const struct list *list, const struct address *address)
{
    for (size_t i = 0; i < list->count; i++)
        if (span_equal_nocase(list->items[i].host, address->host) && list->items[i].number == address->number)
            return true;
    return false;
}

// Configuration says it in a sentence that is a constant.
_Static_assert(NODES_MAX == 8 || NODES_MAX == 4, "the sentence below knows two numbers");
static const char *const most_nodes = NODES_MAX == 8 ? "name eight chat nodes at most" : "name four chat nodes at most";

static const char *add_item(struct list *list, struct span item)
{
    struct address address;
    const char *wrong = read_item(item, &address);
    if (wrong != NULL)
        return wrong;
    if (is_listed(list, &address))
        return "name no chat node twice";
    if (list->count == NODES_MAX)
        return most_nodes;
    list->items[list->count++] = address;
    return NULL;
}

// An empty list leaves `list` empty.
static const char *read_list(struct span value, struct list *list)
{
    struct span rest = span_trim(value);
    bool more = rest.length > 0;
    const char *wrong = NULL;
    *list = (struct list){.count = 0};
    while (more && wrong == NULL) {
        size_t before = rest.length;
        struct span item = span_cut(&rest, ',');
        more = item.length < before;
        wrong = add_item(list, span_trim(item));
    }
    return wrong;
}

const char *nodes_check(struct span value)
{
    struct list list;
    return read_list(value, &list);
}

/// The table ///

static bool is_this(const struct node *node)
{
    return node->host[0] == '\0';
}

static struct node *find(const struct address *address)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct node *node = &table[i];
        if (node->state != NODE_UNUSED && span_equal(address->host, span_of(node->host)) &&
            span_equal(address->port, span_of(node->port)))
            return node;
    }
    return NULL;
}

static void copy(char *to, struct span s)
{
    if (s.length > 0)
        memcpy(to, s.at, s.length);
    to[s.length] = '\0';
}

static void add(const struct address *address)
{
    struct node *node = table;
    while (node->state != NODE_UNUSED)
        node++; // there is one: no more nodes are listed than the table has slots
    *node = (struct node){.number = address->number};
    copy(node->host, address->host);
    copy(node->port, address->port);
    node->state = is_this(node) ? NODE_ALIVE : NODE_NEW;
}

static void remove_unlisted(void)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct node *node = &table[i];
        if (node->state == NODE_UNUSED || node->listed)
            continue;
        probe_cancel(node);
        node->state = NODE_UNUSED;
    }
}

// Those that stay keep what is known of them, and a probe that is under way.
static void adopt(const struct list *list)
{
    for (size_t i = 0; i < NODES_MAX; i++)
        table[i].listed = false;
    for (size_t i = 0; i < list->count; i++) {
        struct node *node = find(&list->items[i]);
        if (node != NULL)
            node->listed = true;
    }
    remove_unlisted();
    for (size_t i = 0; i < list->count; i++)
        if (find(&list->items[i]) == NULL)
            add(&list->items[i]);
}

static void read_key(void)
{
    struct list list;
    memcpy(known, nodes_settings.list, sizeof known);
    const char *wrong = read_list(span_of(known), &list);
    if (wrong != NULL)
        log_line(LOG_ERROR, "nodes", "only this machine is used: status.nodes must %s", wrong);
    if (wrong != NULL || list.count == 0)
        list = (struct list){.count = 1}; // an address of nothing is this machine's
    adopt(&list);
}

static void follow_key(void)
{
    if (strcmp(known, nodes_settings.list) != 0)
        read_key();
}

/// Asking ///

// Logs each change once, and why a lost node stays lost only for those who want to know.
static void set_state(struct node *node, enum node_state state, const struct probe_answer *answer)
{
    bool changed = node->state != state;
    node->state = (uint8_t)state;
    if (state == NODE_LOST)
        log_line(changed ? LOG_WARNING : LOG_DEBUG, "nodes", "%s:%s is lost: %.*s", node->host, node->port,
                 (int)answer->why.length, answer->why.at);
    else if (changed)
        log_line(LOG_INFO, "nodes", "%s:%s is alive, %u chat there", node->host, node->port, (unsigned)node->load);
}

static void on_probed(void *context, const struct probe_answer *answer)
{
    struct node *node = context;
    switch (answer->verdict) {
    case PROBE_ALIVE:
        node->load = answer->load;
        node->chosen -= node->counted;
        set_state(node, NODE_ALIVE, answer);
        break;
    case PROBE_LOST:
        nodes_probes_failed++;
        set_state(node, NODE_LOST, answer);
        break;
    case PROBE_UNTOLD:
        node->due = port_now_ms() + NODES_RETRY_MS;
        break;
    }
}

static void ask(struct node *node, uint64_t now_ms)
{
    struct probe_target target = {span_of(node->host), span_of(node->port), node->number};
    node->counted = node->chosen;
    node->due = now_ms + (probe_start(&target, on_probed, node) ? NODES_PERIOD_MS : NODES_RETRY_MS);
}

// The next one to be asked. One that is being asked is due long after its probe has ended.
static struct node *next_due(void)
{
    struct node *next = NULL;
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct node *node = &table[i];
        if (node->state != NODE_UNUSED && !is_this(node) && (next == NULL || node->due < next->due))
            next = node;
    }
    return next;
}

_Static_assert(PROBE_PATIENCE_MS < NODES_PERIOD_MS, "a node must not be asked twice at once");

/// Choosing ///

// This machine is not asked, but looked at as often as the others are.
static void look_at_this(uint64_t now_ms)
{
    for (size_t i = 0; i < NODES_MAX; i++) {
        struct node *node = &table[i];
        if (node->state == NODE_UNUSED || !is_this(node) || now_ms < node->due)
            continue;
        node->load = hub_clients();
        node->chosen = 0;
        node->due = now_ms + NODES_PERIOD_MS;
    }
}

// What is known of this machine is never older than it has to be, but those sent here may still be on their way.
static uint64_t burden(const struct node *node)
{
    uint64_t expected = (uint64_t)node->load + node->chosen;
    uint32_t here = is_this(node) ? hub_clients() : 0;
    return here > expected ? here : expected;
}

bool nodes_choose(uint64_t now_ms, struct node_choice *choice)
{
    struct node *best = NULL;
    follow_key();
    look_at_this(now_ms);
    for (uint32_t i = 1; i <= NODES_MAX; i++) {
        struct node *node = &table[(last + i) % NODES_MAX];
        if (node->state == NODE_ALIVE && (best == NULL || burden(node) < burden(best)))
            best = node;
    }
    if (best == NULL)
        return false;
    best->chosen++;
    last = (uint32_t)(best - table);
    *choice = (struct node_choice){span_of(best->host), span_of(best->port)};
    return true;
}

/// The service's ///

static uint32_t count(enum node_state state)
{
    uint32_t n = 0;
    for (size_t i = 0; i < NODES_MAX; i++)
        n += table[i].state == state;
    return n;
}

uint32_t nodes_alive(void)
{
    return count(NODE_ALIVE);
}

uint32_t nodes_lost(void)
{
    return count(NODE_LOST);
}

void nodes_start(void)
{
    stopped = false;
    last = NODES_MAX - 1;
    probe_list();
    read_key();
}

// One dial a turn at most.
uint32_t nodes_step(uint64_t now_ms)
{
    follow_key();
    uint32_t sleep = probe_step(now_ms);
    struct node *next = next_due();
    if (stopped || next == NULL || !probe_free())
        return sleep;
    if (now_ms >= next->due) {
        ask(next, now_ms);
        return 0;
    }
    uint64_t wait = next->due - now_ms;
    return wait < sleep ? (uint32_t)wait : sleep;
}

void nodes_stop(void)
{
    stopped = true;
    for (size_t i = 0; i < NODES_MAX; i++)
        probe_cancel(&table[i]);
}
