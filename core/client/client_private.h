/* What client.c and client_start.c share; for nobody else. */
#ifndef AILERON_CLIENT_CLIENT_PRIVATE_H
#define AILERON_CLIENT_CLIENT_PRIVATE_H

#include "core/client/client.h"

struct client *client_over(int fd) MUSTUSE; /* takes a connected socket */

#endif
