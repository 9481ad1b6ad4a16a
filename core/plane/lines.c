/* A buffer of flat objects and when it is sent. What may stand in a line is the monitor's to judge. */
#include "core/plane/lines.h"

#include "core/base/log.h"
#include "core/data/message.h"

#include <stdlib.h>

enum { KEEP_BYTES = 16 * 1024 };

static void on_time(void *arg)
{
    lines_flush(arg);
}

/* The step after a decision is, as a rule, the question that it leads to: it comes with it. */
static void on_round(void *arg)
{
    struct lines *lines = arg;
    if (lines->waited) {
        lines_flush(lines);
        return;
    }
    lines->waited = true;
    task_post(&lines->now);
}

void lines_init(struct lines *lines, struct loop *loop, struct ipc *ipc)
{
    lines->ipc = ipc;
    buf_init(&lines->round, IPC_PAYLOAD_MAX);
    buf_init(&lines->text, IPC_PAYLOAD_MAX);
    task_init(&lines->now, loop, on_round, lines);
    timer_init(&lines->late, loop, on_time, lines);
}

void lines_journal(struct lines *lines, struct journal *journal, uint32_t last)
{
    uint64_t taken = atomic_load_explicit(&journal->taken, memory_order_acquire);
    lines->journal = journal;
    lines->serial = taken + (uint32_t)(last - (uint32_t)taken);
}

void lines_clear(struct lines *lines)
{
    buf_clear(&lines->round);
    buf_clear(&lines->text);
    task_cancel(&lines->now);
    timer_stop(&lines->late);
}

void lines_flush(struct lines *lines)
{
    const struct buf *round = lines->sheet ? &lines->kept : &lines->round;
    task_cancel(&lines->now);
    lines->waited = false;
    if (lines->count == 0)
        return;
    timer_stop(&lines->late);
    ipc_send(lines->ipc, MESSAGE_ROUND, lines->sheet ? MESSAGE_KEPT : 0, lines->sheet ? (uint32_t)lines->serial : 0,
             round->data, round->len, NULL, 0);
    if (lines->round.cap > KEEP_BYTES)
        buf_clear(&lines->round);
    lines->round.len = 0;
    lines->sheet = NULL;
    lines->count = 0;
}

struct flat_out *lines_event(struct lines *lines, const char *word)
{
    lines->text.len = 0;
    if (!audit_event_begin(&lines->out, &lines->text, word))
        abort(); /* not one of the table's */
    return &lines->out;
}

struct flat_out *lines_ask(struct lines *lines)
{
    lines->text.len = 0;
    flat_begin(&lines->out, &lines->text, MESSAGE_FLAT_ASK, message_ask_names);
    return &lines->out;
}

struct flat_out *lines_use(struct lines *lines)
{
    lines->text.len = 0;
    flat_begin(&lines->out, &lines->text, MESSAGE_FLAT_USED, message_ask_names);
    return &lines->out;
}

/* Where a new round lies: in the journal, where it has a free sheet and that holds its first object. */
static void begin(struct lines *lines)
{
    if (lines->sheet) { /* begun, and nothing came */
        lines->serial--;
        lines->sheet = NULL;
    }
    if (!lines->journal || lines->text.len > JOURNAL_BYTES ||
        !(lines->sheet = journal_begin(lines->journal, lines->serial + 1)))
        return;
    lines->serial++;
    lines->kept = (struct buf){.data = lines->sheet->bytes, .cap = JOURNAL_BYTES, .max = JOURNAL_BYTES};
}

static bool add(struct lines *lines)
{
    struct buf *round = lines->sheet ? &lines->kept : &lines->round;
    if (lines->count >= MESSAGE_ROUND_MAX || !buf_add(round, lines->text.data, lines->text.len))
        return false;
    lines->count++;
    if (lines->sheet) /* the monitor may read it from now on, also after our end */
        atomic_store_explicit(&lines->sheet->len, (uint32_t)round->len, memory_order_release);
    return true;
}

/* Into this round, or into the next one. */
static bool put(struct lines *lines, bool journal_only)
{
    bool done = false;
    for (int tries = 0; !done && tries < 2; tries++) {
        if (lines->count == 0)
            begin(lines);
        done = (lines->sheet || !journal_only) && add(lines);
        if (!done)
            lines_flush(lines);
    }
    if (lines->text.cap > KEEP_BYTES)
        buf_clear(&lines->text);
    return done;
}

static void flush_late(struct lines *lines)
{
    if (!timer_running(&lines->late))
        timer_start(&lines->late, LINES_LATE_MS);
}

void lines_add(struct lines *lines, enum lines_when when)
{
    if (!flat_end(&lines->out) || !put(lines, false))
        log_error("a line for the record is larger than a message");
    if (when == LINES_LATE || (when == LINES_KEPT && lines->sheet))
        flush_late(lines);
    else
        task_post(&lines->now);
}

bool lines_keep(struct lines *lines)
{
    if (!flat_end(&lines->out) || !put(lines, true))
        return false;
    flush_late(lines);
    return true;
}
