/* The relay: carries a program's connection to the session's socket, with the preamble that proves the session
 * and says what the bytes are: captured ones, and the proxy port's while no worker accepts those (handover.h).
 * Bytes are copied both ways with back-pressure and half-close; nothing is parsed. Each connection reaches the
 * daemon anew, so a daemon that is started again is found. */
#ifndef AILERON_SANDBOX_RELAY_H
#define AILERON_SANDBOX_RELAY_H

#include "core/base/err.h"
#include "core/loop/loop.h"

enum {
    RELAY_PAIRS_MAX = 16384,     /* connections at once; above it new ones are closed */
    RELAY_BUFFER_BYTES = 65536,  /* what one direction may hold while its peer is slow */
    RELAY_RETRY_MS = 50,         /* while the daemon is being started again */
    RELAY_WAIT_MS = 8000,        /* for the daemon, then the denial */
    RELAY_LINGER_MS = 1000       /* for the client to read the last bytes */
};

struct relay;
/* token is copied. */
struct relay *relay_new(struct loop *loop, const char *socket_path, const char *token) MUSTUSE NONNULL;
void relay_free(struct relay *relay); /* closes every connection; NULL is fine */
/* Takes a program's connection (nonblocking, owned from here). name NULL: a proxy connection; else a captured
 * one for this name and port. */
void relay_take(struct relay *relay, int fd, const char *name, uint16_t port) NONNULL_AT(1);
/* Connects to the session's socket and writes the preamble "AILERON <token> MODE", with a descriptor where pass_fd is
 * not -1. -1: the daemon is not there (now). */
int relay_connect(const struct relay *relay, const char *mode, int pass_fd) MUSTUSE NONNULL;
size_t relay_count(const struct relay *relay) NONNULL;

#endif
