/* A bounded queue of bytes in one piece: added at the tail, taken from the head, storage given back
 * (and wiped) when it is empty. Taking costs no move; the storage is a quarter larger than the
 * maximum, so that moving the contents to the front is paid for by what was taken before. */
#ifndef AILERON_LOOP_QUEUE_H
#define AILERON_LOOP_QUEUE_H

#include "core/base/attr.h"
#include "core/base/text.h"

struct queue {
    uint8_t *data;
    size_t head, len, cap; /* contents: data + head, len bytes */
    size_t high;           /* the storage was written up to here */
    size_t max;
};
void queue_init(struct queue *queue, size_t max) NONNULL;
void queue_clear(struct queue *queue) NONNULL; /* wipes, frees; keeps max */
size_t queue_room(const struct queue *queue) NONNULL;
struct span queue_peek(const struct queue *queue) NONNULL;
/* len: at most queue_room (asserted). */
void queue_add(struct queue *queue, const void *data, size_t len) NONNULL_AT(1);
void queue_take(struct queue *queue, size_t len) NONNULL;
/* Where len bytes may be written, at most queue_room; then queue_added says how many were. */
uint8_t *queue_space(struct queue *queue, size_t len) MUSTUSE NONNULL;
void queue_added(struct queue *queue, size_t len) NONNULL;

#endif
