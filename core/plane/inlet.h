/* The sandbox's proxy port without its relay: the supervisor hands its listening socket over, and the worker accepts
 * from it itself, which saves each byte two copies and each request two wake-ups. The supervisor stops accepting when
 * it has been told so and begins again when the connection that it handed the socket over with ends. What is accepted
 * here is as trusted as what a relay brings: it is the sandbox's, and the token came with the socket. */
#ifndef AILERON_PLANE_INLET_H
#define AILERON_PLANE_INLET_H

#include "core/plane/plane.h"

#define INLET_TAKEN "AILERON listening\r\n" /* what the supervisor waits for */

/* Takes the connection, and fd (closed on failure), where fd is a listening TCP socket over IPv4 and the plane has none
 * yet; the plane's `inlet` from then on. */
bool inlet_open(struct plane *plane, struct conn *control, int fd, struct err *err) MUSTUSE NONNULL;
void inlet_close(struct inlet *inlet); /* NULL is fine */

#endif
