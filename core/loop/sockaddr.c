/* Conversion of addresses. It judges none; core/wire/addr.h does. */
#include "core/loop/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

socklen_t sockaddr_from(const struct addr *addr, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof(*out));
    if (addr->family == ADDR_V6) {
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
        memcpy(&v6.sin6_addr, addr->bytes, 16);
        memcpy(out, &v6, sizeof(v6));
        return sizeof(v6);
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
    memcpy(&v4.sin_addr, addr->bytes, 4);
    memcpy(out, &v4, sizeof(v4));
    return sizeof(v4);
}

bool sockaddr_to(const struct sockaddr *from, struct addr *out)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    *out = (struct addr){0};
    switch (from->sa_family) {
    case AF_INET:
        memcpy(&v4, from, sizeof(v4));
        out->family = ADDR_V4;
        memcpy(out->bytes, &v4.sin_addr, 4);
        out->port = ntohs(v4.sin_port);
        return true;
    case AF_INET6:
        memcpy(&v6, from, sizeof(v6));
        out->family = ADDR_V6;
        memcpy(out->bytes, &v6.sin6_addr, 16);
        out->port = ntohs(v6.sin6_port);
        return true;
    default:
        return false;
    }
}
