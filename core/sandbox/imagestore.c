/* Whoever unpacks works in a directory of his own beside the finished ones and renames it: a half is never seen, and of
 * two at once one is kept. What is unpacked is first copied there and hashed on the way, so that what was checked is
 * what is read. An archive is known again by what stat says of it. */
#include "core/sandbox/imagestore.h"

#include "core/base/file.h"
#include "core/base/text.h"
#include "core/data/json.h"
#include "core/sandbox/unpack.h"
#include "tls/crypto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HEX_LEN = 2 * CRYPTO_HASH_LEN,
    CHUNK = 64 * 1024,
    INDEX_DEPTH_MAX = 4,
    MANIFESTS_MAX = 1024,
    YOUNG_SECONDS = 60
};

#if defined(__x86_64__)
#define ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define ARCHITECTURE "arm64"
#else
#error "which architecture is this?"
#endif

#define WORK ".new."

struct store {
    char *dir;  /* $AILERON_HOME/images */
    char *work; /* our own directory in it; NULL: none */
    int lock;   /* on it, while we live */
};

static void drop_work(struct store *store)
{
    struct err err = {0};

    if (store->work != NULL)
        (void)!file_remove_tree(store->work, &err);
    file_close_ptr(&store->lock);
    free(store->work);
    store->work = NULL;
}

static void store_clear(struct store *store)
{
    drop_work(store);
    free(store->dir);
}

/* What was begun by processes that are gone; what is as young as ours may not have its lock yet. */
static void sweep(const struct store *store)
{
    DIR *dir = opendir(store->dir);
    struct stat ours, st;
    struct err err = {0};

    if (fstat(store->lock, &ours) != 0)
        ours = (struct stat){0};
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (strncmp(entry->d_name, WORK, sizeof(WORK) - 1) != 0)
            continue;
        AUTOFREE char *path = file_join(store->dir, entry->d_name);
        CLEANUP(file_close_ptr) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_mtim.tv_sec + YOUNG_SECONDS < ours.st_mtim.tv_sec &&
            flock(fd, LOCK_EX | LOCK_NB) == 0)
            (void)!file_remove_tree(path, &err);
    }
    if (dir != NULL)
        closedir(dir);
}

static bool begin(struct store *store, struct err *err)
{
    drop_work(store);
    if (!file_mkdirs(store->dir, 0700, err))
        return false;
    AUTOFREE char *work = mem_printf("%s/" WORK "XXXXXX", store->dir);
    if (mkdtemp(work) == NULL)
        return err_errno(err, ERR_IO, errno, "cannot make a directory in %s", store->dir);
    store->work = mem_strdup(work);
    store->lock = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sweep(store);
    fprintf(stderr, "aileron: unpacking the image, this once\n");
    AUTOFREE char *root = file_join(work, "root");
    return (store->lock >= 0 && flock(store->lock, LOCK_EX | LOCK_NB) == 0 && mkdir(root, 0755) == 0) ||
           err_errno(err, ERR_IO, errno, "cannot make %s", root);
}

/* The work is whole: from here on it is found under its name. */
static bool finish(struct store *store, const char *hex, struct err *err)
{
    AUTOFREE char *final = file_join(store->dir, hex);

    if (syncfs(store->lock) != 0)
        return err_errno(err, ERR_IO, errno, "cannot write %s to the disk", store->work);
    if (rename(store->work, final) != 0)
        return errno == EEXIST || errno == ENOTEMPTY ||
               err_errno(err, ERR_IO, errno, "cannot rename %s", store->work);
    free(store->work);
    store->work = NULL;
    return true;
}

static bool found(const struct store *store, const char *hex, struct plan *plan)
{
    AUTOFREE char *root = mem_printf("%s/%s/root", store->dir, hex);

    if (!file_exists(root))
        return false;
    free(plan->root);
    plan->root = mem_strdup(root);
    return true;
}

