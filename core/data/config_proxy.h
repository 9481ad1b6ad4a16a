/* The corporate proxy of config.yaml (network.upstream_proxy and its neighbours), and which connections go through
 * it. */
#ifndef AILERON_DATA_CONFIG_PROXY_H
#define AILERON_DATA_CONFIG_PROXY_H

#include "core/data/match.h"
#include "core/wire/addr.h"

enum { CONFIG_NO_PROXY_MAX = 64 };

struct config_proxy {
    char *host;       /* canonical; NULL: there is none */
    uint16_t port;
    char *credential; /* a vault entry of the kind basic; NULL: none */
    bool resolves;    /* names are left to it: their addresses are not known here */
    struct match *hosts; /* of no_proxy */
    size_t host_count;
    struct cidr *ranges;
    size_t range_count;
};
/* Reads the keys of the section "network"; proxy is zeroed. False: what is there is still the caller's to clear. */
bool config_proxy_from(struct config_proxy *proxy, const struct json_at *network, struct err *err) MUSTUSE NONNULL;
void config_proxy_clear(struct config_proxy *proxy) NONNULL;
/* Whether a connection to that host goes through it. addrs: where it is, if that is known (count 0: not). A range of
 * no_proxy holds where every one of them is in some range. */
bool config_proxy_for(const struct config_proxy *proxy, struct span host, const struct addr *addrs, size_t count)
    MUSTUSE NONNULL_AT(1);

#endif
