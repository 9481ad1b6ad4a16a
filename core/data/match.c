/* Where a rule or a binding applies, and which of several is the most specific. Pure: no I/O, no state.
 * Hosts and paths that are asked about are canonical already; patterns are made canonical when read. */
#include "core/data/match.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/wire/target.h"

/* ---- globs ---- */

size_t glob_literal(const char *glob)
{
    size_t len = strcspn(glob, "*");
    /* "/a/" "**" matches "/a" too, so the slash before it distinguishes nothing. */
    if (len > 1 && strcmp(glob + len - 1, "/**") == 0)
        len--;
    return len;
}

static void reach(const char *glob, bool *set, size_t at)
{
    while (!set[at]) {
        set[at] = true;
        if (glob[at] != '*')
            return;
        at += glob[at + 1] == '*' ? 2 : 1; /* a star may stand for nothing */
    }
}

static char folded_case(char c, bool any_case)
{
    return any_case && c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool same(const char *a, const char *b, size_t len, bool any_case)
{
    return any_case ? span_eqi((struct span){a, len}, (struct span){b, len}) : memcmp(a, b, len) == 0;
}

/* All positions of the glob that the text may have come to are followed at once, so that no pattern makes
 * it slower than len(glob) * len(text). */
static bool glob_run(const char *glob, struct span text, bool any_case)
{
    bool now[MATCH_GLOB_MAX + 1] = {false};
    size_t len = strlen(glob);
    reach(glob, now, 0);
    for (size_t i = 0; i < text.len; i++) {
        bool next[MATCH_GLOB_MAX + 1] = {false};
        for (size_t at = 0; at < len; at++) {
            if (!now[at])
                continue;
            if (glob[at] != '*') {
                if (folded_case(glob[at], any_case) == folded_case(text.p[i], any_case))
                    reach(glob, next, at + 1);
            } else if (glob[at + 1] == '*' || text.p[i] != '/') {
                reach(glob, next, at);
            }
        }
        memcpy(now, next, len + 1);
    }
    for (size_t at = 0; at <= len; at++) {
        if (now[at] && (at == len || strcmp(glob + at, "/**") == 0))
            return true;
    }
    return false;
}

static bool glob_match_by(const char *glob, struct span path, bool any_case)
{
    size_t literal = strcspn(glob, "*");
    if (strlen(glob) > MATCH_GLOB_MAX)
        return false;
    if (path.len >= literal && same(path.p, glob, literal, any_case)) {
        if (strcmp(glob + literal, "**") == 0)
            return true;
        if (!glob[literal])
            return path.len == literal;
        return glob_run(glob + literal, (struct span){path.p + literal, path.len - literal}, any_case);
    }
    /* Shorter than the literal part: only the slash of a final "/" "**" may be what it lacks. */
    return literal > 0 && strcmp(glob + literal - 1, "/**") == 0 && path.len == literal - 1 &&
           same(path.p, glob, path.len, any_case);
}

bool glob_match(const char *glob, struct span path)
{
    return glob_match_by(glob, path, false);
}

bool glob_match_any_case(const char *glob, struct span path)
{
    return glob_match_by(glob, path, true);
}

/* ---- one spelling ---- */

/* The byte that an escape in front of rest stands for, where it means the same as itself: RFC 3986 2.2 keeps the two
 * apart, and servers do not. 0: none. A slash is no such byte, nor the star, which a glob can write escaped alone. */
static char folded_escape(struct span rest)
{
    uint8_t byte;
    if (rest.len < 3 || rest.p[0] != '%' || !text_unhex((struct span){rest.p + 1, 2}, &byte, 1))
        return 0;
    return byte && strchr("!$&'()+,;=:@", byte) ? (char)byte : 0;
}

/* glob: its stars are no bytes of a path, and stay. */
static char *fold(struct span text, bool glob)
{
    char *out = mem_alloc(3 * text.len + 1);
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char byte = folded_escape((struct span){text.p + i, text.len - i});
        if (text.p[i] == '*' && !glob) {
            memcpy(out + len, "%2A", 3);
            len += 3;
            continue;
        }
        out[len++] = byte ? byte : text.p[i];
        i += byte ? 2 : 0;
    }
    out[len] = '\0';
    return out;
}

