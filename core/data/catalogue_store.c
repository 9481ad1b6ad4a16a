/* The folder of installed connectors, content-addressed: a folder's name is the hash of what is in it, so what was
 * changed on the disk is noticed and left out. One bad connector never keeps the others from working. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/data/catalogue.h"

#define STORE_DIR "store/connectors/sha256"
enum { FOLDERS_MAX = 4 * CATALOGUE_CONNECTORS_MAX };

static void problem(struct catalogue *catalogue, const char *text)
{
    if (catalogue->problem_count < CATALOGUE_PROBLEMS_MAX)
        catalogue->problems[catalogue->problem_count++] = mem_strdup(text);
}

static bool is_hash(const char *name)
{
    return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

/* What is in one folder; NULL and err where it is of no use. */
static struct connector *load_folder(const char *dir, const char *hash, struct err *err)
{
    AUTOFREE char *name = mem_printf("%s/" CONNECTOR_FILE, hash);
    AUTOFREE char *path = file_join(dir, name);
    AUTOFREE char *shown = mem_printf("connector %.12s", hash);
    struct buf text;
    buf_init(&text, CONNECTOR_FILE_MAX);
    struct connector *connector = NULL;
    if (file_read(path, CONNECTOR_FILE_MAX, &text, err))
        connector = connector_parse(text.data, text.len, shown, err);
    buf_clear(&text);
    if (connector && strcmp(connector->hash, hash) != 0) {
        err_set(err, ERR_DATA, "%s (%s): was changed after it was installed", shown,
                connector->fqn);
        connector_free(connector);
        return NULL;
    }
    return connector;
}

/* By fqn; of one fqn the newest version first: the older is what an interrupted install left. */
static int compare(const void *left, const void *right)
{
    const struct connector *const *a = left, *const *b = right;
    int order = strcmp((*a)->fqn, (*b)->fqn);
    return order != 0 ? order : strverscmp((*b)->version, (*a)->version);
}

struct catalogue *catalogue_load(const char *home, struct err *err)
{
    AUTOFREE char *dir = file_join(home, STORE_DIR);
    struct connector *loaded[FOLDERS_MAX];
    struct dirent *entry;
    struct err why;
    size_t count = 0;
    DIR *stream = opendir(dir);
    if (!stream && errno != ENOENT) {
        err_errno(err, ERR_IO, errno, "reading %s", dir);
        return NULL;
    }
    struct catalogue *catalogue = catalogue_new();
    while (stream && (entry = readdir(stream)) && count < FOLDERS_MAX) {
        if (!is_hash(entry->d_name))
            continue;
        loaded[count] = load_folder(dir, entry->d_name, &why);
        if (loaded[count])
            count++;
        else
            problem(catalogue, why.message);
    }
    if (stream)
        closedir(stream);
    if (count > 1)
        qsort(loaded, count, sizeof *loaded, compare);
    for (size_t i = 0; i < count; i++) {
        if (catalogue_add(catalogue, loaded[i], &why))
            continue;
        problem(catalogue, why.message);
        connector_free(loaded[i]);
    }
    return catalogue;
}

/* Removes every folder that holds this fqn but the one with the hash to keep (NULL: none). */
static bool remove_others(const char *dir, const char *fqn, const char *keep, size_t *removed,
                          struct err *err)
{
    char names[FOLDERS_MAX][65];
    struct dirent *entry;
    struct err why;
    size_t count = 0;
    DIR *stream = opendir(dir);
    *removed = 0;
    if (!stream)
        return errno == ENOENT || err_errno(err, ERR_IO, errno, "reading %s", dir);
    while ((entry = readdir(stream)) && count < FOLDERS_MAX) {
        if (is_hash(entry->d_name) && (!keep || strcmp(entry->d_name, keep) != 0))
            memcpy(names[count++], entry->d_name, 65);
    }
    closedir(stream);
    for (size_t i = 0; i < count; i++) {
        struct connector *connector = load_folder(dir, names[i], &why);
        bool same = connector && strcmp(connector->fqn, fqn) == 0;
        connector_free(connector);
        if (!same)
            continue;
        AUTOFREE char *path = file_join(dir, names[i]);
        if (!file_remove_tree(path, err))
            return false;
        (*removed)++;
    }
    return true;
}

/* With the others that are installed there must be no conflict. */
static bool fits(const char *home, const struct connector *connector, struct err *err)
{
    struct catalogue *catalogue = catalogue_load(home, err);
    bool ok = catalogue != NULL;
    for (size_t i = 0; ok && i < catalogue->count; i++) {
        const struct connector *other = catalogue->connectors[i];
        if (strcmp(other->fqn, connector->fqn) == 0)
            continue;
        for (size_t t = 0; ok && t < connector->tool_count; t++) {
            if (!connector_tool(other, connector->tools[t].name))
                continue;
            ok = err_set(err, ERR_CONFLICT, "connectors %s and %s both have a tool named %s",
                         other->fqn, connector->fqn, connector->tools[t].name);
            err_hint(err, "Remove the other first: aileron connector remove %s", other->fqn);
        }
    }
    if (ok && catalogue->count == CATALOGUE_CONNECTORS_MAX &&
        !catalogue_connector(catalogue, connector->fqn))
        ok = err_set(err, ERR_LIMIT, "more than %d connectors", CATALOGUE_CONNECTORS_MAX);
    catalogue_free(catalogue);
    return ok;
}

bool catalogue_install(const char *home, const struct connector *connector, struct err *err)
{
    AUTOFREE char *dir = file_join(home, STORE_DIR);
    AUTOFREE char *folder = file_join(dir, connector->hash);
    AUTOFREE char *path = file_join(folder, CONNECTOR_FILE);
    size_t removed;
    if (!fits(home, connector, err) || !file_mkdirs(folder, 0700, err))
        return false;
    if (!file_write_atomic(path, 0600, connector->text, strlen(connector->text), err)) {
        rmdir(folder); /* where it was made just now, and is empty: nothing is left out then */
        return false;
    }
    return remove_others(dir, connector->fqn, connector->hash, &removed, err);
}

bool catalogue_remove(const char *home, const char *fqn, struct err *err)
{
    AUTOFREE char *dir = file_join(home, STORE_DIR);
    char shown[160];
    size_t removed;
    if (!remove_others(dir, fqn, NULL, &removed, err))
        return false;
    if (removed > 0)
        return true;
    text_display(span_of(fqn), shown, sizeof shown);
    err_set(err, ERR_NOT_FOUND, "no connector %s is installed", shown);
    return err_hint(err, "aileron connector list shows what there is");
}
