/* core/wire/http2 against RFC 9113, section by section, as h2spec does it: raw frames to a server and to a client of
 * ours, and what comes back. The rows are tests/http2/conformance.rows, which says how they are written. */
#include "tests/unit/http2_world.h"

#include "core/base/file.h"

enum { ROWS_MAX = 256, ROWS_BYTES = 64 * 1024, WORDS_MAX = 48, FRAME_MAX = 20000 };
enum { PING = 6, RST_STREAM = 3, GOAWAY = 7, SETTINGS = 4, ACK = 1 };

struct row {
    unsigned line;
    char *words[WORDS_MAX]; /* section, side, frames, "=>", reaction */
    size_t count;
};
static struct row rows[ROWS_MAX];

/* ---- what comes back ---- */

struct reaction {
    bool goaway, reset, alive; /* alive: a PING at the end was answered */
    uint32_t goaway_code, reset_code;
    unsigned acks;             /* of SETTINGS */
};

static uint32_t number_at(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void look_at(struct reaction *reaction, const uint8_t *frame, size_t len)
{
    const uint8_t *payload = frame + 9;
    if (frame[3] == GOAWAY && len >= 8) {
        reaction->goaway = true;
        reaction->goaway_code = number_at(payload + 4);
    } else if (frame[3] == RST_STREAM && !reaction->reset) {
        reaction->reset = true;
        reaction->reset_code = number_at(payload);
    } else if (frame[3] == PING && frame[4] & ACK && memcmp(payload, "at last.", 8) == 0) {
        reaction->alive = true;
    } else if (frame[3] == SETTINGS && frame[4] & ACK) {
        reaction->acks++;
    }
}

static void drain(struct side *side, struct reaction *reaction)
{
    struct buf out;
    struct span bytes;
    buf_init(&out, 1 << 20);
    while ((bytes = http2_next_bytes(side->session)).len > 0)
        assert_true(buf_add(&out, bytes.p, bytes.len));
    size_t at = out.len >= 24 && memcmp(out.data, "PRI *", 5) == 0 ? 24 : 0;
    while (at + 9 <= out.len) {
        size_t len = (size_t)out.data[at] << 16 | (size_t)out.data[at + 1] << 8 | out.data[at + 2];
        assert_true(at + 9 + len <= out.len);
        look_at(reaction, out.data + at, len);
        at += 9 + len;
    }
    buf_clear(&out);
}

/* ---- frames ---- */

/* A length and the bytes; %HH for what a row cannot hold. */
static void add_string(struct buf *out, struct span text)
{
    uint8_t string[128];
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        if (byte == '%') {
            assert_true(i + 2 < text.len && text_unhex((struct span){text.p + i + 1, 2}, &byte, 1));
            i += 2;
        }
        assert_true(len < sizeof(string) - 1);
        string[++len] = byte;
    }
    string[0] = (uint8_t)len;
    assert_true(buf_add(out, string, len + 1));
}

/* HPACK (RFC 7541 6.2.2): a literal without indexing. */
static void add_field(struct buf *out, const char *text)
{
    struct span value = span_of(text), name;
    assert_true(span_cut(&value, '=', &name) && buf_add(out, "\0", 1));
    add_string(out, name);
    add_string(out, value);
}

static void add_fields(struct buf *out, const char *const *fields)
{
    for (; *fields; fields++)
        add_field(out, *fields);
}

/* One part of a payload. */
static void add_part(struct buf *out, char *part)
{
    static const char *const get[] = {":method=GET", ":scheme=https", ":path=/", ":authority=api.test", NULL};
    static const char *const post[] = {":method=POST", ":scheme=https", ":path=/", ":authority=api.test", NULL};
    static const char *const ok[] = {":status=200", NULL};
    char *star = strchr(part, '*');
    uint8_t byte;
    if (strcmp(part, "get") == 0) {
        add_fields(out, get);
    } else if (strcmp(part, "post") == 0) {
        add_fields(out, post);
    } else if (strcmp(part, "ok") == 0) {
        add_fields(out, ok);
    } else if (part[0] == '@') {
        add_field(out, part + 1);
    } else if (star) { /* N*HH */
        uint64_t count;
        assert_true(text_u64((struct span){part, (size_t)(star - part)}, FRAME_MAX, &count) &&
                    text_unhex(span_of(star + 1), &byte, 1));
        while (count-- > 0)
            assert_true(buf_add(out, &byte, 1));
    } else {
        for (char *p = part; *p; p += 2)
            assert_true(p[1] && text_unhex((struct span){p, 2}, &byte, 1) && buf_add(out, &byte, 1));
    }
}

