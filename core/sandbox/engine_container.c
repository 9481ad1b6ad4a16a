/* `run` of docker and podman as a child with our standard streams. The image is never changed and needs nothing: our
 * binary is mounted and is its entry point, as uid 0 with the few capabilities that the supervisor needs until the
 * agent starts. Values of variables never reach an argument vector: they are named there, and the engine takes them
 * from its own environment. */
#include "core/sandbox/engine_container.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REFERENCE_MAX = 255, PULL_SAYS_BYTES = 64 * 1024, VOLUME_BYTES = 1024 };

char *container_find(const struct container *engine, struct err *err)
{
    const char *path = getenv("PATH");
    char *found = proc_which(engine->name, path != NULL ? path : SANDBOX_PATH);

    if (found == NULL) {
        err_set(err, ERR_UNAVAILABLE, "no %s on PATH", engine->name);
        err_hint(err, "Install %s, or use --sandbox=bwrap", engine->name);
    }
    return found;
}

/* No ":/" either: to podman dir:/path, oci-archive:/path and their like are files of this host. */
bool container_check_name(const char *image, struct err *err)
{
    size_t len = strlen(image);

    if (len > 0 && len <= REFERENCE_MAX && image[0] != '-' && image[0] != '/' && image[0] != '.' &&
        strstr(image, "..") == NULL && strstr(image, ":/") == NULL &&
        strspn(image, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@") == len)
        return true;
    err_set(err, ERR_USAGE, "%s is not an image's name", image);
    return err_hint(err, "An image is named like debian:12 or registry.example/team/image@sha256:...");
}

/* The engines' own words for our architecture. */
static const char *our_architecture(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#else
#error "which architecture is this?"
#endif
}

bool container_check_architecture(const char *image, const char *architecture, struct err *err)
{
    if (architecture[0] == '\0' || strcmp(architecture, our_architecture()) == 0)
        return true;
    err_set(err, ERR_LAUNCH, "the image %s is for %s and this machine is %s", image, architecture,
            our_architecture());
    return err_hint(err, "Pull or build it with --platform linux/%s", our_architecture());
}

static size_t deeper(size_t depth, const char *place)
{
    size_t own = 0;

    for (; *place != '\0'; place++)
        own += *place == '/';
    return own > depth ? own : depth;
}

bool container_take_volumes(struct plan *plan, const json_t *volumes, struct err *err)
{
    const char *place;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)volumes, place, value)
    {
        if (plan->volume_count == PLAN_VOLUMES_MAX || place[0] != '/' || deeper(0, place) > PLAN_VOLUME_DEPTH ||
            strlen(place) > VOLUME_BYTES || strpbrk(place, "\"\n\r") != NULL) {
            err_set(err, ERR_LAUNCH, "the image %s asks for more than %d volumes, or for one no plain absolute path of "
                    "at most %d names and %d bytes", plan->image, PLAN_VOLUMES_MAX, PLAN_VOLUME_DEPTH, VOLUME_BYTES);
            return err_hint(err, "Take another image, or build one from it without them (docker import)");
        }
        plan->volumes[plan->volume_count++] = mem_strdup(place);
    }
    return true;
}

/* ---- what an engine's program says ---- */

/* Beside complaints there are warnings, which begin with a time, and what it is doing. */
void container_first_words(const struct container *engine, struct buf *said, char *out, size_t cap)
{
    struct span rest = span_of(buf_cstr(said)), line, best = {"", 0};

    while (span_cut(&rest, '\n', &line)) {
        if (span_starts(line, engine->preamble)) {
            best = (struct span){line.p + strlen(engine->preamble), line.len - strlen(engine->preamble)};
            break;
        }
        if (best.len == 0 && !span_starts(line, "time="))
            best = line;
    }
    text_display(best.len > 0 ? best : SPAN("no reason is given"), out, cap);
}

/* The engine's progress is shown where somebody watches; what it complains of becomes our one line. */
static bool run_pull(const struct container *engine, struct engine_run *run, int *status, char *why, size_t why_cap,
                     struct err *err)
{
    CLEANUP(file_close_ptr) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    CLEANUP(buf_clear) struct buf said;
    struct err ignored = {0};
    int ends[2];

    buf_init(&said, 0);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot start %s", engine->name);
    engine_run_pass(run, null, STDIN_FILENO);
    engine_run_pass(run, isatty(STDERR_FILENO) == 1 ? STDERR_FILENO : null, STDOUT_FILENO);
    engine_run_pass(run, ends[1], STDERR_FILENO);
    struct proc_spec child = {.path = run->path, .argv = run->argv, .envp = run->env.items, .fds = run->fds,
                              .fd_count = run->fd_count, .die_with_parent = true};
    pid_t pid = proc_spawn(&child, err);
    close(ends[1]);
    if (pid > 0 && !file_read_fd(ends[0], PULL_SAYS_BYTES, &said, &ignored))
        buf_init(&said, 0);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    container_first_words(engine, &said, why, why_cap);
    return pid > 0;
}

