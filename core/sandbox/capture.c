/* Listeners and the name server. A captured connection's own address (getsockname) says which name its program
 * meant; an address that no name was given for is passed on as it is written, and the daemon refuses it. DNS
 * answers are made here and no query leaves (threat E03). */
#include "core/sandbox/capture.h"

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/text.h"
#include "core/loop/conn.h"
#include "core/loop/listen.h"
#include "core/sandbox/handover.h"
#include "core/sandbox/layout.h"
#include "core/wire/dns.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BACKLOG = 1024,
    DNS_BATCH = 64,          /* datagrams answered before others get their turn */
    DNS_TCP_MAX = 64,        /* connections to the name server at once */
    DNS_TCP_IDLE_MS = 10000,
    PORTS_ALL = SANDBOX_CAPTURE_PORTS_MAX + 2 /* the proxy's and the name server's as well */
};

enum role { ROLE_PROXY, ROLE_CAPTURE, ROLE_NAMES };

struct port {
    struct capture *capture;
    enum role role;
    uint16_t number;
    int fd;
    struct listener *listener;
};

struct capture {
    struct loop *loop;
    struct relay *relay;
    struct handover *handover; /* of the proxy port */
    struct names *names;
    struct port ports[PORTS_ALL];
    size_t port_count, dns_conns;
    int udp;
    struct watch udp_watch;
};

static int bind_socket(int type, uint32_t address, uint16_t port, struct err *err)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
    int one = 1, fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
        (type != SOCK_STREAM || listen(fd, BACKLOG) == 0))
        return fd;
    err_errno(err, ERR_LAUNCH, errno, "cannot listen on port %u in the sandbox", port);
    err_hint(err, port < 1024 ? "The sandbox needs CAP_NET_BIND_SERVICE until the agent starts"
                              : "Another program in the sandbox has the port");
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool add_port(struct capture *capture, enum role role, uint16_t number, struct err *err)
{
    /* Captured addresses are all over 127.64.0.0/10; the others are on the one loopback address. */
    uint32_t address = role == ROLE_CAPTURE ? INADDR_ANY : INADDR_LOOPBACK;
    int fd = bind_socket(SOCK_STREAM, address, number, err);

    if (fd < 0)
        return false;
    capture->ports[capture->port_count++] =
        (struct port){.capture = capture, .role = role, .number = number, .fd = fd};
    return true;
}

struct capture *capture_open(struct loop *loop, const uint16_t *ports, size_t count, bool sealed,
                             struct err *err)
{
    struct capture *capture = mem_alloc(sizeof(*capture));

    assert(count <= SANDBOX_CAPTURE_PORTS_MAX);
    capture->loop = loop;
    capture->udp = -1;
    capture->names = names_new(NAMES_MAX);
    bool good = add_port(capture, ROLE_PROXY, SANDBOX_PROXY_PORT, err);
    if (sealed) {
        good = good && add_port(capture, ROLE_NAMES, SANDBOX_DNS_PORT, err);
        capture->udp = good ? bind_socket(SOCK_DGRAM, INADDR_LOOPBACK, SANDBOX_DNS_PORT, err) : -1;
        good = capture->udp >= 0;
        for (size_t i = 0; good && i < count; i++)
            good = add_port(capture, ROLE_CAPTURE, ports[i], err);
    }
    if (good)
        return capture;
    capture_close(capture);
    return NULL;
}

void capture_close(struct capture *capture)
{
    if (capture == NULL)
        return;
    handover_free(capture->handover);
    for (size_t i = 0; i < capture->port_count; i++) {
        listener_free(capture->ports[i].listener);
        close(capture->ports[i].fd);
    }
    if (capture->udp >= 0) {
        if (capture->relay != NULL)
            watch_stop(&capture->udp_watch);
        close(capture->udp);
    }
    names_free(capture->names);
    free(capture);
}

bool capture_parse_ports(const char *text, uint16_t *ports, size_t max, size_t *count)
{
    struct span rest = span_of(text), part;

    for (*count = 0; span_cut(&rest, ',', &part); (*count)++) {
        uint64_t port;
        if (*count == max || !text_u64(part, 65535, &port) || port == 0 || port == SANDBOX_PROXY_PORT ||
            port == SANDBOX_DNS_PORT)
            return false;
        ports[*count] = (uint16_t)port;
    }
    return *count > 0;
}

/* ---- names ---- */

static size_t answer(struct capture *capture, const uint8_t *data, size_t len, uint8_t out[DNS_MESSAGE_BYTES])
{
    struct dns_query query;
    uint32_t address = 0;
    uint8_t v4[4];

    dns_parse(data, len, &query);
    if (query.kind == DNS_A && query.canonical)
        address = names_address(capture->names, query.name, strlen(query.name));
    address = htonl(address);
    memcpy(v4, &address, sizeof(v4));
    return dns_answer(data, &query, address != 0 ? v4 : NULL, out);
}

