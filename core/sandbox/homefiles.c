/* An agent's files in its home: checked, handed over as JSON, and written without following a link and without
 * replacing anything. It knows no agent and no file by name. */
#include "core/sandbox/homefiles.h"

#include "core/base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool path_ok(const char *path)
{
    struct span rest = span_of(path), part;

    while (span_cut(&rest, '/', &part))
        if (part.len == 0 || span_eqs(part, ".") || span_eqs(part, ".."))
            return false;
    return path[0] != '\0' && path[strlen(path) - 1] != '/' && strpbrk(path, "\n\r") == NULL;
}

bool homefiles_check(const struct json_at *agent, struct err *err)
{
    struct json_at home, at;
    bool present = false;
    const char *path, *text;
    json_t *value;

    if (!json_get_object(agent, "home", JSON_MAY, &home, &present, err))
        return false;
    if (!present)
        return true;
    if (json_object_size(home.node) > HOMEFILES_MAX)
        return json_fail(&home, err, "more than %d files", HOMEFILES_MAX);
    json_object_foreach(home.node, path, value)
    {
        if (!json_get_raw(&home, path, JSON_NEED, HOMEFILES_BYTES, &text, err) || !json_member(&home, path, &at))
            return false;
        if (!path_ok(path))
            return json_fail(&at, err, "must be a path below the home, without . and ..");
    }
    return true;
}

bool homefiles_put(const json_t *agent, struct env *env, struct err *err)
{
    const json_t *home = json_object_get(agent, "home");
    AUTOFREE char *text = home != NULL ? json_dumps(home, JSON_COMPACT) : NULL;

    return text == NULL || env_set(env, HOMEFILES_ENV, text) ||
           err_set(err, ERR_CONFIG, "home: the files are too large together, %d bytes at most", ENV_VALUE_MAX);
}

/* One directory further, which is made where it is missing; takes dir. */
static int enter(int dir, struct span name)
{
    AUTOFREE char *text = mem_strndup(name.p, name.len);

    (void)!mkdirat(dir, text, 0700);
    int next = openat(dir, text, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    close(dir);
    return next;
}

static void write_one(const char *home, const char *path, const char *text)
{
    CLEANUP(file_close_ptr) int dir = open(home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    const char *name = path, *slash;
    struct err err = {0};

    for (; dir >= 0 && (slash = strchr(name, '/')) != NULL; name = slash + 1)
        dir = enter(dir, (struct span){name, (size_t)(slash - name)});
    CLEANUP(file_close_ptr) int fd =
        dir >= 0 ? openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && !file_write_all(fd, text, strlen(text), &err))
        unlinkat(dir, name, 0);
}

/* The variable between "${" and "}" at `name`, or its last bytes behind a colon. NULL: it is not set, and needed. */
static const char *value_of(const struct env *env, const char *name, size_t len)
{
    struct span rest = {name, len}, part;
    uint64_t last = 0;

    (void)!span_cut(&rest, ':', &part);
    AUTOFREE char *text = mem_strndup(part.p, part.len);
    const char *value = env_get(env, text);
    if (rest.len == 0)
        return value;
    if (value == NULL || !text_u64(rest, HOMEFILES_BYTES, &last))
        return "";
    return strlen(value) > last ? value + strlen(value) - last : value;
}

/* The text with its variables; false: one is missing that it needs, or it is too large. */
static bool expand(const struct env *env, const char *text, struct buf *out)
{
    const char *open, *shut;

    for (; (open = strstr(text, "${")) != NULL && (shut = strchr(open, '}')) != NULL; text = shut + 1) {
        const char *value = value_of(env, open + 2, (size_t)(shut - open - 2));
        if (value == NULL || !buf_add(out, text, (size_t)(open - text)) || !buf_adds(out, value))
            return false;
    }
    return buf_adds(out, text);
}

void homefiles_take(struct env *env)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    const char *text = env_get(env, HOMEFILES_ENV), *home = env_get(env, "HOME"), *path;
    struct err err = {0};
    json_t *value;

    if (text == NULL || home == NULL)
        return;
    if (!json_parse(text, strlen(text), ENV_VALUE_MAX, HOMEFILES_ENV, ERR_DATA, &doc, &err))
        return;
    json_object_foreach(doc.root, path, value)
    {
        CLEANUP(buf_clear) struct buf expanded;
        buf_init(&expanded, 2 * HOMEFILES_BYTES);
        if (path_ok(path) && json_is_string(value) && expand(env, json_string_value(value), &expanded))
            write_one(home, path, buf_cstr(&expanded));
    }
    env_unset(env, HOMEFILES_ENV);
}
