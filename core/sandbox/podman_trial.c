/* Which of podman's ways starts a container on this host. Runtimes differ in the cgroups that they can live with, and
 * limits depend on what was delegated to the user: nothing tells it but a container that starts. Its root is an empty
 * directory with our own program in it, so no image is needed; it runs as a sandbox does, and ends at once. */
#include "core/sandbox/podman_trial.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* podman itself waits 20 s where what cleans up behind a container does not come. */
enum { SAYS_BYTES = 64 * 1024, INFO_MS = 20000, TRIAL_MS = 45000, TRIAL_MEMORY = 64 * 1024 * 1024, TRIAL_PIDS = 64 };

extern char **environ;

struct trial {
    char root[512];    /* of the container */
    char *self;        /* our own executable */
    char why[256];     /* what was said of the attempts that failed */
};

/* ---- what podman says of itself ---- */

static void take(const char *said, const char *mark, char *out, size_t cap)
{
    const char *at = strstr(said, mark);
    struct span rest = span_of(at != NULL ? at + strlen(mark) : ""), line = {"", 0};

    out[0] = '\0';
    if (span_cut(&rest, '\n', &line) && line.len < cap)
        snprintf(out, cap, "%.*s", SPAN_ARG(line));
}

/* What goes wrong before a container is tried, in podman's words and in ours. */
static bool explain(const char *why, struct err *err)
{
    static const struct {
        const char *says, *message, *hint;
    } rows[] = {
        {"newuidmap", "podman needs the program newuidmap for an ordinary user", "Install the package uidmap"},
        {"subuid", "this user has no subordinate ids (/etc/subuid, /etc/subgid), which podman needs",
         "As root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, then podman system migrate"},
        {"subgid", "this user has no subordinate ids (/etc/subuid, /etc/subgid), which podman needs",
         "As root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, then podman system migrate"},
        {"no valid executable found", "podman has no runtime that starts containers", "Install crun or runc"},
        {"not found: invalid argument", "podman has no runtime that starts containers", "Install crun or runc"},
        {"conmon", "podman has no conmon, which watches its containers", "Install the package conmon"},
        {"cannot clone: Operation not permitted", "this host forbids user namespaces, which podman needs",
         "Raise user.max_user_namespaces with sysctl; where AppArmor restricts them, give podman a profile"},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (strstr(why, rows[i].says) != NULL) {
            err_set(err, ERR_UNAVAILABLE, "%s", rows[i].message);
            return err_hint(err, "%s", rows[i].hint);
        }
    err_set(err, ERR_UNAVAILABLE, "podman starts no container here: %s", why);
    return err_hint(err, "See `podman run --rm --network=none` with any image; another runtime (crun, runc) may do");
}

/* Its own choice of a runtime comes from the user's configuration, which a sandbox does not read. */
static bool ask_info(struct trial *trial, struct engine_facts *facts, struct err *err)
{
    char *words[] = {(char[]){"podman"}, (char[]){"info"},
                     (char[]){"--format=runtime={{with .Host.OCIRuntime}}{{.Path}}{{end}}\ncgroups={{.Host.CgroupManager}}\n"
                              "controllers={{.Host.CgroupControllers}}\n"}, NULL};
    CLEANUP(buf_clear) struct buf said;
    char controllers[256];
    int status = 0;

    if (!proc_capture_all(words, environ, SAYS_BYTES, &said, &status, INFO_MS, err)) {
        err->code = ERR_UNAVAILABLE;
        return err_hint(err, "See what `podman info` says");
    }
    if (status != 0) {
        container_first_words(&podman, &said, trial->why, sizeof trial->why);
        return explain(trial->why, err);
    }
    take(buf_cstr(&said), "runtime=", facts->runtime, sizeof facts->runtime);
    take(buf_cstr(&said), "cgroups=", facts->cgroups, sizeof facts->cgroups);
    take(buf_cstr(&said), "controllers=", controllers, sizeof controllers);
    facts->no_limits = strstr(controllers, "memory") == NULL || strstr(controllers, "pids") == NULL;
    return true;
}

/* ---- attempts ---- */

/* A build of ours may need its libraries, as one with sanitizers does. */
static bool add_root(const struct trial *trial, struct engine_run *run, struct err *err)
{
    static const char *const libraries[] = {"/usr", "/lib", "/lib64"};

    if (!podman.add_mount(run, trial->self, "/aileron", false, err))
        return false;
    for (size_t i = 0; i < COUNT(libraries); i++)
        if (file_exists(libraries[i]) && !podman.add_mount(run, libraries[i], libraries[i], false, err))
            return false;
    engine_run_add(run, "--rootfs");
    engine_run_add(run, "%s", trial->root);
    engine_run_add(run, "/aileron");
    engine_run_add(run, "--version");
    return true;
}

static bool starts(struct trial *trial, const struct engine_facts *facts)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(buf_clear) struct buf said;
    struct plan plan;
    struct err err = {0};
    char words[256];
    int status = 0;

    buf_init(&said, 0);
    plan_init(&plan);
    plan.facts = *facts;
    plan.memory_bytes = TRIAL_MEMORY;
    plan.pids = TRIAL_PIDS;
    bool good = podman_begin(facts, &run, &err);
    engine_run_add(&run, "run");
    engine_run_add(&run, "--rm");
    container_add_isolation(&plan, &run);
    podman_add_facts(&plan, &run);
    good = good && add_root(trial, &run, &err) &&
           proc_capture_all(run.argv, run.env.items, SAYS_BYTES, &said, &status, TRIAL_MS, &err);
    if (good && status == 0)
        return true;
    if (good)
        container_first_words(&podman, &said, words, sizeof words);
    size_t used = strlen(trial->why);
    if (!good)
        text_display(span_of(err.message), words, sizeof words);
    if (strstr(trial->why, words) != NULL) /* another way with the same end */
        return false;
    snprintf(trial->why + used, sizeof(trial->why) - used, "%s%s", used > 0 ? "; " : "", words);
    return false;
}

