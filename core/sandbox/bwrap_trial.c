/* A sandbox of bwrap's with nothing in it, and in it the nested user namespace that gives the agent its id: whoever
 * forbids either (a sysctl, AppArmor, the seccomp filter of a container around us) forbids it in a way of his own, so
 * it is tried. Only where it fails are the switches looked at, to say which one it was. */
#include "core/sandbox/bwrap_trial.h"

#include "core/base/file.h"
#include "core/base/proc.h"
#include "core/base/text.h"
#include "core/sandbox/layout.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAYS_BYTES = 16 * 1024, TRIAL_MS = 15000, SWITCH_BYTES = 32 };

#define TRIED "/aileron"

extern char **environ;

/* Each that holds its value forbids user namespaces to a bwrap that is not setuid. */
static const struct {
    const char *path, *forbids, *message, *hint;
} switches[] = {
    {"/proc/sys/user/max_user_namespaces", "0", "this host forbids user namespaces (user.max_user_namespaces is 0)",
     "As root: sysctl user.max_user_namespaces=15000"},
    {"/proc/sys/kernel/unprivileged_userns_clone", "0",
     "this host forbids user namespaces (kernel.unprivileged_userns_clone is 0)",
     "As root: sysctl kernel.unprivileged_userns_clone=1"},
    {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1",
     "AppArmor forbids what bwrap needs (kernel.apparmor_restrict_unprivileged_userns is 1)",
     "As root: write a profile with `userns,` for bwrap, or sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
};

char *bwrap_find(void)
{
    const char *path = getenv("PATH");

    return proc_which("bwrap", path != NULL ? path : SANDBOX_PATH);
}

static void read_switch(size_t i, char out[SWITCH_BYTES])
{
    CLEANUP(buf_clear) struct buf text;
    struct err ignored = {0};

    out[0] = '\0';
    if (file_read(switches[i].path, SWITCH_BYTES - 1, &text, &ignored))
        text_display(span_trim((struct span){buf_cstr(&text), strcspn(buf_cstr(&text), "\n")}), out, SWITCH_BYTES);
}

char *bwrap_key(struct err *err)
{
    AUTOFREE char *path = bwrap_find();
    CLEANUP(buf_clear) struct buf key;
    struct stat st;

    buf_init(&key, SAYS_BYTES);
    if (path == NULL || stat(path, &st) != 0) {
        err_set(err, ERR_UNAVAILABLE, "no bwrap on PATH");
        err_hint(err, "Install the package bubblewrap");
        return NULL;
    }
    bool good = buf_printf(&key, "%s %lld.%09ld %lld %o %u", path, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                           (long long)st.st_size, (unsigned)st.st_mode, (unsigned)geteuid());
    for (size_t i = 0; good && i < COUNT(switches); i++) {
        char value[SWITCH_BYTES];
        read_switch(i, value);
        good = buf_printf(&key, " %s", value);
    }
    return mem_strdup(good ? buf_cstr(&key) : path);
}

static bool explain(struct buf *said, struct err *err)
{
    char words[256];

    for (size_t i = 0; i < COUNT(switches); i++) {
        char value[SWITCH_BYTES];
        read_switch(i, value);
        if (strcmp(value, switches[i].forbids) == 0) {
            err_set(err, ERR_UNAVAILABLE, "%s", switches[i].message);
            return err_hint(err, "%s", switches[i].hint);
        }
    }
    struct span rest = span_of(buf_cstr(said)), line = {"", 0};
    if (!span_cut(&rest, '\n', &line) || line.len == 0)
        line = SPAN("it gives no reason");
    text_display(line, words, sizeof words);
    err_set(err, ERR_UNAVAILABLE, "bwrap cannot make a sandbox here: %s", words);
    return err_hint(err, "It needs user namespaces: in a container they must be allowed to it, or use another engine");
}

bool bwrap_try(struct engine_facts *facts, struct err *err)
{
    AUTOFREE char *bwrap = bwrap_find(), *self = proc_self_path(err);
    CLEANUP(buf_clear) struct buf said;
    int status = 0;

    (void)facts;
    buf_init(&said, 0);
    if (bwrap == NULL || self == NULL)
        return self == NULL ? false : err_set(err, ERR_UNAVAILABLE, "no bwrap on PATH");
    /* Of the host no more than a sandbox has, and a program with a loader needs: what others mount and take away
     * elsewhere (an engine its containers' roots) would be bound with "/", and bwrap fails where a mount goes while
     * it looks at it. */
    const char *const words[] = {
        bwrap, "--unshare-all", "--as-pid-1", "--die-with-parent", "--uid", "0", "--gid", "0",
        "--cap-add", "CAP_NET_ADMIN", "--cap-add", "CAP_NET_BIND_SERVICE", "--cap-add", "CAP_SETPCAP",
        "--cap-add", "CAP_SETFCAP", "--ro-bind-try", "/usr", "/usr", "--ro-bind-try", "/lib", "/lib",
        "--ro-bind-try", "/lib64", "/lib64", "--ro-bind", self, TRIED, "--proc", "/proc", "--dev", "/dev",
        "--", TRIED, "proxy", "try"};
    char *argv[COUNT(words) + 1] = {NULL};
    for (size_t i = 0; i < COUNT(words); i++)
        argv[i] = mem_strdup(words[i]);
    bool ran = proc_capture_all(argv, environ, SAYS_BYTES, &said, &status, TRIAL_MS, err);
    for (size_t i = 0; i < COUNT(words); i++)
        free(argv[i]);
    if (!ran)
        err->code = ERR_UNAVAILABLE;
    return ran && (status == 0 || explain(&said, err));
}
