/* Hosts and authorities, and the request targets made of them; paths are target_path.c. What comes out is in
 * one form, whatever way it was written; what has no one meaning does not come out. Resolves nothing. */
#include "core/wire/target.h"

#include <stdio.h>

/* ---- hosts ---- */

static bool host_bad(struct err *err, struct span text, const char *why)
{
    char shown[96];
    text_display(text, shown, sizeof(shown));
    return err_set(err, ERR_DATA, "the host \"%s\" %s", shown, why);
}

/* A mapped address (RFC 4291 2.5.5.2) is the IPv4 one to every kernel: a rule about that one must see it (E05). */
static void host_from_addr(const struct addr *addr, struct target_host *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char text[ADDR_TEXT_BYTES];
    *out = (struct target_host){.is_ip = true, .addr = *addr};
    if (addr->family == ADDR_V6 && memcmp(addr->bytes, mapped, sizeof(mapped)) == 0) {
        out->addr = (struct addr){.family = ADDR_V4};
        memcpy(out->addr.bytes, addr->bytes + sizeof(mapped), 4);
    }
    addr_format(&out->addr, text);
    snprintf(out->name, sizeof(out->name), "%s", text);
}

/* The byte's lower-case form; 0 where no name can hold it. */
static char name_byte(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')
        return c;
    return 0;
}

static const char *byte_complaint(char c)
{
    if (c == '%')
        return "holds a percent sign: percent-encoding and zones are not taken in a host";
    if (c == '@')
        return "holds user information, which is not taken";
    if ((unsigned char)c >= 0x80)
        return "is not ASCII: write an international name in its xn-- form";
    return "holds a byte that no host name has";
}

/* RFC 3696 2 and the URL standard: a name whose last label looks like a number is an address or nothing. */
static bool looks_numeric(struct span label)
{
    bool hex = label.len >= 2 && label.p[0] == '0' && label.p[1] == 'x';
    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        char c = label.p[i];
        if (!(c >= '0' && c <= '9') && !(hex && c >= 'a' && c <= 'f'))
            return false;
    }
    return true;
}

static bool label_ok(struct span label, struct span text, struct err *err)
{
    if (label.len == 0)
        return host_bad(err, text, "has an empty label");
    if (label.len > TARGET_LABEL_BYTES)
        return host_bad(err, text, "has a label of more than 63 bytes");
    if (label.p[0] == '-' || label.p[label.len - 1] == '-')
        return host_bad(err, text, "has a label that begins or ends with a hyphen");
    return true;
}

static bool parse_name(struct span text, struct target_host *out, struct err *err)
{
    *out = (struct target_host){0};
    size_t start = 0;
    for (size_t i = 0; i <= text.len; i++) {
        if (i < text.len && text.p[i] != '.') {
            out->name[i] = name_byte(text.p[i]);
            if (!out->name[i])
                return host_bad(err, text, byte_complaint(text.p[i]));
            continue;
        }
        struct span label = {out->name + start, i - start};
        if (!label_ok(label, text, err))
            return false;
        if (i < text.len)
            out->name[i] = '.';
        else if (looks_numeric(label))
            return host_bad(err, text, "ends in a number and is no address");
        start = i + 1;
    }
    return true;
}

bool target_host_parse(struct span text, struct target_host *out, struct err *err)
{
    struct span host = text;
    struct addr addr;
    if (host.len == 0)
        return err_set(err, ERR_DATA, "the host is empty");
    if (host.p[0] == '[') {
        if (host.p[host.len - 1] != ']')
            return host_bad(err, text, "has a bracket that is not closed");
        host = (struct span){host.p + 1, host.len - 2};
        if (!addr_parse(host, &addr) || addr.family != ADDR_V6)
            return host_bad(err, text, "is no IPv6 address (zones are not taken)");
        host_from_addr(&addr, out);
        return true;
    }
    if (memchr(host.p, ':', host.len)) {
        if (!addr_parse(host, &addr))
            return host_bad(err, text, "holds a colon and is no IPv6 address (zones are not taken)");
        host_from_addr(&addr, out);
        return true;
    }
    if (host.p[host.len - 1] == '.')
        host.len--;
    if (host.len == 0)
        return host_bad(err, text, "is the root");
    if (host.len > TARGET_HOST_BYTES)
        return host_bad(err, text, "is longer than 253 bytes");
    if (addr_parse_loose(host, &addr)) {
        host_from_addr(&addr, out);
        return true;
    }
    return parse_name(host, out, err);
}

bool target_host_equal(const struct target_host *a, const struct target_host *b)
{
    return a->is_ip == b->is_ip && strcmp(a->name, b->name) == 0;
}

/* ---- authorities ---- */

bool target_authority_parse(struct span text, uint16_t default_port, struct target_host *host,
                            uint16_t *port, struct err *err)
{
    struct span name = text, digits = {NULL, 0};
    uint64_t value = default_port;
    const char *end = text.len ? memchr(text.p, text.p[0] == '[' ? ']' : ':', text.len) : NULL;
    if (end && *end == ']' && ++end == text.p + text.len)
        end = NULL; /* "[v6]" alone */
    if (end) {
        name.len = (size_t)(end - text.p);
        digits = (struct span){end + 1, text.len - name.len - 1};
        if (*end != ':')
            return host_bad(err, text, "goes on behind its bracket");
        if (memchr(digits.p, ':', digits.len))
            return host_bad(err, text, "holds several colons: an IPv6 address stands in brackets");
        if (!text_u64(digits, 65535, &value) || value == 0)
            return host_bad(err, text, "has a port that is not one of 1 to 65535");
    } else if (!default_port) {
        return host_bad(err, text, "has no port");
    }
    if (!target_host_parse(name, host, err))
        return false;
    *port = (uint16_t)value;
    return true;
}

