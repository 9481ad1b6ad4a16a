/* A buffer of lines and when it is sent. What may stand in a line is the monitor's to judge. */
#include "core/plane/lines.h"

#include "core/base/log.h"
#include "core/data/message.h"

static void on_time(void *arg)
{
    lines_flush(arg);
}

void lines_init(struct lines *lines, struct loop *loop, struct ipc *ipc)
{
    lines->ipc = ipc;
    buf_init(&lines->text, IPC_PAYLOAD_MAX);
    task_init(&lines->now, loop, on_time, lines);
    timer_init(&lines->late, loop, on_time, lines);
}

void lines_clear(struct lines *lines)
{
    buf_clear(&lines->text);
    task_cancel(&lines->now);
    timer_stop(&lines->late);
}

void lines_flush(struct lines *lines)
{
    task_cancel(&lines->now);
    if (lines->text.len == 0)
        return;
    timer_stop(&lines->late);
    ipc_send(lines->ipc, MESSAGE_RECORD, 0, 0, lines->text.data, lines->text.len, NULL, 0);
    buf_clear(&lines->text);
    lines->count = 0;
}

static bool add(struct lines *lines, const json_t *event)
{
    size_t before = lines->text.len;
    if (lines->count < MESSAGE_LINES_MAX && json_write(event, &lines->text) && buf_adds(&lines->text, "\n")) {
        lines->count++;
        return true;
    }
    lines->text.len = before;
    return false;
}

void lines_add(struct lines *lines, json_t *event, bool late)
{
    bool added = add(lines, event);
    if (!added) {
        lines_flush(lines);
        added = add(lines, event);
    }
    if (!added)
        log_error("a line for the record is larger than a message");
    json_decref(event);
    if (!late)
        task_post(&lines->now);
    else if (!timer_running(&lines->late))
        timer_start(&lines->late, LINES_LATE_MS);
}
