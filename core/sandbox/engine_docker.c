/* The docker engine: `docker run` as a child with our standard streams. The image is never changed and needs
 * nothing: our binary is mounted and is its entry point, as uid 0 with the few capabilities that the
 * supervisor needs until the agent starts. Values of variables never reach an argument vector: they are named
 * there, and docker takes them from its own environment. */
#include "core/sandbox/engine.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/data/json.h"
#include "core/sandbox/docker_api.h"
#include "core/sandbox/docker_left.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REFERENCE_MAX = 255, PULL_SAYS_BYTES = 64 * 1024 };

extern char **environ;

static char *find_docker(struct err *err)
{
    const char *path = getenv("PATH");
    char *found = proc_which("docker", path != NULL ? path : SANDBOX_PATH);

    if (found == NULL) {
        err_set(err, ERR_UNAVAILABLE, "no docker on PATH");
        err_hint(err, "Install docker.io, or use --sandbox=bwrap");
    }
    return found;
}

static bool probe(struct err *err)
{
    AUTOFREE char *cli = find_docker(err);
    int status;

    if (cli == NULL)
        return false;
    AUTOFREE char *socket_path = docker_socket(err);
    if (socket_path == NULL || !docker_call(socket_path, "GET", "/_ping", &status, NULL, err))
        return false;
    if (status == 200)
        return true;
    err_set(err, ERR_UNAVAILABLE, "the docker engine answers with status %d", status);
    return err_hint(err, "See what `docker version` says, or use --sandbox=bwrap");
}

