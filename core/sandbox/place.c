/* Makes an image of any kind, or of nothing at all, into a place where an agent can work. It changes only what is
 * missing, in the container's own layer, never in the image. */
#include "core/sandbox/place.h"

#include "core/base/file.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/sandbox/anchor.h"
#include "core/sandbox/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CA_BYTES = 5 * 1024 * 1024 }; /* tls.ca_file may be as large as all roots together, 4 MiB */

/* "DEVICE:INODE:PLACE" */
static bool parse_directory(const char *text, uint64_t *dev, uint64_t *ino, const char **place)
{
    struct span rest = span_of(text), device, inode;
    bool good = span_cut(&rest, ':', &device) && span_cut(&rest, ':', &inode);

    *place = rest.p;
    return good && text_u64(device, UINT64_MAX, dev) && text_u64(inode, UINT64_MAX, ino);
}

/* Which directories the project's mounts must be, as the workspace: whoever writes in it can change what a name leads
 * to between the launcher's look and the engine's. */
static bool check_directories(const struct supervisor_spec *spec, struct err *err)
{
    for (size_t i = 0; i < spec->directory_count; i++) {
        uint64_t want_dev = 0, want_ino = 0;
        const char *place;
        struct stat st;
        if (!parse_directory(spec->directories[i], &want_dev, &want_ino, &place))
            return err_set(err, ERR_USAGE, "--directory takes a device's number, an inode's and a place");
        if (lstat(place, &st) == 0 && st.st_dev == want_dev && st.st_ino == want_ino)
            continue;
        err_set(err, ERR_LAUNCH, "what is at %s is not the directory of the workspace that was asked for", place);
        return err_hint(err, "Something replaced it meanwhile: look at it, and at what else may write beside it");
    }
    return true;
}

bool place_find(const struct supervisor_spec *spec, struct place *out, struct err *err)
{
    struct stat st;

    *out = (struct place){.uid = spec->uid, .gid = spec->gid, .spec = spec,
                          .account = {.name = "agent", .home = SANDBOX_HOME}};
    out->cwd = spec->cwd != NULL ? spec->cwd : SANDBOX_WORKSPACE;
    if (spec->have_workspace && (stat(SANDBOX_WORKSPACE, &st) != 0 || st.st_dev != spec->workspace_dev ||
                                 st.st_ino != spec->workspace_ino)) {
        err_set(err, ERR_LAUNCH, "what was mounted as the workspace is not the directory that was launched from");
        return err_hint(err, "Something replaced it meanwhile: look at it, and at what else may write beside it");
    }
    if (!check_directories(spec, err) ||
        (spec->agent_user != NULL && !account_find("/etc/passwd", spec->agent_user, &out->account, err)))
        return false;
    if (!spec->have_id) {
        if (stat(out->cwd, &st) != 0) {
            err_errno(err, ERR_LAUNCH, errno, "the workspace %s is not there", out->cwd);
            return err_hint(err, "This command is for the inside of a sandbox; see aileron launch");
        }
        out->uid = st.st_uid;
        out->gid = st.st_gid;
    }
    out->nest = !privilege_uid_mapped(out->uid);
    if (out->uid == 0)
        fprintf(stderr, "aileron: the workspace is root's, so the agent is root in the sandbox, without any "
                        "capability.\n");
    return true;
}

static bool is_hosts(const struct supervisor_spec *spec, const struct stat *st)
{
    bool is = spec->have_workspace && st->st_dev == spec->workspace_dev && st->st_ino == spec->workspace_ino;

    for (size_t i = 0; !is && i < spec->directory_count; i++) {
        uint64_t dev = 0, ino = 0;
        const char *at;
        is = parse_directory(spec->directories[i], &dev, &ino, &at) && st->st_dev == dev && st->st_ino == ino;
    }
    return is;
}

/* Whether a path leads to the host's workspace, or to something in it. A link of the image does not change whose that
 * is: we are root, and with most engines the host's. */
static bool on_host(const struct place *place, const char *path)
{
    AUTOFREE char *real = realpath(path, NULL);
    bool is = real == NULL;

    for (size_t at = 1; !is && real[at - 1] != '\0'; at++) {
        struct stat st;
        if (real[at] != '/' && real[at] != '\0')
            continue;
        AUTOFREE char *above = mem_strndup(real, at);
        is = lstat(above, &st) != 0 || is_hosts(place->spec, &st);
    }
    return is;
}

