/* The table of engines and the choice among them, and the small list type their commands are built with. */
#include "core/sandbox/engine_container.h"

#include "core/sandbox/docker_api.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct engine *engine_at(size_t index)
{
    static const struct engine *const table[] = {&engine_docker, &engine_podman, &engine_bwrap};

    if (index >= COUNT(table))
        return NULL;
    return table[index] == &engine_docker && docker_is_far() ? &engine_docker_far : table[index];
}

void engine_run_clear(struct engine_run *run)
{
    for (size_t i = 0; i < run->argc; i++)
        free(run->argv[i]);
    free(run->argv);
    free(run->path);
    for (size_t i = 0; i < run->owned_count; i++)
        close(run->owned_fds[i]);
    env_clear(&run->env);
    *run = (struct engine_run){0};
}

void engine_run_add(struct engine_run *run, const char *fmt, ...)
{
    va_list args;
    char *word = NULL;

    va_start(args, fmt);
    if (vasprintf(&word, fmt, args) < 0)
        abort();
    va_end(args);
    if (run->argc + 2 > run->cap) {
        run->cap = run->cap == 0 ? 64 : run->cap * 2;
        run->argv = mem_resize(run->argv, run->cap, sizeof(*run->argv));
    }
    run->argv[run->argc++] = word;
    run->argv[run->argc] = NULL;
}

void engine_run_pass(struct engine_run *run, int fd, int child_fd)
{
    assert(run->fd_count < COUNT(run->fds));
    run->fds[run->fd_count++] = (struct proc_fd){.fd = fd, .child_fd = child_fd};
}

char *engine_passwd(uid_t uid, gid_t gid)
{
    AUTOFREE char *agent = uid != 0 ? mem_printf("agent:x:%u:%u:Agent:" SANDBOX_HOME ":/bin/sh\n", (unsigned)uid,
                                                 (unsigned)gid) : mem_strdup("");

    return mem_printf("root:x:0:0:root:/root:/bin/sh\n%snobody:x:65534:65534:nobody:/nonexistent:/bin/false\n", agent);
}

char *engine_group(gid_t gid)
{
    AUTOFREE char *agent = gid != 0 ? mem_printf("agent:x:%u:\n", (unsigned)gid) : mem_strdup("");

    return mem_printf("root:x:0:\n%snogroup:x:65534:\n", agent);
}

void engine_add_options(const struct plan *plan, struct engine_run *run)
{
    CLEANUP(buf_clear) struct buf ports;
    bool good = plan->capture_count > 0;

    if (plan->far) /* a copy is another directory */
        engine_run_add(run, "--remote=%s", plan->remote);
    else
        engine_run_add(run, "--workspace=%llu:%llu", (unsigned long long)plan->workspace_dev,
                       (unsigned long long)plan->workspace_ino);
    for (size_t i = 0; i < plan->mount_count; i++) {
        const struct plan_mount *mount = &plan->mounts[i];
        if (mount->volume)
            engine_run_add(run, "--volume=%s", mount->place);
        else
            engine_run_add(run, "--directory=%llu:%llu:%s", (unsigned long long)mount->dev,
                           (unsigned long long)mount->ino, mount->place);
    }
    for (size_t i = 0; plan->far && i < plan->volume_count; i++) /* they are made empty there */
        engine_run_add(run, "--volume=%s", plan->volumes[i]);
    if (plan->remote_user != NULL)
        engine_run_add(run, "--agent-user=%s", plan->remote_user);
    buf_init(&ports, 256);
    for (size_t i = 0; good && i < plan->capture_count; i++)
        good = buf_printf(&ports, "%s%u", i > 0 ? "," : "", plan->capture_ports[i]);
    if (good)
        engine_run_add(run, "--capture=%s", buf_cstr(&ports));
    if (plan->control_socket)
        engine_run_add(run, "--control=%s", SANDBOX_CONTROL);
    for (size_t i = 0; i < plan->cache_count; i++)
        engine_run_add(run, "--cache=%s", plan->caches[i].place);
}

void engine_add_project(const struct plan *plan, struct engine_run *run)
{
    for (size_t i = 0; i < plan->project_env.count; i++) {
        const char *item = plan->project_env.items[i];
        AUTOFREE char *name = mem_strndup(item, strcspn(item, "="));
        if (env_get(&plan->env, name) == NULL)
            engine_run_add(run, "--env=%s", item);
    }
    for (size_t i = 0; i < plan->mount_count; i++)
        if (plan->mounts[i].volume)
            engine_run_add(run, "--volume=%s:%s%s", plan->mounts[i].source, plan->mounts[i].place,
                           plan->mounts[i].read_only ? ":ro" : "");
    if (plan->shm_bytes > 0)
        engine_run_add(run, "--shm-size=%llu", (unsigned long long)plan->shm_bytes);
}

