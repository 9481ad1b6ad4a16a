/* The load of the benchmark, on connections that stay: requests one after another, bulk, idle tunnels.
 *
 *   load get|down|up|idle PROXY HOST CA-FILE COUNT SECONDS
 *
 * get: COUNT connections ask for 1 KiB again and again, for SECONDS. down: 100 MiB, COUNT times over one connection.
 * up: 4 MiB, COUNT times over one connection (Debian's squid breaks most uploads above 8 MiB off). idle: COUNT
 * connections that have each answered one request, held until standard input ends.
 * PROXY is ADDRESS:PORT on loopback, asked by CONNECT; "=ADDRESS:PORT" is connected to as if it were HOST.
 *
 * "begin" is printed where what is measured begins, and one JSON object where it ends: connections are made before
 * it, one after another, and are not measured here (handshakes.go does). Any failure ends the program. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DOWN_BYTES = 100 << 20, UP_BYTES = 4 << 20, PIECE_BYTES = 64 << 10, HEAD_BYTES = 4096, SAMPLES_MAX = 4 << 20 };

struct conn {
    int fd;
    SSL *ssl;
    double asked; /* when the request was sent */
    char head[HEAD_BYTES];
    size_t head_len;
    long long left; /* of the answer's body; -1: its head is not complete */
};

struct load {
    const char *host, *proxy;
    bool connect;
    struct sockaddr_in address;
    SSL_CTX *tls;
    struct conn *conns;
    size_t count;
    float *samples;
    size_t sample_count;
};

static char piece[PIECE_BYTES];

