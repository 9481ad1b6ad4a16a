/* Which parts of the host's root a bwrap sandbox sees. System directories are bound read-only or, where they are
 * symlinks into /usr, made again. /etc is a fresh directory of symlinks into one read-only bind of the host's
 * (/.etc: at the same depth, so that relative links in it still lead where they led): one mount instead of two
 * hundred keeps the start under 10 ms. What others cannot read in it is covered, whoever launches: root must
 * not show a sandbox more than a user would. The same holds for /opt and /usr/local, where people put what is their
 * own; the rest of /usr is what packages bring, the same for everybody, and too large to look through at every launch.
 * Nothing of /home, /root, /var, /run, /srv or /mnt is there. */
#include "core/sandbox/hostroot.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/sandbox/anchor.h"
#include "core/sandbox/layout.h"
#include "core/sandbox/plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ETC_ENTRIES_MAX = 20000, /* looked at in /etc; beyond it the launch is refused */
    ETC_DEPTH_MAX = 12,
    PROGRAM_ENTRIES_MAX = 200000, /* looked at in /opt and /usr/local together; likewise */
    PROGRAM_DEPTH_MAX = 64,
    LINK_MAX_BYTES = 4096
};

#define HOST_ETC "/.etc"

struct walk { /* what is left of its bounds */
    size_t entries;
    int depth;
};

/* Bound whole where they are directories, made again where they are symlinks. */
static const char *const system_directories[] = {"/usr",   "/bin",    "/sbin",   "/lib", "/lib32",
                                                 "/lib64", "/libx32", "/nix",    "/gnu"};
/* Entries of /etc that a sandbox never gets, even where everybody may read them. */
static const char *const etc_hidden[] = {
    "resolv.conf", "hosts",   "hostname", "passwd", "passwd-", "group",     "group-",  "shadow",  "shadow-",
    "gshadow",     "gshadow-", "subuid",  "subgid", "sudoers", "sudoers.d", "ssh",     "aileron", "mtab",
    "fstab",       "docker",  "NetworkManager", "wireguard", "ppp", ".pwd.lock"};

bool hostroot_arg(struct buf *args, const char *arg)
{
    return buf_add(args, arg, strlen(arg) + 1);
}

static bool add3(struct buf *args, const char *a, const char *b, const char *c)
{
    return hostroot_arg(args, a) && hostroot_arg(args, b) && hostroot_arg(args, c);
}

static bool too_long(struct err *err)
{
    return err_set(err, ERR_LAUNCH, "the host's root needs too many mounts");
}

/* The text of a symlink; NULL where it is none. Caller frees. */
static char *link_text(const char *path)
{
    char text[LINK_MAX_BYTES];
    ssize_t n = readlink(path, text, sizeof(text) - 1);

    return n > 0 && n < (ssize_t)sizeof(text) - 1 ? mem_strndup(text, (size_t)n) : NULL;
}

/* A directory whose content others see. */
static bool others_enter(const struct stat *st)
{
    return S_ISDIR(st->st_mode) && (st->st_mode & (S_IROTH | S_IXOTH)) == (S_IROTH | S_IXOTH);
}

static bool add_place(const char *root, const char *place, struct buf *args)
{
    AUTOFREE char *path = mem_printf("%s%s", root, place);
    AUTOFREE char *target = link_text(path);
    struct stat st;

    if (target != NULL)
        return add3(args, "--symlink", target, place);
    if (stat(path, &st) != 0 || !others_enter(&st))
        return true;
    return add3(args, "--ro-bind", path, place);
}

