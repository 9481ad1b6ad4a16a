/* What the engines that run images by a command line have in common: most of the words of `run`, the pull, and what an
 * image must be. A family of arguments that docker and podman read differently is a member of struct container. */
#ifndef AILERON_SANDBOX_ENGINE_CONTAINER_H
#define AILERON_SANDBOX_ENGINE_CONTAINER_H

#include "core/data/json.h"
#include "core/sandbox/engine.h"

struct container {
    const char *name;     /* of the program, and of the engine to people */
    const char *preamble; /* what stands in front of its complaints */
    const char *no_keys;  /* the value of --detach-keys by which no key is kept */
    bool (*add_mount)(struct engine_run *run, const char *source, const char *place, bool writable, struct err *err);
};

/* The program on PATH; caller frees. NULL with err (ERR_UNAVAILABLE). */
char *container_find(const struct container *engine, struct err *err) MUSTUSE NONNULL;
/* Refuses what is no image's name (ERR_USAGE), among it what the command line would take for an option. */
bool container_check_name(const char *image, struct err *err) MUSTUSE NONNULL;
/* architecture: in the engine's words ("amd64"); "" fits. */
bool container_check_architecture(const char *image, const char *architecture, struct err *err) MUSTUSE NONNULL;
/* Notes the volumes that an image asks for: an object with a member for each, or null (docker's Config.Volumes). */
bool container_take_volumes(struct plan *plan, const json_t *volumes, struct err *err) MUSTUSE NONNULL_AT(1, 3);
/* run: the path and the environment are set, the words up to "pull" are there. */
bool container_pull(const struct container *engine, struct engine_run *run, const char *image, struct err *err)
    MUSTUSE NONNULL;

/* What keeps a container in: network, capabilities, SELinux's label, limits. */
void container_add_isolation(const struct plan *plan, struct engine_run *run) NONNULL;
/* The words from "run" to the image's place: what is removed at the end, streams, isolation, mounts. */
bool container_add_run(const struct container *engine, const struct plan *plan, struct engine_run *run, struct err *err)
    MUSTUSE NONNULL;
/* The words from the image on. give_ids: the agent's ids on the host mean the same in the container; else the
 * supervisor looks who owns the workspace there. */
void container_add_command(const struct plan *plan, bool give_ids, struct engine_run *run) NONNULL;
/* The complaint in what an engine's program said, without its preamble; else its first line that is no warning. */
void container_first_words(const struct container *engine, struct buf *said, char *out, size_t cap) NONNULL;
/* SELinux is there and forbids: the session's files would need another label, which is the host's to give. */
bool container_selinux(void);

#endif