bool container_pull(const struct container *engine, struct engine_run *run, const char *image, struct err *err)
{
    char why[256] = "";
    int status = 0;

    engine_run_add(run, "pull");
    engine_run_add(run, "%s", image);
    if (!run_pull(engine, run, &status, why, sizeof(why), err))
        return false;
    if (status == 0)
        return true;
    err_set(err, ERR_LAUNCH, "there is no image %s on this machine, and it cannot be pulled: %s", image, why);
    return err_hint(err, "`%s images` lists what is here", engine->name);
}

/* ---- run ---- */

bool container_selinux(void)
{
    char mode = '0';
    CLEANUP(file_close_ptr) int fd = open("/sys/fs/selinux/enforce", O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, &mode, 1) == 1 && mode == '1';
}

void container_add_isolation(const struct plan *plan, struct engine_run *run)
{
    static const char *const capabilities[] = {"NET_ADMIN", "NET_BIND_SERVICE", "SETUID", "SETGID", "SETPCAP",
                                               "CHOWN"};

    if (plan->network == PLAN_SEALED && !plan->far)
        engine_run_add(run, "--network=none");
    engine_run_add(run, "--cap-drop=ALL");
    if (plan->network == PLAN_SEALED && plan->far) /* to leave the engine's network (privilege_leave_network) */
        engine_run_add(run, "--cap-add=SYS_ADMIN");
    for (size_t i = 0; i < COUNT(capabilities); i++)
        engine_run_add(run, "--cap-add=%s", capabilities[i]);
    engine_run_add(run, "--security-opt=no-new-privileges");
    /* The workspace keeps the label that it has: to give it another would change the host. */
    if (!plan->far && container_selinux())
        engine_run_add(run, "--security-opt=label=disable");
    engine_run_add(run, "--no-healthcheck"); /* it would run with those capabilities, unsupervised */
    engine_run_add(run, "--log-driver=none");
    engine_run_add(run, "--pull=never");
    if (plan->pids > 0 && !plan->facts.no_limits)
        engine_run_add(run, "--pids-limit=%u", plan->pids);
    if (plan->memory_bytes > 0 && !plan->facts.no_limits)
        engine_run_add(run, "--memory=%llu", (unsigned long long)plan->memory_bytes);
    if (plan->read_only) {
        engine_run_add(run, "--read-only");
        engine_run_add(run, "--tmpfs=/tmp:mode=1777,exec");
        engine_run_add(run, "--tmpfs=%s:mode=0755,exec", SANDBOX_HOME);
    }
    engine_run_add(run, "--user=0:0");
}

/* Both speak JSON to what mounts. */
static bool add_mount(const struct container *engine, struct engine_run *run, const char *source, const char *place,
                      bool writable, struct err *err)
{
    if (text_utf8_valid(span_of(source)))
        return engine->add_mount(run, source, place, writable, err);
    err_set(err, ERR_LAUNCH, "%s cannot mount %s: its path is not UTF-8", engine->name, source);
    return err_hint(err, "Rename it, or use --sandbox=bwrap");
}

/* The sandbox's resolv.conf, one for all of them. `--dns 127.0.0.1` would say the same, and print a warning at
 * every launch. */
static bool add_resolver(const struct container *engine, const struct plan *plan, struct engine_run *run,
                         struct err *err)
{
    static const char text[] = "nameserver 127.0.0.1\n";
    AUTOFREE char *path = mem_printf("%s/run/resolv.conf", plan->aileron_home);

    return (file_exists(path) || file_write_atomic(path, 0644, text, sizeof(text) - 1, err)) &&
           add_mount(engine, run, path, "/etc/resolv.conf", false, err);
}

/* Where pid 1 is started from. A mount goes where the image's symbolic links lead, and the image may be the agent's
 * work as what is mounted is: a volume on top of our own program would be pid 1, with its privileges, and one that the
 * image itself asks for begins with the image's files. The engines mount what has fewer components first, so ours is
 * there once more with more of them than any other, and comes last. */
