/* The libevent base of a loop, for the one other file of this room that needs libevent itself (the
 * resolver). */
#ifndef AILERON_LOOP_BASE_H
#define AILERON_LOOP_BASE_H

#include "core/loop/loop.h"

struct event_base;
struct event_base *loop_base(struct loop *loop) NONNULL; /* borrowed */

#endif