/* Covers what others cannot read below a directory; takes dir_fd. */
static bool cover(int dir_fd, const char *below, struct walk *walk, struct buf *args)
{
    DIR *dir = fdopendir(dir_fd);
    bool good = dir != NULL && walk->depth > 0;

    if (dir == NULL)
        close(dir_fd);
    walk->depth--;
    for (struct dirent *entry; good && (entry = readdir(dir)) != NULL;) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        good = walk->entries-- > 0;
        /* d_type spares a call for symlinks: their targets are looked at where they are. */
        if (!good || entry->d_type == DT_LNK || fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        AUTOFREE char *place = mem_printf("%s/%s", below, entry->d_name);
        if (others_enter(&st)) {
            int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            good = fd >= 0 ? cover(fd, place, walk, args) : errno == EACCES || errno == ENOENT;
        } else if (S_ISDIR(st.st_mode)) {
            good = hostroot_arg(args, "--perms") && add3(args, "0000", "--tmpfs", place);
        } else if (!S_ISLNK(st.st_mode) && (st.st_mode & S_IROTH) == 0) {
            good = add3(args, "--ro-bind", "/dev/null", place);
        }
    }
    walk->depth++;
    if (dir != NULL)
        closedir(dir);
    return good;
}

static bool cover_programs(const char *root, const char *place, struct walk *walk, struct buf *args)
{
    AUTOFREE char *path = mem_printf("%s%s", root, place);
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return true; /* not there, or a symlink: its target is looked at where it is */
    if (!others_enter(&st)) /* below /opt it was left out; /usr/local is in what is bound */
        return strcmp(place, "/usr/local") != 0 ||
               (hostroot_arg(args, "--perms") && add3(args, "0000", "--tmpfs", place));
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? errno == EACCES : cover(fd, place, walk, args);
}

/* /opt entry by entry: our own directory there is mounted later. */
static bool add_opt(const char *root, struct walk *walk, struct buf *args)
{
    AUTOFREE char *path = mem_printf("%s/opt", root);
    DIR *dir = opendir(path);
    bool good = true;

    if (dir == NULL)
        return true;
    for (struct dirent *entry; good && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "aileron") == 0)
            continue;
        AUTOFREE char *place = mem_printf("/opt/%s", entry->d_name);
        good = add_place(root, place, args) && cover_programs(root, place, walk, args);
    }
    closedir(dir);
    return good;
}

static bool etc_is_hidden(const char *name)
{
    for (size_t i = 0; i < COUNT(etc_hidden); i++)
        if (strcmp(name, etc_hidden[i]) == 0)
            return true;
    return false;
}

static bool add_etc_entry(const char *root, const char *name, struct buf *args);

/* A directory that gets something of ours below it, made anew of links, as /etc itself is. */
static bool add_etc_directory(const char *root, const char *name, struct buf *args)
{
    AUTOFREE char *path = mem_printf("%s/etc/%s", root, name);
    AUTOFREE char *place = mem_printf("/etc/%s", name);
    bool good = hostroot_arg(args, "--perms") && add3(args, "0755", "--dir", place);
    DIR *dir = opendir(path);

    for (struct dirent *entry; good && dir != NULL && (entry = readdir(dir)) != NULL;) {
        AUTOFREE char *below = mem_printf("%s/%s", name, entry->d_name);
        good = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
               add_etc_entry(root, below, args);
    }
    if (dir != NULL)
        closedir(dir);
    return good;
}

/* One entry of /etc: a symlink of the host's again, or one into the bind; hidden entries are covered there. */
static bool add_etc_entry(const char *root, const char *name, struct buf *args)
{
    AUTOFREE char *path = mem_printf("%s/etc/%s", root, name);
    AUTOFREE char *place = mem_printf("/etc/%s", name);
    AUTOFREE char *bound = mem_printf(HOST_ETC "/%s", name);
    AUTOFREE char *target = link_text(path);
    struct stat st;

    if (etc_is_hidden(name)) {
        if (target != NULL || stat(path, &st) != 0)
            return true;
        return S_ISDIR(st.st_mode) ? add3(args, "--tmpfs", bound, "--remount-ro") && hostroot_arg(args, bound)
                                   : add3(args, "--ro-bind", "/dev/null", bound);
    }
    if (anchor_below(place) && target == NULL && stat(path, &st) == 0 && others_enter(&st))
        return add_etc_directory(root, name, args);
    return add3(args, "--symlink", target != NULL ? target : bound, place);
}