static uint8_t frame_type(const char *name)
{
    static const char *const names[] = {"DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING",
                                        "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"};
    for (uint8_t i = 0; i < COUNT(names); i++)
        if (strcmp(names[i], name) == 0)
            return i;
    uint8_t type = 0;
    assert_true(name[0] == 'x' && text_unhex(span_of(name + 1), &type, 1));
    return type;
}

static uint8_t frame_flags(const char *letters)
{
    static const struct {
        char letter;
        uint8_t bit;
    } flags[] = {{'s', 1}, {'a', 1}, {'h', 4}, {'p', 8}, {'q', 0x20}, {'u', 0x40}, {'-', 0}};
    uint8_t found = 0;
    for (; *letters; letters++) {
        size_t i = 0;
        while (i < COUNT(flags) && flags[i].letter != *letters)
            i++;
        assert_true(i < COUNT(flags));
        found |= flags[i].bit;
    }
    return found;
}

/* TYPE/FLAGS/STREAM/PAYLOAD, or raw/PAYLOAD. */
static void add_frame(struct buf *out, const char *word)
{
    AUTOFREE char *copy = mem_strdup(word);
    char *rest = copy, *type = strsep(&rest, "/");
    struct buf payload;
    buf_init(&payload, FRAME_MAX);
    char *flags = strcmp(type, "raw") == 0 ? NULL : strsep(&rest, "/");
    char *stream = flags ? strsep(&rest, "/") : NULL;
    for (char *part; rest && (part = strsep(&rest, "+")) != NULL;)
        if (*part)
            add_part(&payload, part);
    if (flags) {
        uint32_t id = stream[0] == 'r' ? 0x80000000u : 0;
        id |= (uint32_t)strtoul(stream + (stream[0] == 'r'), NULL, 10);
        uint8_t head[9] = {(uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8), (uint8_t)payload.len,
                           frame_type(type), frame_flags(flags), (uint8_t)(id >> 24), (uint8_t)(id >> 16),
                           (uint8_t)(id >> 8), (uint8_t)id};
        assert_true(buf_add(out, head, sizeof(head)));
    }
    assert_true(buf_add(out, payload.data ? payload.data : (const uint8_t *)"", payload.len));
    buf_clear(&payload);
}

/* ---- a row ---- */

static struct arena *arena;

/* A client of ours has asked already, on stream 1; "client" GET, "client-head", "client-post" with its body open. */
static void ask(const char *side)
{
    struct msg msg;
    struct err err;
    msg_init(&msg, arena);
    bool post = strcmp(side, "client-post") == 0;
    assert_true(msg_request(&msg, strcmp(side, "client-head") == 0 ? SPAN("HEAD") : post ? SPAN("POST") : SPAN("GET"),
                            SPAN("/"), &err) &&
                msg_add(&msg, SPAN("Host"), SPAN("api.test"), &err));
    msg.framing = post ? MSG_CHUNKED : MSG_NONE;
    client.stream = http2_request(client.session, &msg, "https", SPAN("/"), NULL, &client, &err);
    assert_non_null(client.stream);
}

