/* What lies on the disk for a session (design 3). Each file but one is written to a new one and renamed, since a
 * running sandbox sees the directory. It makes no socket and knows no process. */
#include "core/authority/session_folder.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/secret.h"
#include "core/data/json.h"
#include "tls/keystore.h"
#include "tls/trust.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PRIVATE_FILE_BYTES = 64 * 1024,
    TOOLS_BYTES = 16 * 1024 * 1024,
    POLICY_BYTES = 6 * 1024 * 1024, /* the certificates of tls.ca_file, 4 MiB at most, in JSON */
    CA_ROOM = 1024                  /* the CA's part of the bundle: a renewed one fits into the place of the old */
};

/* A directory of exactly this mode, whatever the umask. */
static bool make_dir(const char *path, mode_t mode, struct err *err)
{
    if (!file_mkdirs(path, mode, err))
        return false;
    if (chmod(path, mode) != 0)
        return err_errno(err, ERR_IO, errno, "cannot set the mode of %s", path);
    return true;
}

/* A new file, renamed, without fsync: these files need to survive a crash of the daemon, not one of the machine
 * (their sandbox would be gone), and six syncs would be most of a launch's time. */
static bool write_in(const char *dir, const char *name, mode_t mode, const void *data, size_t len,
                     struct err *err)
{
    AUTOFREE char *path = file_join(dir, name);
    AUTOFREE char *temp = mem_printf("%s.new", path);
    CLEANUP(file_close_ptr) int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

    if (fd < 0)
        return err_errno(err, ERR_IO, errno, "cannot create %s", temp);
    if (!file_write_all(fd, data, len, err)) {
        unlink(temp);
        return err_wrap(err, "%s", path);
    }
    if (fchmod(fd, mode) == 0 && rename(temp, path) == 0)
        return true;
    err_errno(err, ERR_IO, errno, "cannot write %s", path);
    unlink(temp);
    return false;
}

/* The same file, changed where it is: bwrap mounts this one over the system's roots, and a mount would not follow a
 * rename. What is in front of the roots keeps its length (CA_ROOM), so that of a renewed CA a reader sees the old
 * one or the new one. */
static bool write_over(const char *dir, const char *name, const char *text, struct err *err)
{
    AUTOFREE char *path = file_join(dir, name);
    CLEANUP(file_close_ptr) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    size_t len = strlen(text);

    if (fd < 0)
        return err_errno(err, ERR_IO, errno, "cannot create %s", path);
    if (!file_write_all(fd, text, len, err))
        return err_wrap(err, "%s", path);
    return (fchmod(fd, 0644) == 0 && ftruncate(fd, (off_t)len) == 0) ||
           err_errno(err, ERR_IO, errno, "cannot write %s", path);
}

static bool write_json(const char *dir, const char *name, const json_t *json, struct err *err)
{
    CLEANUP(buf_clear) struct buf text;

    buf_init(&text, POLICY_BYTES);
    if (!json_write(json, &text))
        return err_set(err, ERR_LIMIT, "the certificates of tls.ca_file are larger than %d bytes", POLICY_BYTES);
    return write_in(dir, name, 0644, text.data, text.len, err);
}

/* Firefox takes files of one certificate each. */
static bool write_one(const char *dir, const char *base64, json_t *install, struct err *err)
{
    size_t number = json_array_size(install) + 1;

    if (number > SESSION_FIREFOX_MAX)
        return true;
    AUTOFREE char *name = mem_printf("ca-extra-%zu.pem", number);
    AUTOFREE char *pem = mem_printf("-----BEGIN CERTIFICATE-----%s-----END CERTIFICATE-----\n", base64);
    json_array_append_new(install, json_sprintf("/etc/aileron/%s", name));
    return write_in(dir, name, 0644, pem, strlen(pem), err);
}

/* What Chromium and Firefox read of an administrator; neither reads a variable or the system's roots. */
static bool write_policies(const char *dir, const char *extra, struct err *err)
{
    json_t *list = json_array(), *install = json_array();
    json_t *chromium JSON_AUTO = json_pack("{s:o}", "CACertificates", list);
    json_t *firefox JSON_AUTO = json_pack("{s:{s:{s:o}}}", "policies", "Certificates", "Install", install);
    struct span rest = span_of(extra), block;
    bool good = true;

    while (good && trust_next_pem(&rest, &block)) {
        AUTOFREE char *lines = mem_strndup(block.p, block.len), *one = mem_alloc(block.len + 1);
        for (size_t i = 0, len = 0; i < block.len; i++)
            if (block.p[i] > ' ')
                one[len++] = block.p[i];
        json_array_append_new(list, json_string(one)); /* what is no text is no certificate, and left out */
        good = write_one(dir, lines, install, err);
    }
    return good && write_json(dir, "policy-chromium.json", chromium, err) &&
           write_json(dir, "policy-firefox.json", firefox, err);
}

