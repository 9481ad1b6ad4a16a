/* The bwrap engine: the host's own root, read-only and reduced (hostroot.c), in fresh namespaces. Inside, uid 0
 * is the host's user (one id is all that an unprivileged user namespace maps), so that the supervisor can bind
 * low ports and set up loopback; the agent gets its user's id again in a nested namespace. The command's words
 * are the only ones on the command line; the mounts travel in a memfd. */
#include "core/sandbox/engine.h"

#include "core/base/file.h"
#include "core/sandbox/bwrap_trial.h"
#include "core/sandbox/hostroot.h"
#include "core/sandbox/imageroot.h"
#include "core/sandbox/imagestore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ARGS_BYTES = 1024 * 1024,
    FIRST_FD = 10, /* of descriptors in bwrap: out of the way of everything */
    AGENT_ID = 1000 /* the agent's uid and gid where the host's user is root */
};

extern char **environ;

static unsigned agent_id(unsigned id)
{
    return id != 0 ? id : AGENT_ID;
}

static bool prepare(struct plan *plan, struct err *err)
{
    if (geteuid() != 0 || plan->uid == 0)
        return plan->rootfs == NULL || imagestore_open(plan, err);
    err_set(err, ERR_LAUNCH, "the workspace belongs to user %u, whose files bwrap cannot write for root",
            (unsigned)plan->uid);
    return err_hint(err, "Launch as that user, or use --sandbox=docker");
}

/* A descriptor of the sandbox's own: content in a memfd, numbered for the child. */
static bool add_memfd(struct engine_run *run, const char *name, const void *data, size_t len, int *child_fd,
                      struct err *err)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    if (fd < 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot make a memfd");
    run->owned_fds[run->owned_count++] = fd;
    if (!file_write_all(fd, data, len, err) || lseek(fd, 0, SEEK_SET) != 0)
        return false;
    *child_fd = FIRST_FD + (int)run->fd_count;
    engine_run_pass(run, fd, *child_fd);
    return true;
}

static bool add(struct buf *args, const char *a, const char *b, const char *c)
{
    return hostroot_arg(args, a) && (b == NULL || hostroot_arg(args, b)) && (c == NULL || hostroot_arg(args, c));
}

static bool add_file(struct engine_run *run, const char *place, const void *data, size_t len, bool over,
                     struct buf *args, struct err *err)
{
    char number[16];
    int fd;

    if (!add_memfd(run, "file", data, len, &fd, err))
        return false;
    snprintf(number, sizeof(number), "%d", fd);
    return (add(args, "--perms", "0644", over ? "--ro-bind-data" : "--file") && add(args, number, place, NULL)) ||
           err_set(err, ERR_LAUNCH, "too many mounts");
}

/* Files of /etc that are the sandbox's own. */
static bool add_files(const struct plan *plan, struct engine_run *run, struct buf *args, struct err *err)
{
    AUTOFREE char *passwd = engine_passwd(agent_id(plan->uid), agent_id(plan->gid));
    AUTOFREE char *group = engine_group(agent_id(plan->gid));
    const struct {
        const char *place, *text;
    } files[] = {
        {"/etc/resolv.conf", "nameserver 127.0.0.1\n"},
        {"/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 aileron-sandbox\n"},
        {"/etc/passwd", passwd},
        {"/etc/group", group},
    };

    for (size_t i = 0; i < COUNT(files); i++)
        if (!add_file(run, files[i].place, files[i].text, strlen(files[i].text), false, args, err))
            return false;
    return true;
}

static bool add_root(const struct plan *plan, struct engine_run *run, struct buf *args, struct err *err)
{
    CLEANUP(imageroot_clear) struct imageroot image = {0};

    if (plan->root == NULL)
        return (buf_add(args, plan->root_args.data, plan->root_args.len) ||
                err_set(err, ERR_LAUNCH, "too many mounts")) && add_files(plan, run, args, err);
    bool good = imageroot_build(plan, agent_id(plan->uid), agent_id(plan->gid), args, &image, err);
    for (size_t i = 0; good && i < image.count; i++) {
        const struct imageroot_file *file = &image.files[i];
        good = add_file(run, file->place, file->text.data, file->text.len, file->over, args, err);
    }
    return good;
}

/* The user's home and our own, where they are below a directory of programs (/opt/service, say). */
static bool cover_homes(const struct plan *plan, struct buf *args)
{
    const char *const homes[] = {plan->user_home, plan->aileron_home};
    bool good = true;

    for (size_t i = 0; good && i < COUNT(homes); i++) {
        AUTOFREE char *real = homes[i] != NULL ? realpath(homes[i], NULL) : NULL;
        good = real == NULL || hostroot_cover(real, args);
    }
    return good;
}

/* A symlink stays one (the plan has its target, too): a program that is a script looks for its own files beside where
 * the link leads. */
static bool add_exposed(const char *place, struct buf *args)
{
    struct stat st;
    AUTOFREE char *real = lstat(place, &st) == 0 && S_ISLNK(st.st_mode) ? realpath(place, NULL) : NULL;

    return add(args, real != NULL ? "--symlink" : "--ro-bind", real != NULL ? real : place, place);
}