bool place_has_entry(const char *text, unsigned id)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n'), *colon = strchr(line, ':');
        colon = colon != NULL ? strchr(colon + 1, ':') : NULL;
        if (colon != NULL && (end == NULL || colon < end) && strtoul(colon + 1, NULL, 10) == id)
            return true;
        line = end != NULL ? end + 1 : NULL;
    }
    return false;
}

static void add_entry(const struct place *place, const char *path, unsigned id, const char *entry)
{
    struct buf text;
    struct err err = {0};

    if (on_host(place, "/etc"))
        return;
    bool there = file_read(path, 1024 * 1024, &text, &err);

    if (!there && err.code != ERR_NOT_FOUND)
        return;
    bool known = there && place_has_entry(buf_cstr(&text), id);
    bool open_line = there && text.len > 0 && text.data[text.len - 1] != '\n';
    if (there)
        buf_clear(&text);
    if (known)
        return;
    CLEANUP(file_close_ptr) int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    AUTOFREE char *line = mem_printf("%s%s\n", open_line ? "\n" : "", entry);
    if (fd >= 0)
        (void)!file_write_all(fd, line, strlen(line), &err);
}

/* An image without roots gets them: programs that read no variable have nothing else. */
static void make_store(const struct place *place, const char *path)
{
    static const char *const above[] = {"/etc", "/etc/ssl", "/etc/ssl/certs"};
    struct buf bundle;
    struct err err = {0};
    bool ours = true;

    if (!file_read(SANDBOX_BUNDLE, CA_BYTES, &bundle, &err))
        return;
    mode_t mask = umask(022);
    for (size_t i = 0; ours && i < COUNT(above); i++)
        ours = (mkdir(above[i], 0755) == 0 || errno == EEXIST) && !on_host(place, above[i]);
    CLEANUP(file_close_ptr) int fd =
        ours ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644) : -1;
    umask(mask);
    if (fd >= 0)
        (void)!file_write_all(fd, bundle.data, bundle.len, &err);
    buf_clear(&bundle);
}

/* Adds the session's CA and tls.ca_file's to the image's own roots. No symlink is followed: what it leads to is in the
 * list too, or is none of ours to write to. */
