/* Memory: checked allocation, the arena, and the bounded buffer. A failed allocation aborts, since
 * every size that comes from outside is bounded before it gets here. */
#include "core/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static NORETURN void out_of_memory(void)
{
    static const char text[] = "aileron: out of memory\n";
    fputs(text, stderr);
    abort();
}

void *mem_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

void *mem_array(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size ? size : 1); /* calloc checks the product */
    if (!p)
        out_of_memory();
    return p;
}

void *mem_resize(void *ptr, size_t count, size_t size)
{
    void *p = reallocarray(ptr, count ? count : 1, size ? size : 1);
    if (!p)
        out_of_memory();
    return p;
}

char *mem_strndup(const char *s, size_t len)
{
    char *copy = mem_alloc(len + 1);
    memcpy(copy, s, len);
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

char *mem_printf(const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        out_of_memory();
    return text;
}

void mem_free_ptr(void *pointer_to_pointer)
{
    void *p; /* by memcpy: what is there is a char *, a struct x *, never a void * */
    memcpy(&p, pointer_to_pointer, sizeof(p));
    free(p);
    p = NULL;
    memcpy(pointer_to_pointer, &p, sizeof(p));
}

/* ---- arena ---- */

enum { ARENA_BLOCK = 4096, ARENA_ALIGN = 16 };

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(16) uint8_t bytes[];
};

struct arena {
    struct block *blocks; /* the newest first */
    size_t total, max;
};

struct arena *arena_new(size_t max_bytes)
{
    struct arena *arena = mem_alloc(sizeof(*arena));
    arena->max = max_bytes;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    for (struct block *b = arena->blocks, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(arena);
}

void arena_reset(struct arena *arena)
{
    struct block *keep = NULL;
    for (struct block *b = arena->blocks, *next; b; b = next) {
        next = b->next;
        if (!keep && b->size == ARENA_BLOCK)
            keep = b;
        else
            free(b);
    }
    if (keep) {
        memset(keep->bytes, 0, keep->used);
        keep->used = 0;
        keep->next = NULL;
    }
    arena->blocks = keep;
    arena->total = 0;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t need = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (!need)
        need = ARENA_ALIGN;
    if (need > arena->max || arena->total > arena->max - need)
        return NULL;
    struct block *b = arena->blocks;
    if (!b || b->size - b->used < need) {
        size_t room = need > ARENA_BLOCK ? need : ARENA_BLOCK;
        b = mem_alloc(sizeof(*b) + room);
        b->size = room;
        b->next = arena->blocks;
        arena->blocks = b;
    }
    void *p = b->bytes + b->used;
    b->used += need;
    arena->total += need;
    return p;
}

char *arena_strndup(struct arena *arena, const char *s, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    if (copy && len)
        memcpy(copy, s, len);
    return copy;
}

/* ---- buffer ---- */

void buf_init(struct buf *buf, size_t max)
{
    *buf = (struct buf){.max = max};
}

void buf_clear(struct buf *buf)
{
    free(buf->data);
    buf_init(buf, buf->max);
}

void buf_wipe(struct buf *buf)
{
    if (buf->data)
        explicit_bzero(buf->data, buf->cap);
    buf_clear(buf);
}

/* A new block and not realloc: what realloc leaves behind could not be wiped. */
void buf_grow(struct buf *buf, size_t room)
{
    size_t need = buf->len + room, cap = buf->cap ? buf->cap * 2 : 256;
    if (cap > buf->max)
        cap = buf->max;
    if (cap < need)
        cap = need;
    uint8_t *data = malloc(cap);
    if (!data)
        out_of_memory();
    if (buf->len)
        memcpy(data, buf->data, buf->len);
    if (buf->data)
        explicit_bzero(buf->data, buf->len);
    free(buf->data);
    buf->data = data;
    buf->cap = cap;
}

bool buf_printf(struct buf *buf, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    if (len < 0)
        out_of_memory();
    bool done = buf_add(buf, text, (size_t)len);
    explicit_bzero(text, (size_t)len);
    free(text);
    return done;
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len >= buf->len) {
        buf_clear(buf);
        return;
    }
    buf->len -= len;
    memmove(buf->data, buf->data + len, buf->len);
}

const char *buf_cstr(struct buf *buf)
{
    if (buf->len == buf->cap) {
        size_t max = buf->max;
        buf->max = buf->len + 1; /* the NUL is not content: it may pass the maximum */
        uint8_t *room = buf_reserve(buf, 1);
        buf->max = max;
        if (!room)
            out_of_memory();
    }
    buf->data[buf->len] = '\0';
    return (const char *)buf->data;
}
