/* A datagram socket that is connected sends nothing, and has the address that the kernel would send from: for an
 * address of the machine itself that is the same one (ip-route(8): table local). */
#include "core/loop/own.h"
#include "core/loop/sockaddr.h"

#include <errno.h>
#include <unistd.h>

bool own_address(const struct addr *addr)
{
    struct sockaddr_storage at;
    struct addr asked = *addr, from;
    asked.port = 9; /* any but 0 */
    socklen_t len = sockaddr_from(&asked, &at);
    int fd = socket(at.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno != EAFNOSUPPORT; /* without this family nothing is reached; without descriptors nobody knows */
    bool routed = connect(fd, (const struct sockaddr *)&at, len) == 0;
    bool own = routed || errno == EAGAIN; /* no route, no connection; no free port, nobody knows */
    len = sizeof(at);
    if (routed && getsockname(fd, (struct sockaddr *)&at, &len) == 0 &&
        sockaddr_to((const struct sockaddr *)&at, &from))
        own = addr_equal(addr, &from);
    close(fd);
    return own;
}
