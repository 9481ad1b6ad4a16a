/* A bounded table with two hashes (by name, by address) and a list in the order of use. Addresses are taken one
 * after the other out of the whole range, so a forgotten name's address comes back last. Hostile programs fill
 * it: the hash is seeded per process and the sizes are fixed. */
#include "core/sandbox/names.h"

#include "core/base/id.h"
#include "core/base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* 127.64.0.0/10 without its first 256 addresses: 127.64.0.1 is the loopback interface's own. */
enum { FIRST = 0x7f400100, LAST = 0x7f7ffffe };

struct name {
    struct name *name_next, *address_next; /* hash chains */
    struct name *newer, *older;            /* order of use */
    uint32_t address, hash;
    uint8_t len;
    char text[];
};

struct names {
    struct name **by_name, **by_address;
    struct name *newest, *oldest;
    size_t count, max, mask;
    uint32_t next_address, seed;
};

struct names *names_new(size_t max)
{
    assert(max > 0 && max <= NAMES_MAX);
    struct names *names = mem_alloc(sizeof(*names));
    size_t slots = 16;

    while (slots < max)
        slots *= 2;
    names->by_name = mem_array(slots, sizeof(struct name *));
    names->by_address = mem_array(slots, sizeof(struct name *));
    names->mask = slots - 1;
    names->max = max;
    names->next_address = FIRST;
    random_bytes(&names->seed, sizeof(names->seed));
    return names;
}

void names_free(struct names *names)
{
    if (names == NULL)
        return;
    for (struct name *name = names->newest, *older; name != NULL; name = older) {
        older = name->older;
        free(name);
    }
    free(names->by_name);
    free(names->by_address);
    free(names);
}

/* Lower case without the trailing dot; 0 where the name has another form. */
static size_t canonical(const char *name, size_t len, char out[NAMES_NAME_MAX + 1])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    size_t label = 0;

    if (len > 0 && name[len - 1] == '.')
        len--;
    if (len == 0 || len > NAMES_NAME_MAX)
        return 0;
    for (size_t i = 0; i < len; i++) {
        char c = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];
        if (c == '\0' || strchr(allowed, c) == NULL || (c == '.' && label == 0) || label > 63)
            return 0;
        label = c == '.' ? 0 : label + 1;
        out[i] = c;
    }
    out[len] = '\0';
    return label > 0 && label <= 63 ? len : 0;
}

static uint32_t hash_of(const struct names *names, const char *text, size_t len)
{
    uint32_t h = names->seed ^ 2166136261u; /* FNV-1a, seeded */

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)text[i]) * 16777619u;
    return h ^ (h >> 15);
}

static void unlink_used(struct names *names, struct name *name)
{
    *(name->newer != NULL ? &name->newer->older : &names->newest) = name->older;
    *(name->older != NULL ? &name->older->newer : &names->oldest) = name->newer;
}

static void link_newest(struct names *names, struct name *name)
{
    name->newer = NULL;
    name->older = names->newest;
    *(names->newest != NULL ? &names->newest->newer : &names->oldest) = name;
    names->newest = name;
}

static void forget_oldest(struct names *names)
{
    struct name *name = names->oldest, **at;

    for (at = &names->by_name[name->hash & names->mask]; *at != name;)
        at = &(*at)->name_next;
    *at = name->name_next;
    for (at = &names->by_address[name->address & names->mask]; *at != name;)
        at = &(*at)->address_next;
    *at = name->address_next;
    unlink_used(names, name);
    names->count--;
    free(name);
}

static struct name *find_address(const struct names *names, uint32_t address)
{
    struct name *name = names->by_address[address & names->mask];

    while (name != NULL && name->address != address)
        name = name->address_next;
    return name;
}

static struct name *add(struct names *names, const char *text, size_t len, uint32_t hash)
{
    if (names->count == names->max)
        forget_oldest(names);
    /* After the range was used up once, an address may still belong to a name that is in use. */
    while (find_address(names, names->next_address) != NULL)
        names->next_address = names->next_address == LAST ? FIRST : names->next_address + 1;

    struct name *name = mem_alloc(sizeof(*name) + len + 1);
    name->address = names->next_address;
    name->hash = hash;
    name->len = (uint8_t)len;
    memcpy(name->text, text, len);
    name->name_next = names->by_name[hash & names->mask];
    names->by_name[hash & names->mask] = name;
    name->address_next = names->by_address[name->address & names->mask];
    names->by_address[name->address & names->mask] = name;
    link_newest(names, name);
    names->count++;
    names->next_address = names->next_address == LAST ? FIRST : names->next_address + 1;
    return name;
}

uint32_t names_address(struct names *names, const char *name, size_t len)
{
    static const char localhost[] = "localhost";
    char text[NAMES_NAME_MAX + 1];
    size_t n = canonical(name, len, text), tail = sizeof(localhost) - 1;

    if (n == 0)
        return 0;
    if (n >= tail && strcmp(text + n - tail, localhost) == 0 && (n == tail || text[n - tail - 1] == '.'))
        return 0x7f000001;
    uint32_t hash = hash_of(names, text, n);
    struct name *found = names->by_name[hash & names->mask];
    while (found != NULL && (found->hash != hash || found->len != n || memcmp(found->text, text, n) != 0))
        found = found->name_next;
    if (found == NULL)
        return add(names, text, n, hash)->address;
    unlink_used(names, found);
    link_newest(names, found);
    return found->address;
}

const char *names_lookup(struct names *names, uint32_t address)
{
    struct name *name = find_address(names, address);

    if (name == NULL)
        return NULL;
    unlink_used(names, name);
    link_newest(names, name);
    return name->text;
}
