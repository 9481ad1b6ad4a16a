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

void lines_clear(struct lines *lines)
{
    buf_clear(&lines->round);
    buf_clear(&lines->text);
    task_cancel(&lines->now);
    timer_stop(&lines->late);
}

void lines_flush(struct lines *lines)
{
    task_cancel(&lines->now);
    lines->waited = false;
    if (lines->round.len == 0)
        return;
    timer_stop(&lines->late);
    ipc_send(lines->ipc, MESSAGE_ROUND, 0, 0, lines->round.data, lines->round.len, NULL, 0);
    if (lines->round.cap > KEEP_BYTES)
        buf_clear(&lines->round);
    lines->round.len = 0;
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

static bool add(struct lines *lines)
{
    bool added = lines->count < MESSAGE_ROUND_MAX && buf_add(&lines->round, lines->text.data, lines->text.len);
    lines->count += added;
    return added;
}

void lines_add(struct lines *lines, bool late)
{
    bool good = flat_end(&lines->out);
    if (good && !add(lines)) {
        lines_flush(lines);
        good = add(lines);
    }
    if (!good)
        log_error("a line for the record is larger than a message");
    if (lines->text.cap > KEEP_BYTES)
        buf_clear(&lines->text);
    if (!late)
        task_post(&lines->now);
    else if (!timer_running(&lines->late))
        timer_start(&lines->late, LINES_LATE_MS);
}
