/* The plan's own part: owning its strings and refusing workspaces and exposed paths that would hand the host to
 * the agent. It starts nothing and asks nobody. */
#include "core/sandbox/plan.h"

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/sandbox/account.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void plan_init(struct plan *plan)
{
    *plan = (struct plan){.control_fd = -1};
}

static void free_words(char **words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(words[i]);
}

void plan_clear_command(struct plan *plan)
{
    free_words(plan->command, plan->command_count);
    free(plan->command);
    plan->command = NULL;
    plan->command_count = 0;
}

void plan_clear(struct plan *plan)
{
    char **owned[] = {&plan->self_exe,   &plan->aileron_home, &plan->user_home, &plan->workspace,
                      &plan->session_id, &plan->session_dir,  &plan->home_id,   &plan->image,
                      &plan->rootfs,     &plan->root,         &plan->remote};

    for (size_t i = 0; i < COUNT(owned); i++) {
        free(*owned[i]);
        *owned[i] = NULL;
    }
    plan_clear_command(plan);
    free_words(plan->expose, plan->expose_count);
    free_words(plan->volumes, plan->volume_count);
    plan_drop_project(plan);
    for (size_t i = 0; i < plan->cache_count; i++) {
        free(plan->caches[i].source);
        free(plan->caches[i].place);
    }
    if (plan->sent != NULL)
        pack_list_clear(plan->sent);
    free(plan->sent);
    env_clear(&plan->env);
    buf_clear(&plan->root_args);
    env_clear(&plan->image_env);
    plan_init(plan);
}

void plan_drop_project(struct plan *plan)
{
    for (size_t i = 0; i < plan->mount_count; i++) {
        free(plan->mounts[i].source);
        free(plan->mounts[i].place);
    }
    plan->mount_count = 0;
    env_clear(&plan->project_env);
    free(plan->remote_user);
    plan->remote_user = NULL;
    free(plan->image);
    plan->image = NULL;
    plan->shm_bytes = 0;
    plan->tier = 0;
}

bool plan_path_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    while (len > 0 && dir[len - 1] == '/')
        len--;
    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* The canonical form of a directory that may not exist; "" for NULL. Caller frees. */
static char *canonical(const char *path)
{
    char *real = path != NULL ? realpath(path, NULL) : NULL;

    return real != NULL ? real : mem_strdup(path != NULL ? path : "");
}

/* What no mount may show: our own home, whichever way it is reached. `outer` also refuses what holds it. */
static bool shows_home(const struct plan *plan, const char *path)
{
    AUTOFREE char *home = canonical(plan->aileron_home);

    return home[0] != '\0' && (plan_path_within(home, path) || plan_path_within(path, home));
}

/* The path in what a variable says of a socket: "unix:path=/run/bus,guid=0", "/tmp/tmux-1000/default,123,0". NULL:
 * none. Caller frees. */
static char *socket_path(const char *value)
{
    static const char *const schemes[] = {"unix://", "unix:path=", "unix:", ""};
    struct span text = span_of(value != NULL ? value : ""), rest, path;
    size_t i = 0;

    while (!span_starts(text, schemes[i]))
        i++;
    rest = (struct span){text.p + strlen(schemes[i]), text.len - strlen(schemes[i])};
    if (rest.len == 0 || rest.p[0] != '/')
        return NULL;
    AUTOFREE char *whole = mem_strndup(rest.p, rest.len);
    if (file_exists(whole) || !span_cut(&rest, ',', &path))
        return canonical(whole);
    AUTOFREE char *first = mem_strndup(path.p, path.len);
    return canonical(first);
}

/* Where programs of this host listen without anybody's saying so: a tmux and an Emacs run what they are told. */
static bool shows_usual_socket(const char *path)
{
    const char *const dirs[] = {"/tmp", getenv("TMUX_TMPDIR"), getenv("TMPDIR")};
    bool shown = false;

    for (size_t i = 0; i < COUNT(dirs); i++) {
        const char *dir = dirs[i] != NULL ? dirs[i] : "";
        AUTOFREE char *tmux = mem_printf("%s/tmux-%u", dir, (unsigned)geteuid());
        AUTOFREE char *emacs = mem_printf("%s/emacs%u", dir, (unsigned)geteuid());
        AUTOFREE char *screens = mem_printf("%s/.X11-unix", dir);
        const char *const places[] = {tmux, emacs, screens};
        for (size_t j = 0; dir[0] == '/' && j < COUNT(places); j++) {
            AUTOFREE char *real = realpath(places[j], NULL);
            shown = shown || (real != NULL && plan_path_within(real, path));
        }
    }
    return shown;
}

/* Sockets by which one is the host: engines, keys, the user's own services, terminals and editors. Whatever holds one
 * is not mounted, whether the engine is the one that is used or not. */