static struct side *begin(const char *side, struct reaction *reaction)
{
    struct buf out;
    struct err err;
    bool of_server = strncmp(side, "server", 6) == 0;
    struct side *tested = of_server ? &server : &client;
    http2_free(tested->session);
    tested->session = of_server ? http2_server(&handler, &server) : http2_client(&handler, &client);
    tested->keep_body = strstr(side, "-unread") != NULL;
    if (!of_server)
        ask(side);
    buf_init(&out, 256);
    if (of_server && strcmp(side, "server-bare") != 0)
        assert_true(buf_adds(&out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    if (strcmp(side, "server-bare") != 0)
        add_frame(&out, "SETTINGS/-/0/");
    if (strcmp(side, "server-bare") != 0 && !strstr(side, "-unacked"))
        add_frame(&out, "SETTINGS/a/0/");
    drain(tested, reaction);
    if (out.len)
        assert_true(http2_receive(tested->session, (struct span){(char *)out.data, out.len}, &err));
    drain(tested, reaction);
    reaction->acks = 0;
    buf_clear(&out);
    return tested;
}

static const char *shown(const struct reaction *reaction, const struct side *side)
{
    static char text[160];
    if (reaction->goaway)
        snprintf(text, sizeof(text), "connection %s", http2_code_word(reaction->goaway_code));
    else if (reaction->reset)
        snprintf(text, sizeof(text), "stream %s%s", http2_code_word(reaction->reset_code),
                 reaction->alive ? "" : " (and not alive)");
    else
        snprintf(text, sizeof(text), "%s: %u heads, %u acks, %u closed, body of %zu%s",
                 reaction->alive ? "alive" : "dead", side->heads, reaction->acks, side->closed, side->body.len,
                 side->ended ? ", ended" : "");
    return text;
}

static bool as_expected(const struct reaction *reaction, const struct side *side, const struct row *row, size_t at,
                        bool good)
{
    const char *what = row->words[at], *code = at + 1 < row->count ? row->words[at + 1] : "";
    if (strcmp(what, "refused") == 0)
        return !good && !reaction->alive && side->heads == 0;
    if (strcmp(what, "over") == 0)
        return good && !reaction->goaway && !reaction->alive && http2_over(side->session) &&
               (side->closed ? strcmp(http2_code_word(side->code), code) == 0 : *code == 0);
    if (strcmp(what, "connection") == 0)
        return reaction->goaway && strcmp(http2_code_word(reaction->goaway_code), code) == 0;
    if (reaction->goaway || !reaction->alive)
        return false;
    if (strcmp(what, "stream") == 0)
        return reaction->reset && strcmp(http2_code_word(reaction->reset_code), code) == 0;
    if (reaction->reset)
        return false;
    if (strcmp(what, "heads") == 0)
        return side->heads == strtoul(code, NULL, 10);
    if (strcmp(what, "body") == 0)
        return side->body.len == strtoul(code, NULL, 10) && side->ended;
    if (strcmp(what, "acked") == 0)
        return reaction->acks == strtoul(code, NULL, 10);
    if (strcmp(what, "closed") == 0)
        return side->closed == 1 && strcmp(http2_code_word(side->code), code) == 0;
    return strcmp(what, "ignored") == 0 && side->heads == 0 && reaction->acks == 0;
}

static void test_row(void **state)
{
    const struct row *row = *state;
    struct reaction reaction = {0};
    struct buf out;
    struct err err;
    size_t at = 2;
    setup(NULL);
    arena = arena_new(MSG_ARENA_BYTES);
    struct side *side = begin(row->words[1], &reaction);
    buf_init(&out, 256 * 1024);
    for (; at < row->count && strcmp(row->words[at], "=>") != 0; at++)
        add_frame(&out, row->words[at]);
    assert_true(at + 1 < row->count);
    bool good = http2_receive(side->session, (struct span){(char *)out.data, out.len}, &err);
    drain(side, &reaction);
    buf_clear(&out);
    add_frame(&out, "PING/-/0/6174206c6173742e"); /* "at last." */
    good = good && http2_receive(side->session, (struct span){(char *)out.data, out.len}, &err);
    drain(side, &reaction);
    buf_clear(&out);
    /* Where we end the connection the owner is told so, whatever goes out. */
    if (!as_expected(&reaction, side, row, at + 1, good) || (reaction.goaway && good && !http2_over(side->session)))
        fail_msg("tests/http2/conformance.rows:%u: it is: %s", row->line, shown(&reaction, side));
    arena_free(arena);
    teardown(NULL);
}

static size_t read_rows(struct CMUnitTest *tests, const struct buf *file)
{
    struct span rest = {(const char *)file->data, file->len}, line, word;
    size_t count = 0;
    for (unsigned number = 1; span_cut(&rest, '\n', &line); number++) {
        if (line.len == 0 || line.p[0] == '#')
            continue;
        struct row *row = &rows[count];
        row->line = number;
        AUTOFREE char *name = mem_strndup(line.p, line.len);
        while (span_cut(&line, ' ', &word))
            if (word.len && row->count < WORDS_MAX)
                row->words[row->count++] = mem_strndup(word.p, word.len);
        tests[count++] = (struct CMUnitTest){.name = mem_strdup(name), .test_func = test_row, .initial_state = row};
        if (count == ROWS_MAX)
            break;
    }
    return count;
}

int main(void)
{
    static struct CMUnitTest tests[ROWS_MAX];
    struct err err;
    struct buf file;
    if (!file_read("tests/http2/conformance.rows", ROWS_BYTES, &file, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    size_t count = read_rows(tests, &file);
    buf_clear(&file);
    int failed = _cmocka_run_group_tests("conformance", tests, count, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)tests[i].name);
        for (size_t w = 0; w < rows[i].count; w++)
            free(rows[i].words[w]);
    }
    return failed != 0;
}