static void on_datagram(void *arg, unsigned ready)
{
    struct capture *capture = arg;
    uint8_t in[DNS_MESSAGE_BYTES], out[DNS_MESSAGE_BYTES];

    (void)ready;
    for (int i = 0; i < DNS_BATCH; i++) {
        struct sockaddr_in from;
        socklen_t from_len = sizeof(from);
        /* MSG_TRUNC: the true length, so that a longer message is dropped, not cut. */
        ssize_t n = recvfrom(capture->udp, in, sizeof(in), MSG_TRUNC, (struct sockaddr *)&from, &from_len);
        if (n < 0)
            return;
        if ((size_t)n > sizeof(in))
            continue;
        size_t len = answer(capture, in, (size_t)n, out);
        if (len > 0)
            (void)!sendto(capture->udp, out, len, 0, (struct sockaddr *)&from, from_len);
    }
}

static void dns_conn_end(struct capture *capture, struct conn *conn)
{
    capture->dns_conns--;
    conn_finish(conn, RELAY_LINGER_MS);
}

/* Two bytes of length, then the message (RFC 1035 4.2.2); many on one connection. False: it must end. */
static bool answer_all(struct capture *capture, struct conn *conn)
{
    for (;;) {
        uint8_t out[2 + DNS_MESSAGE_BYTES];
        struct span in = conn_peek(conn);
        if (in.len < 2)
            return true;
        size_t len = (size_t)((uint8_t)in.p[0] << 8 | (uint8_t)in.p[1]);
        if (len > DNS_MESSAGE_BYTES)
            return false;
        if (in.len < 2 + len)
            return true;
        size_t n = answer(capture, (const uint8_t *)in.p + 2, len, out + 2);
        out[0] = (uint8_t)(n >> 8);
        out[1] = (uint8_t)n;
        conn_consume(conn, 2 + len);
        if (n == 0 || !conn_write(conn, out, n + 2)) /* nothing to say, or a client that does not read */
            return false;
    }
}

static void on_dns_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct capture *capture = arg;

    switch (event) {
    case CONN_READABLE:
        if (answer_all(capture, conn))
            return;
        break;
    case CONN_DRAINED:
    case CONN_CONNECTED:
    case CONN_SECURED:
        return;
    case CONN_EOF:
    case CONN_FAILED:
    case CONN_TIMED_OUT:
        break;
    }
    dns_conn_end(capture, conn);
}

static void take_dns(struct capture *capture, int fd)
{
    if (capture->dns_conns >= DNS_TCP_MAX) {
        close(fd);
        return;
    }
    capture->dns_conns++;
    struct conn *conn = conn_new_fd(capture->loop, fd, on_dns_conn, capture);
    conn_limits(conn, 2 + DNS_MESSAGE_BYTES, 16 * (2 + DNS_MESSAGE_BYTES));
    conn_deadline(conn, DNS_TCP_IDLE_MS);
}

/* ---- connections ---- */

static void take_captured(struct capture *capture, int fd, uint16_t port)
{
    struct sockaddr_in at;
    socklen_t len = sizeof(at);
    char literal[INET_ADDRSTRLEN];

    if (getsockname(fd, (struct sockaddr *)&at, &len) != 0 || at.sin_family != AF_INET) {
        close(fd);
        return;
    }
    const char *name = names_lookup(capture->names, ntohl(at.sin_addr.s_addr));
    if (name == NULL)
        name = inet_ntop(AF_INET, &at.sin_addr, literal, sizeof(literal));
    relay_take(capture->relay, fd, name, port);
}

static void on_accept(void *arg, int fd)
{
    struct port *port = arg;
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    switch (port->role) {
    case ROLE_PROXY:
        relay_take(port->capture->relay, fd, NULL, 0);
        break;
    case ROLE_CAPTURE:
        take_captured(port->capture, fd, port->number);
        break;
    case ROLE_NAMES:
        take_dns(port->capture, fd);
        break;
    }
}

static void on_taken(void *arg, bool taken)
{
    const struct port *port = arg;

    listener_pause(port->listener, taken);
}

void capture_start(struct capture *capture, struct relay *relay)
{
    struct err err = {0};

    capture->relay = relay;
    for (size_t i = 0; i < capture->port_count; i++) {
        struct port *port = &capture->ports[i];
        port->listener = listener_new(capture->loop, port->fd, on_accept, port, &err);
        if (port->listener == NULL)
            log_error("capture: port=%u error=\"%s\"", port->number, err.message);
        else if (port->role == ROLE_PROXY)
            capture->handover = handover_start(capture->loop, relay, port->fd, on_taken, port);
    }
    if (capture->udp >= 0) {
        watch_init(&capture->udp_watch, capture->loop, capture->udp, on_datagram, capture);
        if (!watch_set(&capture->udp_watch, WATCH_READ))
            log_error("capture: the name server's socket cannot be watched");
    }
}
