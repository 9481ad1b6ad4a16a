/* A round of a worker, taken at once: all lines, those of the credentials among them, are one write. Where that does
 * not succeed (the session's share is nearly used, the disk is full, a line is too long), each is written by itself, so
 * that one takes no other with it. */
#include "core/authority/round.h"

#include "core/authority/credential.h"
#include "core/authority/quota.h"
#include "core/authority/worker.h"

#include <string.h>

struct round {
    struct session *session;
    enum round_from from;
    struct audit_entry entries[MESSAGE_ROUND_MAX];
    struct credential *asked[MESSAGE_ROUND_MAX]; /* NULL: a line of the worker's own */
    size_t count, bound_count; /* bound: its line is the condition of something */
};

static bool take_one(struct round *round, struct span *rest, struct err *err)
{
    size_t at = round->count;
    struct span ahead = *rest;
    struct flat flat;

    if (at == MESSAGE_ROUND_MAX)
        return err_set(err, ERR_DATA, "more than %d lines and questions in one message", MESSAGE_ROUND_MAX);
    round->asked[at] = NULL;
    if (!flat_take(&ahead, &flat, err))
        return false;
    if (flat.kind == MESSAGE_FLAT_ASK && round->from == ROUND_DEAD) {
        *rest = ahead;
        return true;
    }
    if (flat.kind == MESSAGE_FLAT_ASK || flat.kind == MESSAGE_FLAT_USED) {
        *rest = ahead;
        round->asked[at] = credential_new(round->session, &flat, round->from == ROUND_DEAD, err);
        if (round->asked[at] == NULL)
            return false;
        round->bound_count += round->asked[at]->used || round->asked[at]->given != NULL;
        round->entries[at] = round->asked[at]->entry;
    } else if (audit_entry_take(rest, true, &round->entries[at], err)) {
        round->entries[at].session = round->session->id;
    } else {
        return false;
    }
    round->count++;
    return true;
}

/* It has happened: what the record cannot take now it takes later, and meanwhile nothing is lent. */
static void write_used(struct session *session, const struct credential *credential)
{
    struct err why = {0};

    if (!quota_write_used(session, &credential->entry, &why) &&
        (why.code == ERR_LIMIT || !lease_keep(session, &credential->text)))
        quota_lose(session, &credential->entry);
}

/* One after another: what cannot be recorded is not given. */
static void write_each(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        struct credential *credential = round->asked[i];
        struct err why = {0};
        if (credential != NULL && credential->used) {
            write_used(round->session, credential);
            continue;
        }
        if (credential != NULL && credential->given != NULL) {
            if (quota_write_entry(round->session, &credential->entry, &why))
                continue;
            credential_refuse(round->session, credential, &why);
        }
        quota_note_all(round->session, credential != NULL ? &credential->entry : &round->entries[i], 1);
    }
}

static void answer(struct round *round)
{
    struct worker_secret secrets[MESSAGE_ROUND_MAX];
    size_t count = 0;

    for (size_t i = 0; i < round->count; i++) {
        const struct credential *credential = round->asked[i];
        if (credential == NULL || credential->used)
            continue;
        if (credential->given != NULL)
            secrets[count++] = (struct worker_secret){(uint32_t)credential->id, credential->binding,
                                                      credential->username, credential->secret,
                                                      credential->lendable ? lease_give(round->session) : 0};
        else
            worker_refuse(round->session, (uint32_t)credential->id, &credential->why, credential->decision.rule,
                          credential->operation);
    }
    worker_send_secrets(round->session, secrets, count);
}

bool round_take(struct session *session, enum round_from from, const void *payload, size_t len, struct err *err)
{
    struct round round = {.session = session, .from = from};
    struct span rest = {payload, len};
    struct err why = {0};
    bool good = len > 0 || err_set(err, ERR_DATA, "nothing in a message for the record");

    while (good && rest.len > 0)
        good = take_one(&round, &rest, err);
    if (round.bound_count == 0)
        quota_note_all(session, round.entries, round.count);
    else if (!quota_write_all(session, round.entries, round.count, &why))
        write_each(&round);
    answer(&round);
    for (size_t i = 0; i < round.count; i++)
        credential_free(round.asked[i]);
    return good;
}
