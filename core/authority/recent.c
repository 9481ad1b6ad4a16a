/* The newest lines of the record in a ring, and counters by session and host. It reads what the record has written and
 * decides nothing. */
#include "core/authority/recent.h"

#include "core/base/id.h"

#include <stdlib.h>

enum {
    SLOTS = 2 * RECENT_HOSTS, /* of a session's hash table: never full */
    LINE_KEEP_BYTES = 2048    /* of a line's memory, for the one that takes its place */
};

struct host {
    uint64_t allowed, denied, asked, credential;
    uint64_t last_ms;
    char name[];
};
struct talker {
    struct talker *next;
    struct host *slots[SLOTS];
    struct host *others; /* NULL: there are none */
    size_t count;
    char session[ULID_LEN + 1];
};
struct line {
    uint64_t seq;
    struct buf text; /* its memory is the next line's, unless that needs far less */
};
struct recent {
    struct line lines[RECENT_LINES]; /* seq % RECENT_LINES: the record counts by one */
    uint64_t newest;
    struct talker *talkers; /* whoever spoke last comes first */
    size_t talker_count;
};

struct recent *recent_new(void)
{
    return mem_alloc(sizeof(struct recent));
}

static void talker_free(struct talker *talker)
{
    for (size_t i = 0; i < SLOTS; i++)
        free(talker->slots[i]);
    free(talker->others);
    free(talker);
}

void recent_free(struct recent *recent)
{
    if (recent == NULL)
        return;
    while (recent->talkers != NULL) {
        struct talker *talker = recent->talkers;
        recent->talkers = talker->next;
        talker_free(talker);
    }
    for (size_t i = 0; i < RECENT_LINES; i++)
        buf_clear(&recent->lines[i].text);
    free(recent);
}

/* ---- lines ---- */

/* A line without what makes it long. */
static void put_short(struct buf *out, uint64_t seq, const struct audit_entry *entry)
{
    json_t *line JSON_AUTO = json_object();
    char now[32];

    clock_iso(clock_wall_ms(), now);
    json_put(line, "ts", now);
    json_put_int(line, "seq", (int64_t)seq);
    const char *session = audit_entry_text(entry, "session");
    json_put(line, "event", audit_entry_word(entry));
    json_put(line, "session", session[0] != 0 ? session : NULL);
    json_put(line, "message", "this line is too long to be shown here; see aileron audit show");
    AUTOFREE char *text = json_canonical(line);
    if (!buf_adds(out, text))
        abort(); /* its fields are bounded */
}

static void keep_line(struct recent *recent, uint64_t seq, struct span text, const struct audit_entry *entry)
{
    struct line *line = &recent->lines[seq % RECENT_LINES];

    if (line->text.cap > LINE_KEEP_BYTES)
        buf_clear(&line->text);
    line->text.len = 0;
    line->text.max = RECENT_LINE_BYTES;
    if (!buf_add(&line->text, text.p, text.len))
        put_short(&line->text, seq, entry);
    line->seq = seq;
    recent->newest = seq;
}

uint64_t recent_seq(const struct recent *recent)
{
    return recent->newest;
}

bool recent_lines(const struct recent *recent, uint64_t *after, size_t max, struct buf *out)
{
    uint64_t oldest = recent->newest >= RECENT_LINES ? recent->newest - RECENT_LINES + 1 : 1, missed = 0;
    size_t start = out->len;
    bool good, any = false;

    while (oldest <= recent->newest && recent->lines[oldest % RECENT_LINES].seq != oldest)
        oldest++; /* from before this daemon began */
    if (*after > recent->newest)
        *after = 0; /* of another record */
    if (*after + 1 < oldest) {
        missed = oldest - *after - 1;
        *after = oldest - 1;
    }
    good = buf_printf(out, "{\"missed\":%llu,\"lines\":[", (unsigned long long)missed);
    while (good && *after < recent->newest) {
        const struct line *line = &recent->lines[(*after + 1) % RECENT_LINES];
        if (any && out->len - start + line->text.len + 3 > max)
            break;
        good = (!any || buf_adds(out, ",")) && buf_add(out, line->text.data, line->text.len);
        any = true;
        ++*after;
    }
    return good && buf_adds(out, "]}");
}

