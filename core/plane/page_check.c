/* Whose request is it? A page of another origin, a name that was bound to our address, a frame and a plain link all
 * reach a port on loopback; what tells them apart is in fields that only the browser writes (A04). The login is the
 * monitor's to check. */
#include "core/plane/page_private.h"

#include "core/base/mem.h"

#include <stdio.h>

enum { HOST_BYTES = 32 };

static bool refuse(const char **reason, const char *word, struct err *err, const char *message)
{
    *reason = word;
    err_set(err, ERR_DENIED, "%s", message);
    return err_hint(err, "Open the page with the link that aileron open prints");
}

/* A name that an attacker bound to 127.0.0.1 comes as that name. */
static bool own_host(struct span host, unsigned port)
{
    static const char *const names[] = {"127.0.0.1", "localhost"};
    char want[HOST_BYTES];

    for (size_t i = 0; i < COUNT(names); i++) {
        snprintf(want, sizeof want, "%s:%u", names[i], port);
        if (span_eqs(host, want))
            return true;
    }
    return false;
}

/* An API call that changes something always has an Origin; one that only reads has one from another origin at least. */
static bool own_origin(const struct service_request *req, struct span host)
{
    struct span origin = service_header(req, "Origin"), rest;

    if (origin.p == NULL)
        return !span_eqs(service_method(req), "POST");
    if (!span_starts(origin, "http://"))
        return false;
    rest = (struct span){origin.p + 7, origin.len - 7};
    return span_eq(rest, host);
}

static bool framed(const struct service_request *req)
{
    static const char *const kinds[] = {"iframe", "frame", "object", "embed", "fencedframe"};
    struct span dest = service_header(req, "Sec-Fetch-Dest");

    for (size_t i = 0; i < COUNT(kinds); i++)
        if (dest.p != NULL && span_eqs(dest, kinds[i]))
            return true;
    return false;
}

bool page_check(const struct service_request *req, unsigned port, bool api, const char **reason, struct err *err)
{
    struct span host = service_header(req, "Host"), site = service_header(req, "Sec-Fetch-Site");

    if (host.p == NULL || !own_host(host, port))
        return refuse(reason, "host", err, "this is not the name of the page");
    if (framed(req))
        return refuse(reason, "frame", err, "the page is not for frames");
    if (!own_origin(req, host))
        return refuse(reason, "origin", err, "another origin has no business here");
    if (api && site.p != NULL && !span_eqs(site, "same-origin"))
        return refuse(reason, "site", err, "another site has no business here");
    return true;
}

/* Named after the port: browsers keep one jar for all ports of a host, and a user may have two daemons. */
struct span page_cookie(const struct service_request *req, unsigned port)
{
    struct span rest = service_header(req, "Cookie"), pair, name;
    char want[HOST_BYTES];

    snprintf(want, sizeof want, "aileron_%u", port);
    while (rest.p != NULL && span_cut(&rest, ';', &pair)) {
        struct span value = span_trim(pair);
        if (span_cut(&value, '=', &name) && span_eqs(name, want))
            return value;
    }
    return (struct span){0};
}
