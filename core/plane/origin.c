/* From a request's own words to the place that its connection stands for. It asks no rule. */
#include "core/plane/origin.h"

bool origin_target(const struct origin *origin, const struct msg *msg, struct arena *arena, struct target *target,
                   int *status, struct err *err)
{
    struct target_host host;
    uint16_t port;
    *status = 400;
    if (msg->target.len == 0 || (msg->target.p[0] != '/' && !span_eqs(msg->target, "*")))
        return err_set(err, ERR_DATA, "only a path can be asked for on this connection");
    if (span_eqs(msg->target, "*") && !span_eqs(msg->method, "OPTIONS")) /* 3.2.4; no rule about paths sees it */
        return err_set(err, ERR_DATA, "only OPTIONS can be asked of *");
    if (!target_parse_origin(msg->target, arena, target, err))
        return false;
    target->scheme = origin->scheme;
    target->host = origin->host;
    target->port = origin->port;
    struct span named = msg_get(msg, "Host");
    if (!named.p)
        return true;
    if (!target_authority_parse(named, target_scheme_port(origin->scheme), &host, &port, err))
        return false;
    if (!target_host_equal(&host, &origin->host) || port != origin->port) {
        *status = 421;
        err_set(err, ERR_DENIED, "the request is for %s, but this connection was made to %s", host.name,
                origin->host.name);
        return err_hint(err, "Make a connection to the host that is meant");
    }
    return true;
}
