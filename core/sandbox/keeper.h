/* The terminal of a sandbox that was launched with --detach: its output is kept, bounded, and terminals attach to it
 * over a socket of the host's own user (run/private/<id>/attach.sock, never mounted). The newest may type, the others
 * watch. Nobody who reads slowly, or not at all, holds the sandbox up for longer than KEEPER_PATIENCE_MS.
 *
 * Packets (SOCK_SEQPACKET): a byte of the kinds below, then what it carries. */
#ifndef AILERON_SANDBOX_KEEPER_H
#define AILERON_SANDBOX_KEEPER_H

#include "core/base/err.h"
#include "core/base/mem.h"

#include <poll.h>

enum {
    KEEPER_SCROLLBACK = 64 * 1024, /* bytes of output that are kept for whoever attaches */
    KEEPER_CLIENTS = 8,            /* terminals that are attached to one sandbox */
    KEEPER_PACKET = 4096,          /* bytes of a packet, with its kind */
    KEEPER_POLLS = KEEPER_CLIENTS + 1,
    KEEPER_PATIENCE_MS = 250 /* the sandbox waits that long for who types and does not read; then they miss some */
};

enum keeper_packet {
    KEEPER_KEYS = 'K',    /* to the keeper: what was typed; of the newest only */
    KEEPER_SIZE = 'W',    /* rows and columns, two bytes each, high byte first */
    KEEPER_OUTPUT = 'O',  /* from the keeper */
    KEEPER_MISSED = 'M',  /* output that this terminal was too slow for is left out here */
    KEEPER_TYPES = 'T',   /* this terminal is the newest now */
    KEEPER_WATCHES = 'V', /* another is */
    KEEPER_STATUS = 'E'   /* the sandbox has ended: its exit status, one byte; nothing follows */
};

struct keeper;
/* Listens at path. master, the sandbox's pty, is duplicated and becomes non-blocking. */
struct keeper *keeper_open(const char *path, int master, struct err *err) MUSTUSE NONNULL;
/* What is written to it is shown on the sandbox's terminal; it never blocks. The caller's; -1: cannot. */
int keeper_voice(const struct keeper *keeper) MUSTUSE NONNULL;
/* Gives the attached terminals what they have not got yet, for a second at the most, and the exit status. */
void keeper_close(struct keeper *keeper, int status); /* NULL is fine */
/* What the sandbox has written. */
void keeper_output(struct keeper *keeper, const uint8_t *bytes, size_t len) NONNULL;
/* Whether the pty should not be read now, since who types is behind. */
bool keeper_behind(struct keeper *keeper) NONNULL;
/* KEEPER_POLLS entries for poll(2), and how long it may wait: milliseconds, -1 for ever. */
int keeper_polls(struct keeper *keeper, struct pollfd *polls) MUSTUSE NONNULL;
/* After poll. True where the pty has another size now. */
bool keeper_turn(struct keeper *keeper, const struct pollfd *polls) MUSTUSE NONNULL;
/* What is kept of the output; for a sandbox that ended before anybody could attach. out is initialised here. */
void keeper_kept(const struct keeper *keeper, struct buf *out) NONNULL;

#endif
