/* Children with a bound: of what they say, and of the time that they may take. */
#include "core/sandbox/docker_cli.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/base/text.h"
#include "core/sandbox/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { WORDS_MAX = 8, AWAIT_PAUSE_MS = 5 };

const struct container docker_cli = {
    .name = "docker",
    .preamble = "Error response from daemon: ",
    .no_keys = "\xff,\xfe",
};

bool docker_environment(struct env *env, const struct plan *plan, struct err *err)
{
    const char *config = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    bool good = true;

    env_add_all(env, environ);
    env_unset(env, "DOCKER_CONTEXT");
    AUTOFREE char *usual = mem_printf("%s/.docker", home != NULL ? home : "");
    if (env_get(env, "DOCKER_CERT_PATH") == NULL)
        good = env_set(env, "DOCKER_CERT_PATH", config != NULL ? config : usual);
    if (plan != NULL) {
        AUTOFREE char *none = mem_printf("%s/run/docker", plan->aileron_home);
        good = good && env_set(env, "DOCKER_CONFIG", none);
    }
    return good || err_set(err, ERR_LAUNCH, "the environment is too large");
}

bool docker_ask(const char *const *words, uint64_t ms, int *status, struct buf *out, struct err *err)
{
    static char name[] = "docker";
    char *argv[WORDS_MAX + 2] = {name};
    CLEANUP(env_clear) struct env env = {0};

    buf_init(out, 0);
    for (size_t i = 0; words[i] != NULL && i < WORDS_MAX; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    if (!docker_environment(&env, NULL, err))
        return false;
    if (!proc_capture_all(argv, env.items, DOCKER_SAYS_BYTES, out, status, ms, err)) {
        if (err->code == ERR_TIMEOUT)
            err_set(err, ERR_UNAVAILABLE, "the docker engine at %.200s does not answer", getenv("DOCKER_HOST"));
        return err_hint_default(err, "See what `docker version` says");
    }
    return true;
}

bool docker_order(const char *const *words, uint64_t ms, struct buf *out, struct err *err)
{
    char why[256];
    int status = 0;

    if (!docker_ask(words, ms, &status, out, err))
        return false;
    if (status == 0)
        return true;
    container_first_words(&docker_cli, out, why, sizeof(why));
    err_set(err, ERR_UNAVAILABLE, "docker %s: %s", words[0], why);
    return err_hint(err, "See what `docker version` says of DOCKER_HOST");
}

char *docker_line(struct buf *out)
{
    const char *text = buf_cstr(out);

    return mem_strndup(text, strcspn(text, "\r\n"));
}

pid_t docker_start(const char *const *words, int child_fd, int *fd, const struct plan *plan, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(file_close_ptr) int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int ends[2], theirs = child_fd == STDIN_FILENO ? 0 : 1;

    run.path = container_find(&docker_cli, err);
    if (run.path == NULL || !docker_environment(&run.env, plan, err))
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

int docker_await(pid_t pid, uint64_t ms)
{
    uint64_t until = clock_mono_ms() + ms;
    int status = 0;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_mono_ms() >= until || pack_asked_to_end()) {
            kill(pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
            return -1;
        }
        poll(NULL, 0, AWAIT_PAUSE_MS);
    }
    return proc_exit_status(status);
}
