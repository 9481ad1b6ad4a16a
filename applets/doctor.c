/* `aileron doctor`: what this host can do, and what to install or change. One row a check; each says what it found
 * in words and what to do next. It changes nothing and starts no daemon. */
#include "applets/applet.h"
#include "applets/show.h"

#include "core/base/file.h"
#include "core/base/id.h"
#include "core/client/client.h"
#include "core/data/snapshot.h"
#include "core/sandbox/engine_container.h"
#include "tls/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOTE_BYTES = 512, FREE_BYTES_MIN = 128 * 1024 * 1024 };
#define CLOCK_EARLIEST_MS UINT64_C(1704067200000) /* 2024-01-01: an older clock breaks every certificate */

enum verdict { GOOD, WARNING, BAD };
struct finding {
    enum verdict verdict;
    char note[NOTE_BYTES], next[NOTE_BYTES];
};

struct doctor_options {
    bool json;
};
static const struct opt_spec spec = {
    .command = "aileron doctor",
    .synopsis = "",
    .alone = true,
    .summary = "Say what this host can do, and what to install or change",
    .details = "Exits with 0 where an agent can be launched, with 69 where something that is needed is missing."};
static const struct opt_spec *const specs[] = {&spec};

static void found(struct finding *finding, enum verdict verdict, const char *note, const char *next)
{
    finding->verdict = verdict;
    snprintf(finding->note, sizeof finding->note, "%s", note);
    snprintf(finding->next, sizeof finding->next, "%s", next);
}

static void from_err(struct finding *finding, enum verdict verdict, const struct err *err)
{
    found(finding, verdict, err->message, err->hint);
}

/* ---- checks ---- */

static void check_home(struct finding *finding)
{
    struct err err = {0};
    AUTOFREE char *home = client_home(&err);

    if (home == NULL)
        from_err(finding, BAD, &err);
    else if (!file_exists(home))
        found(finding, GOOD, "not there yet; it is made by the first command that needs it", "");
    else if (!file_check_private_dir(home, &err))
        from_err(finding, BAD, &err);
    else if (access(home, W_OK) != 0)
        found(finding, BAD, "cannot be written to", "Make it writable: the daemon keeps state and the record there");
    else
        found(finding, GOOD, home, "");
}

/* Below limits.disk_free nothing is launched. */
static void check_space(struct finding *finding)
{
    struct err err = {0};
    struct statvfs fs;
    AUTOFREE char *home = client_home(&err);
    struct rules *rules = home != NULL ? rules_load(home, &err) : NULL;
    uint64_t kept = rules != NULL ? rules->config->limits[LIMIT_DISK_FREE] : FREE_BYTES_MIN;

    rules_unref(rules);
    if (home == NULL || statvfs(file_exists(home) ? home : "/", &fs) != 0) {
        found(finding, WARNING, "cannot be told", "");
    } else if ((uint64_t)fs.f_bavail * fs.f_frsize < kept) {
        finding->verdict = BAD;
        snprintf(finding->note, sizeof finding->note, "less than %llu MiB free", (unsigned long long)(kept >> 20));
        snprintf(finding->next, sizeof finding->next,
                 "Make room: below that nothing is launched, and no credential used (limits.disk_free in config.yaml)");
    } else {
        found(finding, GOOD, "enough", "");
    }
}

static void check_kernel(struct finding *finding)
{
    struct utsname name;
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

    if (fd < 0) {
        found(finding, BAD, "pidfd_open is missing", "Linux 5.3 or newer is needed");
        return;
    }
    close(fd);
    uname(&name);
    found(finding, GOOD, name.release, "");
}

static void check_seccomp(struct finding *finding)
{
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0)
        found(finding, GOOD, "available", "");
    else
        found(finding, BAD, "the kernel has no seccomp", "A kernel with CONFIG_SECCOMP_FILTER is needed");
}

static void check_selinux(struct finding *finding)
{
    bool enforces = container_selinux(); /* nothing of the host's is labelled anew */

    found(finding, GOOD, enforces ? "enforces; containers run with label=disable" : "does not enforce", "");
}

static void check_user_namespaces(struct finding *finding)
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : 1);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (pid > 0 && status == 0)
        found(finding, GOOD, "available", "");
    else
        found(finding, WARNING, "not allowed for this user",
              "The engine bwrap needs them: see kernel.unprivileged_userns_clone and AppArmor's restriction");
}

static void check_roots(struct finding *finding)
{
    struct err err = {0};
    struct buf pem;

    if (trust_system_pem(&pem, &err)) {
        buf_clear(&pem);
        found(finding, GOOD, "the system's roots are there", "");
    } else {
        from_err(finding, BAD, &err);
    }
}

static void check_clock(struct finding *finding)
{
    char now[32];

    clock_iso(clock_wall_ms(), now);
    if (clock_wall_ms() >= CLOCK_EARLIEST_MS)
        found(finding, GOOD, now, "");
    else
        found(finding, BAD, now, "Set the clock: certificates are checked against it");
}

/* What it finds wrong itself, the first of it. */
static void ask_daemon(struct client *client, struct finding *finding)
{
    struct err err = {0};
    json_t *health JSON_AUTO = NULL;

    if (!client_ask(client, "GET", "/v1/health", NULL, &health, &err)) {
        from_err(finding, WARNING, &err);
        return;
    }
    json_t *problem = json_array_get(json_object_get(health, "problems"), 0);
    if (problem == NULL) {
        bool page = json_is_string(json_object_get(health, "page"));
        found(finding, GOOD, page ? "runs, with a page for browsers (aileron open)" : "runs, without a page", "");
        return;
    }
    json_t *wrapped JSON_AUTO = json_pack("{s:O}", "error", problem);
    client_error(500, wrapped, &err);
    from_err(finding, WARNING, &err);
}

