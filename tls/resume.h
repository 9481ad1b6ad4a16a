/* Saved TLS sessions of upstreams, by place, so that the next connection resumes one instead of shaking hands in
 * full. A worker has one store, for its session alone. Each is handed out once (RFC 8446 C.4), the newest first, and
 * is as secret as a key: wiped when it goes. Whether one still fits is stream_client's to say. */
#ifndef AILERON_TLS_RESUME_H
#define AILERON_TLS_RESUME_H

#include "core/base/mem.h"
#include "core/base/text.h"

#define RESUME_PER_KEY 8 /* what one place gives out while others are in use */
#define RESUME_MAX 256   /* in all; the oldest goes first */

struct resume;
struct resume *resume_new(void) MUSTUSE;
void resume_free(struct resume *resume); /* NULL is fine */
/* key: what the connection is for (host, port, whose certificate). Takes the bytes of saved and leaves it empty. */
void resume_put(struct resume *resume, struct span key, struct buf *saved) NONNULL_AT(1, 3);
/* out is initialised here in any case; buf_wipe it. False: there is none. */
bool resume_take(struct resume *resume, struct span key, struct buf *out) MUSTUSE NONNULL_AT(1, 3);
void resume_empty(struct resume *resume) NONNULL;
size_t resume_count(const struct resume *resume) NONNULL;

#endif
