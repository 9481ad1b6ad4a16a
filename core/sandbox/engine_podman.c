/* The podman engine, by its command line alone: there is no daemon to ask, each question is a process. As root or as
 * an ordinary user; for the latter podman makes a user namespace, in which the user keeps his id and uid 0 is one of
 * his subordinate ids. Which of podman's ways work here was found out before (podman_trial.c). */
#include "core/sandbox/podman_trial.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ANSWER_BYTES = 64 * 1024, ANSWER_MS = 20000, FILES_MAX = 1048576, PROCESSES_MAX = 32768 };

extern char **environ;

/* -v splits at colons, and --mount, before podman 4.5, at every comma: what is in quotes too. */
static bool add_mount(struct engine_run *run, const char *source, const char *place, bool writable, struct err *err)
{
    if (strchr(source, ':') == NULL) {
        engine_run_add(run, "--volume=%s:%s%s", source, place, writable ? "" : ":ro");
        return true;
    }
    if (strpbrk(source, ",\"") != NULL) {
        err_set(err, ERR_LAUNCH, "podman cannot mount %s: its path has a colon and a comma or a quote in it", source);
        return err_hint(err, "Rename it, or use --sandbox=docker or --sandbox=bwrap");
    }
    engine_run_add(run, "--mount=type=bind,source=%s,destination=%s%s", source, place, writable ? "" : ",ro=true");
    return true;
}

const struct container podman = {
    .name = "podman",
    .preamble = "Error: ",
    .no_keys = "",
    .add_mount = add_mount,
};

/* A file and its age: another one is another engine. */
static void add_identity(struct buf *key, const char *name)
{
    AUTOFREE char *path = proc_which(name, getenv("PATH") != NULL ? getenv("PATH") : SANDBOX_PATH);
    struct stat st;

    if (path == NULL || stat(path, &st) != 0 ||
        !buf_printf(key, "%s %lld.%09ld %lld; ", path, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
                    (long long)st.st_size))
        return;
}

static char *find(struct err *err)
{
    static const char *const files[] = {"podman", "crun", "runc", "conmon", "newuidmap"};
    const char *remote = getenv("CONTAINER_HOST"), *runtime_dir = getenv("XDG_RUNTIME_DIR");
    AUTOFREE char *cli = container_find(&podman, err);
    CLEANUP(buf_clear) struct buf key;

    buf_init(&key, ANSWER_BYTES);
    if (cli == NULL)
        return NULL;
    if (remote != NULL && remote[0] != '\0') {
        err_set(err, ERR_UNAVAILABLE, "CONTAINER_HOST names another podman (%s)", remote);
        err_hint(err, "It could not mount the session's socket; unset CONTAINER_HOST to use the podman "
                      "of this machine");
        return NULL;
    }
    for (size_t i = 0; i < COUNT(files); i++)
        add_identity(&key, files[i]);
    if (!buf_printf(&key, "%u %s", (unsigned)geteuid(), runtime_dir != NULL ? runtime_dir : ""))
        return mem_strdup(cli);
    return mem_strdup(buf_cstr(&key));
}

/* The user's containers.conf may mount, set variables and give rights in every container of his: what a sandbox holds
 * is said here alone. Of that file the runtime and the manager of cgroups are kept, as options. */
bool podman_begin(const struct engine_facts *facts, struct engine_run *run, struct err *err)
{
    run->path = container_find(&podman, err);
    if (run->path == NULL)
        return false;
    env_add_all(&run->env, environ);
    env_unset(&run->env, "CONTAINER_HOST");
    env_unset(&run->env, "CONTAINER_CONNECTION");
    env_unset(&run->env, "CONTAINERS_CONF_OVERRIDE"); /* read after the other one */
    if (!env_set(&run->env, "CONTAINERS_CONF", "/dev/null"))
        return err_set(err, ERR_LAUNCH, "the environment is too large");
    engine_run_add(run, "podman");
    engine_run_add(run, "--log-level=error"); /* its warnings are the probe's to find out */
    engine_run_add(run, "--default-mounts-file=/dev/null");
    if (facts->runtime[0] != '\0')
        engine_run_add(run, "--runtime=%s", facts->runtime);
    if (facts->cgroups[0] != '\0')
        engine_run_add(run, "--cgroup-manager=%s", facts->cgroups);
    return true;
}

/* podman itself would raise them, which not even every root may; it has the processes at 32768 already. */
static void add_bound(struct engine_run *run, const char *name, int resource, rlim_t most)
{
    struct rlimit now;

    if (getrlimit(resource, &now) != 0)
        return;
    rlim_t hard = now.rlim_max < most ? now.rlim_max : most, soft = now.rlim_cur < hard ? now.rlim_cur : hard;
    engine_run_add(run, "--ulimit=%s=%llu:%llu", name, (unsigned long long)soft, (unsigned long long)hard);
}

