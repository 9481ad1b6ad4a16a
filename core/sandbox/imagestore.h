/* What was named as a sandbox's root becomes a directory: a directory is one; an archive and an OCI layout are unpacked,
 * once, below $AILERON_HOME/images, each in a directory named by its SHA-256 (a layout's manifest's). What is there was
 * checked when it was made and is shown read-only; it may be removed whenever no sandbox uses it. */
#ifndef AILERON_SANDBOX_IMAGESTORE_H
#define AILERON_SANDBOX_IMAGESTORE_H

#include "core/base/err.h"
#include "core/sandbox/plan.h"

enum {
    IMAGESTORE_LAYERS_MAX = 128,
    IMAGESTORE_DOCUMENT_MAX = 4 * 1024 * 1024 /* an index, a manifest, a configuration */
};

/* plan->rootfs becomes plan->root and, where it says so, plan->image_env. */
bool imagestore_open(struct plan *plan, struct err *err) MUSTUSE NONNULL;

#endif