void match_fold(struct match_query *query, char **memory)
{
    *memory = NULL;
    if (query->path.len == 0 || query->path.p[0] != '/' ||
        (!memchr(query->path.p, '%', query->path.len) && !memchr(query->path.p, '*', query->path.len)))
        return;
    *memory = fold(query->path, false);
    query->path = span_of(*memory);
}

/* ---- reading ---- */

void match_texts_free(char **texts)
{
    for (size_t i = 0; texts && texts[i]; i++)
        free(texts[i]);
    free(texts);
}

char **match_texts_copy(char *const *texts)
{
    size_t count = 0;
    if (!texts)
        return NULL;
    while (texts[count])
        count++;
    char **copy = mem_array(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_strdup(texts[i]);
    return copy;
}

void match_clear(struct match *match)
{
    free(match->host);
    match_texts_free(match->methods);
    match_texts_free(match->paths);
    memset(match, 0, sizeof *match);
}

bool match_texts_from(const struct json_at *at, const char *key, enum json_need need, size_t max,
                      size_t text_max, char ***out, struct err *err)
{
    struct json_at list;
    size_t count;
    if (!json_get_list(at, key, need, max, &list, &count, err))
        return false;
    if (count == 0) {
        if (!json_member(at, key, &list))
            return true;
        return json_fail(&list, err, "must not be empty: leave it out, or give at least one entry");
    }
    char **texts = mem_array(count + 1, sizeof *texts);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        const char *text = NULL;
        if (!json_text_of(&entry, text_max, &text, err)) {
            match_texts_free(texts);
            return false;
        }
        texts[i] = mem_strdup(text);
    }
    *out = texts;
    return true;
}

bool match_canonical_host(const struct json_at *at, const char *text, char out[256], struct err *err)
{
    struct err why;
    struct target_host host;
    if (!target_host_parse(span_of(text), &host, &why))
        return json_fail(at, err, "%s", why.message);
    snprintf(out, 256, "%s", host.name);
    return true;
}

bool match_host_from(struct match *match, const struct json_at *at, struct err *err)
{
    const char *text = NULL;
    char host[256];
    if (!json_text_of(at, MATCH_HOST_MAX + 2, &text, err))
        return false;
    match->wild = strncmp(text, "*.", 2) == 0;
    if (match->wild)
        text += 2;
    if (strchr(text, '*'))
        return json_fail(at, err, "must be one host, or *. and a host");
    if (strchr(text, '/') || (strchr(text, ':') && text[0] != '[' &&
                              strchr(text, ':') == strrchr(text, ':')))
        return json_fail(at, err, "must be a host alone, without scheme, port or path");
    if (!match_canonical_host(at, text, host, err))
        return false;
    if (match->wild && (strchr(host, ':') || strspn(host, "0123456789.") == strlen(host)))
        return json_fail(at, err, "an address has no names below it");
    match->host = mem_strdup(host);
    return true;
}

static bool ports_from(struct match *match, const struct json_at *at, struct err *err)
{
    struct json_at list, one;
    size_t count;
    int64_t port = 0;
    bool single = json_member(at, "port", &one);
    if (!json_get_int(at, "port", JSON_MAY, 1, 65535, &port, err) ||
        !json_get_list(at, "ports", JSON_MAY, MATCH_PORTS_MAX, &list, &count, err))
        return false;
    if (single && count > 0)
        return json_fail(&one, err, "give either port or ports");
    if (single)
        match->ports[match->port_count++] = (uint16_t)port;
    if (!single && count == 0 && json_member(at, "ports", &list))
        return json_fail(&list, err, "must not be empty: leave it out, or give at least one port");
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        if (!json_is_integer(entry.node) || json_integer_value(entry.node) < 1 ||
            json_integer_value(entry.node) > 65535)
            return json_fail(&entry, err, "must be a port, from 1 to 65535");
        match->ports[match->port_count++] = (uint16_t)json_integer_value(entry.node);
    }
    return true;
}