void podman_add_facts(const struct plan *plan, struct engine_run *run)
{
    bool rootless = geteuid() != 0;
    /* Without cgroups the processes of a user namespace can be counted, those of a whole machine's user cannot. */
    bool count = rootless && plan->facts.no_limits && plan->pids > 0;

    engine_run_add(run, rootless ? "--userns=keep-id" : "--userns=host");
    if (plan->facts.no_cgroups)
        engine_run_add(run, "--cgroups=disabled");
    add_bound(run, "nofile", RLIMIT_NOFILE, FILES_MAX);
    add_bound(run, "nproc", RLIMIT_NPROC, count ? plan->pids : PROCESSES_MAX);
    engine_run_add(run, "--systemd=false");
    engine_run_add(run, "--http-proxy=false"); /* the host's, with whatever password is in its URL */
    engine_run_add(run, "--env-host=false");
}

static bool ask(struct engine_run *run, struct buf *answer, int *status, struct err *err)
{
    if (proc_capture_all(run->argv, run->env.items, ANSWER_BYTES, answer, status, ANSWER_MS, err))
        return true;
    err->code = ERR_UNAVAILABLE;
    return err_hint(err, "See what `podman info` says, or use --sandbox=bwrap");
}

/* What podman takes for files of this host, or for what another engine has, is no image's name, though it is made of
 * the same letters: a project's file would name a link of the workspace, which leads anywhere. */
static bool check_name(const char *image, struct err *err)
{
    static const char *const transports[] = {"containers-storage:", "dir:", "docker-archive:", "docker-daemon:",
                                             "oci:", "oci-archive:", "ostree:", "sif:", "tarball:"};

    for (size_t i = 0; i < COUNT(transports); i++)
        if (span_starts(span_of(image), transports[i])) {
            err_set(err, ERR_USAGE, "%s is not an image's name: podman looks for a file of this host", image);
            return err_hint(err, "Load it first (podman pull %s), and name the image", image);
        }
    return container_check_name(image, err);
}

/* What podman says of an image that is here, a line each; NULL where there is none. */
struct answer {
    char *architecture, *annotations;
};

static void answer_clear(struct answer *answer)
{
    free(answer->architecture);
    free(answer->annotations);
    *answer = (struct answer){0};
}

/* The rest of the first line that begins so: an image may have any text in its fields. */
static char *line_behind(const char *text, const char *mark)
{
    struct span rest = span_of(text), line;

    while (span_cut(&rest, '\n', &line))
        if (span_starts(line, mark))
            return mem_strndup(line.p + strlen(mark), line.len - strlen(mark));
    return NULL;
}

static bool inspect(const struct plan *plan, const char *image, struct answer *out, struct err *err)
{
    static const char architecture[] = "architecture ", annotations[] = "annotations ";
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(buf_clear) struct buf answer;
    int status = 0;

    buf_init(&answer, 0);
    answer_clear(out);
    if (!check_name(image, err) || !podman_begin(&plan->facts, &run, err))
        return false;
    engine_run_add(&run, "image");
    engine_run_add(&run, "inspect");
    engine_run_add(&run, "--format=%s{{json .Annotations}}\n%s{{.Architecture}}", annotations, architecture);
    engine_run_add(&run, "%s", image);
    if (!ask(&run, &answer, &status, err))
        return false;
    if (status == 0) {
        out->architecture = line_behind(buf_cstr(&answer), architecture);
        out->annotations = line_behind(buf_cstr(&answer), annotations);
    }
    return true;
}

/* An image's annotations become the container's, and some are orders to the runtime or to hooks of this host: files to
 * write to, groups to keep, properties of systemd's. */
static bool check_annotations(const char *image, const char *annotations, struct err *err)
{
    static const char *const orders[] = {"run.oci.", "org.systemd.", "io.podman.", "io.containers.", "io.kubernetes.",
                                         "io.katacontainers."};
    CLEANUP(doc_clear) struct doc doc = {0};
    const char *name;
    json_t *value;

    if (annotations == NULL)
        return true;
    if (!json_parse(annotations, strlen(annotations), ANSWER_BYTES, "podman", ERR_UNAVAILABLE, &doc, err))
        return false;
    json_object_foreach(doc.root, name, value)
        for (size_t i = 0; i < COUNT(orders); i++)
            if (span_starts(span_of(name), orders[i])) {
                err_set(err, ERR_LAUNCH, "the image %s has an order to the runtime (annotation %.100s)", image, name);
                return err_hint(err, "Use --sandbox=docker, or an image without it (podman build from this one)");
            }
    return true;
}

static bool prepare(struct plan *plan, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(answer_clear) struct answer answer = {0};

    if (!inspect(plan, plan->image, &answer, err))
        return false;
    if (answer.architecture == NULL || plan->build == PLAN_BUILD_ALWAYS)
        if (!podman_begin(&plan->facts, &run, err) || !container_pull(&podman, &run, plan->image, err) ||
            !inspect(plan, plan->image, &answer, err))
            return false;
    if (answer.architecture == NULL)
        return err_set(err, ERR_LAUNCH, "the image %s is gone, as soon as it was pulled", plan->image);
    return container_check_architecture(plan->image, answer.architecture, err) &&
           check_annotations(plan->image, answer.annotations, err);
}

