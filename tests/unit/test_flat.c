/* Flat objects: what was put comes back, what flat_put would not have written is refused, and a line printed from one
 * is byte for byte what a JSON library prints of the same event. */
#include "tests/unit/flat_words.h"

#include <stdlib.h>

#include "core/base/id.h"

static const char *const names[] = {"a", "b", "c", "d", "e", NULL};

static struct flat taken(const struct buf *buf)
{
    struct span rest = {(const char *)buf->data, buf->len};
    struct flat flat;
    struct err err;
    if (!flat_take(&rest, &flat, &err) || !flat_check(&flat, names, &err))
        fail_msg("%s", err.message);
    assert_int_equal(rest.len, 0);
    return flat;
}

static void comes_back(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_clear);
    struct flat_out out;
    struct flat_field field;
    struct err err;
    const char *text = NULL;
    int64_t number = 0;
    buf_init(&buf, 4096);
    flat_begin(&out, &buf, 7, names);
    flat_put(&out, "c", "text");
    flat_put_int(&out, "a", INT64_MIN);
    flat_put(&out, "e", NULL);
    flat_put_bool(&out, "b", true);
    flat_put_bytes(&out, "d", "\0\xff", 2);
    assert_true(flat_end(&out));
    struct flat flat = taken(&buf);
    assert_int_equal(flat.kind, 7);
    assert_true(flat_get_text(&flat, "c", FLAT_NEED, 4, &text, &err));
    assert_string_equal(text, "text");
    assert_false(flat_get_text(&flat, "c", FLAT_NEED, 3, &text, &err));
    assert_false(flat_get_text(&flat, "d", FLAT_MAY, 9, &text, &err)); /* bytes are no text */
    assert_false(flat_get_text(&flat, "e", FLAT_NEED, 9, &text, &err));
    assert_true(flat_get_text(&flat, "e", FLAT_MAY, 9, &text, &err));
    assert_true(flat_get_int(&flat, "a", INT64_MIN, 0, &number, &err));
    assert_true(number == INT64_MIN);
    assert_false(flat_get_int(&flat, "a", INT64_MIN + 1, 0, &number, &err));
    assert_false(flat_get_int(&flat, "c", 0, 9, &number, &err));
    assert_true(flat_find(&flat, "d", &field) && field.type == FLAT_BYTES && field.text.len == 2);
    assert_true(flat_find(&flat, "b", &field) && field.type == FLAT_TRUE);
    assert_false(flat_find(&flat, "e", &field));
}

static void a_control_character_is_no_text_of_a_question(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_clear);
    struct flat_out out;
    struct err err;
    const char *text = NULL;
    buf_init(&buf, 4096);
    flat_begin(&out, &buf, 7, names);
    flat_put(&out, "a", "x\ny");
    flat_put(&out, "b", "\x7f");
    flat_put(&out, "c", "");
    assert_true(flat_end(&out));
    struct flat flat = taken(&buf);
    assert_false(flat_get_text(&flat, "a", FLAT_NEED, 9, &text, &err));
    assert_false(flat_get_text(&flat, "b", FLAT_NEED, 9, &text, &err));
    assert_false(flat_get_text(&flat, "c", FLAT_NEED, 9, &text, &err));
    assert_true(flat_get_text(&flat, "c", FLAT_MAY, 9, &text, &err));
}

/* What does not fit leaves nothing behind. */
static void limit_room(void **state)
{
    (void)state;
    struct buf buf CLEANUP(buf_clear);
    struct flat_out out;
    buf_init(&buf, FLAT_HEAD_BYTES + FLAT_FIELD_BYTES + 4);
    flat_begin(&out, &buf, 0, names);
    flat_put(&out, "a", "12345");
    assert_false(flat_end(&out));
    assert_int_equal(buf.len, 0);
    flat_begin(&out, &buf, 0, names);
    flat_put(&out, "a", "1234");
    assert_true(flat_end(&out));
    assert_int_equal(buf.len, buf.max);
}