static bool methods_ok(char **methods, const struct json_at *at, struct err *err)
{
    struct json_at list;
    if (!methods || !json_member(at, "methods", &list))
        return true;
    for (size_t i = 0; methods[i]; i++) {
        struct json_at entry = json_element(&list, i);
        if (!text_is_token(span_of(methods[i])))
            return json_fail(&entry, err, "is no HTTP method");
        for (const char *p = methods[i]; *p; p++) {
            if (*p >= 'a' && *p <= 'z')
                return json_fail(&entry, err, "must be in upper case");
        }
    }
    return true;
}

/* The literal parts of a glob must be as a canonical path writes them, or it could never match. */
static bool path_ok(char **path, const struct json_at *at, struct err *err)
{
    AUTOFREE char *canonical = NULL;
    bool ambiguous = false;
    struct err why;
    if (**path != '/')
        return json_fail(at, err, "must begin with /");
    if (strpbrk(*path, "?#"))
        return json_fail(at, err, "is matched against the path alone: no ? and no #");
    canonical = target_path_canonical(span_of(*path), &ambiguous, &why);
    if (!canonical)
        return json_fail(at, err, "%s", why.message);
    if (ambiguous)
        return json_fail(at, err, "can be read in two ways (//, or percent-encoding twice)");
    if (strlen(canonical) > MATCH_GLOB_MAX)
        return json_fail(at, err, "is longer than %d bytes", MATCH_GLOB_MAX);
    free(*path);
    *path = fold(span_of(canonical), true);
    return true;
}

bool match_limits_from(struct match *match, const struct json_at *at, struct err *err)
{
    struct json_at list;
    if (!ports_from(match, at, err) ||
        !match_texts_from(at, "methods", JSON_MAY, MATCH_METHODS_MAX, 32, &match->methods, err) ||
        !methods_ok(match->methods, at, err) ||
        !match_texts_from(at, "paths", JSON_MAY, MATCH_PATHS_MAX, MATCH_GLOB_MAX, &match->paths,
                          err))
        return false;
    if (!match->paths || !json_member(at, "paths", &list))
        return true;
    for (size_t i = 0; match->paths[i]; i++) {
        struct json_at entry = json_element(&list, i);
        if (!path_ok(&match->paths[i], &entry, err))
            return false;
    }
    return true;
}

/* ---- asking ---- */

bool match_host(const struct match *match, struct span host)
{
    size_t len = strlen(match->host);
    if (!match->wild)
        return host.len == len && memcmp(host.p, match->host, len) == 0;
    return host.len > len + 1 && host.p[host.len - len - 1] == '.' &&
           memcmp(host.p + host.len - len, match->host, len) == 0;
}

bool match_port(const struct match *match, uint16_t port)
{
    for (size_t i = 0; i < match->port_count; i++) {
        if (match->ports[i] == port)
            return true;
    }
    return match->port_count == 0;
}

/* Methods are case-sensitive (RFC 9110 section 9.1), but not every server knows: "delete" must not pass
 * by a rule about DELETE. */
bool match_method(const struct match *match, struct span method)
{
    if (!match->methods)
        return true;
    for (size_t i = 0; match->methods[i]; i++) {
        if (span_eqis(method, match->methods[i]))
            return true;
    }
    return false;
}

/* ---- order ---- */

static int descending(size_t a, size_t b)
{
    return a > b ? -1 : a < b;
}

static int compare(const void *left, const void *right)
{
    const struct match_row *a = left, *b = right;
    int order = descending(!a->match->wild, !b->match->wild);
    if (order == 0)
        order = descending(strlen(a->match->host), strlen(b->match->host));
    if (order == 0)
        order = descending(a->path ? glob_literal(a->path) : 0, b->path ? glob_literal(b->path) : 0);
    if (order == 0)
        order = descending(a->path && !strchr(a->path, '*'), b->path && !strchr(b->path, '*'));
    if (order == 0)
        order = descending(a->path != NULL, b->path != NULL);
    if (order == 0)
        order = descending(a->match->methods != NULL, b->match->methods != NULL);
    if (order == 0)
        order = descending(a->match->port_count > 0, b->match->port_count > 0);
    if (order == 0)
        order = (b->weight > a->weight) - (b->weight < a->weight);
    return order != 0 ? order : (a->owner > b->owner) - (a->owner < b->owner);
}

void match_sort(struct match_row *rows, size_t count)
{
    if (count > 1)
        qsort(rows, count, sizeof *rows, compare);
}
