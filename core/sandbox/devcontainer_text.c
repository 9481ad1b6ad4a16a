/* Texts of a dev container: variables in them, and what is told of settings that are not taken. */
#include "core/sandbox/devcontainer_private.h"

#include "tls/crypto.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_SHOWN = 120, WHY_SHOWN = 300, ID_HEX = 32 };

void devcontainer_note(struct devcontainer *self, const char *key, const char *fmt, ...)
{
    char shown[KEY_SHOWN], why[WHY_SHOWN], text[WHY_SHOWN];
    va_list args;

    if (self->note_count == DEVCONTAINER_NOTES_MAX) {
        self->notes_left++;
        return;
    }
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    text_display(span_of(key), shown, sizeof(shown));
    text_display(span_of(text), why, sizeof(why));
    self->notes[self->note_count++] = (struct devcontainer_note){.key = mem_strdup(shown), .why = mem_strdup(why)};
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* A name that is this workspace's own and stays: volumes that its containers share. */
static void container_id(const struct devcontainer *self, char out[ID_HEX + 1])
{
    uint8_t hash[CRYPTO_HASH_LEN];

    crypto_sha256(self->workspace, strlen(self->workspace), hash);
    text_hex(hash, ID_HEX / 2, out);
}

/* What stands between the braces. A variable of the host is never put in: it may be a secret, and which one is asked
 * for is the agent's choice. Its default is. */
static bool add_variable(const struct devcontainer *self, struct span name, bool host_paths, struct buf *out,
                         const char **why)
{
    char id[ID_HEX + 1];
    const char *value = NULL;

    if (span_starts(name, "localEnv:") || span_starts(name, "env:")) {
        struct span rest = name, part;
        bool named = span_cut(&rest, ':', &part) && span_cut(&rest, ':', &part);
        *why = "it asks for a variable of the host, and those stay there; write a value, or a default";
        if (!named || part.p + part.len == name.p + name.len) /* no colon behind the name: no default */
            return false;
        *why = "it is too long";
        return buf_add(out, rest.p, rest.len);
    }
    container_id(self, id);
    if (span_eqs(name, "containerWorkspaceFolder"))
        value = SANDBOX_WORKSPACE;
    else if (span_eqs(name, "containerWorkspaceFolderBasename"))
        value = "workspace";
    else if (span_eqs(name, "localWorkspaceFolderBasename"))
        value = base_name(self->workspace);
    else if (span_eqs(name, "devcontainerId"))
        value = id;
    else if (span_eqs(name, "localWorkspaceFolder") && host_paths)
        value = self->workspace;
    *why = span_starts(name, "containerEnv:") ? "the image's own variables are not known here; set it in the image"
           : span_eqs(name, "localWorkspaceFolder") ? "the sandbox is not told where the workspace is on the host"
                                                    : "it has a variable that is not known";
    if (value == NULL)
        return false;
    *why = "it is too long";
    return buf_adds(out, value);
}

char *devcontainer_expand(const struct devcontainer *self, const char *text, bool host_paths, const char **why)
{
    CLEANUP(buf_clear) struct buf out;

    buf_init(&out, DEVCONTAINER_TEXT_MAX);
    *why = "it is too long";
    for (const char *p = text; *p != '\0';) {
        const char *open = strstr(p, "${"), *end = open != NULL ? strchr(open, '}') : NULL;
        size_t plain = end != NULL ? (size_t)(open - p) : strlen(p);
        if (!buf_add(&out, p, plain))
            return NULL;
        if (end == NULL)
            break;
        if (!add_variable(self, (struct span){open + 2, (size_t)(end - open - 2)}, host_paths, &out, why))
            return NULL;
        *why = "it is too long";
        p = end + 1;
    }
    return mem_strdup(buf_cstr(&out));
}

char *devcontainer_path(const char *dir, const char *path)
{
    AUTOFREE char *full = path[0] == '/' ? mem_strdup(path) : mem_printf("%s/%s", dir, path);
    char *out = mem_alloc(strlen(full) + 2);
    struct span rest = span_of(full), name;
    size_t len = 0;

    while (span_cut(&rest, '/', &name)) {
        if (span_eqs(name, "..")) {
            while (len > 0 && out[--len] != '/')
                ;
        } else if (name.len > 0 && !span_eqs(name, ".")) {
            out[len++] = '/';
            memcpy(out + len, name.p, name.len);
            len += name.len;
        }
    }
    if (len == 0)
        out[len++] = '/';
    out[len] = '\0';
    return out;
}

void devcontainer_set_env(struct devcontainer *self, struct plan *plan, const char *key, const char *name,
                          const char *value)
{
    AUTOFREE char *where = mem_printf("%s %s", key, name);
    const char *why;

    if (!env_name_valid(name)) {
        devcontainer_note(self, where, "it is not a variable's name");
    } else if (env_name_reserved(name)) {
        devcontainer_note(self, where, "the sandbox sets it by itself%s",
                          strcmp(name, "PATH") == 0 ? "; set it in the image" : "");
    } else {
        AUTOFREE char *text = devcontainer_expand(self, value, false, &why);
        if (text == NULL)
            devcontainer_note(self, where, "%s", why);
        else if (env_get(&plan->project_env, name) == NULL && plan->project_env.count >= DEVCONTAINER_ENV_MAX)
            devcontainer_note(self, where, "there are more than %d variables", DEVCONTAINER_ENV_MAX);
        else if (!env_set(&plan->project_env, name, text))
            devcontainer_note(self, where, "it is too long");
    }
}
