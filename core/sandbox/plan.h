/* The plan of one launch: what is run, where, as whom, with which mounts. Built by the launch applet from
 * options, the agent's file and the daemon's answer; turned into an engine's argument vector by engine.h. */
#ifndef AILERON_SANDBOX_PLAN_H
#define AILERON_SANDBOX_PLAN_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/sandbox/env.h"
#include "core/sandbox/facts.h"
#include "core/sandbox/layout.h"
#include "core/sandbox/pack.h"

#include <sys/types.h>

enum {
    PLAN_COMMAND_MAX = 4096, /* words of a command */
    PLAN_EXPOSE_MAX = 32,    /* paths an agent's file exposes */
    PLAN_MOUNTS_MAX = 16,    /* mounts of a project's file */
    PLAN_PLACE_DEPTH = 8,    /* components of where they go */
    PLAN_VOLUMES_MAX = 32,   /* volumes that an image itself asks for */
    PLAN_VOLUME_DEPTH = 64,  /* components of where they go */
    PLAN_CACHES_MAX = 16     /* CONFIG_CACHES_MAX */
};

enum plan_network { PLAN_SEALED, PLAN_OPEN };
enum plan_build { PLAN_BUILD_AUTO, PLAN_BUILD_ALWAYS, PLAN_BUILD_NEVER };

/* What a project's file asks to be mounted: a volume, or a directory of the workspace itself. */
struct plan_mount {
    char *source; /* a volume's name, or a canonical path in the workspace */
    char *place;
    bool volume, read_only;
    dev_t dev; /* which directory that was; not of a volume */
    ino_t ino;
};

struct plan_cache {
    char *source; /* on this host */
    char *place;  /* in the sandbox: below the agent's home, never the workspace */
};
struct plan {
    char *self_exe;    /* our own executable on the host */
    char *aileron_home; /* never mounted */
    char *user_home;   /* the host user's home; may be NULL */
    char *workspace;   /* canonical */
    dev_t workspace_dev; /* which directory that was: an engine mounts it by its name, later */
    ino_t workspace_ino;
    char *session_id;
    char *session_dir; /* run/sessions/<id> */
    char *home_id;     /* of AILERON_HOME, for the label of a container */
    char *image;       /* docker, podman; NULL: none was named */
    char *rootfs;      /* bwrap: canonical, what was named with --rootfs; NULL: the host's own root is shown */
    char *root;        /* the directory that the engine's prepare made of it, or it itself: imagestore.h */
    struct buf root_args; /* bwrap: how the host's own root is shown, from the engine's survey */
    struct env image_env; /* the variables that it says its programs need */
    struct engine_facts facts; /* of the engine that was chosen */
    char **command;    /* NULL-terminated, owned */
    size_t command_count;
    char *expose[PLAN_EXPOSE_MAX]; /* canonical host paths, mounted read-only at their own place */
    size_t expose_count;
    struct plan_cache caches[PLAN_CACHES_MAX]; /* mounted read-write */
    size_t cache_count;
    struct env env;    /* for the agent: sentinels, the agent file's own; values never reach an argv */
    /* Variables of a project's file, which is under the agent's pen: nothing secret, and never in the environment of an
     * engine's own process (CONTAINERS_CONF, GODEBUG, ...). What env has goes before them. */
    struct env project_env;
    struct plan_mount mounts[PLAN_MOUNTS_MAX];
    size_t mount_count;
    char *volumes[PLAN_VOLUMES_MAX]; /* where the image itself asks for one: docker gives it */
    size_t volume_count;
    char *remote_user;     /* the image's user whose name and home the agent gets; NULL: none was named */
    unsigned tier;         /* where the image comes from (design 4) */
    enum plan_build build; /* whether an image may be built or pulled */
    enum plan_network network;
    uid_t uid;         /* the agent's, as the host sees it: the workspace's owner */
    gid_t gid;
    uint64_t memory_bytes; /* 0: no limit */
    uint64_t shm_bytes;    /* /dev/shm; 0: the engine's default */
    uint32_t pids;         /* 0: no limit */
    bool read_only;        /* the image's root */
    bool detached;         /* nobody's terminal: whoever attaches has one */
    bool tty;              /* standard input and output are a terminal */
    bool far;              /* the engine is on another machine: nothing of this one can be mounted */
    struct pack_list *sent; /* what was copied there of the workspace; NULL: nothing */
    char *remote;          /* "ADDRESS:PORT" of the session's TLS listener; NULL where the engine is here */
    int control_fd;        /* the supervisor's end of the control channel, or -1 */
    bool control_socket;   /* the engine passes no descriptors: the supervisor connects to SANDBOX_CONTROL */
    uint16_t capture_ports[SANDBOX_CAPTURE_PORTS_MAX];
    size_t capture_count;  /* 0: the supervisor's default, 80 and 443 */
};

void plan_init(struct plan *plan) NONNULL;
void plan_clear(struct plan *plan) NONNULL;

/* Canonicalises path and refuses what would hand the host to the agent (threat F10): /, an ancestor of the
 * home or of aileron_home, a place inside aileron_home, what holds the socket of an engine or of keys, a directory
 * that is not writable, a path that cannot be mounted; symlinks are resolved first. Sets workspace, uid and gid.
 * user_home and aileron_home are set before. */
bool plan_set_workspace(struct plan *plan, const char *path, struct err *err) MUSTUSE NONNULL;
/* Adds a path to be exposed read-only ("~/..." is the user's home). What does not exist is left out. Refused:
 * an ancestor of aileron_home or a place in it, the home itself, an engine's socket or what holds it, /. */
bool plan_add_expose(struct plan *plan, const char *path, struct err *err) MUSTUSE NONNULL;
/* What a sandbox's root is made of: a directory, an archive or an OCI layout. Refused: the host's own root, what shows
 * the home, Aileron's files or an engine's socket, and a directory of the workspace. After plan_set_workspace. */
bool plan_set_rootfs(struct plan *plan, const char *path, struct err *err) MUSTUSE NONNULL;
/* An O_PATH descriptor of what is at a canonical path: no component may have become a symlink since it was made. -1 and
 * errno. */
int plan_open(const char *real) MUSTUSE NONNULL;
/* Why a canonical path must not be shown to a sandbox, or NULL: it is /, shows the home, Aileron's files or a socket
 * that controls this host, or holds one of them. */
const char *plan_unmountable(const struct plan *plan, const char *real) MUSTUSE NONNULL;
/* Where a project's file may have something mounted: plain names, at most PLAN_PLACE_DEPTH of them, and no place of the
 * kernel's, of ours or of the workspace's. The image's symbolic links may lead it elsewhere (engine_container.c). */
bool plan_place_valid(const char *place) MUSTUSE NONNULL;
/* A directory in the workspace, by its canonical path, or a volume by its name. ERR_LIMIT past PLAN_MOUNTS_MAX; the
 * place is valid, and not taken yet (ERR_CONFLICT). */
bool plan_add_mount(struct plan *plan, const char *source, const char *place, bool volume, bool read_only,
                    struct err *err) MUSTUSE NONNULL;
/* Takes back what a project's file put there: its image, variables, mounts, user. Limits that it lowered stay. */
void plan_drop_project(struct plan *plan) NONNULL;
/* Copies the words. */
bool plan_set_command(struct plan *plan, char *const *words, size_t count, struct err *err) MUSTUSE NONNULL;
void plan_clear_command(struct plan *plan) NONNULL;
/* Whether `path` is `dir` or lies in it; both canonical. */
bool plan_path_within(const char *path, const char *dir) NONNULL;

#endif
