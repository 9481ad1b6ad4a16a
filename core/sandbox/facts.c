/* The file of what engines can do here: one JSON object, a member an engine. It is written as a whole; of two launches
 * that write at once one is lost, and found out again. Whatever is wrong with the file, it knows nothing. */
#include "core/sandbox/facts.h"

#include "core/base/file.h"
#include "core/data/json.h"

#include <stdio.h>
#include <string.h>

static char *file_of(const char *home)
{
    return mem_printf("%s/run/engines.json", home);
}

/* An answer is for one start of the machine: modules, cgroups and sysctls are set up by it. */
static char *full_key(const char *key)
{
    CLEANUP(buf_clear) struct buf boot;
    struct err ignored = {0};

    if (!file_read("/proc/sys/kernel/random/boot_id", 64, &boot, &ignored))
        return mem_strdup(key);
    return mem_printf("%.36s %s", buf_cstr(&boot), key);
}

static bool load(const char *home, struct doc *doc)
{
    CLEANUP(buf_clear) struct buf text;
    AUTOFREE char *path = file_of(home);
    struct err ignored = {0};

    return file_read(path, FACTS_FILE_BYTES, &text, &ignored) &&
           json_parse(text.data, text.len, FACTS_FILE_BYTES, "engines.json", ERR_DATA, doc, &ignored);
}

static bool text_into(const struct json_at *at, const char *key, char *out, size_t cap)
{
    const char *text = "";
    struct err ignored = {0};

    return json_get_text(at, key, JSON_MAY, cap - 1, &text, &ignored) && snprintf(out, cap, "%s", text) >= 0;
}

static bool read_facts(const struct json_at *at, struct engine_facts *facts)
{
    struct err ignored = {0};

    return text_into(at, "runtime", facts->runtime, sizeof facts->runtime) &&
           text_into(at, "cgroups", facts->cgroups, sizeof facts->cgroups) &&
           text_into(at, "note", facts->note, sizeof facts->note) &&
           json_get_bool(at, "no_limits", JSON_MAY, &facts->no_limits, &ignored) &&
           json_get_bool(at, "rootless", JSON_MAY, &facts->rootless, &ignored) &&
           json_get_bool(at, "no_cgroups", JSON_MAY, &facts->no_cgroups, &ignored);
}

bool facts_recall(const char *home, const char *engine, const char *key, struct engine_facts *facts, bool *works,
                  struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    AUTOFREE char *wanted = full_key(key);
    struct err found = {.code = ERR_UNAVAILABLE}, ignored = {0};
    struct engine_facts kept = {0};
    struct json_at root, at;
    bool present = false;
    const char *known = "";

    if (!load(home, &doc))
        return false;
    root = json_root(&doc);
    if (!json_get_object(&root, engine, JSON_MAY, &at, &present, &ignored) || !present ||
        !json_get_raw(&at, "key", JSON_NEED, FACTS_FILE_BYTES, &known, &ignored) || strcmp(known, wanted) != 0 ||
        !read_facts(&at, &kept) || !text_into(&at, "error", found.message, sizeof found.message) ||
        !text_into(&at, "hint", found.hint, sizeof found.hint))
        return false;
    *works = found.message[0] == '\0';
    if (*works)
        *facts = kept;
    else
        *err = found;
    return true;
}

bool facts_worked(const char *home, const char *engine)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    AUTOFREE char *boot = full_key("");

    if (!load(home, &doc))
        return false;
    const json_t *one = json_object_get(doc.root, engine);
    const char *key = json_string_value(json_object_get(one, "key"));
    return key != NULL && strncmp(key, boot, strlen(boot)) == 0 && json_object_get(one, "error") == NULL;
}

void facts_keep(const char *home, const char *engine, const char *key, const struct engine_facts *facts,
                const struct err *error)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    CLEANUP(buf_clear) struct buf text;
    AUTOFREE char *path = file_of(home), *wanted = full_key(key), *dir = mem_printf("%s/run", home);
    struct err ignored = {0};

    buf_init(&text, FACTS_FILE_BYTES);
    if (!file_exists(home) || !file_mkdirs(dir, 0700, &ignored))
        return; /* not even a home yet */
    json_t *one = json_object();
    json_t *all JSON_AUTO = load(home, &doc) && json_is_object(doc.root) ? json_incref(doc.root) : json_object();

    json_put(one, "key", wanted);
    json_put(one, "runtime", facts->runtime);
    json_put(one, "cgroups", facts->cgroups);
    json_put(one, "note", facts->note);
    json_put_bool(one, "no_limits", facts->no_limits);
    json_put_bool(one, "rootless", facts->rootless);
    json_put_bool(one, "no_cgroups", facts->no_cgroups);
    json_put(one, "error", error != NULL ? error->message : NULL);
    json_put(one, "hint", error != NULL ? error->hint : NULL);
    json_object_set_new(all, engine, one);
    if (!json_write(all, &text) || !file_write_atomic(path, 0600, text.data, text.len, &ignored))
        return; /* no room: the next one finds out again */
}
