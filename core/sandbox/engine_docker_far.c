/* The docker engine of another machine (DOCKER_HOST=tcp://, ssh://). Everything goes by docker's own command line, which
 * knows TLS, its certificates and ssh. Nothing of this host can be mounted there: program, session directory and
 * workspace are copied into the container before it starts, and the workspace is brought back when it has ended. The
 * container has the engine's network, which pid 1 leaves (privilege_leave_network) behind the process that carries its
 * traffic here (carrier.h). It is removed when the workspace is back, and never before. */
#include "core/sandbox/engine_container.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/sandbox/merge.h"
#include "core/sandbox/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    WORDS_MAX = 8,
    ANSWER_BYTES = 256 * 1024,
    ASK_MS = 30000,
    STOP_S = 12, /* more than the supervisor gives the agent (SUPERVISOR_STOP_MS) */
    STOP_MS = 60000,
    LEFT_MAX = 4096
};

static const struct container docker = {
    .name = "docker",
    .preamble = "Error response from daemon: ",
    .no_keys = "\xff,\xfe",
};

/* ---- docker's own program ---- */

/* own_config false: nothing of the person's config.json, whose proxies may have a password. Certificates for TLS are
 * where it would look for them. */
static bool set_environment(struct env *env, bool own_config, const struct plan *plan, struct err *err)
{
    const char *config = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    bool good = true;

    env_add_all(env, environ);
    env_unset(env, "DOCKER_CONTEXT");
    AUTOFREE char *certificates = config != NULL ? mem_strdup(config) : mem_printf("%s/.docker", home != NULL ? home : "");
    if (env_get(env, "DOCKER_CERT_PATH") == NULL && env_get(env, "DOCKER_TLS_VERIFY") != NULL)
        good = env_set(env, "DOCKER_CERT_PATH", certificates);
    if (!own_config) {
        AUTOFREE char *none = mem_printf("%s/run/docker", plan->aileron_home);
        good = good && env_set(env, "DOCKER_CONFIG", none);
    }
    return good || err_set(err, ERR_LAUNCH, "the environment is too large");
}

/* What it says is in out, its errors too; initialised here. False: it could not be asked, which is another thing than
 * *status. */
