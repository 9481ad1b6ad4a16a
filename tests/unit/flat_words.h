/* Flat objects as JSON, both ways, for tests that speak as a worker or as the monitor. */
#ifndef AILERON_TESTS_FLAT_WORDS_H
#define AILERON_TESTS_FLAT_WORDS_H

#include "core/data/audit.h"
#include "core/data/message.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>

#include <cmocka.h>

enum { FLAT_WORDS_BYTES = 4 * 1024 * 1024 };

/* Appends a question for a credential. */
static inline void flat_question(struct buf *out, uint32_t id, const json_t *fields)
{
    struct flat_out flat;
    const char *key;
    json_t *value;

    flat_begin(&flat, out, MESSAGE_FLAT_ASK, message_ask_names);
    flat_put_int(&flat, "id", id);
    json_object_foreach((json_t *)(uintptr_t)fields, key, value) {
        if (json_is_integer(value))
            flat_put_int(&flat, key, json_integer_value(value));
        else
            flat_put(&flat, key, json_string_value(value));
    }
    assert_true(flat_end(&flat));
}

/* Appends events that are written as JSON, one a line. */
static inline void flat_lines(struct buf *out, const char *text, size_t len)
{
    struct span rest = {text, len}, line;
    struct err err;

    while (span_cut(&rest, '\n', &line)) {
        json_t *event = json_loadb(line.p, line.len, 0, NULL);
        assert_non_null(event);
        if (!audit_event_flat(event, out, &err))
            fail_msg("%.*s: %s", SPAN_ARG(line), err.message);
        json_decref(event);
    }
}

/* Flattens and appends; false also where one of them is no event. */
static inline bool flat_append_all(struct audit *audit, json_t *const *events, size_t count, bool durable,
                                   struct err *err)
{
    struct audit_entry entries[8];
    struct buf flat CLEANUP(buf_clear);
    bool good = true;
    buf_init(&flat, 1 << 20);
    for (size_t i = 0; i < count && good; i++)
        good = audit_event_flat(events[i], &flat, err);
    struct span rest = {(const char *)flat.data, flat.len};
    for (size_t i = 0; i < count && good; i++)
        good = audit_entry_take(&rest, false, &entries[i], err);
    return good && audit_append_all(audit, entries, count, durable, err);
}

/* Appends an answer with a credential. */
static inline void flat_answer(struct buf *out, uint32_t id, const char *username, struct span secret)
{
    struct flat_out flat;

    flat_begin(&flat, out, MESSAGE_FLAT_ANSWER, message_answer_names);
    flat_put_int(&flat, "id", id);
    flat_put(&flat, "binding", "user/api");
    flat_put(&flat, "username", username);
    flat_put_bytes(&flat, "secret", secret.p, secret.len);
    assert_true(flat_end(&flat));
}

/* A checked object as JSON; bytes are shown as a text. Caller's reference. */
static inline json_t *flat_json(const struct flat *flat)
{
    json_t *object = json_object();
    struct span rest = flat->fields;
    struct flat_field field;

    while (flat_next(&rest, &field)) {
        const char *name = flat->names[field.index];
        if (field.type == FLAT_INT)
            json_put_int(object, name, field.number);
        else if (field.type == FLAT_TEXT || field.type == FLAT_BYTES)
            json_put_span(object, name, field.text);
        else
            json_put_bool(object, name, field.type == FLAT_TRUE);
    }
    return object;
}

/* The one answer with a credential of a message; fails the test where it is not one. */
static inline json_t *flat_heard(const void *payload, size_t len)
{
    struct span rest = {payload, len};
    struct flat flat;
    struct err err;

    if (!flat_take(&rest, &flat, &err) || !flat_check(&flat, message_answer_names, &err))
        fail_msg("%s", err.message);
    assert_int_equal(rest.len, 0);
    assert_int_equal(flat.kind, MESSAGE_FLAT_ANSWER);
    return flat_json(&flat);
}

#endif
