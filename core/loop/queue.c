/* The byte queue of a connection's buffers. No I/O; it grows in steps up to its maximum and never
 * beyond. */
#include "core/loop/queue.h"
#include "core/base/mem.h"
#include "core/base/secret.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { QUEUE_FIRST_BYTES = 4096 };

void queue_init(struct queue *queue, size_t max)
{
    *queue = (struct queue){.max = max};
}

void queue_clear(struct queue *queue)
{
    if (queue->data) {
        secret_wipe(queue->data, queue->high);
        free(queue->data);
    }
    queue_init(queue, queue->max);
}

size_t queue_room(const struct queue *queue)
{
    return queue->len < queue->max ? queue->max - queue->len : 0;
}

struct span queue_peek(const struct queue *queue)
{
    if (!queue->data)
        return (struct span){"", 0};
    return (struct span){(const char *)queue->data + queue->head, queue->len};
}

static void grow(struct queue *queue, size_t need)
{
    size_t cap = queue->cap ? queue->cap * 2 : QUEUE_FIRST_BYTES;
    while (cap < need)
        cap *= 2;
    size_t full = queue->max + queue->max / 4;
    if (cap > full)
        cap = full;
    if (cap < need)
        cap = need; /* contents from before the maximum was lowered */
    uint8_t *data = mem_resize(NULL, cap, 1);
    if (queue->len)
        memcpy(data, queue->data + queue->head, queue->len);
    if (queue->data) {
        secret_wipe(queue->data, queue->high);
        free(queue->data);
    }
    queue->data = data;
    queue->cap = cap;
    queue->head = 0;
    queue->high = queue->len;
}

uint8_t *queue_space(struct queue *queue, size_t len)
{
    assert(len <= queue_room(queue));
    if (queue->cap - queue->head - queue->len < len) {
        if (queue->head >= queue->max / 4 && queue->cap - queue->len >= len) {
            memmove(queue->data, queue->data + queue->head, queue->len);
            queue->head = 0;
        } else {
            grow(queue, queue->len + len);
        }
    }
    return queue->data + queue->head + queue->len;
}

void queue_added(struct queue *queue, size_t len)
{
    queue->len += len;
    assert(queue->head + queue->len <= queue->cap);
    if (queue->high < queue->head + queue->len)
        queue->high = queue->head + queue->len;
    if (queue->len == 0)
        queue_clear(queue); /* nothing came after all */
}

void queue_add(struct queue *queue, const void *data, size_t len)
{
    if (len == 0)
        return;
    memcpy(queue_space(queue, len), data, len);
    queue_added(queue, len);
}

void queue_take(struct queue *queue, size_t len)
{
    assert(len <= queue->len);
    queue->head += len;
    queue->len -= len;
    if (queue->len == 0)
        queue_clear(queue);
}
