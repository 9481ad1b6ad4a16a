/* A session worker: the process that carries one sandbox's traffic (design section 2). Executed afresh, so no
 * secret has ever been in its memory; jailed before it reads the first hostile byte. */
#ifndef AILERON_PLANE_WORKER_H
#define AILERON_PLANE_WORKER_H

#include "core/base/attr.h"

enum {
    WORKER_IPC_FD = 3,    /* messages with the monitor */
    WORKER_LISTEN_FD = 4, /* the session's listening socket, the monitor's own */
    WORKER_SNAPSHOT_MS = 10000 /* until the first snapshot must have come */
};

/* Runs until the monitor says shutdown or goes away. Returns the exit status. */
int worker_main(void);

#endif
