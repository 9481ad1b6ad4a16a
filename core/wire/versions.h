/* The versions of the libraries that this room links, for `aileron --version`. */
#ifndef AILERON_WIRE_VERSIONS_H
#define AILERON_WIRE_VERSIONS_H

#include "core/base/mem.h"

/* Appends "llhttp 9.2.1, nghttp2 1.52.0"; false: the buffer is full. */
bool wire_versions(struct buf *out) MUSTUSE NONNULL;

#endif