static _Noreturn void fail(const char *what)
{
    unsigned long code = ERR_peek_error();
    fprintf(stderr, "load: %s: %s\n", what, code != 0 ? ERR_reason_error_string(code) : strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* ---- a connection ---- */

static void ask_proxy(struct load *load, struct conn *conn)
{
    char text[512];
    size_t len = 0;
    int n = snprintf(text, sizeof text, "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n", load->host, load->host);
    if (send(conn->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        fail("asking the proxy");
    do {
        ssize_t got = recv(conn->fd, text + len, sizeof text - 1 - len, 0);
        if (got <= 0)
            fail("reading the proxy's answer");
        len += (size_t)got;
        text[len] = '\0';
    } while (strstr(text, "\r\n\r\n") == NULL && len < sizeof text - 1);
    if (len < 12 || strncmp(text + 8, " 200", 4) != 0) {
        fprintf(stderr, "load: the proxy answered: %.80s\n", text);
        exit(1);
    }
}

static void open_conn(struct load *load, struct conn *conn)
{
    int on = 1;
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&load->address, sizeof load->address) != 0)
        fail("connecting");
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (load->connect)
        ask_proxy(load, conn);
    conn->ssl = SSL_new(load->tls);
    SSL_set_fd(conn->ssl, conn->fd);
    SSL_set_tlsext_host_name(conn->ssl, load->host);
    SSL_set1_host(conn->ssl, load->host);
    if (SSL_connect(conn->ssl) != 1)
        fail("the handshake");
}

static void ask(struct load *load, struct conn *conn, const char *method, const char *path, long long body)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\nAccept: */*\r\n", method,
                     path, load->host);
    if (body > 0)
        n += snprintf(text + n, sizeof text - (size_t)n, "Content-Length: %lld\r\n", body);
    n += snprintf(text + n, sizeof text - (size_t)n, "\r\n");
    conn->asked = now();
    conn->head_len = 0;
    conn->left = -1;
    if (SSL_write(conn->ssl, text, n) != n)
        fail("sending a request");
}

/* The answer's head, as far as it has come with these bytes; what of them belongs to the body. */
static size_t take_head(struct conn *conn, const char *data, size_t len)
{
    size_t before = conn->head_len, some = HEAD_BYTES - 1 - before;
    some = len < some ? len : some;
    memcpy(conn->head + before, data, some);
    conn->head_len += some;
    conn->head[conn->head_len] = '\0';
    char *end = strstr(conn->head, "\r\n\r\n"), *length = strcasestr(conn->head, "\ncontent-length:");
    if (end == NULL)
        return 0;
    if (strncmp(conn->head + 8, " 200", 4) != 0 || length == NULL || length > end) {
        fprintf(stderr, "load: unexpected answer: %.300s\n", conn->head);
        exit(1);
    }
    conn->left = strtoll(length + 16, NULL, 10);
    return len - ((size_t)(end + 4 - conn->head) - before);
}

/* Reads what is there. True: the answer is complete. */
static bool receive(struct conn *conn)
{
    for (;;) {
        int n = SSL_read(conn->ssl, piece, sizeof piece);
        if (n <= 0) {
            if (SSL_get_error(conn->ssl, n) == SSL_ERROR_WANT_READ)
                return false;
            fail("reading an answer");
        }
        size_t body = conn->left < 0 ? take_head(conn, piece, (size_t)n) : (size_t)n;
        if (conn->left >= 0)
            conn->left -= (long long)body;
        if (conn->left == 0)
            return true;
    }
}

/* ---- modes ---- */

static void begin(void)
{
    printf("begin\n");
    fflush(stdout);
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* Everything asks for `seconds`; samples are kept where `keep`. Returns the requests that were answered. */
static size_t turn(struct load *load, int poll, double seconds, bool keep)
{
    struct epoll_event events[256];
    double until = now() + seconds;
    size_t done = 0;
    for (double at = now(); at < until; at = now()) {
        int n = epoll_wait(poll, events, 256, (int)((until - at) * 1000) + 1);
        for (int i = 0; i < n; i++) {
            struct conn *conn = events[i].data.ptr;
            if (!receive(conn))
                continue;
            done++;
            if (keep && load->sample_count < SAMPLES_MAX)
                load->samples[load->sample_count++] = (float)((now() - conn->asked) * 1e6);
            ask(load, conn, "GET", "/1k", 0);
        }
    }
    return done;
}

static void run_get(struct load *load, double seconds)
{
    int poll = epoll_create1(0);
    load->samples = calloc(SAMPLES_MAX, sizeof *load->samples);
    for (size_t i = 0; i < load->count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load->conns[i]};
        ask(load, &load->conns[i], "GET", "/1k", 0);
        fcntl(load->conns[i].fd, F_SETFL, O_NONBLOCK);
        epoll_ctl(poll, EPOLL_CTL_ADD, load->conns[i].fd, &event);
    }
    turn(load, poll, 0.3, false);
    begin();
    double from = now();
    size_t done = turn(load, poll, seconds, true);
    double took = now() - from;
    printf("{\"done\": %zu, \"seconds\": %.4f, ", done, took);
    qsort(load->samples, load->sample_count, sizeof *load->samples, by_size);
    size_t last = load->sample_count > 0 ? load->sample_count - 1 : 0;
    printf("\"p50_us\": %.1f, \"p99_us\": %.1f, ", load->samples[last / 2], load->samples[last / 100 * 99]);
}

static void run_bulk(struct load *load, bool up, size_t count)
{
    struct conn *conn = load->conns;
    begin();
    double from = now();
    for (size_t i = 0; i < count; i++) {
        ask(load, conn, up ? "POST" : "GET", up ? "/upload" : "/100m", up ? UP_BYTES : 0);
        for (long long left = up ? UP_BYTES : 0; left > 0; left -= PIECE_BYTES)
            if (SSL_write(conn->ssl, piece, PIECE_BYTES) != PIECE_BYTES)
                fail("sending a body");
        while (!receive(conn))
            ;
    }
    double took = now() - from;
    double mib = (double)count * (up ? UP_BYTES : DOWN_BYTES) / (1 << 20);
    printf("{\"done\": %zu, \"seconds\": %.4f, \"mib\": %.0f, \"mib_s\": %.1f, ", count, took, mib, mib / took);
}

static void run_idle(struct load *load)
{
    for (size_t i = 0; i < load->count; i++) {
        ask(load, &load->conns[i], "GET", "/1k", 0);
        while (!receive(&load->conns[i]))
            ;
    }
    begin();
    while (getchar() != EOF)
        ;
    printf("{\"done\": %zu, ", load->count);
}

int main(int argc, char **argv)
{
    struct rlimit files;
    struct load load = {.address.sin_family = AF_INET};
    char address[64], *colon;
    if (argc != 7) {
        fprintf(stderr, "usage: load get|down|up|idle [=]ADDRESS:PORT HOST CA-FILE COUNT SECONDS\n");
        return 2;
    }
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    load.connect = argv[2][0] != '=';
    load.host = argv[3];
    snprintf(address, sizeof address, "%s", argv[2] + !load.connect);
    if ((colon = strchr(address, ':')) == NULL)
        fail("the proxy's address");
    *colon = '\0';
    load.address.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_aton(address, &load.address.sin_addr) == 0 || ntohl(load.address.sin_addr.s_addr) >> 24 != 127) {
        fprintf(stderr, "load: loopback addresses alone\n");
        return 2;
    }
    load.tls = SSL_CTX_new(TLS_client_method());
    if (SSL_CTX_load_verify_locations(load.tls, argv[4], NULL) != 1)
        fail("the CA file");
    SSL_CTX_set_verify(load.tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(load.tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    bool get = strcmp(argv[1], "get") == 0, up = strcmp(argv[1], "up") == 0, idle = strcmp(argv[1], "idle") == 0;
    size_t count = strtoul(argv[5], NULL, 10);
    load.count = get || idle ? count : 1;
    load.conns = calloc(load.count, sizeof *load.conns);
    for (size_t i = 0; i < load.count; i++)
        open_conn(&load, &load.conns[i]);
    const char *version = SSL_get_version(load.conns[0].ssl), *cipher = SSL_get_cipher(load.conns[0].ssl);
    if (get)
        run_get(&load, strtod(argv[6], NULL));
    else if (idle)
        run_idle(&load);
    else
        run_bulk(&load, up, count);
    printf("\"tls\": \"%s %s\"}\n", version, cipher);
    return 0;
}