static const struct engine *find(const char *name, struct err *err)
{
    for (size_t i = 0; engine_at(i) != NULL; i++)
        if (strcmp(engine_at(i)->name, name) == 0)
            return engine_at(i);
    err_set(err, ERR_USAGE, "the engine %s is not in this version", name);
    err_hint(err, "Use --sandbox=docker, --sandbox=podman or --sandbox=bwrap");
    return NULL;
}

bool engine_probe(const struct engine *engine, const char *home, enum engine_trust trust, struct engine_facts *facts,
                  struct err *err)
{
    AUTOFREE char *key = engine->find(err);
    struct err found = {0};
    bool works = false;

    *facts = (struct engine_facts){0};
    if (key == NULL)
        return false;
    if (engine->try == NULL)
        return true;
    if (trust == ENGINE_TRUST_NOTHING || !facts_recall(home, engine->name, key, facts, &works, &found) ||
        (trust == ENGINE_TRUST_YES && !works)) {
        works = engine->try(facts, &found);
        facts_keep(home, engine->name, key, facts, works ? NULL : &found);
    }
    if (!works)
        *err = found;
    return works;
}

static bool near_enough(const struct engine *engine, bool far, struct err *err)
{
    if (!engine->far || far)
        return true;
    err_set(err, ERR_UNAVAILABLE, "DOCKER_HOST names an engine on another machine, and nothing says where its "
                                  "sandboxes reach this one");
    return err_hint(err, "Set sandbox.remote_listen in config.yaml to an address of this host to which they can "
                         "connect, or unset DOCKER_HOST to use the docker of this machine");
}

static const struct engine *named(const struct engine_wish *wish, struct engine_facts *facts, struct err *err)
{
    const struct engine *engine = find(wish->name, err);

    if (engine == NULL || !near_enough(engine, wish->far, err))
        return NULL;
    if (!engine_probe(engine, wish->home, ENGINE_TRUST_YES, facts, err)) {
        err_wrap(err, "the engine %s cannot be used", wish->name);
        return NULL;
    }
    if (engine->needs_image && !wish->have_image) {
        err_set(err, ERR_LAUNCH, "the engine %s needs an image", wish->name);
        err_hint(err, "Make the usual one (aileron sandbox build), or name one: --image=REF, or sandbox.image");
        return NULL;
    }
    return engine;
}

static void add_why(char *why, size_t why_len, const char *name, const char *text)
{
    size_t used = strlen(why);

    snprintf(why + used, why_len - used, "%s%s: %s", used > 0 ? "; " : "", name, text);
}

const struct engine *engine_choose(const struct engine_wish *wish, struct engine_facts *facts, char *why,
                                   size_t why_len, struct err *err)
{
    const struct engine *engine = NULL, *at;
    bool any = strcmp(wish->name, "auto") == 0;

    why[0] = '\0';
    if (any && !wish->have_image)
        add_why(why, why_len, "docker and podman", "no image named");
    else if (!any)
        engine = named(wish, facts, err);
    for (size_t i = 0; any && engine == NULL && (at = engine_at(i)) != NULL; i++) {
        struct err reason = {0};
        if (at->needs_image && !wish->have_image)
            continue;
        if (at->needs_image && wish->has_it != NULL && at != wish->has_it)
            add_why(why, why_len, at->name, "it has not the usual image");
        else if (near_enough(at, wish->far, &reason) && engine_probe(at, wish->home, ENGINE_TRUST_ALL, facts, &reason))
            engine = at;
        else
            add_why(why, why_len, at->name, reason.message);
    }
    if (engine != NULL && engine->needs_image && !engine->far && container_selinux())
        add_why(why, why_len, engine->name, "SELinux's labels are off in it");
    if (engine != NULL && facts->note[0] != '\0')
        add_why(why, why_len, engine->name, facts->note);
    if (engine != NULL || !any)
        return engine;
    err_set(err, ERR_UNAVAILABLE, "no engine can be used (%s)", why);
    err_hint(err, "Install bubblewrap (the package bubblewrap), or start docker or podman and name an "
                  "image with --image");
    return NULL;
}
