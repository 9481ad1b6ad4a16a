/* Typed messages with descriptors between two of our processes, over SOCK_SEQPACKET: one datagram
 * is one message. What the types mean is core/data/message.h's; this file bounds, queues and wipes.
 *
 * A peer that sends what is not a message, or that does not read until the queue is full, ends the
 * channel. */
#ifndef AILERON_LOOP_IPC_H
#define AILERON_LOOP_IPC_H

#include "core/base/err.h"
#include "core/loop/loop.h"

enum {
    IPC_PAYLOAD_MAX = 192 * 1024,
    IPC_FDS_MAX = 4,
    IPC_QUEUE_BYTES = 8 * 1024 * 1024, /* not yet taken by the kernel; above it the channel ends */
    IPC_QUEUE_FDS = 64                 /* descriptors in that queue */
};
/* The flag of messages that carry a credential: every copy that this module makes is wiped after
 * use. Equals MESSAGE_SECRET of core/data/message.h. */
enum { IPC_SECRET = 1 };

struct ipc;
struct ipc_message {
    uint16_t type, flags;
    uint32_t id;
    const uint8_t *data; /* borrowed for the callback; a NUL stands behind the last byte */
    size_t len;
    int fds[IPC_FDS_MAX]; /* who keeps one writes -1 in its place; the others are closed */
    size_t fd_count;
};
struct ipc_handler {
    /* One a round of the loop, so that other channels get their turn between two messages. */
    void (*message)(struct ipc *ipc, struct ipc_message *message, void *arg);
    /* The channel has ended: err NULL where the peer closed it, else why. Called once, from the
     * loop, and nothing after it; ipc_free is still the owner's. */
    void (*gone)(struct ipc *ipc, const struct err *err, void *arg);
};

/* A connected pair, both close-on-exec. */
bool ipc_pair(int fds[2], struct err *err) MUSTUSE NONNULL;
/* Takes fd. handler is borrowed (a const table). */
struct ipc *ipc_new(struct loop *loop, int fd, const struct ipc_handler *handler, void *arg) MUSTUSE
    NONNULL_AT(1, 3);
/* From here on no descriptor comes from the peer: where the kernel can say so (Linux 6.16) none can be sent, elsewhere
 * one that comes ends the channel. For who must not be held up: closing a socket that another process has prepared may
 * block for as long as that likes (SO_LINGER). */
void ipc_take_no_fds(struct ipc *ipc) NONNULL;
/* Closes; what is queued is lost. Also inside its callbacks; NULL is fine. */
void ipc_free(struct ipc *ipc);
/* Sends, or queues where the kernel's buffer is full. Descriptors are borrowed. False: the message
 * is over its bounds (asserted), or the channel has ended or ends now: gone follows from the loop.
 */
bool ipc_send(struct ipc *ipc, uint16_t type, uint16_t flags, uint32_t id, const void *payload,
              size_t len, const int *fds, size_t fd_count) NONNULL_AT(1);
/* Bytes in the queue. A sender of much holds back above IPC_QUEUE_BYTES / 8, say, and looks again
 * later. */
size_t ipc_queued(const struct ipc *ipc) NONNULL;
/* Waits (blocking) until the queue has gone to the kernel, for at most ms; for a process that
 * exits. */
bool ipc_flush(struct ipc *ipc, uint64_t ms) NONNULL;

#endif
