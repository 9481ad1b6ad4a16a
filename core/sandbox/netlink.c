/* rtnetlink by hand: three small messages, no library. It changes loopback and nothing else. */
#include "core/sandbox/netlink.h"

#include "core/base/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOPBACK = 1 }; /* the index of lo is 1 in every network namespace */

struct request {
    struct nlmsghdr head;
    union {
        struct ifinfomsg link;
        struct ifaddrmsg address;
    } body;
    uint8_t attributes[64];
};

static int open_netlink(struct err *err)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        err_errno(err, ERR_LAUNCH, errno, "cannot ask the kernel about interfaces (netlink)");
    return fd;
}

/* Sends, and waits for the kernel's acknowledgement; `fine` is an errno that counts as done. */
static bool order(struct request *request, int fine, const char *what, struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open_netlink(err);
    union {
        struct nlmsghdr head;
        char bytes[512];
    } answer;

    if (fd < 0)
        return false;
    request->head.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
    ssize_t n = send(fd, request, request->head.nlmsg_len, 0);
    if (n > 0)
        n = recv(fd, &answer, sizeof(answer), 0);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || answer.head.nlmsg_type != NLMSG_ERROR)
        return err_errno(err, ERR_LAUNCH, n < 0 ? errno : EPROTO, "cannot %s", what);
    const struct nlmsgerr *result = NLMSG_DATA(&answer.head);
    if (result->error == 0 || -result->error == fine)
        return true;
    err_errno(err, ERR_LAUNCH, -result->error, "cannot %s", what);
    return err_hint(err, "The sandbox needs CAP_NET_ADMIN in its own network namespace until the agent starts");
}

bool netlink_loopback_up(struct err *err)
{
    struct request request = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_NEWLINK},
        .body.link = {.ifi_index = LOOPBACK, .ifi_flags = IFF_UP, .ifi_change = IFF_UP},
    };
    struct ifreq query = {.ifr_name = "lo"};
    CLEANUP(file_close_ptr) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &query) == 0 && (query.ifr_flags & IFF_UP) != 0)
        return true;
    return order(&request, 0, "bring the loopback interface up", err);
}

bool netlink_loopback_address(uint32_t address, uint8_t prefix, struct err *err)
{
    struct request request = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifaddrmsg)),
                 .nlmsg_type = RTM_NEWADDR,
                 .nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL},
        .body.address = {.ifa_family = AF_INET,
                         .ifa_prefixlen = prefix,
                         /* Not host scope: glibc's AI_ADDRCONFIG must count it. */
                         .ifa_scope = RT_SCOPE_UNIVERSE,
                         .ifa_index = LOOPBACK},
    };
    uint8_t *base = (uint8_t *)&request.body + NLMSG_ALIGN(sizeof(struct ifaddrmsg));
    const unsigned short kinds[] = {IFA_LOCAL, IFA_ADDRESS};

    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct rtattr attribute = {.rta_len = RTA_LENGTH(4), .rta_type = kinds[i]};
        memcpy(base, &attribute, sizeof(attribute));
        memcpy(base + sizeof(attribute), &address, 4);
        base += RTA_SPACE(4);
        request.head.nlmsg_len += RTA_SPACE(4);
    }
    return order(&request, EEXIST, "add an address to the loopback interface", err);
}

/* One message of the link dump. */
static void look_at_link(const struct nlmsghdr *head, char out[32])
{
    const struct ifinfomsg *link = NLMSG_DATA(head);
    int left = (int)IFLA_PAYLOAD(head);

    if ((link->ifi_flags & IFF_UP) == 0 || (link->ifi_flags & IFF_LOOPBACK) != 0 || out[0] != '\0')
        return;
    memcpy(out, "?", 2);
    for (const struct rtattr *a = IFLA_RTA(link); RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == IFLA_IFNAME && RTA_PAYLOAD(a) > 0 && RTA_PAYLOAD(a) < 32) {
            memcpy(out, RTA_DATA(a), RTA_PAYLOAD(a));
            out[RTA_PAYLOAD(a)] = '\0';
        }
}

bool netlink_foreign_interface(char out[32], struct err *err)
{
    CLEANUP(file_close_ptr) int fd = open_netlink(err);
    struct request request = {
        .head = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
                 .nlmsg_type = RTM_GETLINK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
    };
    union {
        struct nlmsghdr head;
        char bytes[32768];
    } answer;

    out[0] = '\0';
    if (fd < 0)
        return false;
    if (send(fd, &request, request.head.nlmsg_len, 0) < 0)
        return err_errno(err, ERR_LAUNCH, errno, "cannot list the interfaces");
    for (;;) {
        ssize_t n = recv(fd, &answer, sizeof(answer), 0);
        if (n <= 0)
            return err_errno(err, ERR_LAUNCH, n < 0 ? errno : EPROTO, "cannot list the interfaces");
        size_t left = (size_t)n;
        for (const struct nlmsghdr *h = &answer.head; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE)
                return true;
            if (h->nlmsg_type == NLMSG_ERROR)
                return err_set(err, ERR_LAUNCH, "the kernel refuses to list the interfaces");
            if (h->nlmsg_type == RTM_NEWLINK)
                look_at_link(h, out);
        }
    }
}
