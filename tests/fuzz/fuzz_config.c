// Fuzzes a configuration file. Whatever it says, afterwards every key shows a value that it would take, and taking it
// changes nothing; a file that is refused has one sentence about it, without control characters; no secret is shown.
#include "../../app/config.h"
#include "../../port/port.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Nobody starts the network.
int port_netif_init(struct netif *netif)
{
    (void)netif;
    return -1;
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void require_printable(struct span s)
{
    for (size_t i = 0; i < s.length; i++)
        require((uint8_t)s.at[i] >= 0x20 && s.at[i] != 0x7f);
}

static struct span show(size_t index, char *buffer, size_t size)
{
    struct text t = text_in(buffer, size);
    require(config_show(index, &t) && !t.cut);
    require_printable(text_whole(&t));
    return text_whole(&t);
}

static void require_stable(size_t index)
{
    char first[600], second[600], sentence[200];
    struct text why = text_in(sentence, sizeof sentence);
    struct span before = show(index, first, sizeof first), rest = before;
    struct span name = span_cut(&rest, ' ');
    require(config_find(name) == (int)index && span_starts(rest, span_of("= ")));
    require(config_set(name, span_behind(rest, 2), &why));
    require(span_equal(before, show(index, second, sizeof second)));
    struct text range = text_in(sentence, sizeof sentence);
    config_range(index, &range);
    require(!range.cut);
    if (config_is_secret(index))
        require(span_equal(rest, span_of("= (set)")) || span_equal(rest, span_of("= (unset)")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char sentence[400];
    struct text why = text_in(sentence, sizeof sentence);
    config_defaults();
    if (config_read((struct span){(const char *)data, size}, &why)) {
        require(why.length == 0);
    } else {
        require(span_starts(text_whole(&why), span_of("Line ")));
        require_printable(text_whole(&why));
    }
    for (size_t i = 0; config_name(i) != NULL; i++)
        require_stable(i);
    for (size_t i = 0; config_name(i) != NULL; i++)
        require(config_unset(span_of(config_name(i))) && config_is_default(span_of(config_name(i))));
    return 0;
}
