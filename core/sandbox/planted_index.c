/* Reads what git's index has of repositories in a repository, and makes paths of the names that git's files have. Bytes
 * in, names out: it opens nothing. */
#include "core/sandbox/planted_private.h"

#include "core/base/text.h"

#include <string.h>

enum {
    HEADER = 12,  /* "DIRC", the version, how many entries */
    MODE_AT = 24, /* in an entry */
    HASH_AT = 40,
    GITLINK = 0160000,
    EXTENDED = 0x4000,
    ENTRIES_MAX = 10000000
};

static uint32_t u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct reader {
    const uint8_t *at, *end;
    uint32_t version;
    size_t hash_len;
    char name[PATH_MAX];
    size_t name_len;
};

/* How many bytes of the name before are not this one's (version 4), as git packs numbers. */
static bool take_shorter(struct reader *r, size_t *out)
{
    size_t value;

    if (r->at == r->end)
        return false;
    uint8_t byte = *r->at++;
    for (value = byte & 0x7f; (byte & 0x80) != 0; value = (value + 1) << 7 | (byte & 0x7f)) {
        if (r->at == r->end || value > PATH_MAX)
            return false;
        byte = *r->at++;
    }
    *out = value;
    return value <= r->name_len;
}

/* One entry: its mode, and the name in r. False: it is none. */
static bool take_entry(struct reader *r, uint32_t *mode)
{
    const uint8_t *start = r->at;
    size_t fixed = HASH_AT + r->hash_len + 2, shorter = r->name_len;

    if ((size_t)(r->end - r->at) < fixed + 2)
        return false;
    *mode = u32(start + MODE_AT);
    r->at += fixed + (r->version >= 3 && (start[fixed - 2] << 8 & EXTENDED) != 0 ? 2 : 0);
    if (r->version == 4 && !take_shorter(r, &shorter))
        return false;
    const uint8_t *nul = memchr(r->at, '\0', (size_t)(r->end - r->at));
    size_t keeps = r->name_len - shorter, len = nul != NULL ? (size_t)(nul - r->at) : 0;
    if (nul == NULL || keeps + len == 0 || keeps + len >= sizeof r->name)
        return false;
    memcpy(r->name + keeps, r->at, len);
    r->name_len = keeps + len;
    r->name[r->name_len] = '\0';
    size_t whole = ((size_t)(nul - start) + 8) & ~(size_t)7; /* 1 to 8 NULs before version 4 */
    r->at = r->version == 4 ? nul + 1 : start + whole;
    return r->version == 4 || (size_t)(r->end - start) >= whole;
}

/* All of them; fn NULL: only whether they can be read. */
static bool walk(const uint8_t *index, size_t len, size_t hash_len, planted_gitlink_fn *fn, void *arg)
{
    struct reader r = {.at = index + HEADER, .end = index + len, .version = u32(index + 4), .hash_len = hash_len};
    uint32_t count = u32(index + 8), mode;

    if (r.version < 2 || r.version > 4 || count > ENTRIES_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!take_entry(&r, &mode) || r.name[0] == '/' || r.name[0] == '\0')
            return false;
        if (fn != NULL && mode == GITLINK && !fn(r.name, r.name_len, arg))
            return true;
    }
    return (size_t)(r.end - r.at) >= hash_len;
}

bool planted_gitlinks(const uint8_t *index, size_t len, planted_gitlink_fn *fn, void *arg)
{
    static const size_t hashes[] = {20, 32}; /* SHA-1, SHA-256: the index does not say which */

    if (len < HEADER || memcmp(index, "DIRC", 4) != 0)
        return false;
    for (size_t i = 0; i < COUNT(hashes); i++)
        if (walk(index, len, hashes[i], NULL, NULL))
            return walk(index, len, hashes[i], fn, arg);
    return false;
}

bool planted_join(const char *workspace, const char *dir, const char *name, char out[PATH_MAX])
{
    struct span parts[] = {span_of(dir), span_of(name)}, part;
    size_t used = 0, top = strlen(workspace);

    if (name[0] == '~')
        return false;
    if (name[0] == '/') {
        if (strncmp(name, workspace, top) != 0 || name[top] != '/')
            return false;
        parts[0].len = 0;
        parts[1] = span_of(name + top);
    }
    for (size_t i = 0; i < COUNT(parts); i++) {
        while (span_cut(&parts[i], '/', &part)) {
            if (span_eqs(part, "..")) {
                if (used == 0)
                    return false;
                while (used > 0 && out[--used] != '/')
                    ;
            } else if (part.len > 0 && !span_eqs(part, ".")) {
                if (used + part.len + 2 > PATH_MAX)
                    return false;
                if (used > 0)
                    out[used++] = '/';
                memcpy(out + used, part.p, part.len);
                used += part.len;
            }
        }
    }
    out[used] = '\0';
    return used > 0;
}