const char *target_scheme_word(enum target_scheme scheme)
{
    return scheme == TARGET_HTTPS ? "https" : "http";
}

uint16_t target_scheme_port(enum target_scheme scheme)
{
    return scheme == TARGET_HTTPS ? 443 : 80;
}

void target_authority(const struct target *target, char out[TARGET_AUTHORITY_BYTES])
{
    bool v6 = target->host.is_ip && target->host.addr.family == ADDR_V6;
    size_t len = strlen(target->host.name);
    char *to = out;
    if (v6)
        *to++ = '[';
    to = (char *)memcpy(to, target->host.name, len) + len;
    if (v6)
        *to++ = ']';
    if (target->port != target_scheme_port(target->scheme)) {
        char digits[21];
        len = text_decimal(target->port, digits);
        *to++ = ':';
        to = (char *)memcpy(to, digits, len) + len;
    }
    *to = '\0';
}

/* ---- request targets ---- */

/* Queries are not rewritten: no rule looks at them, and signatures are made over them. */
static bool query_ok(struct span query, struct err *err)
{
    if (query.len > TARGET_PATH_BYTES)
        return err_set(err, ERR_LIMIT, "the query is longer than %d bytes", TARGET_PATH_BYTES);
    for (size_t i = 0; i < query.len; i++) {
        if (query.p[i] == '#')
            return err_set(err, ERR_DATA, "the target holds a fragment (#), which is not sent");
        if (query.p[i] <= ' ' || query.p[i] >= 0x7f)
            return err_set(err, ERR_DATA, "the query holds a byte that must be percent-encoded");
    }
    return true;
}

static bool parse_path_query(struct span text, struct arena *arena, struct target *out, struct err *err)
{
    AUTOFREE char *path = NULL;
    const char *mark = text.len ? memchr(text.p, '?', text.len) : NULL;
    struct span query = {NULL, 0};
    if (mark) {
        query = (struct span){mark + 1, text.len - (size_t)(mark - text.p) - 1};
        text.len = (size_t)(mark - text.p);
        if (!query_ok(query, err))
            return false;
    }
    out->ambiguous = false;
    path = target_path_canonical(text, &out->ambiguous, err);
    if (!path)
        return false;
    out->path = arena_strndup(arena, path, strlen(path));
    out->query = mark ? arena_strndup(arena, query.p, query.len) : NULL;
    if (!out->path || (mark && !out->query))
        return err_set(err, ERR_LIMIT, "the target is too long");
    return true;
}

bool target_parse_absolute(struct span text, struct arena *arena, struct target *out, struct err *err)
{
    static const struct span forms[] = {
        [TARGET_HTTP] = {"http://", 7},
        [TARGET_HTTPS] = {"https://", 8},
    };
    size_t form = 0;
    while (form < COUNT(forms) && (text.len < forms[form].len ||
                                   !span_eqi((struct span){text.p, forms[form].len}, forms[form])))
        form++;
    if (form == COUNT(forms))
        return err_set(err, ERR_DATA, "the target is no http:// or https:// URL");
    struct span rest = {text.p + forms[form].len, text.len - forms[form].len};
    struct span authority = {rest.p, 0};
    while (authority.len < rest.len && !strchr("/?#", rest.p[authority.len]))
        authority.len++;
    rest = (struct span){rest.p + authority.len, rest.len - authority.len};
    if (authority.len && memchr(authority.p, '@', authority.len))
        /* not shown: it may hold a password */
        return err_set(err, ERR_DATA, "the target holds user information, which is not taken");
    out->scheme = (enum target_scheme)form;
    return target_authority_parse(authority, target_scheme_port(out->scheme), &out->host, &out->port,
                                  err) &&
           parse_path_query(rest, arena, out, err);
}

bool target_parse_origin(struct span text, struct arena *arena, struct target *out, struct err *err)
{
    if (span_eqs(text, "*")) {
        out->path = "*";
        out->query = NULL;
        out->ambiguous = false;
        return true;
    }
    if (text.len == 0 || text.p[0] != '/')
        return err_set(err, ERR_DATA, "the target does not begin with /");
    return parse_path_query(text, arena, out, err);
}

bool target_write_origin(const struct target *target, struct buf *out)
{
    size_t before = out->len;
    bool ok = buf_adds(out, target->path) &&
              (!target->query || (buf_adds(out, "?") && buf_adds(out, target->query)));
    if (!ok)
        out->len = before;
    return ok;
}

bool target_is_canonical(const char *host, const char *path, bool *ambiguous, struct err *err)
{
    struct target_host parsed;

    if (!target_host_parse(span_of(host), &parsed, err))
        return false;
    AUTOFREE char *canonical = target_path_canonical(span_of(path), ambiguous, err);
    if (canonical == NULL)
        return false;
    if (strcmp(canonical, path) == 0 && strcmp(parsed.name, host) == 0)
        return true;
    return err_set(err, ERR_DENIED, "the request is not in canonical form");
}