/* ---- hosts ---- */

static struct talker *find_talker(struct recent *recent, const char *session, bool make)
{
    struct talker **at = &recent->talkers, *talker;

    while (*at != NULL && strcmp((*at)->session, session) != 0)
        at = &(*at)->next;
    talker = *at;
    if (talker != NULL) {
        *at = talker->next;
    } else if (!make || recent->talker_count >= RECENT_SESSIONS || strlen(session) > ULID_LEN) {
        return NULL;
    } else {
        talker = mem_alloc(sizeof *talker);
        memcpy(talker->session, session, strlen(session));
        recent->talker_count++;
    }
    talker->next = recent->talkers;
    recent->talkers = talker;
    return talker;
}

static void forget_talker(struct recent *recent, const char *session)
{
    struct talker *talker = find_talker(recent, session, false); /* is the first now */

    if (talker == NULL)
        return;
    recent->talkers = talker->next;
    recent->talker_count--;
    talker_free(talker);
}

static struct host *host_new(const char *name)
{
    size_t len = strlen(name);
    struct host *host = mem_alloc(sizeof *host + len + 1);

    memcpy(host->name, name, len);
    return host;
}

/* FNV-1a. The sandbox chooses the names and may make them collide: the table is small, so that a walk is short. */
static struct host *find_host(struct talker *talker, const char *name)
{
    uint32_t hash = 2166136261U;

    for (const char *p = name; *p != 0; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619U;
    size_t slot = hash % SLOTS;
    while (talker->slots[slot] != NULL && strcmp(talker->slots[slot]->name, name) != 0)
        slot = (slot + 1) % SLOTS;
    if (talker->slots[slot] != NULL)
        return talker->slots[slot];
    if (talker->count < RECENT_HOSTS && strlen(name) <= RECENT_HOST_BYTES) {
        talker->count++;
        return talker->slots[slot] = host_new(name);
    }
    if (talker->others == NULL)
        talker->others = host_new("");
    return talker->others;
}

static void count_line(struct recent *recent, const struct audit_entry *entry)
{
    const char *word = audit_entry_word(entry), *session = audit_entry_text(entry, "session");
    bool credential = strcmp(word, "credential") == 0;

    if (strcmp(word, "session.end") == 0)
        forget_talker(recent, session);
    if (strcmp(word, "network") != 0 && !credential)
        return;
    const char *name = audit_entry_text(entry, "host"), *decision = audit_entry_text(entry, "decision");
    if (name[0] == 0 || session[0] == 0)
        return;
    struct talker *talker = find_talker(recent, session, true);
    if (talker == NULL)
        return;
    struct host *host = find_host(talker, name);
    host->last_ms = clock_wall_ms();
    if (credential)
        host->credential += strcmp(decision, "allow") == 0;
    else if (strcmp(decision, "deny") == 0)
        host->denied++;
    else if (strcmp(decision, "approve") == 0)
        host->asked++;
    else
        host->allowed++;
}

void recent_line(struct recent *recent, uint64_t seq, struct span line, const struct audit_entry *entry)
{
    keep_line(recent, seq, line, entry);
    count_line(recent, entry);
}

static json_t *host_json(const struct host *host)
{
    json_t *shown = json_object();

    json_put(shown, "host", host->name);
    json_put_int(shown, "allowed", (int64_t)host->allowed);
    json_put_int(shown, "denied", (int64_t)host->denied);
    json_put_int(shown, "asked", (int64_t)host->asked);
    json_put_int(shown, "credential", (int64_t)host->credential);
    json_put_time(shown, "last", (int64_t)host->last_ms);
    return shown;
}

json_t *recent_hosts(const struct recent *recent, const char *session)
{
    const struct talker *talker = recent->talkers;

    while (talker != NULL && strcmp(talker->session, session) != 0)
        talker = talker->next;
    if (talker == NULL)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < SLOTS; i++)
        if (talker->slots[i] != NULL)
            json_array_append_new(list, host_json(talker->slots[i]));
    if (talker->others != NULL)
        json_array_append_new(list, host_json(talker->others));
    return list;
}
