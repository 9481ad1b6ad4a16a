/* What every step of a proxy case needs: its words, its peer, and waiting for something with the loop turned. */
#ifndef AILERON_TESTS_PLANE_STEP_H
#define AILERON_TESTS_PLANE_STEP_H

#include "plane_world.h"

struct step {
    char *words[20]; /* the rest are NULL */
    size_t count;
    const char *text; /* a quoted string or a block; NULL: none */
    size_t len;
};

struct script {
    struct world *world;
    struct buf answer; /* of the last `answer`: its head as text, then its body decoded */
    const char *name;
    int line;
};

#define STEP_FAIL(script, ...)                                                                                \
    do {                                                                                                      \
        print_message("%s:%d:\n", (script)->name, (script)->line);                                           \
        fail_msg(__VA_ARGS__);                                                                                \
    } while (0)

/* Turns the loop until the condition holds. */
#define UNTIL(script, condition, ...)                                                                         \
    do {                                                                                                      \
        uint64_t end_ms = clock_mono_ms() + WORLD_MS;                                                         \
        while (!(condition) && clock_mono_ms() < end_ms)                                                      \
            world_turn((script)->world);                                                                      \
        if (!(condition))                                                                                     \
            STEP_FAIL(script, __VA_ARGS__);                                                                   \
    } while (0)

static inline struct peer *step_peer(struct script *script, const struct step *step)
{
    return peer_named(script->world->peers, step->words[1] ? step->words[1] : "");
}

static inline uint64_t step_number(struct script *script, const struct step *step, size_t index)
{
    uint64_t value = 0;
    if (!step->words[index] || !text_u64(span_of(step->words[index]), UINT32_MAX, &value))
        STEP_FAIL(script, "a number is needed");
    return value;
}

static inline bool over(const struct peer *peer)
{
    return peer->eof || peer->failed;
}

#endif
