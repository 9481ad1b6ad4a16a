/* Images that are made here: the tag that names what goes into one, and its build by the engine's own command line. */
#ifndef AILERON_SANDBOX_IMAGE_H
#define AILERON_SANDBOX_IMAGE_H

#include "core/sandbox/devcontainer.h"
#include "core/sandbox/engine.h"

#define IMAGE_BASE "aileron-base" /* what a sandbox without any other image is made of, where it is there */

/* "aileron-<name>:<hash>": in one workspace the same inputs give the same tag, and an edit gives another (context.h
 * says what counts); another workspace has others.
 * NULL where the dev container names an image that nothing is added to (err untouched, *named true), or with err. */
char *image_tag(const struct devcontainer *dev, bool *named, struct err *err) MUSTUSE NONNULL;
/* Builds it under that tag; what the builder prints goes to standard error. Its steps are run by the engine, with the
 * engine's network: this is no sandbox, and it is said. */
bool image_build(const struct engine *engine, const struct plan *plan, const struct devcontainer *dev, const char *tag,
                 struct err *err) MUSTUSE NONNULL;
/* Builds aileron-base from the recipe that is in the program. */
bool image_build_base(const struct engine *engine, const struct plan *plan, struct err *err) MUSTUSE NONNULL;

#endif
