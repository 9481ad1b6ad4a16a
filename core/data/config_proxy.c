/* Reads the proxy of config.yaml and says which connections go through it. It connects to nothing and resolves no
 * name. */
#include "core/data/config_proxy.h"

#include <stdlib.h>

#include "core/base/mem.h"
#include "core/wire/target.h"

enum { PROXY_TEXT_BYTES = 512, ENTRY_BYTES = 128 };

void config_proxy_clear(struct config_proxy *proxy)
{
    for (size_t i = 0; i < proxy->host_count; i++)
        match_clear(&proxy->hosts[i]);
    free(proxy->hosts);
    free(proxy->ranges);
    free(proxy->host);
    free(proxy->credential);
    memset(proxy, 0, sizeof *proxy);
}

static bool address_from(struct config_proxy *proxy, const struct json_at *network, struct err *err)
{
    struct json_at at;
    struct target_host host;
    const char *text = "";
    if (!json_get_text(network, "upstream_proxy", JSON_MAY, PROXY_TEXT_BYTES, &text, err))
        return false;
    if (!*text || !json_member(network, "upstream_proxy", &at))
        return true;
    struct span rest = span_of(text);
    if (strchr(text, '@')) /* this file is no place for it: not even in an error */
        return json_fail(&at, err, "must hold no user name or password: put them into the vault and name the entry as "
                                   "upstream_proxy_credential");
    if (span_starts(rest, "https://"))
        return json_fail(&at, err, "this version speaks to a proxy without TLS alone: http://HOST:PORT (connections to "
                                   "upstreams inside it have TLS of their own)");
    if (!span_starts(rest, "http://"))
        return json_fail(&at, err, "must be http://HOST:PORT");
    rest = (struct span){rest.p + strlen("http://"), rest.len - strlen("http://")};
    if (rest.len > 0 && rest.p[rest.len - 1] == '/')
        rest.len--;
    if (!target_authority_parse(rest, 0, &host, &proxy->port, err))
        return json_fail(&at, err, "must be http://HOST:PORT");
    proxy->host = mem_strdup(host.name);
    return true;
}

static bool bypass_from(struct config_proxy *proxy, const struct json_at *network, struct err *err)
{
    struct json_at list;
    size_t count;
    if (!json_get_list(network, "no_proxy", JSON_MAY, CONFIG_NO_PROXY_MAX, &list, &count, err))
        return false;
    proxy->hosts = mem_array(count + 1, sizeof *proxy->hosts);
    proxy->ranges = mem_array(count + 1, sizeof *proxy->ranges);
    for (size_t i = 0; i < count; i++) {
        struct json_at entry = json_element(&list, i);
        const char *text = NULL;
        if (!json_text_of(&entry, MATCH_HOST_MAX + 2, &text, err))
            return false;
        if (cidr_parse(span_of(text), &proxy->ranges[proxy->range_count]))
            proxy->range_count++;
        else if (strchr(text, '/'))
            return json_fail(&entry, err, "must be a host, *. and a host, or a range of addresses like 10.0.0.0/8");
        else if (!match_host_from(&proxy->hosts[proxy->host_count++], &entry, err))
            return false;
    }
    return true;
}

bool config_proxy_from(struct config_proxy *proxy, const struct json_at *network, struct err *err)
{
    const char *credential = "";
    if (!address_from(proxy, network, err) || !bypass_from(proxy, network, err) ||
        !json_get_text(network, "upstream_proxy_credential", JSON_MAY, ENTRY_BYTES, &credential, err) ||
        !json_get_bool(network, "upstream_proxy_resolves", JSON_MAY, &proxy->resolves, err))
        return false;
    if (*credential)
        proxy->credential = mem_strdup(credential);
    return true;
}

static bool in_ranges(const struct config_proxy *proxy, const struct addr *addr)
{
    for (size_t i = 0; i < proxy->range_count; i++)
        if (cidr_match(&proxy->ranges[i], addr))
            return true;
    return false;
}

bool config_proxy_for(const struct config_proxy *proxy, struct span host, const struct addr *addrs, size_t count)
{
    size_t inside = 0;
    for (size_t i = 0; i < proxy->host_count; i++)
        if (match_host(&proxy->hosts[i], host))
            return false;
    while (inside < count && in_ranges(proxy, &addrs[inside]))
        inside++;
    return proxy->host && (count == 0 || inside < count);
}