bool session_folder_trust(const struct session_folder *folder, struct err *err)
{
    const char *cert = ca_cert_pem(folder->ca);
    char room[CA_ROOM + 1] = "";
    size_t len = strlen(cert);

    memset(room, '\n', len < CA_ROOM ? CA_ROOM - len : 1);
    AUTOFREE char *extra = mem_printf("%s\n%s", cert, folder->added);
    AUTOFREE char *bundle = mem_printf("%s%s%s", cert, room, folder->roots);
    CLEANUP(buf_clear) struct buf keystore;

    return keystore_write(span_of(bundle), &keystore, err) &&
           write_in(folder->dir, "ca.pem", 0644, cert, len, err) &&
           write_in(folder->dir, "ca-extra.pem", 0644, extra, strlen(extra), err) &&
           write_over(folder->dir, "ca-bundle.pem", bundle, err) &&
           write_in(folder->dir, "ca-bundle.p12", 0644, keystore.data, keystore.len, err) &&
           write_policies(folder->dir, extra, err);
}

bool session_folder_ca(const struct session_folder *folder, struct err *err)
{
    const char *cert = ca_cert_pem(folder->ca);
    struct secret *key = ca_key_pem(folder->ca, err);

    if (key == NULL)
        return false;
    bool good = write_in(folder->private_dir, "ca.key", 0600, secret_bytes(key), secret_len(key), err) &&
                write_in(folder->private_dir, "ca.pem", 0600, cert, strlen(cert), err);
    secret_free(key);
    return good && session_folder_trust(folder, err);
}

/* The shims of tools that are gone are removed; those that are there already stay. */
static bool make_shims(const struct session_folder *folder, struct err *err)
{
    AUTOFREE char *shims = file_join(folder->dir, "shims");

    if (!make_dir(shims, 0755, err))
        return false;
    DIR *open_dir = opendir(shims);
    for (struct dirent *entry; open_dir != NULL && (entry = readdir(open_dir)) != NULL;) {
        struct err ignored;
        bool wanted = entry->d_name[0] == '.';
        for (size_t c = 0; !wanted && c < folder->catalogue->count; c++)
            wanted = connector_tool(folder->catalogue->connectors[c], entry->d_name) != NULL;
        AUTOFREE char *path = file_join(shims, entry->d_name);
        if (!wanted && !file_remove_tree(path, &ignored))
            log_warn("cannot remove the shim %s", entry->d_name);
    }
    if (open_dir != NULL)
        closedir(open_dir);
    for (size_t c = 0; c < folder->catalogue->count; c++) {
        const struct connector *connector = folder->catalogue->connectors[c];
        for (size_t t = 0; t < connector->tool_count; t++) {
            AUTOFREE char *path = file_join(shims, connector->tools[t].name);
            if (symlink("/opt/aileron/bin/aileron-shim", path) != 0 && errno != EEXIST)
                return err_errno(err, ERR_IO, errno, "cannot make the shim %s", path);
        }
    }
    return true;
}

bool session_folder_tools(const struct session_folder *folder, struct err *err)
{
    struct buf text, json;
    json_t *tools JSON_AUTO = catalogue_json(folder->catalogue);

    buf_init(&text, TOOLS_BYTES);
    buf_init(&json, TOOLS_BYTES);
    bool good = catalogue_text(folder->catalogue, &text) && json_write(tools, &json);
    if (!good)
        err_set(err, ERR_LIMIT, "the catalogue is larger than %d bytes", TOOLS_BYTES);
    good = good && write_in(folder->dir, "tools.txt", 0644, text.data, text.len, err) &&
           write_in(folder->dir, "tools.json", 0644, json.data, json.len, err) && make_shims(folder, err);
    buf_clear(&text);
    buf_clear(&json);
    return good;
}

bool session_folder_make(const struct session_folder *folder, struct err *err)
{
    return make_dir(folder->dir, 0755, err) && make_dir(folder->private_dir, 0700, err) &&
           session_folder_ca(folder, err) && session_folder_tools(folder, err) &&
           (folder->token == NULL ||
            write_in(folder->dir, "token", 0644, folder->token, strlen(folder->token), err));
}

struct ca *session_folder_load_ca(const char *private_dir, struct err *err)
{
    AUTOFREE char *cert_path = file_join(private_dir, "ca.pem");
    AUTOFREE char *key_path = file_join(private_dir, "ca.key");
    struct buf cert, key;

    if (!file_read(cert_path, PRIVATE_FILE_BYTES, &cert, err))
        return NULL;
    struct ca *ca = NULL;
    if (file_read(key_path, PRIVATE_FILE_BYTES, &key, err)) {
        ca = ca_load((struct span){(const char *)cert.data, cert.len},
                     (struct span){(const char *)key.data, key.len}, err);
        buf_wipe(&key);
    }
    buf_clear(&cert);
    return ca;
}

void session_folder_remove(const char *dir, const char *private_dir)
{
    struct err err = {0};

    if (!file_remove_tree(dir, &err))
        log_warn("cannot remove %s: %s", dir, err.message);
    if (!file_remove_tree(private_dir, &err))
        log_warn("cannot remove %s: %s", private_dir, err.message);
}
