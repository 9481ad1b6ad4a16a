/* Memory: checked allocation (a failure aborts: every outside size is bounded), scope cleanup, and
 * the arena that owns a request's strings. */
#ifndef AILERON_BASE_MEM_H
#define AILERON_BASE_MEM_H

#include "core/base/attr.h"

#include <string.h>

void *mem_alloc(size_t size) MUSTUSE;               /* zeroed */
void *mem_array(size_t count, size_t size) MUSTUSE; /* zeroed, overflow checked */
void *mem_resize(void *ptr, size_t count, size_t size) MUSTUSE; /* tail not zeroed */
char *mem_strdup(const char *s) MUSTUSE NONNULL;
char *mem_strndup(const char *s, size_t len) MUSTUSE NONNULL; /* NUL-terminated copy */
char *mem_printf(const char *fmt, ...) MUSTUSE PRINTF(1, 2);

void mem_free_ptr(void *pointer_to_pointer); /* for CLEANUP: frees *p */
#define AUTOFREE CLEANUP(mem_free_ptr)

/* An arena frees everything at once. max_bytes bounds the sum of what it hands out, each piece
 * counted in steps of 16: at the bound the allocation functions return NULL, which the caller turns into
 * ERR_LIMIT. */
struct arena;
struct arena *arena_new(size_t max_bytes) MUSTUSE;
void arena_free(struct arena *arena);
void arena_reset(struct arena *arena) NONNULL; /* keeps at most one small block */
void *arena_alloc(struct arena *arena, size_t size) MUSTUSE NONNULL; /* zeroed, aligned to 16 */
char *arena_strndup(struct arena *arena, const char *s, size_t len) MUSTUSE NONNULL;

/* A growable byte buffer with a maximum. data may be NULL while len is 0. */
struct buf {
    uint8_t *data;
    size_t len, cap, max;
};
void buf_init(struct buf *buf, size_t max) NONNULL;
void buf_clear(struct buf *buf) NONNULL; /* frees; keeps max */
void buf_wipe(struct buf *buf) NONNULL;  /* zeroes, then frees */
void buf_grow(struct buf *buf, size_t room) NONNULL; /* buf_reserve's: len + room is more than cap, and at most max */
/* Room behind the contents, to be filled and added to len by the caller; NULL: would pass max. Here, as are the next
 * two, since every message and every line is made of them: where there is room, they are a comparison and a copy. */
MUSTUSE NONNULL static inline uint8_t *buf_reserve(struct buf *buf, size_t room)
{
    if (room > buf->max || buf->len > buf->max - room)
        return NULL;
    if (room > buf->cap - buf->len)
        buf_grow(buf, room);
    return buf->data + buf->len;
}
/* The adding functions return false where the contents would pass max; nothing is added then. */
MUSTUSE NONNULL_AT(1) static inline bool buf_add(struct buf *buf, const void *data, size_t len)
{
    uint8_t *to = len > 0 ? buf_reserve(buf, len) : NULL;
    if (!to)
        return len == 0;
    memcpy(to, data, len);
    buf->len += len;
    return true;
}
MUSTUSE NONNULL static inline bool buf_adds(struct buf *buf, const char *s)
{
    return buf_add(buf, s, strlen(s));
}
bool buf_printf(struct buf *buf, const char *fmt, ...) MUSTUSE NONNULL PRINTF(2, 3);
/* Takes len bytes from the front; frees the storage when it becomes empty. */
void buf_consume(struct buf *buf, size_t len) NONNULL;
const char *buf_cstr(struct buf *buf) NONNULL; /* NUL put behind the contents, not counted in len */

#endif