static bool image_here(const struct plan *plan, const char *image, bool *here, struct err *err)
{
    CLEANUP(answer_clear) struct answer answer = {0};

    if (!inspect(plan, image, &answer, err))
        return false;
    *here = answer.architecture != NULL;
    return true;
}

static bool image_command(const struct plan *plan, struct engine_run *run, struct err *err)
{
    return podman_begin(&plan->facts, run, err);
}

/* What podman takes from its own environment for itself: such a variable of the agent's is given by its value. They are
 * paths; no stand-in for a credential is in one (env_name_reserved has the others). */
static bool is_podmans(const char *name)
{
    return strncmp(name, "XDG_", 4) == 0 || strcmp(name, "TMPDIR") == 0 || strncmp(name, "DBUS_", 5) == 0;
}

static bool add_environment(const struct plan *plan, struct engine_run *run, struct err *err)
{
    for (size_t i = 0; i < plan->env.count; i++) {
        const char *item = plan->env.items[i], *equals = strchr(item, '=');
        AUTOFREE char *name = mem_strndup(item, (size_t)(equals - item));
        if (is_podmans(name))
            engine_run_add(run, "--env=%s", item);
        else if (env_set(&run->env, name, equals + 1))
            engine_run_add(run, "--env=%s", name);
        else
            return err_set(err, ERR_LAUNCH, "the environment is too large");
    }
    return true;
}

/* podman would name the host's own address in it. */
static bool add_hosts(const struct plan *plan, struct engine_run *run, struct err *err)
{
    static const char text[] = "127.0.0.1 localhost\n::1 localhost\n127.0.0.1 aileron-sandbox\n";
    AUTOFREE char *path = mem_printf("%s/run/hosts", plan->aileron_home);

    engine_run_add(run, "--hostname=aileron-sandbox");
    engine_run_add(run, "--no-hosts");
    return (file_exists(path) || file_write_atomic(path, 0644, text, sizeof(text) - 1, err)) &&
           podman.add_mount(run, path, "/etc/hosts", false, err);
}

static bool build(const struct plan *plan, struct engine_run *run, struct err *err)
{
    if (!podman_begin(&plan->facts, run, err) || !container_add_run(&podman, plan, run, err) ||
        !add_environment(plan, run, err) || (plan->network == PLAN_SEALED && !add_hosts(plan, run, err)))
        return false;
    podman_add_facts(plan, run);
    /* A volume that the image asks for lands where its links lead, on our own program too, with files of its own. */
    engine_run_add(run, "--image-volume=ignore");
    container_add_command(plan, true, run);
    return true;
}

/* ---- what it has of sessions ---- */

/* A question that needs nothing of a home. *status is 0 where the answer is one. */
static bool ask_plainly(char *const *words, struct buf *answer, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    int status = 0;

    buf_init(answer, 0);
    env_add_all(&run.env, environ);
    env_unset(&run.env, "CONTAINER_HOST");
    env_unset(&run.env, "CONTAINER_CONNECTION");
    engine_run_add(&run, "podman");
    engine_run_add(&run, "--log-level=error");
    for (; *words != NULL; words++)
        engine_run_add(&run, "%s", *words);
    if (!ask(&run, answer, &status, err))
        return false;
    return status == 0 || err_set(err, ERR_UNAVAILABLE, "podman %s ends with status %d", run.argv[2],
                                  proc_exit_status(status));
}

static bool left(const char *home_id, engine_left_fn found, void *arg, struct err *err)
{
    static const char mark[] = "session=";
    AUTOFREE char *filter = mem_printf("--filter=label=dev.aileron.home=%s", home_id);
    char *words[] = {(char[]){"ps"}, (char[]){"--all"}, filter,
                     (char[]){"--format=session={{index .Labels \"dev.aileron.session\"}}"}, NULL};
    CLEANUP(buf_clear) struct buf answer;

    if (!ask_plainly(words, &answer, err))
        return false;
    struct span rest = span_of(buf_cstr(&answer)), line;
    while (span_cut(&rest, '\n', &line)) {
        if (!span_starts(line, mark) || line.len != sizeof(mark) - 1 + ULID_LEN)
            continue;
        AUTOFREE char *session = mem_strndup(line.p + sizeof(mark) - 1, ULID_LEN);
        if (id_valid(session, ""))
            found(session, arg);
    }
    return true;
}

static void reap(const char *session_id)
{
    AUTOFREE char *name = mem_printf("aileron-%s", session_id);
    char *words[] = {(char[]){"rm"}, (char[]){"--force"}, (char[]){"--ignore"}, (char[]){"--time=0"},
                     (char[]){"--volumes"}, name, NULL};
    CLEANUP(buf_clear) struct buf said;
    struct err ignored = {0};

    if (!ask_plainly(words, &said, &ignored))
        return; /* --rm has removed it already, as a rule */
}

const struct engine engine_podman = {
    .name = "podman",
    .needs_image = true,
    .own_terminal = true,
    .can_open = true,
    .find = find,
    .try = podman_try,
    .prepare = prepare,
    .image_here = image_here,
    .image_command = image_command,
    .build = build,
    .left = left,
    .reap = reap,
};
