/* `aileron-proxy run`: the supervisor's command line. An engine starts it as pid 1 of a sandbox; a person has no
 * use for it. `aileron-proxy try` is for the engine's probe. */
#include "applets/applet.h"

#include "core/base/proc.h"
#include "core/base/text.h"
#include "core/sandbox/capture.h"
#include "core/sandbox/privilege.h"
#include "core/sandbox/supervisor.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { TRY_ID = 1000 };

struct options {
    const char *uid, *gid, *cwd, *workspace, *capture, *control, *remote;
    struct opt_list directories, volumes;
    const char *agent_user;
    uint64_t pids;
    struct opt_list caches;
    bool open;
};

static const struct opt_row rows[] = {
    {0, "uid", OPT_STRING, "ID", "User that the agent becomes; the workspace's owner where it is left out.", NULL,
     offsetof(struct options, uid)},
    {0, "gid", OPT_STRING, "ID", "Group that the agent becomes.", NULL, offsetof(struct options, gid)},
    {0, "cwd", OPT_STRING, "DIR", "Directory that the agent starts in; /home/agent/workspace by default.", NULL,
     offsetof(struct options, cwd)},
    {0, "workspace", OPT_STRING, "DEV:INODE", "Which directory the workspace must be, where it was mounted.", NULL,
     offsetof(struct options, workspace)},
    {0, "directory", OPT_LIST, "DEV:INODE:PLACE", "Which directory must have been mounted at a place.", NULL,
     offsetof(struct options, directories)},
    {0, "volume", OPT_LIST, "PLACE", "Where a volume was mounted; it becomes the agent's where it is root's.", NULL,
     offsetof(struct options, volumes)},
    {0, "agent-user", OPT_STRING, "NAME", "The image's user whose name and home the agent gets.", NULL,
     offsetof(struct options, agent_user)},
    {0, "capture", OPT_STRING, "PORTS", "Ports that are captured, with commas; 80,443 by default.", NULL,
     offsetof(struct options, capture)},
    {0, "pids", OPT_NUMBER, "N", "Processes that the agent may have, where the engine does not count them.", NULL,
     offsetof(struct options, pids)},
    {0, "cache", OPT_LIST, "DIR", "A directory below the agent's home that the engine mounted for it.", NULL,
     offsetof(struct options, caches)},
    {0, "control", OPT_STRING, "FD|SOCKET",
     "The launcher's control channel: a descriptor, or a socket to connect to.", NULL,
     offsetof(struct options, control)},
    {0, "remote", OPT_STRING, "ADDRESS:PORT", "Where the session's TLS listener is, on another machine.", NULL,
     offsetof(struct options, remote)},
    {0, "open", OPT_FLAG, NULL, "The network is the engine's: no capture, no names, no fence.", NULL,
     offsetof(struct options, open)},
};

static const struct opt_spec run_spec = {
    .command = "aileron-proxy run",
    .synopsis = "[OPTION...] -- COMMAND [ARG...]",
    .summary = "Supervise an agent, as pid 1 of a sandbox.",
    .details = "Sets up loopback, the relay, names and capture, proves that there is no other way out, gives up "
               "every privilege and starts the command. Exits as the command does.",
    .rows = rows,
    .row_count = COUNT(rows),
    .stop_at_first = true,
};

static bool number(const char *text, uint64_t max, uint64_t *out, const char *what, struct err *err)
{
    if (text_u64(span_of(text), max, out))
        return true;
    err_set(err, ERR_USAGE, "%s is not %s", text, what);
    return err_hint(err, "See aileron-proxy run --help");
}

static bool fill(const struct options *options, struct supervisor_spec *spec, struct err *err)
{
    uint64_t value;

    if ((options->uid == NULL) != (options->gid == NULL))
        return err_set(err, ERR_USAGE, "--uid and --gid go together");
    if (options->uid != NULL) {
        if (!number(options->uid, UINT32_MAX - 1, &value, "a user's id", err))
            return false;
        spec->uid = (uid_t)value;
        if (!number(options->gid, UINT32_MAX - 1, &value, "a group's id", err))
            return false;
        spec->gid = (gid_t)value;
        spec->have_id = true;
    }
    if (options->workspace != NULL) {
        struct span rest = span_of(options->workspace), dev;
        if (!span_cut(&rest, ':', &dev) || !text_u64(dev, UINT64_MAX, &spec->workspace_dev) ||
            !text_u64(rest, UINT64_MAX, &spec->workspace_ino))
            return err_set(err, ERR_USAGE, "--workspace takes a device's number, a colon and an inode's");
        spec->have_workspace = true;
    }
    spec->control_fd = -1;
    if (options->control != NULL && options->control[0] == '/') {
        spec->control_fd = proc_unix_connect(options->control, err);
        if (spec->control_fd < 0)
            return false;
    } else if (options->control != NULL) {
        if (!number(options->control, 1023, &value, "a descriptor", err))
            return false;
        spec->control_fd = (int)value;
    }
    spec->have_remote = options->remote != NULL;
    if (spec->have_remote && (!addr_parse_port(span_of(options->remote), &spec->remote) || spec->remote.port == 0))
        return err_set(err, ERR_USAGE, "--remote takes an address and a port");
    if (options->capture != NULL &&
        !capture_parse_ports(options->capture, spec->ports, COUNT(spec->ports), &spec->port_count))
        return err_set(err, ERR_USAGE, "--capture takes 1 to %zu ports, and not 53 or 3128", COUNT(spec->ports));
    if (options->pids > UINT32_MAX)
        return err_set(err, ERR_USAGE, "--pids is too large");
    spec->pids = (uint32_t)options->pids;
    spec->directories = options->directories.items;
    spec->directory_count = options->directories.count;
    spec->volumes = options->volumes.items;
    spec->volume_count = options->volumes.count;
    spec->agent_user = options->agent_user;
    spec->cwd = options->cwd;
    spec->open = options->open;
    spec->caches = options->caches.items;
    spec->cache_count = options->caches.count;
    return true;
}

static int run(int argc, char **argv)
{
    struct options options = {0};
    struct supervisor_spec spec = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status;

    if (!applet_parse(&run_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    if (count == 0)
        return applet_usage(&run_spec, "needs a command");
    if (!fill(&options, &spec, &err))
        return err_print(&err, "aileron");
    spec.command = operands; /* the rest of argv, which ends with NULL */
    return supervisor_run(&spec);
}

static const struct opt_spec try_spec = {
    .command = "aileron-proxy try",
    .synopsis = "",
    .alone = true,
    .summary = "See whether an agent could get its user's id in this sandbox.",
};

static int try(int argc, char **argv)
{
    struct { bool none; } options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status;

    if (!applet_parse(&try_spec, argc, argv, &options, &operands, &count, &status))
        return status;
    return privilege_nest(TRY_ID, TRY_ID, 0, &err) ? 0 : err_print(&err, "aileron");
}

static const struct applet_verb verbs[] = {{"run", &run_spec, run}, {"try", &try_spec, try}};
static const struct opt_spec *const specs[] = {&run_spec, &try_spec};

extern const struct applet applet_proxy;

static int proxy(int argc, char **argv)
{
    return applet_verbs(&applet_proxy, verbs, COUNT(verbs), argc, argv);
}

const struct applet applet_proxy = {
    .name = "proxy",
    .summary = "Supervise a sandbox from inside (aileron-proxy run)",
    .run = proxy,
    .specs = specs,
    .spec_count = COUNT(specs),
    .hidden = true,
};