static bool shows_socket(const char *path)
{
    static const char *const places[] = {"/run/docker.sock", "/run/podman/podman.sock",
                                         "/run/containerd/containerd.sock", "/run/crio/crio.sock"};
    static const char *const variables[] = {"XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "DOCKER_HOST", "CONTAINER_HOST",
                                            "DBUS_SESSION_BUS_ADDRESS", "TMUX", "KITTY_LISTEN_ON", "NVIM",
                                            "VSCODE_IPC_HOOK_CLI"};
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    bool shown = shows_usual_socket(path);

    for (size_t i = 0; i < COUNT(places); i++) /* one that is not there now may come while the sandbox runs */
        shown = shown || plan_path_within(places[i], path);
    for (size_t i = 0; i < COUNT(variables); i++) {
        AUTOFREE char *real = socket_path(getenv(variables[i]));
        shown = shown || (real != NULL && plan_path_within(real, path));
    }
    if (runtime != NULL && runtime[0] == '/') {
        AUTOFREE char *real = canonical(runtime), *podman = file_join(real, "podman/podman.sock");
        shown = shown || plan_path_within(podman, path);
    }
    return shown;
}

const char *plan_unmountable(const struct plan *plan, const char *real)
{
    AUTOFREE char *user_home = canonical(plan->user_home);

    if (strcmp(real, "/") == 0)
        return "it is the whole host";
    if (shows_home(plan, real))
        return "it holds Aileron's own files, or lies in them";
    if (user_home[0] == '/' && strcmp(user_home, "/") != 0 && plan_path_within(user_home, real))
        return "it is the home directory or holds it";
    if (shows_socket(real))
        return "it holds the engine's socket, or another that controls this host (keys, services, terminals)";
    return NULL;
}

/* The home that the system knows of: HOME may be unset, and root launches for others. */
static bool shows_home_of(uid_t uid, const char *real)
{
    AUTOFREE char *id = mem_printf("%u", (unsigned)uid);
    struct account account;
    struct err ignored = {0};

    if (!account_find("/etc/passwd", id, &account, &ignored))
        return false;
    AUTOFREE char *home = realpath(account.home, NULL);
    return home != NULL && strcmp(home, "/") != 0 && plan_path_within(home, real);
}

static bool refuse_workspace(const char *path, const char *why, struct err *err)
{
    err_set(err, ERR_LAUNCH, "the workspace %s cannot be given to an agent: %s", path, why);
    return err_hint(err, "Change to the project's own directory and launch again");
}

int plan_open(const char *real)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, real, &how, sizeof(how));

    if (fd < 0 && errno == ENOSYS) /* before Linux 5.6 */
        fd = open(real, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd;
}

static bool look_at(const char *real, struct stat *st)
{
    CLEANUP(file_close_ptr) int fd = plan_open(real);

    return fd >= 0 && fstat(fd, st) == 0;
}

bool plan_set_workspace(struct plan *plan, const char *path, struct err *err)
{
    AUTOFREE char *real = realpath(path, NULL);
    struct stat st;

    if (real == NULL || !look_at(real, &st)) {
        err_errno(err, ERR_LAUNCH, errno, "cannot use the workspace %s", path);
        return err_hint(err, "Change to a directory that is there and can be entered, and launch again");
    }
    if (!S_ISDIR(st.st_mode))
        return refuse_workspace(real, "it is no directory", err);
    const char *why = plan_unmountable(plan, real);
    if (why == NULL && (shows_home_of(geteuid(), real) || shows_home_of(st.st_uid, real)))
        why = "it is a home directory or holds one";
    if (why != NULL)
        return refuse_workspace(real, why, err);
    if (strpbrk(real, "\n\r") != NULL)
        return refuse_workspace("here", "its path has a line break in it", err);
    if (access(real, W_OK | X_OK) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "the workspace %s is not writable", real);
        return err_hint(err, "Launch from a directory that is yours, or change its owner");
    }
    free(plan->workspace);
    plan->workspace = mem_strdup(real);
    plan->workspace_dev = st.st_dev;
    plan->workspace_ino = st.st_ino;
    /* Root acts for the owner; anyone else acts as himself, whoever owns the directory. */
    plan->uid = geteuid() == 0 ? st.st_uid : geteuid();
    plan->gid = geteuid() == 0 ? st.st_gid : getegid();
    return true;
}