static bool ask(const char *const *words, uint64_t ms, int *status, struct buf *out, struct err *err)
{
    static char name[] = "docker";
    char *argv[WORDS_MAX + 2] = {name};
    CLEANUP(env_clear) struct env env = {0};

    buf_init(out, 0);
    for (size_t i = 0; words[i] != NULL && i < WORDS_MAX; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    if (!set_environment(&env, true, NULL, err))
        return false;
    if (!proc_capture_all(argv, env.items, ANSWER_BYTES, out, status, ms, err)) {
        if (err->code == ERR_TIMEOUT)
            err_set(err, ERR_UNAVAILABLE, "the docker engine at %.200s does not answer", getenv("DOCKER_HOST"));
        return err_hint_default(err, "See what `docker version` says");
    }
    return true;
}

/* The same where anything but success is an error. */
static bool order(const char *const *words, uint64_t ms, struct buf *out, struct err *err)
{
    char why[256];
    int status = 0;

    if (!ask(words, ms, &status, out, err))
        return false;
    if (status == 0)
        return true;
    container_first_words(&docker, out, why, sizeof(why));
    err_set(err, ERR_UNAVAILABLE, "docker %s: %s", words[0], why);
    return err_hint(err, "See what `docker version` says of DOCKER_HOST");
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static char *first_line(struct buf *out)
{
    const char *text = buf_cstr(out);

    return mem_strndup(text, strcspn(text, "\r\n"));
}

/* ---- the probe ---- */

static char *find(struct err *err)
{
    AUTOFREE char *cli = container_find(&docker, err);
    CLEANUP(buf_clear) struct buf out = {0};

    if (cli == NULL || !order(WORDS("version", "--format", "{{.Server.Version}}"), ASK_MS, &out, err))
        return NULL;
    AUTOFREE char *version = first_line(&out);
    return mem_printf("%s %s", getenv("DOCKER_HOST"), version);
}

static bool try(struct engine_facts *facts, struct err *err)
{
    CLEANUP(buf_clear) struct buf out = {0};

    if (!order(WORDS("info", "--format", "{{.OSType}} {{.MemoryLimit}} {{.PidsLimit}}"), ASK_MS, &out, err))
        return false;
    AUTOFREE char *line = first_line(&out);
    if (strncmp(line, "linux ", 6) != 0) {
        err_set(err, ERR_UNAVAILABLE, "the docker engine runs containers of %.*s, not of Linux", (int)strcspn(line, " "),
                line);
        return err_hint(err, "Switch it to Linux containers");
    }
    facts->no_limits = strstr(line, "false") != NULL;
    snprintf(facts->note, sizeof facts->note, "on another machine: the workspace is copied there and back%s",
             facts->no_limits ? "; it cannot limit memory and processes" : "");
    return true;
}

/* ---- the image ---- */

static bool inspect(const char *image, char **architecture, struct err *err)
{
    CLEANUP(buf_clear) struct buf out = {0};
    int status = 0;

    *architecture = NULL;
    if (!container_check_name(image, err) ||
        !ask(WORDS("image", "inspect", "--format", "{{.Architecture}}", image), ASK_MS, &status, &out, err))
        return false;
    if (status == 0)
        *architecture = first_line(&out);
    return status == 0 || strstr(buf_cstr(&out), "No such") != NULL ||
           order(WORDS("image", "inspect", image), ASK_MS, &out, err);
}

static bool image_command(const struct plan *plan, struct engine_run *run, struct err *err)
{
    (void)plan;
    run->path = container_find(&docker, err);
    if (run->path == NULL)
        return false;
    engine_run_add(run, "docker");
    return set_environment(&run->env, true, NULL, err);
}

static bool image_here(const struct plan *plan, const char *image, bool *here, struct err *err)
{
    char *architecture;

    (void)plan;
    if (!inspect(image, &architecture, err))
        return false;
    *here = architecture != NULL;
    free(architecture);
    return true;
}

/* What a machine that shares nothing with this one cannot do. */
static bool check_plan(struct plan *plan, struct err *err)
{
    const char *what = plan->detached          ? "--detach"
                       : plan->read_only       ? "sandbox.read_only"
                       : plan->mount_count > 0 ? "a mount of the project's file"
                                               : NULL;

    if (what != NULL) {
        err_set(err, ERR_LAUNCH, "%s is not possible with an engine on another machine", what);
        return err_hint(err, "Leave it out, or use an engine of this machine");
    }
    if (plan->cache_count > 0)
        fprintf(stderr, "aileron: sandbox.cache is left out: the engine is on another machine.\n");
    for (; plan->cache_count > 0; plan->cache_count--) {
        free(plan->caches[plan->cache_count - 1].source);
        free(plan->caches[plan->cache_count - 1].place);
    }
    plan->sent = mem_alloc(sizeof(*plan->sent));
    return true;
}

static bool prepare(struct plan *plan, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    AUTOFREE char *architecture = NULL;

    if (!check_plan(plan, err) || !inspect(plan->image, &architecture, err))
        return false;
    if (architecture != NULL && plan->build != PLAN_BUILD_ALWAYS)
        return container_check_architecture(plan->image, architecture, err);
    return image_command(plan, &run, err) && container_pull(&docker, &run, plan->image, err);
}

/* ---- files to the container ---- */

/* A child with one end of a pipe as its standard input or output (the other is /dev/null); *fd is ours. */
static pid_t start(const char *const *words, int child_fd, int *fd, const struct plan *plan, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(file_close_ptr) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int ends[2], theirs = child_fd == STDIN_FILENO ? 0 : 1;

    run.path = container_find(&docker, err);
    if (run.path == NULL || !set_environment(&run.env, false, plan, err))
        return -1;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        err_errno(err, ERR_LAUNCH, errno, "cannot start docker");
        return -1;
    }
    engine_run_add(&run, "docker");
    for (size_t i = 0; words[i] != NULL; i++)
        engine_run_add(&run, "%s", words[i]);
    engine_run_pass(&run, theirs == 0 ? ends[0] : null, STDIN_FILENO);
    engine_run_pass(&run, theirs == 1 ? ends[1] : null, STDOUT_FILENO);
    struct proc_spec child = {.path = run.path, .argv = run.argv, .envp = run.env.items, .fds = run.fds,
                              .fd_count = run.fd_count, .new_session = true, .die_with_parent = true};
    pid_t pid = proc_spawn(&child, err);
    close(ends[theirs]);
    *fd = ends[1 - theirs];
    if (pid < 0)
        close(*fd);
    return pid;
}

static int await(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return proc_exit_status(status);
}

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

/* No directory of the image is named that is not ours: a link in its place stays what it is. */
static bool pack_all(struct pack *pack, const struct plan *plan, struct err *err)
{
    AUTOFREE char *shims = mem_printf("%s/shims", plan->session_dir);

    return pack_program(pack, plan, err) && pack_tree(pack, shims, "opt/aileron/shims", NULL, err) &&
           pack_tree(pack, plan->session_dir, "etc/aileron", NULL, err) &&
           pack_tree(pack, plan->session_dir, "run/aileron", NULL, err) &&
           pack_tree(pack, plan->workspace, &SANDBOX_WORKSPACE[1], plan->sent, err) && pack_end(pack, err);
}

static bool send_files(const struct plan *plan, const char *name, struct err *err)
{
    AUTOFREE char *to = mem_printf("%s:/", name);
    struct pack pack;
    int fd = -1;
    pid_t pid = start(WORDS("cp", "-", to), STDIN_FILENO, &fd, plan, err);

    if (pid < 0)
        return false;
    pack_init(&pack, fd);
    bool good = pack_all(&pack, plan, err);
    pack_clear(&pack);
    close(fd);
    if (!good)
        kill(pid, SIGKILL);
    int status = await(pid);
    if (good && status != 0) {
        err_set(err, ERR_LAUNCH, "the files cannot be copied to the container (docker cp ended with status %d)", status);
        return err_hint(err, "Its words are above; is there room at the engine?");
    }
    return good;
}

/* ---- the container ---- */

static bool add_variables(const struct plan *plan, struct engine_run *run, struct err *err)
{
    if (!set_environment(&run->env, false, plan, err))
        return false;
    for (size_t i = 0; i < plan->env.count; i++) {
        const char *item = plan->env.items[i], *equals = strchr(item, '=');
        AUTOFREE char *name = mem_strndup(item, (size_t)(equals - item));
        if (!env_set(&run->env, name, equals + 1))
            return err_set(err, ERR_LAUNCH, "the environment is too large");
        engine_run_add(run, "--env=%s", name);
    }
    return true;
}

static bool create(const struct plan *plan, const char *name, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(buf_clear) struct buf out = {0};
    char why[256];
    int status = 0;

    engine_run_add(&run, "docker");
    engine_run_add(&run, "create");
    engine_run_add(&run, "--interactive");
    if (plan->tty)
        engine_run_add(&run, "--tty");
    engine_run_add(&run, "--name=%s", name);
    engine_run_add(&run, "--label=dev.aileron.session=%s", plan->session_id);
    engine_run_add(&run, "--label=dev.aileron.home=%s", plan->home_id);
    if (plan->network == PLAN_SEALED) { /* the supervisor answers; what is left of the engine's would lead nowhere */
        engine_run_add(&run, "--dns=127.0.0.1");
        engine_run_add(&run, "--dns-search=.");
    }
    container_add_isolation(plan, &run);
    engine_add_project(plan, &run);
    if (!add_variables(plan, &run, err))
        return false;
    container_add_command(plan, true, &run);
    if (!proc_capture_all(run.argv, run.env.items, ANSWER_BYTES, &out, &status, ASK_MS, err))
        return false;
    if (status == 0)
        return true;
    container_first_words(&docker, &out, why, sizeof(why));
    return err_set(err, ERR_LAUNCH, "the container cannot be made: %s", why);
}

static bool build(const struct plan *plan, struct engine_run *run, struct err *err)
{
    AUTOFREE char *name = mem_printf("aileron-%s", plan->session_id);

    run->path = container_find(&docker, err);
    if (run->path == NULL || !create(plan, name, err) || !send_files(plan, name, err) ||
        !set_environment(&run->env, false, plan, err))
        return false;
    engine_run_add(run, "docker");
    engine_run_add(run, "start");
    engine_run_add(run, "--attach");
    engine_run_add(run, "--interactive");
    if (plan->tty)
        engine_run_add(run, "--detach-keys=%s", docker.no_keys);
    engine_run_add(run, "%s", name);
    return true;
}

/* ---- the end ---- */

static bool receive(const struct plan *plan, const char *name, const char *dir, struct err *err)
{
    AUTOFREE char *from = mem_printf("%s:" SANDBOX_WORKSPACE, name);
    struct unpack_left left = {.bytes = PACK_BYTES_MAX, .entries = PACK_ENTRIES_MAX};
    int fd = -1;
    pid_t pid = file_mkdirs(dir, 0700, err) ? start(WORDS("cp", from, "-"), STDOUT_FILENO, &fd, plan, err) : -1;

    if (pid < 0)
        return false;
    bool good = unpack_stream(fd, dir, PACK_STALL_MS, &left, err);
    close(fd);
    if (!good)
        kill(pid, SIGKILL);
    await(pid);
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

static bool bring_back(const struct plan *plan, const char *name, struct err *err)
{
    AUTOFREE char *dir = mem_printf("%s/run/back-%s", plan->aileron_home, plan->session_id);
    AUTOFREE char *came = file_join(dir, "workspace");
    struct merge_spec spec = {.from = came, .workspace = plan->workspace, .sent = plan->sent, .uid = plan->uid,
                              .gid = plan->gid};
    struct merge_report report = {0};
    struct err ignored = {0};

    bool good = receive(plan, name, dir, err) && merge(&spec, &report, err);
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

/* "running", "exited", "created", ..; NULL: the engine does not say, or has it no more. */
static char *state_of(const char *name, struct engine_end *end, struct err *err)
{
    CLEANUP(buf_clear) struct buf out = {0};

    if (!order(WORDS("inspect", "--type=container", "--format", "{{.State.Status}} {{.State.OOMKilled}}", name), ASK_MS,
               &out, err))
        return NULL;
    char *line = first_line(&out), *space = strchr(line, ' ');
    end->memory = space != NULL && strcmp(space, " true") == 0;
    if (space != NULL)
        *space = '\0';
    end->running = strcmp(line, "running") == 0;
    return line;
}

static bool stop(const char *name, struct err *err)
{
    AUTOFREE char *seconds = mem_printf("--time=%d", STOP_S);
    CLEANUP(buf_clear) struct buf out = {0};

    return order(WORDS("stop", seconds, name), STOP_MS, &out, err);
}

static bool fetch(const struct plan *plan, bool started, struct engine_end *end, struct err *err)
{
    AUTOFREE char *name = mem_printf("aileron-%s", plan->session_id);
    CLEANUP(buf_clear) struct buf out = {0};
    struct err why = {0};

    *end = (struct engine_end){0};
    AUTOFREE char *state = started ? state_of(name, end, err) : NULL;
    bool ran = state != NULL && strcmp(state, "created") != 0;
    bool good = !started || (state != NULL && (!end->running || stop(name, err)) && (!ran || bring_back(plan, name, err)));
    if (!good)
        return err_hint(err, "Its container is kept: docker cp %s:" SANDBOX_WORKSPACE " DIRECTORY, then docker rm -v %s",
                        name, name);
    if (!order(WORDS("rm", "--force", "--volumes", name), ASK_MS, &out, &why) && started)
        err_print(&why, "aileron");
    return true;
}

/* For others than the launcher, who cannot know where the workspace belongs: it is stopped, and kept. */
static void reap(const char *session_id)
{
    AUTOFREE char *name = mem_printf("aileron-%s", session_id);
    struct err err = {0};

    (void)!stop(name, &err);
}

/* Of those that run: one that has been stopped has somebody's work in it, and stays until it is fetched. */
static bool left(const char *home_id, engine_left_fn found, void *arg, struct err *err)
{
    AUTOFREE char *filter = mem_printf("label=dev.aileron.home=%s", home_id);
    CLEANUP(buf_clear) struct buf out = {0};
    struct span rest, line;

    if (!order(WORDS("ps", "--filter", filter, "--format", "{{.Label \"dev.aileron.session\"}}"), ASK_MS, &out, err))
        return false;
    rest = span_of(buf_cstr(&out));
    for (size_t i = 0; i < LEFT_MAX && rest.len > 0 && span_cut(&rest, '\n', &line); i++) {
        AUTOFREE char *id = mem_strndup(line.p, line.len);
        if (id_valid(id, ""))
            found(id, arg);
    }
    return true;
}

const struct engine engine_docker_far = {
    .name = "docker",
    .needs_image = true,
    .own_terminal = true,
    .can_open = true,
    .far = true,
    .find = find,
    .try = try,
    .prepare = prepare,
    .image_here = image_here,
    .image_command = image_command,
    .build = build,
    .fetch = fetch,
    .left = left,
    .reap = reap,
};
