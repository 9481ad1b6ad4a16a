/* Computes tags and runs builders. Nothing of a dev container reaches a builder but paths that were resolved, names
 * that were checked, and the values of build arguments, each in a word of its own. */
#include "core/sandbox/image.h"

#include "core/base/embed.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/sandbox/context.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NAME_BYTES = 48, HASH_BYTES = 12 };

#define BASE_RECIPE "contrib/images/base/Containerfile"

extern char **environ;

/* ---- tags ---- */

/* As registries spell names: small letters and digits, a '-' between. */
static void plain_name(const char *from, char out[NAME_BYTES])
{
    size_t len = 0;

    for (; *from != '\0' && len + 1 < NAME_BYTES; from++) {
        if (isalnum((unsigned char)*from) && (unsigned char)*from < 128)
            out[len++] = (char)tolower((unsigned char)*from);
        else if (len > 0 && out[len - 1] != '-')
            out[len++] = '-';
    }
    while (len > 0 && out[len - 1] == '-')
        len--;
    out[len] = '\0';
}

/* A text or its absence, which is another thing than "". */
static void add_text(struct sha256 *hash, const char *text)
{
    sha256_add(hash, text != NULL ? "+" : "-", 1);
    sha256_add(hash, text != NULL ? text : "", (text != NULL ? strlen(text) : 0) + 1);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_build(struct sha256 *hash, const struct devcontainer *dev, const char *own_file, struct err *err)
{
    struct buf text;

    if (!file_read(dev->dockerfile, CONTEXT_DOCKERFILE_BYTES, &text, err))
        return err_wrap(err, "cannot read the Dockerfile");
    add_text(hash, buf_cstr(&text));
    bool used = context_is_used(buf_cstr(&text));
    buf_clear(&text);
    add_text(hash, dev->target);
    AUTOFREE char **args = mem_array(dev->args.count + 1, sizeof(char *));
    for (size_t i = 0; i < dev->args.count; i++)
        args[i] = dev->args.items[i];
    qsort(args, dev->args.count, sizeof(*args), by_text); /* their order in the file changes nothing */
    for (size_t i = 0; i < dev->args.count; i++)
        add_text(hash, args[i]);
    return !used || context_hash(hash, dev->context, own_file, err);
}

char *image_tag(const struct devcontainer *dev, bool *named, struct err *err)
{
    const char *slash = strrchr(dev->workspace, '/');
    uint8_t digest[CRYPTO_HASH_LEN];
    char name[NAME_BYTES], hex[2 * HASH_BYTES + 1];
    struct sha256 hash;

    *named = dev->dockerfile == NULL && dev->features == NULL;
    if (*named)
        return NULL;
    AUTOFREE char *own_file = file_join(dev->workspace, dev->file);
    sha256_init(&hash);
    add_text(&hash, dev->workspace); /* what does not count would come from another project otherwise */
    add_text(&hash, dev->image);
    add_text(&hash, dev->features);
    /* A feature may be a directory beside the file. */
    if ((dev->dockerfile != NULL && !add_build(&hash, dev, own_file, err)) ||
        (dev->features != NULL && strcmp(dev->dir, dev->workspace) != 0 &&
         !context_hash(&hash, dev->dir, own_file, err)))
        return NULL;
    sha256_end(&hash, digest);
    text_hex(digest, HASH_BYTES, hex);
    plain_name(dev->name != NULL ? dev->name : slash != NULL ? slash + 1 : "", name);
    return mem_printf("aileron-%s:%s", name[0] != '\0' ? name : "project", hex);
}

/* ---- builders ---- */

/* What it prints goes to standard error, whose reader waits for nothing else now. */
static bool run_builder(struct engine_run *run, int input, const char *cwd, const char *what, struct err *err)
{
    int status = 0;

    engine_run_pass(run, input, STDIN_FILENO);
    engine_run_pass(run, STDERR_FILENO, STDOUT_FILENO);
    engine_run_pass(run, STDERR_FILENO, STDERR_FILENO);
    struct proc_spec child = {.path = run->path,
                              .argv = run->argv,
                              .envp = run->env.items,
                              .fds = run->fds,
                              .fd_count = run->fd_count,
                              .cwd = cwd,
                              .die_with_parent = true};
    pid_t pid = proc_spawn(&child, err);
    if (pid < 0)
        return err_wrap(err, "cannot start %s", run->argv[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (proc_exit_status(status) == 0)
        return true;
    err_set(err, ERR_LAUNCH, "%s cannot build %s (status %d)", run->argv[0], what, proc_exit_status(status));
    return err_hint(err, "It says why above; --build=never takes what is there, --image=REF another image");
}

/* The host's proxies, which may have a password in their URLs, are no business of a Dockerfile's: named and empty, so
 * that the engine's own configuration does not put them in. What the file's own build.args say comes behind. */
static void add_args(const struct devcontainer *dev, struct engine_run *run)
{
    static const char *const proxies[] = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY",
                                          "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"};

    for (size_t i = 0; i < COUNT(proxies); i++)
        if (env_get(&dev->args, proxies[i]) == NULL)
            engine_run_add(run, "--build-arg=%s=", proxies[i]);
    for (size_t i = 0; i < dev->args.count; i++)
        engine_run_add(run, "--build-arg=%s", dev->args.items[i]);
}

/* The builder gets the bytes of the Dockerfile, and the directory itself as its own: whoever writes in the workspace
 * could change what their names lead to meanwhile, and an image would hold what they lead to. */
static bool build_dockerfile(const struct engine *engine, const struct plan *plan, const struct devcontainer *dev,
                             const char *tag, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(buf_clear) struct buf text = {0};
    CLEANUP(file_close_ptr) int context = plan_open(dev->context);

    if (context < 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot use the build's context %s", dev->context);
    if (!file_read(dev->dockerfile, CONTEXT_DOCKERFILE_BYTES, &text, err))
        return err_wrap(err, "cannot read the Dockerfile");
    CLEANUP(file_close_ptr) int dockerfile = file_sealed("Dockerfile", buf_cstr(&text), text.len, err);
    if (dockerfile < 0 || !engine->image_command(plan, &run, err))
        return false;
    engine_run_add(&run, "build");
    engine_run_add(&run, "--tag=%s", tag);
    engine_run_add(&run, "--file=-");
    engine_run_add(&run, "--label=dev.aileron.built=%s", dev->workspace);
    if (dev->target != NULL)
        engine_run_add(&run, "--target=%s", dev->target);
    add_args(dev, &run);
    engine_run_add(&run, ".");
    AUTOFREE char *cwd = mem_printf("/proc/%d/fd/%d", (int)getpid(), context);
    return run_builder(&run, dockerfile, cwd, tag, err);
}

/* Features are the dev containers' own program's affair, which makes one image of all. It reads the project's file
 * itself; that it cannot start anything on the host is seen to before. */
static bool build_features(const struct engine *engine, const struct plan *plan, const struct devcontainer *dev,
                           const char *tag, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};
    CLEANUP(file_close_ptr) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const char *path = getenv("PATH");

    if (dev->on_host != NULL) {
        err_set(err, ERR_LAUNCH, "%s has features, and for them the program devcontainer would %s", dev->file,
                dev->on_host);
        return err_hint(err, "Take one of the two out, or name an image in customizations.aileron.image");
    }
    if (!engine->image_command(plan, &run, err))
        return false;
    AUTOFREE char *builder = run.path;
    run.path = proc_which("devcontainer", path != NULL ? path : SANDBOX_PATH);
    if (run.path == NULL) {
        err_set(err, ERR_LAUNCH, "%s has features, which need the program devcontainer, and it is not on PATH",
                dev->file);
        return err_hint(err, "npm install -g @devcontainers/cli, or name an image in customizations.aileron.image");
    }
    while (run.argc > 0)
        free(run.argv[--run.argc]);
    engine_run_add(&run, "devcontainer");
    engine_run_add(&run, "build");
    engine_run_add(&run, "--workspace-folder=%s", dev->workspace);
    engine_run_add(&run, "--config=%s/%s", dev->workspace, dev->file);
    engine_run_add(&run, "--docker-path=%s", builder);
    engine_run_add(&run, "--image-name=%s", tag);
    return run_builder(&run, null, NULL, tag, err);
}

bool image_build(const struct engine *engine, const struct plan *plan, const struct devcontainer *dev, const char *tag,
                 struct err *err)
{
    fprintf(stderr, "aileron: building %s with %s; its steps run outside of the sandbox, with the engine's network\n",
            tag, engine->name);
    return dev->features != NULL ? build_features(engine, plan, dev, tag, err)
                                 : build_dockerfile(engine, plan, dev, tag, err);
}

bool image_build_base(const struct engine *engine, const struct plan *plan, struct err *err)
{
    CLEANUP(engine_run_clear) struct engine_run run = {0};

    for (size_t i = 0; i < embed_count; i++) {
        if (strcmp(embed_files[i].path, BASE_RECIPE) != 0)
            continue;
        CLEANUP(file_close_ptr) int recipe = file_sealed("recipe", embed_files[i].data, embed_files[i].len, err);
        if (recipe < 0 || !engine->image_command(plan, &run, err))
            return false;
        engine_run_add(&run, "build");
        engine_run_add(&run, "--tag=%s", IMAGE_BASE);
        engine_run_add(&run, "-"); /* the recipe, and no context */
        return run_builder(&run, recipe, NULL, IMAGE_BASE, err);
    }
    return err_set(err, ERR_INTERNAL, "the recipe of %s is not in this program", IMAGE_BASE);
}