static void add_roots(const struct place *place)
{
    static const char *const stores[] = SANDBOX_ROOT_STORES;
    struct buf ca;
    struct err err = {0};
    struct stat st;
    bool found = false;

    if (!file_read(SANDBOX_CA_EXTRA, CA_BYTES, &ca, &err))
        return;
    for (size_t i = 0; i < COUNT(stores); i++) {
        CLEANUP(file_close_ptr) int fd = open(stores[i], O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        found = found || fd >= 0;
        if (fd >= 0 && !on_host(place, stores[i]) && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
            (!file_write_all(fd, "\n", 1, &err) || !file_write_all(fd, ca.data, ca.len, &err)))
            break; /* a full disk: the variables are still there */
    }
    buf_clear(&ca);
    if (!found)
        make_store(place, stores[0]);
}

/* An engine makes a volume root's. One that an image or an agent has filled keeps its owner. */
static void own_volumes(const struct place *place)
{
    for (size_t i = 0; i < place->spec->volume_count; i++) {
        struct stat st;
        const char *at = place->spec->volumes[i];
        if (lstat(at, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == 0 && !on_host(place, at) &&
            fchownat(AT_FDCWD, at, place->uid, place->gid, AT_SYMLINK_NOFOLLOW) != 0)
            fprintf(stderr, "aileron: the volume at %s stays root's: %s\n", at, strerror(errno));
    }
}

/* In the container's own layer, and not in a mount: an image may say that its user's home is a directory of the
 * workspace, whose owner is not ours to change. */
static bool in_layer(const char *path)
{
    struct statx root = {0}, at = {0};

    return statx(AT_FDCWD, "/", 0, STATX_MNT_ID, &root) == 0 &&
           statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_MNT_ID, &at) == 0 && root.stx_mnt_id == at.stx_mnt_id &&
           root.stx_dev_major == at.stx_dev_major && root.stx_dev_minor == at.stx_dev_minor;
}

/* An engine makes the directories above a mount, for root: ~/.cache of ~/.cache/pip would be closed to the agent. */
static void give_parents(const struct place *place, const char *cache)
{
    size_t home = strlen(SANDBOX_HOME);
    struct stat st;

    if (strncmp(cache, SANDBOX_HOME "/", home + 1) != 0)
        return;
    for (size_t at = home + 1; cache[at] != '\0'; at++) {
        AUTOFREE char *above = cache[at] == '/' ? mem_strndup(cache, at) : NULL;
        if (above != NULL && lstat(above, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == 0 &&
            in_layer(above) && lchown(above, place->uid, place->gid) != 0)
            return;
    }
}

/* podman makes the top of a container without write permission, and without CAP_DAC_OVERRIDE that holds for root. */
static void open_top(void)
{
    struct stat st;

    if (stat("/", &st) == 0 && st.st_uid == geteuid() && (st.st_mode & S_IWUSR) == 0)
        (void)!chmod("/", (st.st_mode & 07777) | S_IWUSR);
}

void place_prepare(const struct place *place)
{
    if (place->nest || getpid() != 1)
        return; /* made of the host, complete; or not a sandbox of its own at all */
    open_top();
    add_roots(place);
    CLEANUP(file_close_ptr) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root >= 0)
        anchor_make_all(root);
    mode_t mask = umask(0);
    mkdir("/tmp", 01777);
    mkdir("/home", 0755);
    mkdir(SANDBOX_HOME, 0755);
    umask(mask);
    /* Made by the engine for the mount of the workspace, or the image's own. */
    if (!on_host(place, SANDBOX_HOME) && chown(SANDBOX_HOME, place->uid, place->gid) != 0)
        return;
    for (size_t i = 0; i < place->spec->cache_count; i++)
        give_parents(place, place->spec->caches[i]);
    if (place->uid == 0)
        return;
    own_volumes(place);
    /* Not what is in it: what the image's user may not change, the agent copies. */
    if (in_layer(place->account.home) && lchown(place->account.home, place->uid, place->gid) != 0)
        fprintf(stderr, "aileron: the home %s is not the agent's: %s\n", place->account.home, strerror(errno));
    mkdir("/etc", 0755);
    AUTOFREE char *user = mem_printf("%s:x:%u:%u:Agent:%s:/bin/sh", place->account.name, (unsigned)place->uid,
                                     (unsigned)place->gid, place->account.home);
    AUTOFREE char *group = mem_printf("agent:x:%u:", (unsigned)place->gid);
    add_entry(place, "/etc/passwd", place->uid, user);
    add_entry(place, "/etc/group", place->gid, group);
}

/* A standard stream that is the device was opened on the host, where its mount can be written to. */
static bool open_again(const char *device, dev_t number)
{
    struct stat st;

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fstat(fd, &st) != 0 || !S_ISCHR(st.st_mode) || st.st_rdev != number)
            continue;
        CLEANUP(file_close_ptr) int again = open(device, (fcntl(fd, F_GETFL) & O_ACCMODE) | O_NOCTTY | O_CLOEXEC);
        if (again < 0 || dup2(again, fd) < 0)
            return false;
    }
    return true;
}

bool place_protect(const struct place *place, struct err *err)
{
    static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom",
                                          "/dev/tty"};
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};

    for (size_t i = 0; place->nest && getpid() == 1 && i < COUNT(devices); i++) {
        struct stat st;
        if (lstat(devices[i], &st) != 0 || st.st_uid != geteuid() || !S_ISCHR(st.st_mode) ||
            (syscall(SYS_mount_setattr, AT_FDCWD, devices[i], 0u, &read_only, sizeof(read_only)) == 0 &&
             open_again(devices[i], st.st_rdev)))
            continue;
        err_errno(err, ERR_LAUNCH, errno, "cannot keep %s of this host from being changed", devices[i]);
        return err_hint(err, "Launch as another user than root, or use --sandbox=docker");
    }
    return true;
}

bool place_check(const struct place *place, struct err *err)
{
    if (access(place->cwd, W_OK | X_OK) == 0)
        return true;
    err_errno(err, ERR_LAUNCH, errno, "the workspace %s is not writable for user %u", place->cwd,
              (unsigned)place->uid);
    return err_hint(err, "Look at the owner and the mode of the directory on the host");
}