/* Where the root has the file itself, or no directory of its own on the way, it stays so. */
static bool add_anchor(const char *root, const struct anchor *anchor, struct buf *args)
{
    AUTOFREE char *path = mem_printf("%s%s", root, anchor->place);
    AUTOFREE char *directory = mem_strndup(anchor->place, (size_t)(strrchr(anchor->place, '/') - anchor->place));
    struct stat st;

    for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        if (lstat(path, &st) == 0 ? !others_enter(&st) : errno != ENOENT)
            return true;
    }
    return lstat(path, &st) == 0 || (hostroot_arg(args, "--perms") && add3(args, "0755", "--dir", directory) &&
                                     add3(args, "--symlink", anchor->target, anchor->place));
}

bool hostroot_add_policies(const char *root, struct buf *args)
{
    bool good = true;

    for (size_t i = 0; good && i < ANCHOR_COUNT; i++)
        good = anchor_table[i].distribution || add_anchor(root, &anchor_table[i], args);
    return good;
}

static bool add_etc(const char *root, struct buf *args, struct err *err)
{
    AUTOFREE char *path = mem_printf("%s/etc", root);
    struct walk walk = {ETC_ENTRIES_MAX, ETC_DEPTH_MAX + 1};
    bool good = add3(args, "--ro-bind", path, HOST_ETC) && add3(args, "--perms", "0755", "--tmpfs") &&
                hostroot_arg(args, "/etc");
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = opendir(path);

    if (fd < 0 || dir == NULL || !good) {
        good = good ? err_errno(err, ERR_LAUNCH, errno, "cannot read %s", path) : too_long(err);
        if (fd >= 0)
            close(fd);
    } else if (!cover(fd, HOST_ETC, &walk, args)) {
        good = err_set(err, ERR_LAUNCH, "%s has more than %d entries, %d deep, or too many that others cannot read",
                       path, ETC_ENTRIES_MAX, ETC_DEPTH_MAX);
        err_hint(err, "Move what no agent needs elsewhere, or use --sandbox=docker");
    }
    for (struct dirent *entry; good && dir != NULL && (entry = readdir(dir)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            !add_etc_entry(root, entry->d_name, args))
            good = too_long(err);
    if (dir != NULL)
        closedir(dir);
    return good && (hostroot_add_policies(root, args) || too_long(err));
}

/* The kernel's own settings. Whether they can be written goes by the host's user id, not by capabilities: for a
 * launcher that is root they could be, from inside, and core_pattern alone would be a way out. */
bool hostroot_add_proc(struct buf *args)
{
    static const char *const read_only[] = {"/proc/sys", "/proc/sysrq-trigger", "/proc/fs", "/proc/acpi",
                                            "/proc/scsi", "/proc/irq", "/proc/bus"};
    static const char *const covered[] = {"/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kmsg",
                                          "/proc/timer_list", "/proc/sched_debug",
                                          "/proc/1/autogroup"}; /* the supervisor's niceness */

    for (size_t i = 0; i < COUNT(read_only); i++)
        if (!add3(args, "--ro-bind-try", read_only[i], read_only[i]))
            return false;
    for (size_t i = 0; i < COUNT(covered); i++)
        if (access(covered[i], F_OK) == 0 && !add3(args, "--ro-bind", "/dev/null", covered[i]))
            return false;
    return true;
}

bool hostroot_build(const char *root, struct buf *args, struct err *err)
{
    /* Empty and writable; gone with the sandbox. */
    static const char *const fresh[][4] = {
        {"--proc", "/proc", "", ""},           {"--dev", "/dev", "", ""},
        {"--perms", "1777", "--tmpfs", "/tmp"}, {"--perms", "0755", "--tmpfs", "/run"},
        {"--perms", "0755", "--tmpfs", "/var"}, {"--perms", "1777", "--dir", "/var/tmp"},
        {"--perms", "0755", "--dir", "/var/lib"}, {"--perms", "0755", "--dir", "/var/cache"},
        {"--symlink", "/run", "/var/run", ""}, {"--perms", "0700", "--tmpfs", "/root"},
        {"--perms", "0755", "--tmpfs", "/home"}, {"--perms", "0755", "--dir", SANDBOX_HOME},
        {"--perms", "0755", "--dir", "/opt"},   {"--perms", "0755", "--dir", "/opt/aileron"},
        {"--perms", "0755", "--dir", SANDBOX_BIN},
    };

    struct walk walk = {PROGRAM_ENTRIES_MAX, PROGRAM_DEPTH_MAX};
    for (size_t i = 0; i < COUNT(system_directories); i++)
        if (!add_place(root, system_directories[i], args))
            return too_long(err);
    for (size_t i = 0; i < COUNT(fresh); i++)
        for (size_t j = 0; j < COUNT(fresh[i]); j++)
            if (fresh[i][j][0] != '\0' && !hostroot_arg(args, fresh[i][j]))
                return too_long(err);
    if (!hostroot_add_proc(args))
        return too_long(err);
    if (!cover_programs(root, "/usr/local", &walk, args) || !add_opt(root, &walk, args)) {
        err_set(err, ERR_LAUNCH, "%s/opt and %s/usr/local have more than %d entries, %d deep, or too many that others "
                "cannot read", root, root, PROGRAM_ENTRIES_MAX, PROGRAM_DEPTH_MAX);
        return err_hint(err, "Move what no agent needs elsewhere, or use --sandbox=docker");
    }
    return add_etc(root, args, err);
}

bool hostroot_add_roots(const char *root, const char *bundle, struct buf *args)
{
    static const char *const stores[] = SANDBOX_ROOT_STORES;
    struct stat st;

    for (size_t i = 0; i < COUNT(stores); i++) {
        AUTOFREE char *path = mem_printf("%s%s", root, stores[i]);
        AUTOFREE char *place = mem_printf(HOST_ETC "%s", stores[i] + sizeof("/etc") - 1);
        /* A symlink leads to another one of the list. */
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && !add3(args, "--ro-bind", bundle, place))
            return false;
    }
    return true;
}

