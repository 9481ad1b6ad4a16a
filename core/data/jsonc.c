/* One pass over the text; it knows strings, comments and commas, and nothing else of JSON. A column behind a comment
 * on the same line counts its bytes, not its letters. */
#include "core/data/jsonc.h"

#include <stdlib.h>

static void blank(char *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (text[i] != '\n' && text[i] != '\r')
            text[i] = ' ';
}

/* The end of the string that begins at `at`; len where it does not end. */
static size_t string_end(const char *text, size_t len, size_t at)
{
    for (at++; at < len && text[at] != '"'; at++)
        if (text[at] == '\\')
            at++;
    return at < len ? at + 1 : len;
}

#define OPEN_COMMENT SIZE_MAX

/* The end of the comment at `at`; `at` itself where there is none, OPEN_COMMENT where it is never closed. */
static size_t comment_end(const char *text, size_t len, size_t at)
{
    if (text[at] != '/' || at + 1 == len)
        return at;
    if (text[at + 1] == '/') {
        const char *end = memchr(text + at, '\n', len - at);
        return end != NULL ? (size_t)(end - text) : len;
    }
    if (text[at + 1] != '*')
        return at;
    for (size_t i = at + 2; i + 1 < len; i++)
        if (text[i] == '*' && text[i + 1] == '/')
            return i + 2;
    return OPEN_COMMENT;
}

void jsonc_blank(char *text, size_t len)
{
    size_t comma = len; /* the last one, where nothing but blanks has followed it; len: none */
    char before = '\0'; /* what stood last that is no blank */

    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        blank(text, 0, 3);
    for (size_t i = 0; i < len;) {
        size_t end = comment_end(text, len, i);
        if (end == OPEN_COMMENT)
            return;
        if (end > i) {
            blank(text, i, end);
            i = end;
            continue;
        }
        char c = text[i];
        if ((c == ']' || c == '}') && comma < len)
            text[comma] = ' ';
        if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
            i++;
            continue;
        }
        /* A comma that no value stands before is no trailing one. */
        comma = c == ',' && before != '\0' && strchr("[{,:", before) == NULL ? i : len;
        before = c;
        i = c == '"' ? string_end(text, len, i) : i + 1;
    }
}

bool jsonc_parse(const void *bytes, size_t len, size_t max, const char *name, enum err_code code,
                 struct doc *out, struct err *err)
{
    if (len == 0 || len > max) /* its words for both */
        return json_parse(bytes, len, max, name, code, out, err);
    AUTOFREE char *text = mem_alloc(len);
    memcpy(text, bytes, len);
    jsonc_blank(text, len);
    return json_parse(text, len, max, name, code, out, err);
}