/* Copies what fd has to "blob" in the work; its hash as it was written. */
static bool take(const struct store *store, int fd, char **blob, char *hex, struct err *err)
{
    struct sha256 hash;
    uint8_t sum[CRYPTO_HASH_LEN];
    AUTOFREE char *chunk = mem_alloc(CHUNK);
    uint64_t left = UNPACK_BYTES_MAX;
    ssize_t n = 1;

    *blob = file_join(store->work, "blob");
    CLEANUP(file_close_ptr) int out = open(*blob, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return err_errno(err, ERR_IO, errno, "cannot make %s", *blob);
    sha256_init(&hash);
    while (n > 0) {
        n = read(fd, chunk, CHUNK);
        if (n < 0 && errno != EINTR)
            return err_errno(err, ERR_IO, errno, "cannot read the image");
        if (n < 0) {
            n = 1;
            continue;
        }
        if ((uint64_t)n > left)
            return err_set(err, ERR_LIMIT, "the image is larger than %llu GiB",
                           (unsigned long long)(UNPACK_BYTES_MAX >> 30));
        left -= (uint64_t)n;
        sha256_add(&hash, chunk, (size_t)n);
        if (!file_write_all(out, chunk, (size_t)n, err))
            return err_hint(err, "Make room below %s: the image is unpacked there", store->dir);
    }
    sha256_end(&hash, sum);
    text_hex(sum, sizeof(sum), hex);
    return true;
}

/* ---- an archive ---- */

/* The file that says which hash an archive has, as long as nothing about it changes. */
static char *note_of(const struct store *store, const char *path, const struct stat *st)
{
    AUTOFREE char *what = mem_printf("%s\n%llu %llu %llu %lld.%ld %lld.%ld", path, (unsigned long long)st->st_dev,
                                     (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
                                     (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
                                     (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    uint8_t sum[CRYPTO_HASH_LEN];
    char hex[HEX_LEN + 1];

    crypto_sha256(what, strlen(what), sum);
    text_hex(sum, sizeof(sum), hex);
    return mem_printf("%s/known-%s", store->dir, hex);
}

static bool known(const char *note, char *hex)
{
    CLEANUP(buf_clear) struct buf text = {0};
    uint8_t sum[CRYPTO_HASH_LEN];
    struct err err = {0};

    if (!file_read(note, HEX_LEN, &text, &err) ||
        !text_unhex((struct span){buf_cstr(&text), text.len}, sum, sizeof(sum)))
        return false;
    text_hex(sum, sizeof(sum), hex);
    return true;
}

static bool open_archive(struct store *store, struct plan *plan, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open(plan->rootfs, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct unpack_left left = {UNPACK_BYTES_MAX, UNPACK_ENTRIES_MAX};
    AUTOFREE char *blob = NULL;
    char hex[HEX_LEN + 1];
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot open %s", plan->rootfs);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_LAUNCH, "%s is neither a directory nor a file", plan->rootfs);
    AUTOFREE char *note = note_of(store, plan->rootfs, &st);
    if (known(note, hex) && found(store, hex, plan))
        return true;
    if (!begin(store, err) || !take(store, fd, &blob, hex, err))
        return false;
    if (!found(store, hex, plan)) {
        AUTOFREE char *root = file_join(store->work, "root");
        if (!unpack_archive(blob, root, false, &left, err))
            return err_wrap(err, "%s", plan->rootfs);
        if (unlink(blob) != 0 || !finish(store, hex, err) || !found(store, hex, plan))
            return err_hint_default(err, "Try again");
    }
    return file_write_atomic(note, 0600, hex, HEX_LEN, err);
}

/* ---- an OCI layout ---- */

struct layout {
    const char *path;
    int fd;
    struct store *store;
};

static int open_in_layout(const struct layout *layout, const char *name, struct err *err)
{
    AUTOFREE char *path = file_join(layout->path, name);
    int fd = openat(layout->fd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    err_errno(err, ERR_DATA, fd < 0 ? errno : EINVAL, "the OCI layout is not whole: cannot read %s", path);
    file_close_ptr(&fd);
    return -1;
}

static bool digest_of(const struct json_at *at, char *hex, struct err *err)
{
    static const char kind[] = "sha256:";
    uint8_t sum[CRYPTO_HASH_LEN];
    const char *text;

    if (!json_get_text(at, "digest", JSON_NEED, 256, &text, err))
        return false;
    struct span digest = span_of(text);
    if (!span_starts(digest, kind) ||
        !text_unhex((struct span){text + sizeof(kind) - 1, digest.len - (sizeof(kind) - 1)}, sum, sizeof(sum)))
        return json_fail(at, err, "a digest is sha256: and 64 digits");
    text_hex(sum, sizeof(sum), hex);
    return true;
}

static bool mismatch(const char *hex, struct err *err)
{
    err_set(err, ERR_DATA, "the OCI layout is damaged: the blob %s has other contents than its name says", hex);
    return err_hint(err, "Fetch or copy the image again");
}

static bool read_document(const struct layout *layout, const char *hex, struct buf *bytes, struct doc *doc,
                          struct err *err)
{
    AUTOFREE char *name = hex != NULL ? mem_printf("blobs/sha256/%s", hex) : mem_strdup("index.json");
    CLEANUP(file_close_ptr) int fd = open_in_layout(layout, name, err);
    uint8_t sum[CRYPTO_HASH_LEN];
    char is[HEX_LEN + 1];

    buf_init(bytes, 0);
    if (fd < 0 || !file_read_fd(fd, IMAGESTORE_DOCUMENT_MAX, bytes, err))
        return false;
    crypto_sha256(bytes->data, bytes->len, sum);
    text_hex(sum, sizeof(sum), is);
    if (hex != NULL && strcmp(is, hex) != 0)
        return mismatch(hex, err);
    return json_parse(bytes->data, bytes->len, IMAGESTORE_DOCUMENT_MAX, name, ERR_DATA, doc, err);
}

/* Whether a manifest is for this machine, as far as the index says. */
static bool fits(const struct json_at *manifest, bool *yes, struct err *err)
{
    const char *architecture = ARCHITECTURE, *os = "linux";
    struct json_at platform;
    bool present;

    if (!json_get_object(manifest, "platform", JSON_MAY, &platform, &present, err) ||
        (present && (!json_get_text(&platform, "architecture", JSON_MAY, 64, &architecture, err) ||
                     !json_get_text(&platform, "os", JSON_MAY, 64, &os, err))))
        return false;
    *yes = strcmp(architecture, ARCHITECTURE) == 0 && strcmp(os, "linux") == 0;
    return true;
}

/* The one manifest for this machine; an index may name another one. */
static bool pick(const struct layout *layout, const char *index, int depth, char *hex, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    CLEANUP(buf_clear) struct buf bytes = {0};
    struct json_at list;
    const char *type = "";
    size_t count, fitting = 0;

    if (!read_document(layout, index, &bytes, &doc, err))
        return false;
    struct json_at root = json_root(&doc);
    if (!json_get_list(&root, "manifests", JSON_NEED, MANIFESTS_MAX, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        bool yes = false;
        if (!fits(&entry, &yes, err))
            return false;
        if (!yes)
            continue;
        type = "";
        if (!digest_of(&entry, hex, err) || !json_get_text(&entry, "mediaType", JSON_MAY, 256, &type, err))
            return false;
        fitting++;
    }
    if (fitting != 1) {
        err_set(err, ERR_LAUNCH, "the OCI layout %s has %zu images for linux/" ARCHITECTURE ", and not one",
                layout->path, fitting);
        return err_hint(err, "Copy the one that is meant into a layout of its own, for linux/" ARCHITECTURE);
    }
    if (strstr(type, "image.index") == NULL && strstr(type, "manifest.list") == NULL)
        return true;
    if (depth == 0)
        return err_set(err, ERR_DATA, "the OCI layout %s has an index in an index, too deep", layout->path);
    char inner[HEX_LEN + 1];
    memcpy(inner, hex, sizeof(inner));
    return pick(layout, inner, depth - 1, hex, err);
}

static bool unpack_layers(const struct layout *layout, const struct json_at *manifest, struct err *err)
{
    AUTOFREE char *root = file_join(layout->store->work, "root");
    struct unpack_left left = {UNPACK_BYTES_MAX, UNPACK_ENTRIES_MAX};
    struct json_at list;
    size_t count;

    if (!json_get_list(manifest, "layers", JSON_NEED, IMAGESTORE_LAYERS_MAX, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        char said[HEX_LEN + 1], is[HEX_LEN + 1];
        AUTOFREE char *blob = NULL;
        if (!digest_of(&entry, said, err))
            return false;
        AUTOFREE char *name = mem_printf("blobs/sha256/%s", said);
        CLEANUP(file_close_ptr) int fd = open_in_layout(layout, name, err);
        if (fd < 0 || !take(layout->store, fd, &blob, is, err))
            return false;
        if (strcmp(said, is) != 0)
            return mismatch(said, err);
        if (!unpack_archive(blob, root, true, &left, err))
            return err_wrap(err, "layer %zu of %s", i + 1, layout->path);
        if (unlink(blob) != 0)
            return err_errno(err, ERR_IO, errno, "cannot remove %s", blob);
    }
    return true;
}

static bool build_image(const struct layout *layout, const char *hex, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0}, config = {0};
    CLEANUP(buf_clear) struct buf bytes = {0}, settings = {0};
    char config_hex[HEX_LEN + 1];
    const char *architecture = ARCHITECTURE;
    struct json_at at;
    bool present;

    if (!read_document(layout, hex, &bytes, &doc, err))
        return false;
    struct json_at manifest = json_root(&doc);
    if (!json_get_object(&manifest, "config", JSON_NEED, &at, &present, err) || !digest_of(&at, config_hex, err) ||
        !read_document(layout, config_hex, &settings, &config, err))
        return false;
    struct json_at root = json_root(&config);
    if (!json_get_text(&root, "architecture", JSON_MAY, 64, &architecture, err))
        return false;
    if (architecture[0] != '\0' && strcmp(architecture, ARCHITECTURE) != 0) {
        err_set(err, ERR_LAUNCH, "the image %s is for %s and this machine is " ARCHITECTURE, layout->path,
                architecture);
        return err_hint(err, "Fetch or build it for linux/" ARCHITECTURE);
    }
    if (!begin(layout->store, err) || !unpack_layers(layout, &manifest, err))
        return false;
    AUTOFREE char *kept = file_join(layout->store->work, "config.json");
    return file_write_atomic(kept, 0600, settings.data, settings.len, err) && finish(layout->store, hex, err);
}

/* The variables that the image's configuration has. Its user, entry point, command, directory and health check decide
 * nothing, under any engine. */
static bool take_config(const struct store *store, const char *hex, struct plan *plan, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    CLEANUP(buf_clear) struct buf text = {0};
    AUTOFREE char *path = mem_printf("%s/%s/config.json", store->dir, hex);
    struct json_at config, list;
    bool present;
    size_t count;

    if (!file_read(path, IMAGESTORE_DOCUMENT_MAX, &text, err) ||
        !json_parse(text.data, text.len, IMAGESTORE_DOCUMENT_MAX, path, ERR_DATA, &doc, err))
        return false;
    struct json_at root = json_root(&doc);
    if (!json_get_object(&root, "config", JSON_MAY, &config, &present, err) ||
        (present && !json_get_list(&config, "Env", JSON_MAY, ENV_COUNT_MAX, &list, &count, err)))
        return false;
    for (size_t i = 0; present && i < count; i++) {
        const char *item = json_string_value(json_element(&list, i).node);
        char *items[] = {mem_strdup(item != NULL ? item : ""), NULL};
        env_add_all(&plan->image_env, items);
        free(items[0]);
    }
    return true;
}

static bool open_layout(struct store *store, struct plan *plan, const char *path, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct layout layout = {path, fd, store};
    char hex[HEX_LEN + 1];

    if (fd < 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot open %s", path);
    return pick(&layout, NULL, INDEX_DEPTH_MAX, hex, err) &&
           (found(store, hex, plan) || (build_image(&layout, hex, err) && found(store, hex, plan))) &&
           take_config(store, hex, plan, err);
}

static bool is_layout(const char *dir)
{
    AUTOFREE char *mark = file_join(dir, "oci-layout"), *index = file_join(dir, "index.json");
    struct stat st;

    return lstat(mark, &st) == 0 && S_ISREG(st.st_mode) && lstat(index, &st) == 0 && S_ISREG(st.st_mode);
}

bool imagestore_open(struct plan *plan, struct err *err)
{
    CLEANUP(store_clear) struct store store = {.dir = file_join(plan->aileron_home, "images"), .lock = -1};
    struct stat st;

    if (stat(plan->rootfs, &st) != 0)
        return err_errno(err, ERR_LAUNCH, errno, "there is no root file system %s", plan->rootfs);
    if (S_ISDIR(st.st_mode) && is_layout(plan->rootfs))
        return open_layout(&store, plan, plan->rootfs, err);
    if (S_ISDIR(st.st_mode)) {
        plan->root = mem_strdup(plan->rootfs);
        return true;
    }
    if (!open_archive(&store, plan, err))
        return false;
    AUTOFREE char *root = mem_strdup(plan->root); /* an archive of a layout */
    return !is_layout(root) || open_layout(&store, plan, root, err);
}
