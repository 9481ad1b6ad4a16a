/* Sets of needles by their secret, a reference for each request, and a timer for the ones that rest. */
#include "core/plane/secrets.h"
#include "core/base/id.h"
#include "core/base/secret.h"

#include <stdlib.h>

struct secrets {
    struct plane *plane;
    struct secrets *next;
    unsigned refs; /* 0: it rests */
    struct timer rest;
    struct needles *needles;
    char *binding, *host, *username; /* what it is lent for; NULL: for nothing */
    uint16_t port;
    uint64_t grant, lent_until;
    size_t len;
    char text[];
};

static void take_back(struct secrets *secrets)
{
    if (secrets->username)
        secret_wipe(secrets->username, strlen(secrets->username));
    free(secrets->username);
    free(secrets->binding);
    free(secrets->host);
    secrets->username = secrets->binding = secrets->host = NULL;
}

static void wipe(void *arg)
{
    struct secrets *secrets = arg, **link = &secrets->plane->secrets;
    while (*link != secrets)
        link = &(*link)->next;
    *link = secrets->next;
    timer_stop(&secrets->rest);
    needles_free(secrets->needles);
    take_back(secrets);
    secret_wipe(secrets->text, secrets->len);
    loop_defer(secrets->plane->loop, free, secrets); /* its own timer may be what calls */
}

struct secrets *secrets_take(struct plane *plane, struct span secret)
{
    struct secrets *found = plane->secrets;
    while (found && (found->len != secret.len || !secret_equal(found->text, secret.p, secret.len)))
        found = found->next;
    if (found) {
        timer_stop(&found->rest);
        found->refs++;
        return found;
    }
    struct secrets *made = mem_alloc(sizeof(*made) + secret.len);
    *made = (struct secrets){.plane = plane, .next = plane->secrets, .refs = 1, .needles = needles_new(),
                             .len = secret.len};
    memcpy(made->text, secret.p, secret.len);
    needles_add(made->needles, secret, 0);
    timer_init(&made->rest, plane->loop, wipe, made);
    plane->secrets = made;
    return made;
}

void secrets_lend(struct secrets *secrets, const struct secrets_use *use, const char *username, uint64_t grant)
{
    take_back(secrets);
    secrets->binding = mem_strdup(use->binding);
    secrets->host = mem_strdup(use->host);
    secrets->username = mem_strdup(username);
    secrets->port = use->port;
    secrets->grant = grant;
    secrets->lent_until = clock_mono_ms() + SECRETS_LENT_MS;
}

struct secrets *secrets_lent(struct plane *plane, const struct secrets_use *use)
{
    const struct journal *journal = plane->lines.journal;
    uint64_t grant = journal ? atomic_load_explicit(&journal->grant, memory_order_acquire) : 0;
    struct secrets *found = grant ? plane->secrets : NULL;
    while (found && (!found->binding || found->grant != grant || found->port != use->port ||
                     strcmp(found->host, use->host) != 0 || strcmp(found->binding, use->binding) != 0))
        found = found->next;
    if (!found || clock_mono_ms() >= found->lent_until)
        return NULL;
    timer_stop(&found->rest);
    found->refs++;
    return found;
}

struct span secrets_text(const struct secrets *secrets)
{
    return (struct span){secrets->text, secrets->len};
}

const char *secrets_username(const struct secrets *secrets)
{
    return secrets->username ? secrets->username : "";
}

uint64_t secrets_grant(const struct secrets *secrets)
{
    return secrets->grant;
}

void secrets_give(struct secrets *secrets)
{
    size_t resting = 0;
    if (!secrets || --secrets->refs > 0)
        return;
    for (struct secrets *other = secrets->plane->secrets; other; other = other->next)
        resting += other->refs == 0;
    if (resting > SECRETS_RESTING_MAX)
        wipe(secrets);
    else
        timer_start(&secrets->rest, SECRETS_REST_MS);
}

const struct needles *secrets_needles(const struct secrets *secrets)
{
    return secrets->needles;
}

void secrets_forget(struct plane *plane)
{
    struct secrets *next;
    for (struct secrets *at = plane->secrets; at; at = next) {
        next = at->next;
        if (at->refs == 0)
            wipe(at);
    }
}
