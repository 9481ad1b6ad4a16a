/* Whatever is accepted as a host, path or target is in canonical form: parsed again it is itself, and it holds no
 * byte that could end a line or begin another part. */
#include "core/wire/target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check_host(struct span text)
{
    struct target_host host, again;
    struct err err;
    if (!target_host_parse(text, &host, &err)) {
        require(err.message[0] != 0);
        return;
    }
    require(strlen(host.name) > 0 && strlen(host.name) <= TARGET_HOST_BYTES);
    require(strspn(host.name, "abcdefghijklmnopqrstuvwxyz0123456789-_.:") == strlen(host.name));
    require(target_host_parse(span_of(host.name), &again, &err));
    require(target_host_equal(&host, &again));
    require(!host.is_ip || addr_equal(&host.addr, &again.addr));
}

static void check_path(struct span text)
{
    struct err err;
    bool ambiguous, still;
    char *path = target_path_canonical(text, &ambiguous, &err);
    if (!path)
        return;
    require(path[0] == '/');
    require(!strstr(path, "/../") && !strstr(path, "/./"));
    for (const char *p = path; *p; p++)
        require(*p > ' ' && *p < 0x7f && *p != '\\' && *p != '?' && *p != '#');
    if (strlen(path) <= TARGET_PATH_BYTES) {
        char *again = target_path_canonical(span_of(path), &still, &err);
        require(again && strcmp(path, again) == 0);
        require(ambiguous || !still);
        free(again);
    }
    free(path);
}

static void check_target(struct span text)
{
    struct arena *arena = arena_new(256 * 1024);
    struct target target = {0};
    struct target_host host;
    struct err err;
    uint16_t port;
    struct buf out;
    buf_init(&out, 256 * 1024);
    if (target_parse_absolute(text, arena, &target, &err)) {
        char authority[TARGET_AUTHORITY_BYTES];
        struct target again = {0};
        target_authority(&target, authority);
        require(target.port > 0);
        require(target_authority_parse(span_of(authority), target_scheme_port(target.scheme), &host, &port, &err));
        require(target_host_equal(&host, &target.host) && port == target.port);
        require(target_write_origin(&target, &out));
        if (strlen(target.path) <= TARGET_PATH_BYTES) {
            require(target_parse_origin(span_of(buf_cstr(&out)), arena, &again, &err) ||
                    err.code == ERR_LIMIT);
            require(!again.path || strcmp(again.path, target.path) == 0);
        }
    }
    if (target_authority_parse(text, 0, &host, &port, &err))
        require(port > 0);
    buf_clear(&out);
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    check_host(text);
    check_path(text);
    check_target(text);
    return 0;
}
