/* The canonical form of a path (RFC 3986 6.2.2): one spelling, so that a rule sees what the upstream will
 * resolve (threat C07). What servers are known to read in different ways is refused or marked. */
#include "core/wire/target.h"

#include <stdlib.h>

enum kind {
    KEEP,   /* unreserved, sub-delims, ':', '@', '/': stands for itself */
    ESCAPE, /* visible, but not of a path: written escaped */
    REFUSE
};

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* c is compared before strchr, which would find the NUL at its end. */
static bool is_unreserved(char c)
{
    return is_alnum(c) || (c && strchr("-._~", c));
}

static enum kind kind_of(char c)
{
    if (is_unreserved(c) || (c && strchr("!$&'()*+,;=:@/", c)))
        return KEEP;
    if (c > ' ' && c < 0x7f && !strchr("\\#?%", c))
        return ESCAPE;
    return REFUSE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static size_t put_escape(char *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    out[0] = '%';
    out[1] = digits[byte >> 4];
    out[2] = digits[byte & 15];
    return 3;
}

/* Why an escaped byte cannot stay; NULL: it can. */
static const char *escaped_complaint(unsigned char byte)
{
    if (byte == '/')
        return "an escaped slash (%2F), which servers read in two ways";
    if (byte == '\\')
        return "an escaped backslash (%5C)";
    if (byte < 0x20 || byte == 0x7f)
        return "an escaped control character";
    return NULL;
}

/* Writes text with each byte in its one spelling; at most 3 bytes a byte. plain gets the bytes themselves. */
static bool respell(struct span text, char *out, char *plain, size_t *plain_len, struct err *err)
{
    size_t at = 0, n = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        if (c != '%') {
            enum kind kind = kind_of(c);
            if (kind == REFUSE)
                return err_set(err, ERR_DATA, "the path holds %s",
                               c == '\\'  ? "a backslash"
                               : c == '#' ? "a fragment (#), which is not sent"
                                          : "a byte that must be percent-encoded");
            if (kind == ESCAPE)
                at += put_escape(out + at, (unsigned char)c);
            else
                out[at++] = c;
            plain[n++] = c;
            continue;
        }
        int high = i + 1 < text.len ? hex_value(text.p[i + 1]) : -1;
        int low = i + 2 < text.len ? hex_value(text.p[i + 2]) : -1;
        if (high < 0 || low < 0)
            return err_set(err, ERR_DATA, "the path holds a malformed percent escape");
        unsigned char byte = (unsigned char)(high << 4 | low);
        const char *complaint = escaped_complaint(byte);
        if (complaint)
            return err_set(err, ERR_DATA, "the path holds %s", complaint);
        if (is_unreserved((char)byte))
            out[at++] = (char)byte;
        else
            at += put_escape(out + at, byte);
        plain[n++] = (char)byte;
        i += 2;
    }
    out[at] = 0;
    *plain_len = n;
    return true;
}

/* What servers are known to read in different ways, though each part of it is legal. */
static bool is_ambiguous(const char *path, struct span plain)
{
    if (strstr(path, "//"))
        return true; /* merged by some */
    if (plain.len && memchr(plain.p, ';', plain.len))
        return true; /* path parameters are cut off by some */
    if (!text_utf8_valid(plain))
        return true; /* overlong forms of '/' and '.' are decoded by some */
    for (const char *p = strstr(path, "%25"); p; p = strstr(p + 3, "%25"))
        if (hex_value(p[3]) >= 0 && hex_value(p[4]) >= 0)
            return true; /* decoded twice by some */
    return false;
}

/* "..;x": resolved where parameters are cut off first. */
static bool dots_with_parameters(const char *segment, size_t len)
{
    size_t dots = strspn(segment, ".");
    return (dots == 1 || dots == 2) && dots < len &&
           (segment[dots] == ';' || (len - dots >= 3 && strncmp(segment + dots, "%3B", 3) == 0));
}

/* RFC 3986 5.2.4, in place: path begins with '/'. */
static bool resolve_dots(char *path, struct err *err)
{
    size_t read = 0, write = 0; /* both at a '/' */
    while (path[read]) {
        const char *segment = path + read + 1;
        size_t len = strcspn(segment, "/");
        bool last = !segment[len];
        if (dots_with_parameters(segment, len))
            return err_set(err, ERR_DATA, "the path holds a dot segment with parameters");
        bool one = len == 1 && segment[0] == '.';
        bool two = len == 2 && segment[0] == '.' && segment[1] == '.';
        if (two) {
            while (write > 0 && path[--write] != '/')
                ;
        }
        if (one || two) {
            if (last)
                path[write++] = '/';
        } else {
            memmove(path + write, path + read, len + 1);
            write += len + 1;
        }
        read += len + 1;
    }
    path[write] = 0;
    return true;
}

char *target_path_canonical(struct span path, bool *ambiguous, struct err *err)
{
    AUTOFREE char *plain = NULL;
    char *out;
    size_t plain_len = 0;
    *ambiguous = false;
    if (path.len == 0)
        path = SPAN("/");
    if (path.p[0] != '/') {
        err_set(err, ERR_DATA, "the path does not begin with /");
        return NULL;
    }
    if (path.len > TARGET_PATH_BYTES) {
        err_set(err, ERR_LIMIT, "the path is longer than %d bytes", TARGET_PATH_BYTES);
        return NULL;
    }
    out = mem_alloc(3 * path.len + 1);
    plain = mem_alloc(path.len);
    if (!respell(path, out, plain, &plain_len, err)) {
        free(out);
        return NULL;
    }
    *ambiguous = is_ambiguous(out, (struct span){plain, plain_len});
    if (!resolve_dots(out, err)) {
        free(out);
        return NULL;
    }
    return out;
}
