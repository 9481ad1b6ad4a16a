/* Secrets: each in pages of its own, locked where the limit allows, left out of core dumps and of
 * forked children, wiped when freed. A few wiped pages are kept for the next ones: to map, lock and
 * unmap one costs five system calls, and a monitor needs three secrets for each request that gets a
 * credential. */
#include "core/base/secret.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

struct secret {
    size_t len, mapped;
    bool locked;
    _Alignas(16) uint8_t bytes[];
};

enum { KEPT_MAX = 8 };
static struct secret *kept[KEPT_MAX]; /* of one page, locked, all zeros */
static size_t kept_count;

static struct secret *map(size_t mapped)
{
    struct secret *secret =
        mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret == MAP_FAILED)
        abort(); /* as any failed allocation */
    /* All three are best effort: a small RLIMIT_MEMLOCK or an old kernel must not stop the program. */
    bool locked = mlock(secret, mapped) == 0;
    (void)madvise(secret, mapped, MADV_DONTDUMP);
    (void)madvise(secret, mapped, MADV_WIPEONFORK);
    secret->locked = locked;
    return secret;
}

struct secret *secret_zeroed(size_t len)
{
    assert(len < SIZE_MAX / 2);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t mapped = (sizeof(struct secret) + len + page - 1) / page * page;
    bool reuse = mapped == page && kept_count > 0;
    struct secret *secret = reuse ? kept[--kept_count] : map(mapped);
    secret->locked = secret->locked || reuse;
    secret->len = len;
    secret->mapped = mapped;
    return secret;
}

struct secret *secret_new(const void *data, size_t len)
{
    struct secret *secret = secret_zeroed(len);
    if (len)
        memcpy(secret->bytes, data, len);
    return secret;
}

void secret_free(struct secret *secret)
{
    if (!secret)
        return;
    size_t mapped = secret->mapped;
    bool keep = secret->locked && mapped == (size_t)sysconf(_SC_PAGESIZE) && kept_count < KEPT_MAX;
    secret_wipe(secret, mapped);
    if (keep)
        kept[kept_count++] = secret;
    else
        munmap(secret, mapped);
}

void secret_free_ptr(struct secret **secret)
{
    secret_free(*secret);
    *secret = NULL;
}

const uint8_t *secret_bytes(const struct secret *secret)
{
    return secret->bytes;
}

uint8_t *secret_writable(struct secret *secret)
{
    return secret->bytes;
}

size_t secret_len(const struct secret *secret)
{
    return secret->len;
}

bool secret_equal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t difference = 0;
    for (size_t i = 0; i < len; i++)
        difference |= x[i] ^ y[i];
    return difference == 0;
}

void secret_wipe(void *data, size_t len)
{
    explicit_bzero(data, len);
}

void secret_harden_process(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