bool hostroot_cover(const char *path, struct buf *args)
{
    bool shown = plan_path_within(path, "/opt");

    for (size_t i = 0; i < COUNT(system_directories); i++)
        shown = shown || plan_path_within(path, system_directories[i]);
    return !shown || (hostroot_arg(args, "--perms") && add3(args, "0700", "--tmpfs", path));
}

char *hostroot_filter_path(const char *path, char *const *expose, size_t expose_count)
{
    static const char *const shown[] = {"/usr", "/bin", "/sbin", "/opt", "/nix", "/gnu"};
    struct buf out;
    struct span rest = span_of(path), entry;

    buf_init(&out, 65536);
    while (span_cut(&rest, ':', &entry)) {
        AUTOFREE char *dir = mem_strndup(entry.p, entry.len);
        bool good = false;
        for (size_t i = 0; i < COUNT(shown); i++)
            good = good || plan_path_within(dir, shown[i]);
        for (size_t i = 0; i < expose_count; i++)
            good = good || plan_path_within(dir, expose[i]) || plan_path_within(expose[i], dir);
        if (dir[0] == '/' && good && !plan_path_within(dir, "/opt/aileron") &&
            !buf_printf(&out, "%s%s", out.len > 0 ? ":" : "", dir))
            break;
    }
    char *result = mem_strndup(out.len > 0 ? buf_cstr(&out) : "", out.len);
    buf_clear(&out);
    return result;
}
