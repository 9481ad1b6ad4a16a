/* `aileron attach`: finds the socket of a sandbox that was launched with --detach, and stays with it. The daemon has no
 * part in it: keeper and terminal are the same user's, and what they say is the sandbox's own. */
#include "applets/attach.h"

#include "applets/applet.h"
#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/proc.h"
#include "core/client/client.h"
#include "core/sandbox/attach.h"

#include <dirent.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

struct options {
    const char *detach_keys;
};

static const struct opt_row rows[] = {
    {0, "detach-keys", OPT_STRING, "KEYS",
     "Keys that detach, one after another; ctrl-\\,ctrl-\\ where it is left out, and none where it is empty.", NULL,
     offsetof(struct options, detach_keys)},
};

#define ATTACH_SPEC(name)                                                                                   \
    {                                                                                                       \
        .command = name, .synopsis = "[--detach-keys=KEYS] [ID]",                                            \
        .summary = "Attach this terminal to a sandbox that was launched with --detach.",                    \
        .details = "ID may be left out where one such sandbox runs. The newest of the attached terminals types " \
                   "and sets the size; the others watch. Where standard input is no terminal, it is typed as it is, " \
                   "and nothing in it detaches.\n\n"                                                         \
                   "Exits with 0 when the keys detach, and as the command does where that ends meanwhile.",  \
        .rows = rows, .row_count = COUNT(rows)                                                              \
    }
static const struct opt_spec attach_spec = ATTACH_SPEC("aileron attach");
const struct opt_spec attach_session_spec = ATTACH_SPEC("aileron session attach");

static char *socket_of(const char *home, const char *id)
{
    return mem_printf("%s/run/private/%s/attach.sock", home, id);
}

/* The one sandbox that can be attached to. */
static char *only_one(const char *home, struct err *err)
{
    AUTOFREE char *path = file_join(home, "run/private");
    DIR *dir = opendir(path);
    char *found = NULL;
    size_t count = 0;

    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        AUTOFREE char *socket_path = socket_of(home, entry->d_name);
        if (!id_valid(entry->d_name, "") || !file_exists(socket_path))
            continue;
        if (count++ == 0)
            found = mem_strdup(entry->d_name);
    }
    if (dir != NULL)
        closedir(dir);
    if (count == 1)
        return found;
    free(found);
    if (count == 0) {
        err_set(err, ERR_NOT_FOUND, "no sandbox runs that was launched with --detach");
        err_hint(err, "See aileron session list");
    } else {
        err_set(err, ERR_USAGE, "%zu sandboxes run detached: which one?", count);
        err_hint(err, "Name its id; see aileron session list");
    }
    return NULL;
}

static int open_keeper(const char *home, const char *id, struct err *err)
{
    AUTOFREE char *private_dir = mem_printf("%s/run/private/%s", home, id);
    AUTOFREE char *path = socket_of(home, id);

    if (!id_valid(id, "") || !file_exists(private_dir)) {
        err_set(err, ERR_NOT_FOUND, "there is no session %.64s", id);
        err_hint(err, "See aileron session list");
        return -1;
    }
    if (!file_exists(path)) {
        err_set(err, ERR_CONFLICT, "the session %s was launched without --detach", id);
        err_hint(err, "It is on the terminal that it was launched from");
        return -1;
    }
    int fd = proc_unix_connect_packets(path, err);
    if (fd < 0)
        err_hint(err, "Its keeper does not answer; see aileron session list");
    return fd;
}

static int attach(const struct opt_spec *spec, int argc, char **argv)
{
    struct options options = {.detach_keys = ATTACH_KEYS_DEFAULT};
    struct attach_keys keys;
    struct err err = {0};
    char **operands;
    size_t count;
    int status;

    if (!applet_parse(spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count > 1)
        return applet_usage(spec, "takes one session");
    AUTOFREE char *home = client_home(&err);
    if (home == NULL || !attach_keys_parse(options.detach_keys, &keys, &err) ||
        (!file_check_private_dir(home, &err) && err.code != ERR_NOT_FOUND))
        return err_print(&err, "aileron");
    AUTOFREE char *id = count == 1 ? mem_strdup(operands[0]) : only_one(home, &err);
    CLEANUP(file_close_ptr) int fd = id != NULL ? open_keeper(home, id, &err) : -1;
    status = fd >= 0 ? attach_run(fd, &keys, &err) : -1;
    return status >= 0 ? status : err_print(&err, "aileron");
}

int attach_session_run(int argc, char **argv)
{
    return attach(&attach_session_spec, argc, argv);
}

static int run(int argc, char **argv)
{
    return attach(&attach_spec, argc, argv);
}

static const struct opt_spec *const specs[] = {&attach_spec};

extern const struct applet applet_attach;
const struct applet applet_attach = {
    .name = "attach",
    .summary = "Attach to a sandbox that was launched with --detach",
    .run = run,
    .specs = specs,
    .spec_count = COUNT(specs),
};