/* With limits where podman says that it has them, without, and without any cgroup. */
static bool try_runtime(struct trial *trial, const char *path, struct engine_facts *facts)
{
    struct engine_facts ways[] = {*facts, *facts, *facts};

    ways[1].no_limits = ways[2].no_limits = ways[2].no_cgroups = true;
    for (size_t i = facts->no_limits ? 1 : 0; i < COUNT(ways); i++) {
        snprintf(ways[i].runtime, sizeof ways[i].runtime, "%s", path);
        if (!starts(trial, &ways[i]))
            continue;
        *facts = ways[i];
        return true;
    }
    return false;
}

/* podman's own choice first, then whatever else is installed. */
static bool try_runtimes(struct trial *trial, struct engine_facts *facts)
{
    static const char *const names[] = {"crun", "runc"};
    AUTOFREE char *own = mem_strdup(facts->runtime);

    if (own[0] == '/' && try_runtime(trial, own, facts))
        return true;
    for (size_t i = 0; i < COUNT(names); i++) {
        AUTOFREE char *path = proc_which(names[i], getenv("PATH") != NULL ? getenv("PATH") : SANDBOX_PATH);
        if (path != NULL && strcmp(path, own) != 0 && try_runtime(trial, path, facts))
            return true;
    }
    return false;
}

bool podman_try(struct engine_facts *facts, struct err *err)
{
    struct trial trial = {0};
    const char *tmp = getenv("TMPDIR");
    struct err ignored = {0};

    if (!ask_info(&trial, facts, err))
        return false;
    AUTOFREE char *self = proc_self_path(err);
    trial.self = self;
    if (self == NULL)
        return false;
    snprintf(trial.root, sizeof trial.root, "%s/aileron-podman.XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
    if (mkdtemp(trial.root) == NULL || chmod(trial.root, 0755) != 0) /* the container's root is another user */
        return err_errno(err, ERR_IO, errno, "cannot make the directory %s", trial.root);
    bool works = try_runtimes(&trial, facts);
    if (!file_remove_tree(trial.root, &ignored))
        trial.root[0] = '\0';
    if (!works)
        return explain(trial.why[0] != '\0' ? trial.why : "no valid executable found", err);
    if (facts->no_limits)
        snprintf(facts->note, sizeof facts->note, "its memory cannot be limited here");
    return true;
}