static bool reference_valid(const char *image)
{
    size_t len = strlen(image);

    return len > 0 && len <= REFERENCE_MAX && image[0] != '-' && image[0] != '/' && image[0] != '.' &&
           strstr(image, "..") == NULL &&
           strspn(image, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/:@") == len;
}

/* docker's own words for our architecture. */
static const char *our_architecture(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#else
#error "which architecture is this?"
#endif
}

static bool check_image(const char *image, struct buf *answer, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    const char *architecture = "";

    if (!json_parse(answer->data, answer->len, DOCKER_ANSWER_BYTES, "docker", ERR_UNAVAILABLE, &doc, err))
        return false;
    struct json_at root = json_root(&doc);
    if (!json_get_text(&root, "Architecture", JSON_MAY, 64, &architecture, err))
        return false;
    if (architecture[0] == '\0' || strcmp(architecture, our_architecture()) == 0)
        return true;
    err_set(err, ERR_LAUNCH, "the image %s is for %s and this machine is %s", image, architecture,
            our_architecture());
    return err_hint(err, "Pull or build it with --platform linux/%s", our_architecture());
}

/* The socket that was probed is the one that is used, whatever docker's context says. */
static bool use_socket(struct engine_run *run, const char *socket_path)
{
    AUTOFREE char *host = mem_printf("unix://%s", socket_path);

    env_unset(&run->env, "DOCKER_CONTEXT");
    return env_set(&run->env, "DOCKER_HOST", host);
}

/* Why docker would not: the first line that it said, without its preamble. */
static void first_words(struct buf *said, char *out, size_t cap)
{
    static const char preamble[] = "Error response from daemon: ";
    struct span rest = span_of(buf_cstr(said)), line = {"", 0};

    while (line.len == 0 && span_cut(&rest, '\n', &line))
        ;
    if (span_starts(line, preamble))
        line = (struct span){line.p + sizeof(preamble) - 1, line.len - (sizeof(preamble) - 1)};
    text_display(line.len > 0 ? line : SPAN("docker gives no reason"), out, cap);
}

/* docker's progress is shown where somebody watches; what it complains of becomes our one line. */
static bool run_pull(struct engine_run *run, int *status, char *why, size_t why_cap, struct err *err)
{
    CLEANUP(file_close_ptr) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    CLEANUP(buf_clear) struct buf said;
    struct err ignored = {0};
    int ends[2];

    buf_init(&said, 0);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot start docker");
    engine_run_pass(run, null, STDIN_FILENO);
    engine_run_pass(run, isatty(STDERR_FILENO) == 1 ? STDERR_FILENO : null, STDOUT_FILENO);
    engine_run_pass(run, ends[1], STDERR_FILENO);
    struct proc_spec child = {.path = run->path, .argv = run->argv, .envp = run->env.items, .fds = run->fds,
                              .fd_count = run->fd_count, .die_with_parent = true};
    pid_t pid = proc_spawn(&child, err);
    close(ends[1]);
    if (pid > 0 && !file_read_fd(ends[0], PULL_SAYS_BYTES, &said, &ignored))
        buf_init(&said, 0);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    first_words(&said, why, why_cap);
    return pid > 0;
}

static bool pull(const char *image, const char *socket_path, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    char why[256] = "";
    int status = 0;

    run.path = find_docker(err);
    if (run.path == NULL)
        return false;
    engine_run_add(&run, "docker");
    engine_run_add(&run, "pull");
    engine_run_add(&run, "%s", image);
    env_add_all(&run.env, environ);
    if (!use_socket(&run, socket_path))
        return err_set(err, ERR_LAUNCH, "the environment is too large");
    if (!run_pull(&run, &status, why, sizeof(why), err))
        return false;
    if (status == 0)
        return true;
    err_set(err, ERR_LAUNCH, "there is no image %s on this machine, and it cannot be pulled: %s", image, why);
    return err_hint(err, "`docker images` lists what is here");
}

/* answer is initialised here; empty where there is no such image. */
static bool inspect(const char *image, struct buf *answer, bool *here, struct err *err)
{
    int status = 0;

    buf_init(answer, 0);
    if (!reference_valid(image)) {
        err_set(err, ERR_USAGE, "%s is not an image's name", image);
        return err_hint(err, "An image is named like debian:12 or registry.example/team/image@sha256:...");
    }
    AUTOFREE char *socket_path = docker_socket(err);
    AUTOFREE char *path = mem_printf("/images/%s/json", image);
    if (socket_path == NULL || !docker_call(socket_path, "GET", path, &status, answer, err))
        return false;
    *here = status == 200;
    return true;
}

static bool prepare(struct plan *plan, struct err *err)
{
    CLEANUP(buf_clear) struct buf answer = {0};
    bool here = false;

    if (!inspect(plan->image, &answer, &here, err))
        return false;
    if (here && plan->build != PLAN_BUILD_ALWAYS)
        return check_image(plan->image, &answer, err);
    AUTOFREE char *socket_path = docker_socket(err);
    return socket_path != NULL && pull(plan->image, socket_path, err);
}

static bool image_here(const struct plan *plan, const char *image, bool *here, struct err *err)
{
    CLEANUP(buf_clear) struct buf answer = {0};

    (void)plan;
    return inspect(image, &answer, here, err);
}

static bool image_command(const struct plan *plan, struct engine_run *run, struct err *err)
{
    AUTOFREE char *socket_path = docker_socket(err);

    (void)plan;
    run->path = socket_path != NULL ? find_docker(err) : NULL;
    if (run->path == NULL)
        return false;
    engine_run_add(run, "docker");
    env_add_all(&run->env, environ);
    return use_socket(run, socket_path) || err_set(err, ERR_LAUNCH, "the environment is too large");
}

/* --mount takes a line of CSV: a field with a comma or a quote is quoted. */
static void add_mount(struct engine_run *run, const char *source, const char *place, bool writable)
{
    CLEANUP(buf_clear) struct buf field;

    buf_init(&field, 16384);
    bool good = buf_adds(&field, "\"source=");
    for (const char *p = source; good && *p != '\0'; p++)
        good = buf_add(&field, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    good = good && buf_adds(&field, "\"");
    engine_run_add(run, "--mount");
    engine_run_add(run, "type=bind,%s,destination=%s%s", good ? buf_cstr(&field) : "source=", place,
                   writable ? "" : ",readonly");
}

static void add_isolation(const struct plan *plan, struct engine_run *run)
{
    static const char *const capabilities[] = {"NET_ADMIN", "NET_BIND_SERVICE", "SETUID", "SETGID", "SETPCAP",
                                               "CHOWN"};

    if (plan->network == PLAN_SEALED)
        engine_run_add(run, "--network=none");
    engine_run_add(run, "--cap-drop=ALL");
    for (size_t i = 0; i < COUNT(capabilities); i++)
        engine_run_add(run, "--cap-add=%s", capabilities[i]);
    engine_run_add(run, "--security-opt=no-new-privileges");
    engine_run_add(run, "--no-healthcheck"); /* it would run with those capabilities, unsupervised */
    engine_run_add(run, "--log-driver=none");
    engine_run_add(run, "--pull=never");
    if (plan->pids > 0)
        engine_run_add(run, "--pids-limit=%u", plan->pids);
    if (plan->memory_bytes > 0)
        engine_run_add(run, "--memory=%llu", (unsigned long long)plan->memory_bytes);
    if (plan->read_only) {
        engine_run_add(run, "--read-only");
        engine_run_add(run, "--tmpfs=/tmp:mode=1777,exec");
        engine_run_add(run, "--tmpfs=%s:mode=0755,exec", SANDBOX_HOME);
    }
    engine_run_add(run, "--user=0:0");
}

/* The sandbox's resolv.conf, one for all of them. `--dns 127.0.0.1` would say the same, and print a warning at
 * every launch. */
static bool add_resolver(const struct plan *plan, struct engine_run *run, struct err *err)
{
    static const char text[] = "nameserver 127.0.0.1\n";
    AUTOFREE char *path = mem_printf("%s/run/resolv.conf", plan->aileron_home);

    if (!file_exists(path) && !file_write_atomic(path, 0644, text, sizeof(text) - 1, err))
        return false;
    add_mount(run, path, "/etc/resolv.conf", false);
    return true;
}

static void add_mounts(const struct plan *plan, struct engine_run *run)
{
    static const char *const names[] = {"aileron", "aileron-shim", "aileron-proxy", "aileron-wait"};
    AUTOFREE char *shims = mem_printf("%s/shims", plan->session_dir);

    for (size_t i = 0; i < COUNT(names); i++) {
        AUTOFREE char *place = mem_printf("%s/%s", SANDBOX_BIN, names[i]);
        add_mount(run, plan->self_exe, place, false);
    }
    add_mount(run, plan->session_dir, SANDBOX_RUN, false);
    add_mount(run, plan->session_dir, SANDBOX_ETC, false);
    add_mount(run, shims, SANDBOX_SHIMS, false);
    add_mount(run, plan->workspace, SANDBOX_WORKSPACE, true);
    for (size_t i = 0; i < plan->mount_count; i++)
        if (!plan->mounts[i].volume)
            add_mount(run, plan->mounts[i].source, plan->mounts[i].place, !plan->mounts[i].read_only);
}

/* docker itself would put in the host's proxies from its config.json, with whatever password is in their URLs; but
 * not where a variable is given, and empty is given too. The supervisor sets what the agent needs of them. */
static void add_no_proxies(struct engine_run *run)
{
    static const char *const names[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY",
                                        "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"};

    for (size_t i = 0; i < COUNT(names); i++)
        engine_run_add(run, "--env=%s=", names[i]);
}

static bool add_environment(const struct plan *plan, const char *socket_path, struct engine_run *run,
                            struct err *err)
{
    add_no_proxies(run);
    env_add_all(&run->env, environ);
    for (size_t i = 0; i < plan->env.count; i++) {
        const char *item = plan->env.items[i], *equals = strchr(item, '=');
        AUTOFREE char *name = mem_strndup(item, (size_t)(equals - item));
        if (!env_set(&run->env, name, equals + 1))
            return err_set(err, ERR_LAUNCH, "the environment is too large");
        engine_run_add(run, "--env=%s", name);
    }
    /* The user's own configuration of docker would add its proxies' variables, which may hold a password. */
    AUTOFREE char *none = mem_printf("%s/run/docker", plan->aileron_home);
    return (use_socket(run, socket_path) && env_set(&run->env, "DOCKER_CONFIG", none)) ||
           err_set(err, ERR_LAUNCH, "the environment is too large");
}

static bool build(const struct plan *plan, struct engine_run *run, struct err *err)
{
    AUTOFREE char *socket_path = docker_socket(err);

    run->path = socket_path != NULL ? find_docker(err) : NULL;
    if (run->path == NULL)
        return false;
    engine_run_add(run, "docker");
    engine_run_add(run, "run");
    engine_run_add(run, "--rm");
    engine_run_add(run, "--interactive");
    if (plan->tty) {
        engine_run_add(run, "--tty");
        /* docker would keep Ctrl-P back until the next key, and detach at Ctrl-P Ctrl-Q. No terminal sends these. */
        engine_run_add(run, "--detach-keys=\xff,\xfe");
    }
    engine_run_add(run, "--name=aileron-%s", plan->session_id);
    engine_run_add(run, "--label=dev.aileron.session=%s", plan->session_id);
    engine_run_add(run, "--label=dev.aileron.home=%s", plan->home_id);
    add_isolation(plan, run);
    add_mounts(plan, run);
    engine_add_project(plan, run);
    if (plan->network == PLAN_SEALED && !add_resolver(plan, run, err))
        return false;
    if (!add_environment(plan, socket_path, run, err))
        return false;
    engine_run_add(run, "--workdir=%s", SANDBOX_WORKSPACE);
    engine_run_add(run, "--entrypoint=%s", SANDBOX_PROXY);
    engine_run_add(run, "%s", plan->image);
    engine_run_add(run, "run");
    /* A rootless engine maps our user to root inside: the supervisor then looks who owns the workspace there. */
    if (strncmp(socket_path, "/run/user/", 10) != 0) {
        engine_run_add(run, "--uid=%u", (unsigned)plan->uid);
        engine_run_add(run, "--gid=%u", (unsigned)plan->gid);
    }
    if (plan->network == PLAN_OPEN)
        engine_run_add(run, "--open");
    engine_add_options(plan, run);
    engine_run_add(run, "--");
    for (size_t i = 0; i < plan->command_count; i++)
        engine_run_add(run, "%s", plan->command[i]);
    return true;
}

static void reap(const char *session_id)
{
    struct err err = {0};
    AUTOFREE char *socket_path = docker_socket(&err);
    AUTOFREE char *path = mem_printf("/containers/aileron-%s?force=1&v=1", session_id);
    int status;

    if (socket_path != NULL && docker_call(socket_path, "DELETE", path, &status, NULL, &err))
        return; /* 404: docker run has removed it already */
}

const struct engine engine_docker = {
    .name = "docker",
    .needs_image = true,
    .own_terminal = true,
    .can_open = true,
    .probe = probe,
    .prepare = prepare,
    .image_here = image_here,
    .image_command = image_command,
    .build = build,
    .running = docker_running,
    .left = docker_left,
    .reap = reap,
};
