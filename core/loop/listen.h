/* A listening socket in the loop: accepts in bounded batches, and waits where the process is out of
 * descriptors (threat F06) instead of spinning. The socket stays the owner's (a worker's belongs to
 * the monitor). */
#ifndef AILERON_LOOP_LISTEN_H
#define AILERON_LOOP_LISTEN_H

#include "core/base/err.h"
#include "core/loop/loop.h"

enum {
    LISTEN_BATCH = 64, /* connections accepted before others get their turn */
    LISTEN_PAUSE_MS =
        100 /* after EMFILE, ENFILE, ENOBUFS, ENOMEM; connections wait in the kernel */
};

struct listener;
/* fd: accepted, nonblocking, close-on-exec, the callee's to close. */
typedef void (*listen_fn)(void *arg, int fd);
/* listen_fd is made nonblocking. */
struct listener *listener_new(struct loop *loop, int listen_fd, listen_fn fn, void *arg,
                              struct err *err) MUSTUSE NONNULL_AT(1, 3, 5);
/* For a socket that is not ours alone: fn is called once where its other owner has shut it down. */
void listener_on_end(struct listener *listener, void (*fn)(void *arg)) NONNULL;
/* Paused: nothing is accepted. For a process at its own bound of connections. */
void listener_pause(struct listener *listener, bool paused) NONNULL;
void listener_free(struct listener *listener); /* NULL is fine; also inside its callback */

#endif
