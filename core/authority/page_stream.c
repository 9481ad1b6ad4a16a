/* What the page is told without asking: server-sent events. A stream says "approvals" and "state" where these have
 * changed (the page asks again then), and the record's new lines. A browser that does not read is told nothing more
 * until it has read, and gets the newest lines then. */
#include "core/authority/page_private.h"

#include <stdlib.h>
#include <string.h>

enum { LINES_BYTES = 40 * 1024 };

static void drop(struct page_stream *stream)
{
    struct page_stream **at = &stream->page->streams;

    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    timer_stop(&stream->pace);
    free(stream);
}

static struct page_stream *find(struct page *page, uint32_t id)
{
    struct page_stream *stream = page->streams;

    while (stream != NULL && stream->id != id)
        stream = stream->next;
    return stream;
}

/* The page is told that no more will come, and why. */
static void end(struct page_stream *stream, const char *why)
{
    struct buf piece CLEANUP(buf_clear);

    buf_init(&piece, PAGE_PIECE_BYTES);
    if (buf_printf(&piece, "event: end\ndata: \"%s\"\n\n", why))
        page_send(stream->page, PAGE_DATA, PAGE_LAST, stream->id, &piece);
    drop(stream);
}

/* ---- what there is to tell ---- */

static bool compose(struct page_stream *stream, struct buf *piece)
{
    struct page *page = stream->page;
    uint64_t version = approval_version(page->monitor);
    bool good = true;

    if (version != stream->approvals)
        good = buf_printf(piece, "event: approvals\ndata: %llu\n\n", (unsigned long long)version);
    stream->approvals = version;
    if (stream->state)
        good = good && buf_adds(piece, "event: state\ndata: 1\n\n");
    stream->state = false;
    if (stream->after != recent_seq(page->recent))
        good = good && buf_adds(piece, "event: lines\ndata: ") &&
               recent_lines(page->recent, &stream->after, LINES_BYTES, piece) && buf_adds(piece, "\n\n");
    if (stream->beat && piece->len == 0)
        good = good && buf_adds(piece, ":\n\n");
    stream->beat = false;
    return good;
}

static void pump(void *arg)
{
    struct page_stream *stream = arg;
    struct buf piece CLEANUP(buf_clear) = {0};

    if (stream->waits || timer_running(&stream->pace))
        return;
    buf_init(&piece, PAGE_PIECE_BYTES);
    if (!compose(stream, &piece)) {
        end(stream, "it fell behind");
        return;
    }
    if (piece.len == 0)
        return;
    page_send(stream->page, PAGE_DATA, 0, stream->id, &piece);
    stream->waits = true;
    timer_start(&stream->pace, PAGE_PACE_MS);
}

static void tell_all(void *arg)
{
    struct page *page = arg;

    if (!page->watching) /* a watch is for once, and may not be renewed from within its call */
        approval_watch(page->monitor, &page->watch);
    page->watching = true;
    for (struct page_stream *stream = page->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        pump(stream);
    }
}

static void on_beat(void *arg)
{
    struct page *page = arg;

    for (struct page_stream *stream = page->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        stream->beat = true;
        if (!page_login_alive(page->logins, stream->login))
            end(stream, "the login is over");
    }
    tell_all(page);
    timer_start(&page->beat, PAGE_BEAT_MS);
}

/* ---- what happens ---- */

static void on_approvals(void *arg)
{
    struct page *page = arg;

    page->watching = false;
    task_post(&page->news);
}

/* Sessions, vault, rules: nothing of them changes without its line. Traffic is not that. */
static bool is_state(const char *event)
{
    static const char *const parts[] = {"daemon.", "policy.", "session.", "worker.", "vault", "connector"};

    for (size_t i = 0; i < COUNT(parts); i++)
        if (strncmp(event, parts[i], strlen(parts[i])) == 0)
            return true;
    return false;
}

static void on_line(void *arg, uint64_t seq, struct span line, const struct audit_entry *entry)
{
    struct page *page = arg;
    const char *word = audit_entry_word(entry);

    recent_line(page->recent, seq, line, entry);
    if (page->streams == NULL)
        return;
    for (struct page_stream *stream = page->streams; stream != NULL; stream = stream->next)
        stream->state = stream->state || is_state(word);
    task_post(&page->news);
}

void page_streams_start(struct page *page)
{
    task_init(&page->news, page->monitor->loop, tell_all, page);
    timer_init(&page->beat, page->monitor->loop, on_beat, page);
    timer_start(&page->beat, PAGE_BEAT_MS);
    page->watch = (struct approval_watch){.fn = on_approvals, .arg = page};
    tell_all(page);
    record_on_line(page->monitor->record, on_line, page);
}

void page_streams_stop(struct page *page)
{
    page_streams_end(page, 0);
    record_on_line(page->monitor->record, NULL, NULL);
    approval_unwatch(page->monitor, &page->watch);
    task_cancel(&page->news);
    timer_stop(&page->beat);
}

void page_streams_end(struct page *page, uint64_t login)
{
    for (struct page_stream *stream = page->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        if (login == 0)
            drop(stream);
        else if (stream->login == login)
            end(stream, "logged out");
    }
}

/* ---- what the worker says ---- */

void page_stream_open(struct page *page, const struct page_ask *ask)
{
    struct page_stream *stream, *oldest = NULL;
    struct buf head CLEANUP(buf_clear) = {0};
    size_t count = 0;

    if (find(page, ask->id) != NULL)
        return; /* a worker that counts wrongly gets no second one */
    for (stream = page->streams; stream != NULL; stream = stream->next, count++)
        oldest = stream;
    if (count >= PAGE_STREAMS)
        end(oldest, "too many pages are open");
    buf_init(&head, PAGE_HEAD_BYTES);
    if (!buf_adds(&head, "{\"status\":200}") || !buf_add(&head, "", 1))
        return;
    page_send(page, PAGE_ANSWER, 0, ask->id, &head);
    stream = mem_alloc(sizeof *stream);
    *stream = (struct page_stream){.page = page, .id = ask->id, .login = ask->login, .after = (uint64_t)ask->after,
                                   .state = true, .next = page->streams};
    page->streams = stream;
    timer_init(&stream->pace, page->monitor->loop, pump, stream);
    pump(stream);
}

void page_stream_more(struct page *page, uint32_t id)
{
    struct page_stream *stream = find(page, id);

    if (stream == NULL)
        return;
    stream->waits = false;
    pump(stream);
}

void page_stream_gone(struct page *page, uint32_t id)
{
    struct page_stream *stream = find(page, id);

    if (stream != NULL)
        drop(stream);
}
