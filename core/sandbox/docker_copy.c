/* One stream each way by `docker cp`: what goes in is ours, what comes out is an agent's. */
#include "core/sandbox/docker_copy.h"

#include "core/base/file.h"
#include "core/sandbox/docker_cli.h"
#include "core/sandbox/merge.h"
#include "core/sandbox/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACK "back-"

static bool pack_program(struct pack *pack, const struct plan *plan, struct err *err)
{
    static const char *const others[] = {"aileron-shim", "aileron-proxy", "aileron-wait"};
    static const char bin[] = "opt/aileron/bin", program[] = "opt/aileron/bin/aileron";
    bool good = pack_add(pack, TAR_DIRECTORY, "opt/aileron", NULL, 0755, err) &&
                pack_add(pack, TAR_DIRECTORY, bin, NULL, 0755, err) &&
                pack_file(pack, plan->self_exe, program, 0755, err);

    for (size_t i = 0; good && i < COUNT(others); i++) {
        AUTOFREE char *name = mem_printf("%s/%s", bin, others[i]);
        good = pack_add(pack, TAR_HARDLINK, name, program, 0755, err);
    }
    return good;
}

/* By a path without links, and the directory that was looked at when the sandbox was planned (F10): a sandbox of this
 * host may have what is above it, and put a link there. -1 and err. */
static int open_workspace(const struct plan *plan, struct err *err)
{
    CLEANUP(file_close_ptr) int place = plan_open(plan->workspace);
    int fd = place >= 0 ? openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == plan->workspace_dev && st.st_ino == plan->workspace_ino)
        return fd;
    file_close_ptr(&fd);
    err_set(err, ERR_CONFLICT, "%s is another directory than it was", plan->workspace);
    return -1;
}

/* No directory of the image is named that is not ours: a link in its place stays what it is. */
static bool pack_all(struct pack *pack, const struct plan *plan, struct err *err)
{
    AUTOFREE char *shims = mem_printf("%s/shims", plan->session_dir);
    CLEANUP(file_close_ptr) int workspace = open_workspace(plan, err);

    return workspace >= 0 && pack_program(pack, plan, err) && pack_tree(pack, shims, "opt/aileron/shims", NULL, err) &&
           pack_tree(pack, plan->session_dir, "etc/aileron", NULL, err) &&
           pack_tree(pack, plan->session_dir, "run/aileron", NULL, err) &&
           pack_directory(pack, workspace, &SANDBOX_WORKSPACE[1], plan->sent, err) && pack_end(pack, err);
}

bool docker_send(const struct plan *plan, const char *name, struct err *err)
{
    AUTOFREE char *to = mem_printf("%s:/", name);
    struct pack pack;
    int fd = -1;
    pid_t pid = docker_start(WORDS("cp", "-", to), STDIN_FILENO, &fd, plan, err);

    if (pid < 0)
        return false;
    pack_init(&pack, fd);
    bool good = pack_all(&pack, plan, err);
    pack_clear(&pack);
    close(fd);
    if (!good)
        kill(pid, SIGKILL);
    int status = docker_await(pid, PACK_STALL_MS);
    if (good && status < 0)
        return err_set(err, ERR_TIMEOUT, pack_asked_to_end() ? "interrupted" : "the engine has all of the files, and "
                                                                               "does not answer");
    if (good && status != 0) {
        err_set(err, ERR_LAUNCH, "the files cannot be copied to the container (docker cp ended with status %d)",
                status);
        return err_hint(err, "Its words are above; is there room at the engine?");
    }
    return good;
}

/* ---- and back ---- */

static bool receive(const struct plan *plan, const char *name, const char *dir, struct err *err)
{
    AUTOFREE char *from = mem_printf("%s:" SANDBOX_WORKSPACE, name);
    struct unpack_left left = {.bytes = PACK_BYTES_MAX, .entries = PACK_ENTRIES_MAX};
    int fd = -1;
    pid_t pid = docker_start(WORDS("cp", from, "-"), STDOUT_FILENO, &fd, plan, err);

    if (pid < 0)
        return false;
    pack_forget_asked(); /* they were the agent's, which is over */
    bool good = unpack_stream(fd, dir, PACK_STALL_MS, pack_asked_to_end, &left, err);
    close(fd);
    kill(pid, SIGKILL); /* it waits for the engine to hang up, and we have all of it */
    docker_await(pid, 0);
    return good || (err->code == ERR_LIMIT &&
                    err_set(err, ERR_LIMIT, "the workspace has more than %zu files or %llu GiB", PACK_ENTRIES_MAX,
                            (unsigned long long)(PACK_BYTES_MAX >> 30)));
}

static void say(const struct merge_report *report)
{
    if (report->changed + report->removed > 0)
        fprintf(stderr, "aileron: brought back from the sandbox: %zu file%s changed, %zu removed.\n", report->changed,
                report->changed == 1 ? "" : "s", report->removed);
    if (report->links > 0)
        fprintf(stderr, "aileron: %zu symbolic link%s out of the workspace, and %s not brought back.\n", report->links,
                report->links == 1 ? " leads" : "s lead", report->links == 1 ? "is" : "are");
}

/* Held by whoever fills it, for as long as that is. -1 and err. */
static int hold(const char *dir, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    err_errno(err, ERR_IO, errno, "cannot use %s", dir);
    file_close_ptr(&fd);
    return -1;
}

size_t docker_prune_back(const char *aileron_home, struct err *err)
{
    AUTOFREE char *run = file_join(aileron_home, "run");
    DIR *list = opendir(run);
    size_t removed = 0;

    for (struct dirent *entry; list != NULL && (entry = readdir(list)) != NULL;) {
        if (strncmp(entry->d_name, BACK, sizeof(BACK) - 1) != 0)
            continue;
        AUTOFREE char *dir = file_join(run, entry->d_name);
        struct err busy = {0};
        CLEANUP(file_close_ptr) int held = hold(dir, &busy);
        removed += held >= 0 && file_remove_tree(dir, err);
    }
    if (list != NULL)
        closedir(list);
    return removed;
}

bool docker_bring_back(const struct plan *plan, const char *name, struct err *err)
{
    AUTOFREE char *dir = mem_printf("%s/run/" BACK "%s", plan->aileron_home, plan->session_id);
    AUTOFREE char *came = file_join(dir, "workspace");
    CLEANUP(file_close_ptr) int workspace = open_workspace(plan, err);
    struct merge_spec spec = {.from = came, .workspace = workspace, .sent = plan->sent, .uid = plan->uid,
                              .gid = plan->gid, .bytes_max = PACK_BYTES_MAX};
    struct merge_report report = {0};
    struct err ignored = {0};

    CLEANUP(file_close_ptr) int held = workspace >= 0 && file_mkdirs(dir, 0700, err) ? hold(dir, err) : -1;
    bool good = held >= 0 && receive(plan, name, dir, err) && merge(&spec, &report, err);
    say(&report);
    if (good && report.conflicts > 0)
        good = err_set(err, ERR_CONFLICT, "%zu file%s changed here too meanwhile, and stay%s as here", report.conflicts,
                       report.conflicts == 1 ? "" : "s", report.conflicts == 1 ? "s" : "");
    else if (!good)
        err_wrap(err, "the workspace is not brought back as a whole");
    if (!file_remove_tree(dir, &ignored))
        err_print(&ignored, "aileron");
    return good;
}