/* {head, fields}: each differs from a good one in one thing. */
static void refuses_all_else(void **state)
{
    (void)state;
#define B(bytes) {(bytes), sizeof(bytes) - 1}
    static const struct span bad[] = {
        B(""), B("\0\0\0\0"), B("\1\0\0"), B("\2\0\0\0\7"),                     /* no kind; cut short */
        B("\xff\xff\xff\xff\7"),                                                /* longer than what there is */
        B("\2\0\0\0\7\0"), B("\3\0\0\0\7\5\4"),                                 /* half a field; no such name */
        B("\3\0\0\0\7\0\0"), B("\3\0\0\0\7\0\6"),                               /* no such type */
        B("\5\0\0\0\7\0\4\0\5"), B("\5\0\0\0\7\0\4\0\4"),                       /* a field twice */
        B("\12\0\0\0\7\0\3\0\0\0\0\0\0\0"),                                     /* seven bytes of eight */
        B("\11\0\0\0\7\0\1\1\0\0\0xy"),                                         /* no NUL behind it */
        B("\11\0\0\0\7\0\1\2\0\0\0x\0"), B("\11\0\0\0\7\0\1\0\0\0\0\0x"),       /* longer, shorter than it says */
        B("\11\0\0\0\7\0\1\xff\xff\xff\xffx\0"), B("\7\0\0\0\7\0\1\0\0\0\0"),
        B("\11\0\0\0\7\0\1\1\0\0\0\0\0"), B("\11\0\0\0\7\0\1\1\0\0\0\xff\0"),   /* a NUL in it; not UTF-8 */
    };
    static const char good[] = "\11\0\0\0\7\0\1\1\0\0\0x\0";
    struct flat flat;
    struct err err;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct span rest = bad[i];
        if (flat_take(&rest, &flat, &err) && flat_check(&flat, names, &err) && rest.len == 0)
            fail_msg("the object %zu is taken", i);
    }
    struct span rest = {good, sizeof good - 1};
    assert_true(flat_take(&rest, &flat, &err) && flat_check(&flat, names, &err) && rest.len == 0);
}

/* ---- lines ---- */

static json_t *cut_as_before(const char *text)
{
    size_t len = strlen(text);
    if (len <= AUDIT_FIELD_MAX)
        return json_string(text);
    len = AUDIT_FIELD_MAX;
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    AUTOFREE char *cut = mem_printf("%.*s...", (int)len, text);
    return json_string(cut);
}

/* The members of a line as the JSON library has them: those that lead, then the others in their order. */
static char *as_before(const json_t *event)
{
    static const char *const leading[] = {"event", "session", "id"};
    json_t *line JSON_AUTO = json_object(), *value;
    const char *key;
    for (size_t i = 0; i < COUNT(leading); i++)
        if ((value = json_object_get(event, leading[i])))
            json_object_set_new(line, leading[i], cut_as_before(json_string_value(value)));
    json_object_foreach((json_t *)(uintptr_t)event, key, value)
        if (!json_object_get(line, key))
            json_object_set_new(line, key, json_is_string(value) ? cut_as_before(json_string_value(value))
                                                                 : json_incref(value));
    return json_dumps(line, JSON_COMPACT);
}

static void assert_same(const json_t *event)
{
    struct buf flat CLEANUP(buf_clear), text CLEANUP(buf_clear);
    struct audit_entry entry;
    struct err err;
    buf_init(&flat, FLAT_WORDS_BYTES);
    buf_init(&text, FLAT_WORDS_BYTES);
    if (!audit_event_flat(event, &flat, &err))
        fail_msg("%s", err.message);
    struct span rest = {(const char *)flat.data, flat.len};
    assert_true(audit_entry_take(&rest, false, &entry, &err));
    assert_true(buf_adds(&text, "{") && audit_entry_members(&entry, &text) && buf_adds(&text, "}"));
    char *want = as_before(event);
    assert_string_equal(buf_cstr(&text), want);
    free(want);
}

static uint64_t seed;

static unsigned any(unsigned count)
{
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (unsigned)(seed >> 33) % count;
}

/* Every byte below 0x80 but NUL, characters of two to four bytes, and lengths around the bound. */
static char *any_text(void)
{
    static const char *const odd[] = {"\xc2\x80", "\xc3\xa9", "\xe2\x80\xae", "\xef\xbb\xbf", "\xf0\x9f\x98\x80",
                                      "\xf4\x8f\xbf\xbf", "\\", "\"", "/", "\x7f", "</script>", "\xe2\x80\xa8"};
    static const size_t lengths[] = {0, 1, 5, 40, AUDIT_FIELD_MAX - 2, AUDIT_FIELD_MAX, AUDIT_FIELD_MAX + 1, 5000};
    struct buf text;
    size_t len = lengths[any(COUNT(lengths))];
    unsigned plain = any(3);
    buf_init(&text, 16384);
    while (text.len < len) {
        const char *piece = odd[any(COUNT(odd))];
        char c = plain == 0 ? 'a' : (char)(1 + any(0x7f));
        bool good = plain < 2 || any(2) ? buf_add(&text, &c, 1) : buf_adds(&text, piece);
        assert_true(good);
    }
    return (char *)(uintptr_t)buf_cstr(&text); /* its bytes are the caller's to free */
}