bool plan_add_expose(struct plan *plan, const char *path, struct err *err)
{
    AUTOFREE char *full = NULL;

    if (strncmp(path, "~/", 2) == 0 && plan->user_home != NULL)
        full = mem_printf("%s/%s", plan->user_home, path + 2);
    else if (path[0] == '/')
        full = mem_strdup(path);
    else
        return err_set(err, ERR_CONFIG, "the exposed path %s does not begin with / or ~/", path);
    AUTOFREE char *real = realpath(full, NULL);
    if (real == NULL)
        return true;
    AUTOFREE char *user_home = canonical(plan->user_home);
    if (shows_home(plan, real) || (user_home[0] == '/' && plan_path_within(user_home, real)))
        return err_set(err, ERR_CONFIG, "the exposed path %s would show the home directory or Aileron's files",
                       path);
    if (shows_socket(real))
        return err_set(err, ERR_CONFIG, "the exposed path %s would show a socket that controls this host", path);
    /* At the place it is asked for, and at the place its symlinks lead to. */
    const char *both[] = {full, strcmp(full, real) != 0 ? real : NULL};
    for (size_t i = 0; i < COUNT(both) && both[i] != NULL; i++) {
        if (plan->expose_count == PLAN_EXPOSE_MAX)
            return err_set(err, ERR_LIMIT, "more than %d exposed paths", PLAN_EXPOSE_MAX);
        plan->expose[plan->expose_count++] = mem_strdup(both[i]);
    }
    return true;
}

static bool refuse_rootfs(const char *path, const char *why, const char *next, struct err *err)
{
    err_set(err, ERR_LAUNCH, "%s cannot be a sandbox's root: %s", path, why);
    return err_hint(err, "%s", next);
}

bool plan_set_rootfs(struct plan *plan, const char *path, struct err *err)
{
    AUTOFREE char *real = realpath(path, NULL), *user_home = canonical(plan->user_home);
    struct stat st;

    if (real == NULL || stat(real, &st) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "there is no root file system %s", path);
        return err_hint(err, "Name a directory, an archive (tar) or an OCI layout");
    }
    if (strcmp(real, "/") == 0)
        return refuse_rootfs(real, "it is this host's own", "Leave --rootfs out: bwrap then shows the host's programs",
                             err);
    if (shows_home(plan, real) || (user_home[0] == '/' && plan_path_within(user_home, real)))
        return refuse_rootfs(real, "it would show the home directory or Aileron's files",
                             "Name a directory that holds the root of a system and nothing else", err);
    if (shows_socket(real))
        return refuse_rootfs(real, "it would show a socket that controls this host",
                             "Name a directory that holds the root of a system and nothing else", err);
    /* An archive there is unpacked elsewhere first. */
    if (S_ISDIR(st.st_mode) && (plan_path_within(real, plan->workspace) || plan_path_within(plan->workspace, real)))
        return refuse_rootfs(real, "the agent could change it, as it is in the workspace or holds it",
                             "Move it out of the project, or name an archive of it", err);
    free(plan->rootfs);
    plan->rootfs = mem_strdup(real);
    return true;
}

bool plan_place_valid(const char *place)
{
    static const char *const taken[] = {"/proc", "/sys", "/dev", "/run/aileron", "/etc/aileron", "/opt/aileron",
                                        SANDBOX_WORKSPACE};
    struct span rest = span_of(place), part;
    size_t parts = 0;

    if (place[0] != '/' || strlen(place) > 200 ||
        place[strspn(place, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+@")] != '\0')
        return false;
    rest.p++;
    rest.len--;
    while (span_cut(&rest, '/', &part)) {
        if (part.len == 0 || span_eqs(part, ".") || span_eqs(part, "..") || ++parts > PLAN_PLACE_DEPTH)
            return false;
    }
    if (parts == 0 || place[strlen(place) - 1] == '/')
        return false;
    for (size_t i = 0; i < COUNT(taken); i++)
        if (plan_path_within(place, taken[i]) || plan_path_within(taken[i], place))
            return false;
    return true;
}

bool plan_add_mount(struct plan *plan, const char *source, const char *place, bool volume, bool read_only,
                    struct err *err)
{
    struct plan_mount mount = {.volume = volume, .read_only = read_only};
    struct stat st;

    for (size_t i = 0; i < plan->mount_count; i++)
        if (strcmp(plan->mounts[i].place, place) == 0)
            return err_set(err, ERR_CONFLICT, "something else is mounted at %s", place);
    if (plan->mount_count == PLAN_MOUNTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d mounts", PLAN_MOUNTS_MAX);
    if (!volume) {
        if (!look_at(source, &st))
            return err_errno(err, ERR_CONFIG, errno, "cannot mount %s", source);
        if (!S_ISDIR(st.st_mode) || !plan_path_within(source, plan->workspace))
            return err_set(err, ERR_CONFIG, "%s is no directory of the workspace", source);
        mount.dev = st.st_dev;
        mount.ino = st.st_ino;
    }
    mount.source = mem_strdup(source);
    mount.place = mem_strdup(place);
    plan->mounts[plan->mount_count++] = mount;
    return true;
}

bool plan_set_command(struct plan *plan, char *const *words, size_t count, struct err *err)
{
    if (count == 0 || count > PLAN_COMMAND_MAX)
        return err_set(err, ERR_USAGE, "a command has 1 to %d words", PLAN_COMMAND_MAX);
    plan->command = mem_array(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++)
        plan->command[i] = mem_strdup(words[i]);
    plan->command_count = count;
    return true;
}
