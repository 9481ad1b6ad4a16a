/* Every directory on the way to a place of ours (/etc/hosts, /opt/aileron, /home/agent/workspace) is made anew in
 * memory, and what the image has in it is bound, or linked, into it one by one; everything else is bound whole. What
 * bwrap makes is thus never made through a symlink of the image: as root, one that leads up and out would be a way to
 * write to the host. Files of the image that are read here are opened as its own programs would open them, with its
 * root as the root. /etc is bound once, as /.etc, and linked into, as hostroot.c does and says why. */
#include "core/sandbox/imageroot.h"

#include "core/base/file.h"
#include "core/sandbox/anchor.h"
#include "core/sandbox/hostroot.h"
#include "core/sandbox/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ENTRIES_MAX = 20000, /* looked at in the directories that are made anew */
    BINDS_MAX = 512,     /* each costs bwrap a look at all before it */
    NAMES_BYTES = 1024 * 1024,     /* of passwd and group */
    STORE_BYTES = 5 * 1024 * 1024, /* of the image's roots, and of the session's: each may be 4 MiB */
    LINK_MAX_BYTES = 4096
};

#define IMAGE_ETC "/.etc"

/* Never the image's: fresh, the sandbox's own, or mounted later. */
static const char *const ours[] = {
    "/proc", "/dev", "/sys", "/tmp", "/run", "/var/tmp", "/var/run", IMAGE_ETC, "/opt/aileron", SANDBOX_ETC,
    SANDBOX_WORKSPACE, "/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/passwd", "/etc/group", "/etc/mtab"};
static const char *const stores[] = SANDBOX_ROOT_STORES;

struct show {
    const struct plan *plan;
    int root; /* the directory */
    bool new_store; /* the image has no roots: stores[0] is made, and is ours */
    size_t entries, binds; /* left of the bounds */
    struct buf *args;
};

void imageroot_clear(struct imageroot *root)
{
    for (size_t i = 0; i < root->count; i++) {
        free(root->files[i].place);
        buf_clear(&root->files[i].text);
    }
    root->count = 0;
}

static bool add3(struct buf *args, const char *a, const char *b, const char *c)
{
    return hostroot_arg(args, a) && hostroot_arg(args, b) && hostroot_arg(args, c);
}

static int open_in(int root, const char *place, int flags, unsigned resolve)
{
    struct open_how how = {.flags = (unsigned)flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS};

    while (*place == '/')
        place++;
    return (int)syscall(SYS_openat2, root, *place != '\0' ? place : ".", &how, sizeof(how));
}

/* A regular file of the image; links are followed inside it where `resolve` says so. */
static bool read_in(int root, const char *place, size_t max, unsigned resolve, struct buf *out)
{
    CLEANUP(file_close_ptr) int fd = open_in(root, place, O_RDONLY | O_NONBLOCK, resolve);
    struct stat st;
    struct err err = {0};

    return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && file_read_fd(fd, max, out, &err);
}

static bool is_ours(const struct show *show, const char *place)
{
    for (size_t i = 0; i < COUNT(ours); i++)
        if (strcmp(ours[i], place) == 0)
            return true;
    return show->new_store && strcmp(stores[0], place) == 0;
}

static bool holds_ours(const struct show *show, const char *place)
{
    for (size_t i = 0; i < COUNT(ours); i++)
        if (plan_path_within(ours[i], place))
            return true;
    return show->new_store && plan_path_within(stores[0], place);
}

static bool show_link(const struct show *show, int dir, const char *name, const char *place)
{
    char text[LINK_MAX_BYTES];
    ssize_t n = readlinkat(dir, name, text, sizeof(text) - 1);

    if (n <= 0 || n == (ssize_t)sizeof(text) - 1)
        return true;
    text[n] = '\0';
    return add3(show->args, "--symlink", text, place);
}

static bool show_directory(struct show *show, const char *place);