static void check_daemon(struct finding *finding)
{
    struct err err = {0};
    struct client *client = client_connect(NULL, false, &err);

    if (client != NULL)
        ask_daemon(client, finding);
    else if (err.code == ERR_UNAVAILABLE)
        found(finding, GOOD, "does not run; it starts by itself", "");
    else
        from_err(finding, WARNING, &err);
    client_close(client);
}

/* Programs on the host may go through a proxy by their environment; the daemon's connections never do. */
static void check_proxy(struct finding *finding)
{
    static const char *const names[] = {"https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "ALL_PROXY"};
    struct err err = {0};
    AUTOFREE char *home = client_home(&err);
    struct rules *rules = home != NULL ? rules_load(home, &err) : NULL;
    const char *set = NULL;

    for (size_t i = 0; i < COUNT(names) && set == NULL; i++)
        set = getenv(names[i]) != NULL ? names[i] : NULL;
    if (rules == NULL) {
        from_err(finding, BAD, &err);
    } else if (rules->config->network.proxy.host != NULL) {
        const struct config_proxy *proxy = &rules->config->network.proxy;
        bool v6 = strchr(proxy->host, ':') != NULL;
        snprintf(finding->note, sizeof finding->note, "http://%s%s%s:%u, %s%s; names are resolved %s; %zu exception%s",
                 v6 ? "[" : "", proxy->host, v6 ? "]" : "", proxy->port,
                 proxy->credential != NULL ? "credential " : "no credential",
                 proxy->credential != NULL ? proxy->credential : "", proxy->resolves ? "by it" : "here",
                 proxy->host_count + proxy->range_count, proxy->host_count + proxy->range_count == 1 ? "" : "s");
        finding->verdict = GOOD;
    } else if (set != NULL) {
        snprintf(finding->note, sizeof finding->note, "none, but %s is set here", set);
        snprintf(finding->next, sizeof finding->next,
                 "The daemon does not read it: where upstreams need a proxy, set network.upstream_proxy (config.yaml)");
        finding->verdict = WARNING;
    } else {
        found(finding, GOOD, "none", "");
    }
    rules_unref(rules);
}

static const struct {
    const char *name;
    void (*check)(struct finding *finding);
} checks[] = {
    {"home", check_home},       {"space", check_space}, {"kernel", check_kernel}, {"seccomp", check_seccomp},
    {"selinux", check_selinux}, {"userns", check_user_namespaces}, {"roots", check_roots}, {"clock", check_clock},
    {"proxy", check_proxy},     {"daemon", check_daemon},
};

static void print_finding(const char *name, const struct finding *finding)
{
    static const char *const words[] = {[GOOD] = "ok", [WARNING] = "warning", [BAD] = "MISSING"};

    printf("%-10s %-8s ", name, words[finding->verdict]);
    show_string(finding->note, 0); /* a path of the environment's, an engine's words */
    if (finding->next[0] != 0) {
        printf("\n%-10s %-8s -> ", "", "");
        show_string(finding->next, 0);
    }
    putchar('\n');
}

/* Any one engine is enough. What is known of an earlier probe is found out again, and kept for the next launch. */
static bool check_engines(void)
{
    struct err err = {0};
    AUTOFREE char *home = client_home(&err);
    bool any = false;

    for (size_t i = 0; engine_at(i) != NULL; i++) {
        struct finding finding;
        struct engine_facts facts;
        if (home != NULL && engine_probe(engine_at(i), home, ENGINE_TRUST_NOTHING, &facts, &err)) {
            any = true;
            found(&finding, GOOD, "works", "");
            if (facts.runtime[0] != '\0')
                snprintf(finding.note, sizeof finding.note, "works with %s", facts.runtime);
            if (engine_at(i)->no_memory_limit)
                found(&finding, GOOD, "works; it cannot limit the memory of a sandbox", "");
            if (facts.note[0] != '\0')
                found(&finding, WARNING, facts.note, "");
        } else {
            from_err(&finding, WARNING, &err);
        }
        print_finding(engine_at(i)->name, &finding);
    }
    return any;
}

static int run(int argc, char **argv)
{
    struct doctor_options options = {0};
    struct err err = {0};
    char **operands;
    size_t count;
    int status = 0;
    bool bad = false;

    if (!applet_parse(&spec, argc, argv, &options, &operands, &count, &status))
        return status;
    for (size_t i = 0; i < COUNT(checks); i++) {
        struct finding finding = {0};
        checks[i].check(&finding);
        print_finding(checks[i].name, &finding);
        bad = bad || finding.verdict == BAD;
    }
    if (!check_engines()) {
        err_set(&err, ERR_UNAVAILABLE, "no sandbox engine works here");
        err_hint(&err, "Install bubblewrap (apt-get install bubblewrap), or docker");
        return err_print(&err, "aileron");
    }
    if (!bad)
        return 0;
    err_set(&err, ERR_UNAVAILABLE, "something that is needed is missing, see above");
    return err_print(&err, "aileron");
}

const struct applet applet_doctor = {"doctor", "Say what this host can do and what to install", run, specs,
                                     COUNT(specs), false};
