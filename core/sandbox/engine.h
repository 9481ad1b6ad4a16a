/* Engines: what can start a sandbox. One const row each; a new engine is one file and one line in engine.c. */
#ifndef AILERON_SANDBOX_ENGINE_H
#define AILERON_SANDBOX_ENGINE_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/proc.h"
#include "core/sandbox/plan.h"

enum { ENGINE_FDS_MAX = 16 };

/* A command to run: everything is owned. */
struct engine_run {
    char *path;      /* the engine's executable on the host */
    char **argv;     /* NULL-terminated */
    size_t argc, cap;
    struct env env;  /* of the engine's own process */
    struct proc_fd fds[ENGINE_FDS_MAX]; /* descriptors it inherits beside 0, 1, 2 */
    size_t fd_count;
    int owned_fds[ENGINE_FDS_MAX]; /* closed by engine_run_clear */
    size_t owned_count;
};
void engine_run_clear(struct engine_run *run) NONNULL;
void engine_run_add(struct engine_run *run, const char *fmt, ...) NONNULL PRINTF(2, 3);
/* The descriptor is given to the engine's process under the number child_fd. */
void engine_run_pass(struct engine_run *run, int fd, int child_fd) NONNULL;
/* /etc/passwd and /etc/group of a sandbox that has none of its own, or cannot add to it. Caller frees. */
char *engine_passwd(uid_t uid, gid_t gid);
char *engine_group(gid_t gid);
/* What the supervisor is told of the plan: which directories the workspace and the project's mounts are, the ports that
 * are captured. */
void engine_add_options(const struct plan *plan, struct engine_run *run) NONNULL;

/* What docker and podman are told of a project's file: variables (before those of the plan, which win), volumes, the
 * size of /dev/shm. Its directories are mounted as the workspace is. */
void engine_add_project(const struct plan *plan, struct engine_run *run) NONNULL;

/* What an engine that is asked afterwards knows of a sandbox. */
struct engine_end {
    bool memory;  /* the kernel killed it for want of memory */
    bool running; /* it was still there: the engine's own process ended before it */
    int status;   /* its exit status; -1: it never ran, or nobody knows */
};

typedef void (*engine_left_fn)(const char *session_id, void *arg);

struct engine {
    const char *name;
    bool needs_image;
    bool own_terminal; /* makes a terminal in the sandbox, to which it copies ours; passes no descriptors */
    bool can_open;     /* --network=open is possible */
    bool no_memory_limit; /* it cannot hold plan.memory_bytes */
    bool far;          /* it is on another machine: files are copied, and there is no control channel */
    /* The part of the probe that is done at every launch, in a few milliseconds: whether it is there at all. Returns
     * what the answer of try depends on (its file, its version); caller frees. NULL: err says what is missing
     * ("no socket at /var/run/docker.sock") and its hint how to get it. */
    char *(*find)(struct err *err);
    /* The part whose answer is kept (facts.h): whether it really works on this host, and how. Seconds. */
    bool (*try)(struct engine_facts *facts, struct err *err);
    /* Checks or fetches what the plan needs (docker: the image is here, or can be pulled, and fits this
     * machine). NULL: nothing to do. */
    bool (*prepare)(struct plan *plan, struct err *err);
    /* Whether an image is on this machine, without fetching it. NULL: the engine has no images. */
    bool (*image_here)(const struct plan *plan, const char *image, bool *here, struct err *err);
    /* The beginning of a command about images: path, environment and the engine's own first words; the caller goes on
     * with "build". NULL: the engine has no images. */
    bool (*image_command)(const struct plan *plan, struct engine_run *run, struct err *err);
    /* What build needs and takes some milliseconds, but no session: called before it, while the daemon makes one. NULL:
     * nothing. */
    bool (*survey)(struct plan *plan, struct err *err);
    /* The command that starts the sandbox of this plan. run is zeroed by the caller. */
    bool (*build)(const struct plan *plan, struct engine_run *run, struct err *err);
    /* Sends pid 1 of the sandbox a signal, in its own time. NULL: the engine's process passes signals on. */
    void (*signal)(const struct plan *plan, int signo);
    /* The sandbox has ended, or was never started: brings back what it made of the workspace, and removes it. False
     * where it could not be brought back: then it is still there, and the hint says how to get at it. *end says how it
     * ended where its status alone does not. NULL: the workspace is mounted, and reap is all there is to do. */
    bool (*fetch)(const struct plan *plan, bool started, struct engine_end *end, struct err *err);
    /* Calls found for each session whose sandbox it has, in whatever state, and which has this home's label. NULL: it
     * keeps nothing that outlives its own process. */
    bool (*left)(const char *home_id, engine_left_fn found, void *arg, struct err *err);
    /* Removes what a session left behind, whatever state it is in; errors do not matter. NULL: nothing. */
    void (*reap)(const char *session_id);
};

extern const struct engine engine_docker, engine_docker_far, engine_podman, engine_bwrap;
/* In the order of preference; NULL behind the last. docker is another one where DOCKER_HOST names another machine. */
const struct engine *engine_at(size_t index);

/* Which kept answers count: all of them; the good ones (who names an engine may have repaired it); none. */
enum engine_trust { ENGINE_TRUST_ALL, ENGINE_TRUST_YES, ENGINE_TRUST_NOTHING };
/* Both parts of the probe; home is AILERON_HOME. */
bool engine_probe(const struct engine *engine, const char *home, enum engine_trust trust, struct engine_facts *facts,
                  struct err *err) MUSTUSE NONNULL;

struct engine_wish {
    const char *name;            /* "auto" or an engine's */
    bool have_image, far;        /* far: one on another machine may be taken */
    const struct engine *has_it; /* the only one that has that image; NULL: any has it or can fetch it */
    const char *home;
};
/* For auto the first that works and has what it needs (docker: an image) is taken. why (at most 512 bytes) says what
 * was passed over and what it cannot do here, "" where there is nothing. NULL and err (ERR_UNAVAILABLE, with what to
 * install) where none can be used. */
const struct engine *engine_choose(const struct engine_wish *wish, struct engine_facts *facts, char *why,
                                   size_t why_len, struct err *err) MUSTUSE NONNULL;

#endif