static bool show_entry(struct show *show, int dir, const char *name, const char *place)
{
    bool holds = holds_ours(show, place);
    struct stat st;

    if (is_ours(show, place) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    if (holds) /* a directory of ours takes the place of anything else */
        return !S_ISDIR(st.st_mode) || show_directory(show, place);
    if (S_ISDIR(st.st_mode) && anchor_below(place))
        return show_directory(show, place);
    if (S_ISLNK(st.st_mode))
        return show_link(show, dir, name, place);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return true;
    if (plan_path_within(place, "/etc")) {
        AUTOFREE char *bound = mem_printf(IMAGE_ETC "%s", place + sizeof("/etc") - 1);
        return add3(show->args, "--symlink", bound, place);
    }
    AUTOFREE char *source = mem_printf("%s%s", show->plan->root, place);
    return show->binds-- > 0 && add3(show->args, "--ro-bind", source, place);
}

/* One that is made anew; "" is the root. What cannot be read is shown empty. */
static bool show_directory(struct show *show, const char *place)
{
    int fd = open_in(show->root, place, O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    bool good = *place == '\0' || (add3(show->args, "--perms", "0755", "--dir") && hostroot_arg(show->args, place));

    if (dir == NULL) {
        file_close_ptr(&fd);
        return good;
    }
    for (struct dirent *entry; good && (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTOFREE char *below = mem_printf("%s/%s", place, entry->d_name);
        good = show->entries-- > 0 && show_entry(show, dirfd(dir), entry->d_name, below);
    }
    closedir(dir);
    return good;
}

static bool add_fresh(const struct show *show)
{
    static const char *const fresh[][4] = {
        {"--proc", "/proc", "", ""},             {"--dev", "/dev", "", ""},
        {"--perms", "1777", "--tmpfs", "/tmp"},  {"--perms", "0755", "--tmpfs", "/run"},
        {"--perms", "0755", "--dir", "/var"},    {"--perms", "1777", "--tmpfs", "/var/tmp"},
        {"--symlink", "/run", "/var/run", ""},   {"--perms", "0755", "--tmpfs", "/home"},
        {"--perms", "0755", "--dir", SANDBOX_HOME}, {"--perms", "0755", "--dir", "/etc"},
        {"--perms", "0755", "--dir", "/opt"},    {"--perms", "0755", "--dir", "/opt/aileron"},
        {"--perms", "0755", "--dir", SANDBOX_BIN},
    };
    AUTOFREE char *etc = mem_printf("%s/etc", show->plan->root);
    CLEANUP(file_close_ptr) int fd = open_in(show->root, "etc", O_PATH | O_DIRECTORY | O_NOFOLLOW, RESOLVE_BENEATH);

    for (size_t i = 0; i < COUNT(fresh); i++)
        for (size_t j = 0; j < COUNT(fresh[i]); j++)
            if (fresh[i][j][0] != '\0' && !hostroot_arg(show->args, fresh[i][j]))
                return false;
    return hostroot_add_proc(show->args) && (fd < 0 || add3(show->args, "--ro-bind", etc, IMAGE_ETC));
}

static struct buf *add_file(struct imageroot *out, const char *place, bool over)
{
    struct imageroot_file *file = &out->files[out->count++];

    file->place = mem_strdup(place);
    file->over = over;
    buf_init(&file->text, 2 * STORE_BYTES);
    return &file->text;
}

/* The image's own list of names, with the agent's line where its id has none. */
static bool add_names(const struct show *show, const char *place, unsigned id, const char *usual, const char *line,
                      struct imageroot *out)
{
    CLEANUP(buf_clear) struct buf text = {0};
    bool there = read_in(show->root, place, NAMES_BYTES, RESOLVE_IN_ROOT, &text);
    struct buf *file = add_file(out, place, false);
    const char *names = there ? buf_cstr(&text) : usual;
    size_t len = strlen(names);

    return buf_adds(file, names) && (len == 0 || names[len - 1] == '\n' || buf_adds(file, "\n")) &&
           (place_has_entry(names, id) || buf_adds(file, line));
}

/* The image's roots, as they are, with the session's behind them; an image that has none gets the bundle. */
static bool add_stores(struct show *show, struct imageroot *out, struct err *err)
{
    AUTOFREE char *extra = mem_printf("%s/ca-extra.pem", show->plan->session_dir);
    AUTOFREE char *bundle = mem_printf("%s/ca-bundle.pem", show->plan->session_dir);
    CLEANUP(buf_clear) struct buf ours_too = {0};
    struct buf *file;

    if (!file_read(extra, STORE_BYTES, &ours_too, err))
        return false;
    show->new_store = true;
    for (size_t i = 0; i < COUNT(stores); i++) {
        CLEANUP(buf_clear) struct buf text = {0};
        /* A symlink leads to another one of the list. */
        if (!read_in(show->root, stores[i], STORE_BYTES, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, &text))
            continue;
        AUTOFREE char *place = mem_printf(IMAGE_ETC "%s", stores[i] + sizeof("/etc") - 1);
        show->new_store = false;
        file = add_file(out, place, true);
        if (!buf_add(file, text.data, text.len) || !buf_adds(file, "\n") ||
            !buf_add(file, ours_too.data, ours_too.len))
            return err_set(err, ERR_LAUNCH, "the image's roots in %s are too large", stores[i]);
    }
    if (!show->new_store)
        return true;
    file = add_file(out, stores[0], false);
    buf_clear(file);
    return file_read(bundle, STORE_BYTES, file, err);
}

static bool add_files(struct show *show, unsigned uid, unsigned gid, struct imageroot *out, struct err *err)
{
    AUTOFREE char *user = mem_printf("agent:x:%u:%u:Agent:" SANDBOX_HOME ":/bin/sh\n", uid, gid);
    AUTOFREE char *group = mem_printf("agent:x:%u:\n", gid);

    return (buf_adds(add_file(out, "/etc/resolv.conf", false), "nameserver 127.0.0.1\n") &&
            buf_adds(add_file(out, "/etc/hosts", false),
                     "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 aileron-sandbox\n") &&
            add_names(show, "/etc/passwd", uid, "root:x:0:0:root:/root:/bin/sh\n", user, out) &&
            add_names(show, "/etc/group", gid, "root:x:0:\n", group, out)) ||
           err_set(err, ERR_LAUNCH, "the image's names are too many");
}

bool imageroot_build(const struct plan *plan, uid_t uid, gid_t gid, struct buf *args, struct imageroot *out,
                     struct err *err)
{
    CLEANUP(file_close_ptr) int root = open(plan->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(file_close_ptr) int probe = root >= 0 ? open_in(root, "", O_PATH, RESOLVE_IN_ROOT) : -1;
    struct show show = {plan, root, false, ENTRIES_MAX, BINDS_MAX, args};

    if (probe < 0) {
        bool old = errno == ENOSYS;
        err_errno(err, ERR_LAUNCH, errno, "cannot look into the root file system %s", plan->root);
        return old && err_hint(err, "--rootfs needs Linux 5.6 or later");
    }
    if (!add_stores(&show, out, err) || !add_files(&show, uid, gid, out, err))
        return false;
    if (add_fresh(&show) && show_directory(&show, "") && hostroot_add_policies(plan->root, args))
        return true;
    err_set(err, ERR_LAUNCH, "the root file system %s has more than %d entries where the sandbox has its own, or needs "
            "more than %d mounts", plan->root, ENTRIES_MAX, BINDS_MAX);
    return err_hint(err, "They are at its top and in /etc, /home, /opt and /var: remove what no agent needs");
}
