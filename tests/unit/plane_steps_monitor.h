/* The steps of a proxy case about the monitor: what it is asked, what it answers, and what stands on the record. */
#ifndef AILERON_TESTS_PLANE_STEPS_MONITOR_H
#define AILERON_TESTS_PLANE_STEPS_MONITOR_H

#include "plane_step.h"

/* ---- the monitor ---- */

static const struct {
    const char *word;
    enum message_type type;
} step_types[] = {
    {"credential", MESSAGE_ROUND}         , {"run", MESSAGE_OP_RUN},  {"done", MESSAGE_OP_DONE},
    {"get", MESSAGE_OP_GET},                {"list", MESSAGE_OP_LIST}, {"ack", MESSAGE_OP_ACK},
    {"cancel", MESSAGE_CANCEL},             {"approval", MESSAGE_APPROVAL_ASK},
    {"upstream", MESSAGE_UPSTREAM_ASK},
};

static inline enum message_type step_type(struct script *script, const char *word)
{
    for (size_t i = 0; i < COUNT(step_types); i++)
        if (strcmp(step_types[i].word, word) == 0)
            return step_types[i].type;
    STEP_FAIL(script, "%s is no message", word);
    return 0;
}

static inline void drop_blanks(char *text)
{
    char *to = text;
    for (; *text; text++)
        if (*text != ' ')
            *to++ = *text;
    *to = 0;
}

/* A list is written without blanks. */
/* key=value words against an object. Returns NULL, or the first word that does not fit. */
static inline const char *mismatch(const json_t *object, const struct step *step, size_t from)
{
    for (size_t i = from; i < step->count; i++) {
        struct span rest = span_of(step->words[i]), key;
        assert_true(span_cut(&rest, '=', &key));
        AUTOFREE char *name = mem_strndup(key.p, key.len);
        const json_t *value = json_object_get(object, name);
        AUTOFREE char *shown = json_is_string(value) ? mem_strdup(json_string_value(value))
                               : value               ? json_canonical(value)
                                                     : mem_strdup("-");
        if (json_is_array(value))
            drop_blanks(shown);
        if (!span_eqs(rest, shown))
            return step->words[i];
    }
    return NULL;
}

static inline bool take_question(struct script *script, const struct step *step, enum message_type type, uint32_t *id)
{
    for (struct question **at = &script->world->questions; *at; at = &(*at)->next) {
        struct question *question = *at;
        if (question->type != type || mismatch(question->payload, step, 2))
            continue;
        *id = question->id;
        *at = question->next;
        question_free(question);
        return true;
    }
    return false;
}

static uint32_t step_asked; /* the id of the last question */

static inline void step_ask(struct script *script, const struct step *step)
{
    enum message_type type = step_type(script, step->words[1]);
    bool taken = false;
    UNTIL(script, taken = taken || take_question(script, step, type, &step_asked), "the monitor is not asked this");
}

static inline void step_unasked(struct script *script, const struct step *step)
{
    enum message_type type = step_type(script, step->words[1]);
    uint32_t id;
    world_wait(script->world, WORLD_QUIET_MS);
    if (take_question(script, step, type, &id))
        STEP_FAIL(script, "the monitor is asked");
}

static inline void monitor_say(struct script *script, enum message_type type, const void *data, size_t len)
{
    assert_true(ipc_send(script->world->monitor, (uint16_t)type, 0, step_asked, data, len, NULL, 0));
}

/* result TEXT [more]: a piece of a kept result, and the last one without `more`. */
static inline void step_result(struct script *script, const struct step *step)
{
    uint16_t flags = step->words[1] ? 0 : MESSAGE_LAST;
    assert_true(ipc_send(script->world->monitor, MESSAGE_OP_RESULT, flags, step_asked, step->text, step->len, NULL, 0));
}

/* give "secret": the credential. */
static inline void step_give(struct script *script, const struct step *step)
{
    struct buf flat CLEANUP(buf_clear);
    buf_init(&flat, IPC_PAYLOAD_MAX);
    flat_answer(&flat, step_asked, "corp", (struct span){step->text, step->len});
    monitor_say(script, MESSAGE_CREDENTIAL, flat.data, flat.len);
}

/* refuse CODE [ID] "message" */
static inline void step_refuse(struct script *script, const struct step *step)
{
    JSON_AUTO json_t *answer = json_object();
    json_put(answer, "code", step->words[1]);
    json_put(answer, "id", step->words[2]);
    json_put_span(answer, "message", (struct span){step->text, step->len});
    json_put(answer, "hint", "Do what the test says");
    AUTOFREE char *text = json_canonical(answer);
    monitor_say(script, MESSAGE_REFUSED, text, strlen(text));
}

/* halt CODE "message", and go. */
static inline void step_halt(struct script *script, const struct step *step)
{
    step_asked = 0;
    JSON_AUTO json_t *halt = json_object();
    json_put(halt, "code", step->words[1]);
    if (step->words[1])
        json_put_span(halt, "message", (struct span){step->text, step->len});
    AUTOFREE char *text = json_canonical(halt);
    bool halted = step->words[1] != NULL;
    monitor_say(script, MESSAGE_HALT, text, strlen(text));
    UNTIL(script, (script->world->plane.halted.code != ERR_NONE) == halted, "the plane does not take it");
    if (halted) /* another one may have held before */
        UNTIL(script, strcmp(script->world->plane.halted.message, step->text) == 0, "the plane does not take it");
}

/* start, state, listed, acked, approved "JSON": the other answers. */
static inline void step_operation(struct script *script, const struct step *step)
{
    static const struct {
        const char *word;
        enum message_type type;
    } types[] = {{"start", MESSAGE_OP_START}, {"state", MESSAGE_OP_STATE}, {"listed", MESSAGE_OP_LISTED},
                 {"acked", MESSAGE_OP_ACKED}, {"approved", MESSAGE_APPROVED}};
    for (size_t i = 0; i < COUNT(types); i++)
        if (strcmp(types[i].word, step->words[0]) == 0)
            monitor_say(script, types[i].type, step->text, step->len);
}

static inline void step_unasked_start(struct script *script, const struct step *step)
{
    step_asked = MESSAGE_UNASKED;
    monitor_say(script, MESSAGE_OP_START, step->text, step->len);
}

/* The next line of the record with this event and these fields, in any order with others. */
static inline bool take_record(struct script *script, const struct step *step)
{
    for (size_t i = 0; i < json_array_size(script->world->records); i++) {
        const json_t *row = json_array_get(script->world->records, i);
        const char *event = json_string_value(json_object_get(row, "event"));
        if (strcmp(event, step->words[1]) != 0 || mismatch(row, step, 2))
            continue;
        json_array_remove(script->world->records, i);
        return true;
    }
    return false;
}

static inline void step_record(struct script *script, const struct step *step)
{
    bool taken = false;
    for (uint64_t end = clock_mono_ms() + WORLD_MS; !taken && clock_mono_ms() < end;) {
        taken = take_record(script, step);
        if (!taken)
            world_turn(script->world);
    }
    if (!taken) {
        AUTOFREE char *all = json_canonical(script->world->records);
        STEP_FAIL(script, "there is no such line: %s", all);
    }
}

static inline void step_unrecorded(struct script *script, const struct step *step)
{
    world_wait(script->world, WORLD_QUIET_MS);
    if (take_record(script, step))
        STEP_FAIL(script, "there is such a line");
}

#endif
