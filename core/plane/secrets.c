/* Sets of needles by their secret, a reference for each request, and a timer for the ones that rest. */
#include "core/plane/secrets.h"
#include "core/base/secret.h"

#include <stdlib.h>

struct secrets {
    struct plane *plane;
    struct secrets *next;
    unsigned refs; /* 0: it rests */
    struct timer rest;
    struct needles *needles;
    size_t len;
    char text[];
};

static void wipe(void *arg)
{
    struct secrets *secrets = arg, **link = &secrets->plane->secrets;
    while (*link != secrets)
        link = &(*link)->next;
    *link = secrets->next;
    timer_stop(&secrets->rest);
    needles_free(secrets->needles);
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