static json_t *any_event(const struct audit_event *row)
{
    json_t *event = json_object();
    size_t count = 0;
    while (row->fields[count])
        count++;
    json_put(event, "event", row->word);
    for (size_t n = any((unsigned)count + 1); n > 0; n--) {
        size_t at = any((unsigned)count);
        const char *key = row->fields[at];
        char *text = any_text();
        unsigned type = at < AUDIT_LEADING ? 0 : any(4);
        if (type == 1)
            json_put_int(event, key, (int64_t)seed);
        else if (type == 2)
            json_put_bool(event, key, any(2));
        else
            json_object_set_new(event, key, json_string(text));
        free(text);
    }
    return event;
}

static void lines_are_what_they_were(void **state)
{
    (void)state;
    seed = getenv("FLAT_SEED") ? strtoull(getenv("FLAT_SEED"), NULL, 10) : clock_wall_ms();
    print_message("FLAT_SEED=%llu\n", (unsigned long long)seed);
    for (const struct audit_event *row = audit_event_table(); row->word; row++) {
        for (int i = 0; i < 100; i++) {
            json_t *event = any_event(row);
            assert_same(event);
            json_decref(event);
        }
    }
    char every[0x80] = "";
    for (char c = 1; c < 0x7f; c++)
        every[c - 1] = c;
    json_t *event = json_pack("{s:s, s:s, s:I, s:b}", "event", "network", "host", every, "port", INT64_MIN, "captured",
                              0);
    assert_same(event);
    json_decref(event);
}

/* The session that the monitor gives stands where one of the event's own would. */
static void a_session_leads(void **state)
{
    (void)state;
    struct buf flat CLEANUP(buf_clear), text CLEANUP(buf_clear);
    struct audit_entry entry;
    struct flat_out out;
    struct err err;
    buf_init(&flat, 4096);
    buf_init(&text, 4096);
    assert_true(audit_event_begin(&out, &flat, "network"));
    flat_put(&out, "host", "\xff");
    flat_put(&out, "id", "7");
    assert_true(flat_end(&out));
    struct span rest = {(const char *)flat.data, flat.len}, again = rest;
    assert_false(audit_entry_take(&again, true, &entry, &err)); /* an id is not a worker's to give */
    assert_true(audit_entry_take(&rest, false, &entry, &err));
    entry.session = "s";
    assert_true(audit_entry_members(&entry, &text));
    assert_string_equal(buf_cstr(&text), "\"event\":\"network\",\"session\":\"s\",\"id\":\"7\",\"host\":\"\\\\xff\"");
}

static void bytes_are_no_event(void **state)
{
    (void)state;
    struct buf flat CLEANUP(buf_clear);
    struct audit_entry entry;
    struct flat_out out;
    struct err err;
    buf_init(&flat, 4096);
    assert_true(audit_event_begin(&out, &flat, "network"));
    flat_put_bytes(&out, "host", "\0", 1);
    assert_true(flat_end(&out));
    struct span rest = {(const char *)flat.data, flat.len};
    assert_false(audit_entry_take(&rest, true, &entry, &err));
    assert_false(audit_event_begin(&out, &flat, "nonsense"));
}

/* C13: that a credential was given is not a worker's to say. */
static void c13_an_event_of_the_monitor(void **state)
{
    (void)state;
    struct buf flat CLEANUP(buf_clear);
    struct audit_entry entry;
    struct err err;
    buf_init(&flat, 4096);
    flat_lines(&flat, SPAN("{\"event\":\"credential\"}").p, sizeof "{\"event\":\"credential\"}" - 1);
    struct span rest = {(const char *)flat.data, flat.len}, again = rest;
    assert_true(audit_entry_take(&rest, false, &entry, &err));
    assert_false(audit_entry_take(&again, true, &entry, &err));
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {T(comes_back), T(a_control_character_is_no_text_of_a_question), T(limit_room),
                                       T(refuses_all_else), T(lines_are_what_they_were), T(a_session_leads),
                                       T(bytes_are_no_event), T(c13_an_event_of_the_monitor)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
