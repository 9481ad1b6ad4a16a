/* The page worker: the process that faces browsers on loopback (design 2, 10). It has no authority and no secret of its
 * own: it serves the page's three files, refuses what does not come from the page itself (A04), and carries the rest to
 * the monitor with the login that came with it. Executed afresh, jailed before it reads the first byte. */
#ifndef AILERON_PLANE_PAGE_H
#define AILERON_PLANE_PAGE_H

#include "core/base/attr.h"

enum {
    PAGE_IPC_FD = 3,      /* messages with the monitor */
    PAGE_LISTEN_FD = 4,   /* the monitor's own */
    PAGE_CONNECTIONS = 64 /* at once; more wait in the kernel */
};

/* Runs until the monitor goes away. Returns the exit status. */
int page_main(void);

#endif
