/* The versions of the libraries that this room links, for `aileron --version`. */
#ifndef AILERON_LOOP_VERSIONS_H
#define AILERON_LOOP_VERSIONS_H

#include "core/base/mem.h"

/* Appends "libevent 2.1.12, libseccomp 2.5.4"; false: the buffer is full. */
bool loop_versions(struct buf *out) MUSTUSE NONNULL;

#endif