static char *entry_place(const struct plan *plan)
{
    CLEANUP(buf_clear) struct buf place = {0};
    size_t depth = 0;

    for (size_t i = 0; i < plan->cache_count; i++)
        depth = deeper(depth, plan->caches[i].place);
    for (size_t i = 0; i < plan->mount_count; i++)
        depth = deeper(depth, plan->mounts[i].place);
    for (size_t i = 0; i < plan->volume_count && !plan->far; i++) /* there nothing is mounted over another */
        depth = deeper(depth, plan->volumes[i]);
    if (depth == 0)
        return mem_strdup(SANDBOX_PROXY);
    buf_init(&place, 4096);
    bool good = buf_adds(&place, "/opt/aileron");
    for (size_t i = 0; i < depth; i++)
        good = good && buf_adds(&place, "/e");
    return good && buf_adds(&place, "/aileron-proxy") ? mem_strdup(buf_cstr(&place)) : mem_strdup(SANDBOX_PROXY);
}

/* The supervisor cannot add the agent to the files of a root that is read-only, and git, ssh and node want to know who
 * runs them. Where the image's own user was asked for its files stay: they have that user. */
static bool add_accounts(const struct container *engine, const struct plan *plan, struct engine_run *run,
                         struct err *err)
{
    AUTOFREE char *passwd = engine_passwd(plan->uid, plan->gid), *group = engine_group(plan->gid);
    AUTOFREE char *passwd_path = file_join(plan->session_dir, "passwd");
    AUTOFREE char *group_path = file_join(plan->session_dir, "group");

    return file_write_atomic(passwd_path, 0644, passwd, strlen(passwd), err) &&
           file_write_atomic(group_path, 0644, group, strlen(group), err) &&
           add_mount(engine, run, passwd_path, "/etc/passwd", false, err) &&
           add_mount(engine, run, group_path, "/etc/group", false, err);
}

static bool add_mounts(const struct container *engine, const struct plan *plan, struct engine_run *run, struct err *err)
{
    static const char *const names[] = {"aileron", "aileron-shim", "aileron-proxy", "aileron-wait"};
    AUTOFREE char *shims = mem_printf("%s/shims", plan->session_dir);
    AUTOFREE char *entry = entry_place(plan);
    bool good = strcmp(entry, SANDBOX_PROXY) == 0 || add_mount(engine, run, plan->self_exe, entry, false, err);

    for (size_t i = 0; good && i < COUNT(names); i++) {
        AUTOFREE char *place = mem_printf("%s/%s", SANDBOX_BIN, names[i]);
        good = add_mount(engine, run, plan->self_exe, place, false, err);
    }
    good = good && add_mount(engine, run, plan->session_dir, SANDBOX_RUN, false, err) &&
           add_mount(engine, run, plan->session_dir, SANDBOX_ETC, false, err) &&
           add_mount(engine, run, shims, SANDBOX_SHIMS, false, err);
    if (good && plan->read_only && plan->remote_user == NULL)
        good = add_accounts(engine, plan, run, err);
    for (size_t i = 0; good && i < plan->cache_count; i++)
        good = add_mount(engine, run, plan->caches[i].source, plan->caches[i].place, true, err);
    good = good && add_mount(engine, run, plan->workspace, SANDBOX_WORKSPACE, true, err);
    for (size_t i = 0; good && i < plan->mount_count; i++)
        good = plan->mounts[i].volume || add_mount(engine, run, plan->mounts[i].source, plan->mounts[i].place,
                                                           !plan->mounts[i].read_only, err);
    return good;
}

bool container_add_run(const struct container *engine, const struct plan *plan, struct engine_run *run, struct err *err)
{
    engine_run_add(run, "run");
    engine_run_add(run, "--rm");
    engine_run_add(run, "--interactive");
    if (plan->tty) {
        engine_run_add(run, "--tty");
        engine_run_add(run, "--detach-keys=%s", engine->no_keys);
    }
    engine_run_add(run, "--name=aileron-%s", plan->session_id);
    engine_run_add(run, "--label=dev.aileron.session=%s", plan->session_id);
    engine_run_add(run, "--label=dev.aileron.home=%s", plan->home_id);
    container_add_isolation(plan, run);
    engine_add_project(plan, run);
    return add_mounts(engine, plan, run, err) &&
           (plan->network != PLAN_SEALED || add_resolver(engine, plan, run, err));
}

void container_add_command(const struct plan *plan, bool give_ids, struct engine_run *run)
{
    AUTOFREE char *entry = entry_place(plan);

    engine_run_add(run, "--workdir=%s", SANDBOX_WORKSPACE);
    engine_run_add(run, "--entrypoint=%s", entry);
    engine_run_add(run, "%s", plan->image);
    engine_run_add(run, "run");
    if (give_ids) {
        engine_run_add(run, "--uid=%u", (unsigned)plan->uid);
        engine_run_add(run, "--gid=%u", (unsigned)plan->gid);
    }
    if (plan->network == PLAN_OPEN)
        engine_run_add(run, "--open");
    engine_add_options(plan, run);
    engine_run_add(run, "--");
    for (size_t i = 0; i < plan->command_count; i++)
        engine_run_add(run, "%s", plan->command[i]);
}
