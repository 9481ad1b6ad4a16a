/* Three small readers beside each other, a byte at a time. Where services differ in what they take for the name, all of
 * their spellings are it. */
#include "core/wire/form.h"

static const char name[] = "_method";
enum { NAME_LEN = sizeof(name) - 1, NO_NAME = NAME_LEN + 1 };

/* ---- which ---- */

static bool mentions(struct span text, struct span word)
{
    for (size_t i = 0; i + word.len <= text.len; i++)
        if (span_eqi((struct span){text.p + i, word.len}, word))
            return true;
    return false;
}

/* Also where several types stand in one: which of them counts, services do not agree. */
static unsigned kinds_of(struct span type)
{
    return (mentions(type, SPAN("x-www-form-urlencoded")) || type.len == 0 ? FORM_URLENCODED : 0U) |
           (mentions(type, SPAN("multipart/")) ? FORM_MULTIPART : 0U) | (mentions(type, SPAN("json")) ? FORM_JSON : 0U);
}

unsigned form_kinds(const struct msg *request)
{
    unsigned kinds = 0;
    bool any = false;
    for (size_t i = 0; i < request->fields.count; i++) {
        if (!msg_name_alike(request->fields.items[i].name, "Content-Type"))
            continue;
        any = true;
        kinds |= kinds_of(request->fields.items[i].value);
    }
    return any ? kinds : FORM_URLENCODED; /* as Rack takes what has no type */
}

/* ---- the name ---- */

/* PHP makes an underscore of a dot and of a bracket that is not closed, and drops spaces in front. */
static bool begins(char c)
{
    return c == '_' || c == '.' || c == '[';
}

static unsigned name_next(unsigned at, char c)
{
    return at > 0 && at < NAME_LEN && c == name[at] ? at + 1 : NO_NAME;
}

/* ---- application/x-www-form-urlencoded ---- */

static int hex_of(char c)
{
    uint8_t byte;
    char pair[2] = {'0', c};
    return text_unhex((struct span){pair, sizeof(pair)}, &byte, 1) ? byte : -1;
}

static void key_char(struct form_scan *scan, char c)
{
    if (scan->key == 0 && (c == ' ' || c == '+'))
        return;
    scan->found |= scan->key == NAME_LEN && c == 0; /* PHP ends a name there */
    bool bracket = scan->key == NAME_LEN && c == ']', front = scan->key <= 1 && (begins(c) || c == ']');
    if (front) /* Rack drops brackets on both sides */
        scan->key = 1;
    else if (!bracket)
        scan->key = name_next(scan->key, c);
}

static void next_urlencoded(struct form_scan *scan, char c)
{
    int digit = scan->escape > 0 ? hex_of(c) : -1;
    if (digit >= 0) {
        scan->byte = scan->byte << 4 | (unsigned)digit;
        if (--scan->escape == 0)
            key_char(scan, (char)scan->byte);
        return;
    }
    if (scan->escape > 0)
        scan->key = NO_NAME;
    scan->escape = 0;
    if (c == '&' || c == ';') {
        scan->key = 0;
    } else if (c == '=') {
        scan->found |= scan->key == NAME_LEN;
        scan->key = NO_NAME;
    } else if (c == '%') {
        scan->escape = 2;
        scan->byte = 0;
    } else {
        key_char(scan, c);
    }
}

bool form_in_query(const char *query)
{
    struct form_scan scan;
    form_scan_init(&scan, FORM_URLENCODED);
    return form_scan_next(&scan, span_of(query));
}

/* ---- multipart ---- */

static const char *const about_name[FORM_FIELDS] = {"content-disposition", "content-id"};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Whether a field that a part has its name from has just been met: anywhere, since services do not agree on where a
 * line begins, and c occurs in it once. */
static bool is_about_name(struct form_scan *scan, char c)
{
    bool met = false;
    for (size_t i = 0; i < FORM_FIELDS; i++) {
        unsigned at = scan->field[i];
        scan->field[i] = c == about_name[i][at] ? at + 1 : c == 'c';
        met |= !about_name[i][scan->field[i]];
        scan->field[i] = about_name[i][scan->field[i]] ? scan->field[i] : 0;
    }
    return met;
}

/* As a word of its own, in whichever parameter. */
static void field_char(struct form_scan *scan, char c)
{
    scan->found |= scan->part == NAME_LEN && !is_word(c);
    if (begins(c) && !scan->in_word)
        scan->part = 1;
    else
        scan->part = name_next(scan->part, c) % NO_NAME;
    scan->in_word = is_word(c);
}

/* From such a field to the end of the part's head, which is an empty line with both its bytes: others are taken for a
 * blank somewhere. */
static void next_multipart(struct form_scan *scan, char c)
{
    static const char empty_line[] = "\r\n\r\n";
    c = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    if (is_about_name(scan, c)) {
        scan->named = true;
        scan->part = scan->ends = 0;
        return;
    }
    if (!scan->named)
        return;
    scan->found |= c == '\\' && scan->part == NAME_LEN;
    if (c == '\\') /* it ends a word, or stands before a letter that is itself */
        return;
    field_char(scan, c);
    scan->ends = c == empty_line[scan->ends] ? scan->ends + 1 : c == '\r';
    scan->named = scan->ends < sizeof(empty_line) - 1;
}

/* ---- JSON ---- */

static void string_char(struct form_scan *scan, char c)
{
    scan->word = scan->word < NAME_LEN && c == name[scan->word] ? scan->word + 1 : NO_NAME;
}

/* Of an escape: the letter behind the backslash, then the four digits of \uXXXX. */
static void next_escaped(struct form_scan *scan, char c)
{
    int digit = hex_of(c);
    if (scan->slash == 1) {
        scan->slash = c == 'u' ? 5 : 0;
        scan->unit = 0;
        if (c != 'u')
            string_char(scan, 0); /* none of the others stands for a letter of it */
        return;
    }
    scan->unit = scan->unit << 4 | (unsigned)(digit < 0 ? 0 : digit);
    if (--scan->slash == 1) {
        scan->slash = 0;
        string_char(scan, scan->unit < 0x80 ? (char)scan->unit : 0);
    }
}

static void next_json(struct form_scan *scan, char c)
{
    if (scan->slash > 0) {
        next_escaped(scan, c);
    } else if (c == '"') {
        scan->found |= scan->quoted && scan->word == NAME_LEN;
        scan->quoted = !scan->quoted;
        scan->word = 0;
    } else if (scan->quoted && c == '\\') {
        scan->slash = 1;
    } else if (scan->quoted) {
        string_char(scan, c);
    }
}

/* ---- all ---- */

void form_scan_init(struct form_scan *scan, unsigned kinds)
{
    *scan = (struct form_scan){.kinds = kinds};
}

bool form_scan_next(struct form_scan *scan, struct span data)
{
    for (size_t i = 0; i < data.len && !scan->found; i++) {
        if (scan->kinds & FORM_URLENCODED)
            next_urlencoded(scan, data.p[i]);
        if (scan->kinds & FORM_MULTIPART)
            next_multipart(scan, data.p[i]);
        if (scan->kinds & FORM_JSON)
            next_json(scan, data.p[i]);
    }
    return scan->found;
}

bool form_scan_end(struct form_scan *scan)
{
    scan->found |= scan->named && scan->part == NAME_LEN;
    return scan->found;
}
