/* A short list of saved sessions, newest first. It knows nothing of what is in them, and nothing of time: an old one
 * is refused where it is used. */
#include "tls/resume.h"

#include "tls/stream.h"

#include <stdlib.h>

struct saved {
    struct saved *next, *prev;
    struct buf bytes;
    size_t key_len;
    char key[];
};

struct resume {
    struct saved *first, *last; /* newest first */
    size_t count;
};

struct resume *resume_new(void)
{
    return mem_alloc(sizeof(struct resume));
}

/* Takes the entry out of the list; its bytes are the caller's. */
static struct buf drop(struct resume *resume, struct saved *saved)
{
    struct buf bytes = saved->bytes;
    *(saved->prev != NULL ? &saved->prev->next : &resume->first) = saved->next;
    *(saved->next != NULL ? &saved->next->prev : &resume->last) = saved->prev;
    resume->count--;
    free(saved);
    return bytes;
}

static bool matches(const struct saved *saved, struct span key)
{
    return span_eq((struct span){saved->key, saved->key_len}, key);
}

static void forget(struct resume *resume, struct saved *saved)
{
    struct buf bytes = drop(resume, saved);
    buf_wipe(&bytes);
}

void resume_put(struct resume *resume, struct span key, struct buf *bytes)
{
    struct saved *oldest = NULL;
    size_t same = 0;
    for (struct saved *saved = resume->first; saved != NULL; saved = saved->next) {
        if (!matches(saved, key))
            continue;
        same++;
        oldest = saved;
    }
    if (same == RESUME_PER_KEY)
        forget(resume, oldest);
    else if (resume->count == RESUME_MAX)
        forget(resume, resume->last);
    struct saved *saved = mem_alloc(sizeof *saved + key.len);
    saved->bytes = *bytes;
    buf_init(bytes, bytes->max);
    saved->key_len = key.len;
    if (key.len > 0)
        memcpy(saved->key, key.p, key.len);
    saved->next = resume->first;
    *(resume->first != NULL ? &resume->first->prev : &resume->last) = saved;
    resume->first = saved;
    resume->count++;
}

bool resume_take(struct resume *resume, struct span key, struct buf *out)
{
    buf_init(out, STREAM_SESSION_MAX);
    for (struct saved *saved = resume->first; saved != NULL; saved = saved->next) {
        if (!matches(saved, key))
            continue;
        *out = drop(resume, saved);
        return true;
    }
    return false;
}

void resume_empty(struct resume *resume)
{
    while (resume->first != NULL)
        forget(resume, resume->first);
}

void resume_free(struct resume *resume)
{
    if (resume == NULL)
        return;
    resume_empty(resume);
    free(resume);
}

size_t resume_count(const struct resume *resume)
{
    return resume->count;
}