static bool add_mounts(const struct plan *plan, struct buf *args)
{
    AUTOFREE char *shims = mem_printf("%s/shims", plan->session_dir);
    AUTOFREE char *bundle = mem_printf("%s/ca-bundle.pem", plan->session_dir);
    bool host = plan->root == NULL;
    bool good = add(args, "--ro-bind", plan->self_exe, SANDBOX_BIN "/aileron") &&
                add(args, "--symlink", "aileron", SANDBOX_BIN "/aileron-shim") &&
                add(args, "--symlink", "aileron", SANDBOX_BIN "/aileron-proxy") &&
                add(args, "--symlink", "aileron", SANDBOX_BIN "/aileron-wait") &&
                add(args, "--ro-bind", plan->session_dir, SANDBOX_RUN) &&
                add(args, "--ro-bind", plan->session_dir, SANDBOX_ETC) &&
                add(args, "--ro-bind", shims, SANDBOX_SHIMS) &&
                (!host || (hostroot_add_roots("", bundle, args) && cover_homes(plan, args)));

    /* An image has its own programs, under any engine. */
    for (size_t i = 0; host && good && i < plan->expose_count; i++)
        good = add_exposed(plan->expose[i], args);
    for (size_t i = 0; good && i < plan->cache_count; i++)
        good = add(args, "--bind", plan->caches[i].source, plan->caches[i].place);
    return good && add(args, "--bind", plan->workspace, SANDBOX_WORKSPACE) &&
           (!host || add(args, "--remount-ro", "/etc", NULL)) && add(args, "--remount-ro", "/", NULL) &&
           add(args, "--chdir", SANDBOX_WORKSPACE, NULL);
}

static bool add_namespaces(struct buf *args)
{
    return add(args, "--unshare-all", "--as-pid-1", "--die-with-parent") && add(args, "--uid", "0", NULL) &&
           add(args, "--gid", "0", NULL) && add(args, "--hostname", "aileron-sandbox", NULL) &&
           add(args, "--cap-add", "CAP_NET_ADMIN", NULL) &&
           add(args, "--cap-add", "CAP_NET_BIND_SERVICE", NULL) && add(args, "--cap-add", "CAP_SETPCAP", NULL) &&
           add(args, "--cap-add", "CAP_SETFCAP", NULL) &&
           (geteuid() != 0 || add(args, "--cap-add", "CAP_SYS_ADMIN", NULL)); /* for place_protect */
}

/* What the image says its programs need. In bwrap's own environment LD_PRELOAD would be obeyed on the host: bwrap sets
 * them for what it starts. */
static bool add_image_environment(const struct plan *plan, struct engine_run *run, struct buf *args, struct err *err)
{
    bool good = true;

    for (size_t i = 0; good && i < plan->image_env.count; i++) {
        const char *item = plan->image_env.items[i], *equals = strchr(item, '=');
        AUTOFREE char *name = mem_strndup(item, (size_t)(equals - item));
        if (env_get(&plan->env, name) == NULL)
            good = add(args, "--setenv", name, equals + 1);
    }
    return (good && (env_get(&plan->image_env, "PATH") != NULL || env_set(&run->env, "PATH", SANDBOX_PATH))) ||
           err_set(err, ERR_LAUNCH, "the environment is too large");
}

static bool add_environment(const struct plan *plan, struct engine_run *run, struct buf *args, struct err *err)
{
    const char *host_path = getenv("PATH");
    AUTOFREE char *path = hostroot_filter_path(host_path != NULL ? host_path : SANDBOX_PATH, plan->expose,
                                               plan->expose_count);

    env_add_terminal(&run->env, environ);
    env_add_all(&run->env, plan->env.items != NULL ? plan->env.items : (char *[]){NULL});
    if (plan->root != NULL)
        return add_image_environment(plan, run, args, err);
    return env_set(&run->env, "PATH", path[0] != '\0' ? path : SANDBOX_PATH) ||
           err_set(err, ERR_LAUNCH, "the environment is too large");
}

static void add_command(const struct plan *plan, int args_fd, struct engine_run *run)
{
    engine_run_add(run, "bwrap");
    engine_run_add(run, "--args");
    engine_run_add(run, "%d", args_fd);
    engine_run_add(run, "--");
    engine_run_add(run, SANDBOX_PROXY);
    engine_run_add(run, "run");
    engine_run_add(run, "--uid=%u", agent_id(plan->uid));
    engine_run_add(run, "--gid=%u", agent_id(plan->gid));
    if (plan->pids > 0)
        engine_run_add(run, "--pids=%u", plan->pids);
    if (plan->control_fd >= 0) {
        int child_fd = FIRST_FD + (int)run->fd_count;
        engine_run_pass(run, plan->control_fd, child_fd);
        engine_run_add(run, "--control=%d", child_fd);
    }
    engine_add_options(plan, run);
    engine_run_add(run, "--");
    for (size_t i = 0; i < plan->command_count; i++)
        engine_run_add(run, "%s", plan->command[i]);
}

static bool survey(struct plan *plan, struct err *err)
{
    buf_clear(&plan->root_args);
    buf_init(&plan->root_args, ARGS_BYTES);
    return plan->root != NULL || hostroot_build("", &plan->root_args, err);
}

static bool build(const struct plan *plan, struct engine_run *run, struct err *err)
{
    CLEANUP(buf_wipe) struct buf args;
    int args_fd;

    buf_init(&args, ARGS_BYTES);
    run->path = bwrap_find();
    if (run->path == NULL)
        return err_set(err, ERR_UNAVAILABLE, "no bwrap on PATH");
    if (!add_namespaces(&args))
        return err_set(err, ERR_LAUNCH, "too many mounts");
    if (!add_root(plan, run, &args, err) || !add_environment(plan, run, &args, err))
        return false;
    if (!add_mounts(plan, &args))
        return err_set(err, ERR_LAUNCH, "too many mounts");
    if (!add_memfd(run, "args", args.data, args.len, &args_fd, err))
        return false;
    add_command(plan, args_fd, run);
    return true;
}

const struct engine engine_bwrap = {
    .name = "bwrap",
    .no_memory_limit = true,
    .find = bwrap_key,
    .try = bwrap_try,
    .prepare = prepare,
    .survey = survey,
    .build = build,
};
