/* The session socket's first bytes decide (HACKING 3): our own programs' preamble, a ClientHello for the
 * session API, or a proxy request. Authentication is here: a wrong token ends the connection (C11). */
#ifndef AILERON_PLANE_FRONT_H
#define AILERON_PLANE_FRONT_H

#include "core/plane/plane.h"

enum { FRONT_PREAMBLE_BYTES = 512 }; /* "AILERON <token> capture <name> <port>\r\n" */

/* Takes fd, an accepted connection of the session's socket. */
void front_accept(struct plane *plane, int fd) NONNULL;
/* The same for one of the sandbox's proxy port (inlet.h): as if it had begun with the preamble `proxy`. */
void front_accept_proxy(struct plane *plane, int fd) NONNULL;

#endif
