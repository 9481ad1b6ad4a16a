/* A tunnel as states: (answer the CONNECT,) look at the first bytes, then hand the connection to whoever
 * speaks what it holds. */
#include "core/plane/tunnel.h"
#include "core/plane/api.h"
#include "core/plane/denial.h"
#include "core/plane/dial.h"
#include "core/plane/exchange.h"
#include "core/plane/fronting.h"
#include "core/plane/mux.h"
#include "core/plane/relay.h"
#include "core/wire/socks.h"
#include "tls/hello.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum tunnel_state {
    TUNNEL_FIRST,    /* opened, or refused inside: waiting for the client's first bytes */
    TUNNEL_SECURING, /* our handshake with the client */
    TUNNEL_DIALING,  /* untouched: the upstream's connection */
    TUNNEL_RELAYING,
    TUNNEL_OVER
};

struct tunnel {
    struct plane *plane;
    struct epoch *epoch;
    struct conn *conn;
    struct target_host host;
    uint16_t port;
    enum tunnel_way way;
    bool own, refused;
    enum tunnel_state state;
    struct denial denial; /* where refused: delivered inside */
    struct dial *dial;
    struct fronting fronting; /* of one that is relayed */
    struct task begin;
    struct calm calm;
    struct id id;
    uint64_t began_ms;
};

enum { FIRST_BYTES_MS = 30000, REFUSED_BYTES_MS = 2000, LINGER_MS = 2000 };

static void tunnel_free(struct tunnel *tunnel)
{
    tunnel->state = TUNNEL_OVER;
    task_cancel(&tunnel->begin);
    calm_cancel(&tunnel->calm);
    dial_cancel(tunnel->dial);
    epoch_unref(tunnel->epoch);
    loop_defer(tunnel->plane->loop, free, tunnel);
}

static void tunnel_close(struct tunnel *tunnel)
{
    conn_close(tunnel->conn);
    plane_leave(tunnel->plane);
    tunnel_free(tunnel);
}

static void record(struct tunnel *tunnel, const char *decision, const char *mode,
                   const struct decision *by, const struct err *err)
{
    struct flat_out *event = lines_event(&tunnel->plane->lines, "network");
    flat_put(event, "request", tunnel->id.text);
    flat_put(event, "decision", decision);
    flat_put(event, "mode", mode);
    flat_put(event, "host", tunnel->host.name);
    flat_put_int(event, "port", tunnel->port);
    flat_put(event, "rule", by ? by->rule : NULL);
    flat_put(event, "reason", by ? by->reason : NULL);
    if (tunnel->way == TUNNEL_CAPTURED)
        flat_put_bool(event, "captured", true);
    if (err) {
        flat_put(event, "code", err_word(err->code));
        flat_put(event, "message", err->message);
    }
    lines_add(&tunnel->plane->lines, LINES_NOW);
}

static void make_denial(struct tunnel *tunnel, const struct decision *by, const struct err *err, int status)
{
    struct denial *denial = &tunnel->denial;
    denial_from_err(denial, err, status);
    denial->id = tunnel->id;
    snprintf(denial->rule, sizeof(denial->rule), "%s", by && by->rule ? by->rule : "");
    snprintf(denial->reason, sizeof(denial->reason), "%s", by && by->reason ? by->reason : "");
}

/* SOCKS has no words: the code, and the record has the rest. */
static bool write_socks(enum socks_reply reply, struct buf *out)
{
    uint8_t answer[SOCKS_ANSWER_BYTES];
    socks_answer(reply, answer);
    return buf_add(out, answer, sizeof(answer));
}

static bool write_refusal(const struct tunnel *tunnel, struct buf *out)
{
    switch (tunnel->way) {
    case TUNNEL_CONNECT:
        return denial_answer(&tunnel->denial, DENIAL_JSON, true, false, out);
    case TUNNEL_SOCKS:
        return write_socks(tunnel->denial.status == 403 ? SOCKS_NOT_ALLOWED : SOCKS_HOST_UNREACHABLE, out);
    case TUNNEL_CAPTURED:
        break;
    }
    return false;
}

/* A refusal in the clear: the answer to a CONNECT. */
static void refuse_in_clear(struct tunnel *tunnel)
{
    struct buf out CLEANUP(buf_clear);
    buf_init(&out, 2 * DENIAL_BODY_BYTES);
    if (!write_refusal(tunnel, &out) || !conn_write(tunnel->conn, out.data, out.len)) {
        tunnel_close(tunnel);
        return;
    }
    plane_finish(tunnel->plane, tunnel->conn, LINGER_MS);
    tunnel_free(tunnel);
}

static bool established(struct tunnel *tunnel)
{
    struct buf out CLEANUP(buf_clear);
    bool made = true;
    buf_init(&out, 64);
    if (tunnel->way == TUNNEL_CONNECT)
        made = buf_adds(&out, "HTTP/1.1 200 Connection established\r\n\r\n");
    else if (tunnel->way == TUNNEL_SOCKS)
        made = write_socks(SOCKS_SUCCEEDED, &out);
    return made && (out.len == 0 || conn_write(tunnel->conn, out.data, out.len));
}

/* ---- untouched ---- */

/* TLS for another name would reach it past the rules, through a host that serves many. */
static enum relay_gate check_first(void *arg, const struct relay_look *look, size_t *len)
{
    struct tunnel *tunnel = arg;
    struct err err;
    enum relay_gate verdict = fronting_look(&tunnel->fronting, look, len, &err);
    if (verdict == RELAY_REFUSE)
        record(tunnel, "deny", "tunnel", NULL, &err);
    return verdict;
}

static void on_relayed(void *arg, uint64_t sent_bytes, uint64_t received_bytes)
{
    struct tunnel *tunnel = arg;
    struct flat_out *event = lines_event(&tunnel->plane->lines, "network.end");
    flat_put(event, "request", tunnel->id.text);
    flat_put(event, "host", tunnel->host.name);
    flat_put_int(event, "port", tunnel->port);
    flat_put_int(event, "bytes_out", (int64_t)sent_bytes);
    flat_put_int(event, "bytes_in", (int64_t)received_bytes);
    flat_put_int(event, "duration_ms", (int64_t)(clock_mono_ms() - tunnel->began_ms));
    lines_add(&tunnel->plane->lines, LINES_LATE);
    tunnel_free(tunnel);
}

static void open_inside(struct tunnel *tunnel);

/* No client shows the body of a refused CONNECT to port 443 (HACKING), and a captured one asked for nothing: both are
 * told as the answer to their first request, if they make one in TLS or in HTTP. */
static void refuse(struct tunnel *tunnel)
{
    tunnel->refused = true;
    if (tunnel->way == TUNNEL_CAPTURED || tunnel->port == 443)
        open_inside(tunnel);
    else
        refuse_in_clear(tunnel);
}

static void on_dialed(void *arg, const struct dial_result *result)
{
    struct tunnel *tunnel = arg;
    const struct err *err = result->err;
    struct conn *upstream = result->conn; /* plain: nothing else was asked for */
    tunnel->dial = NULL;
    if (err) {
        struct decision address = {.rule = err->code == ERR_DENIED ? "network.private" : NULL};
        record(tunnel, "deny", "tunnel", &address, err);
        make_denial(tunnel, &address, err, dial_status(err));
        if (tunnel->way == TUNNEL_CAPTURED)
            refuse(tunnel);
        else
            refuse_in_clear(tunnel);
        return;
    }
    if (!established(tunnel)) {
        conn_close(upstream);
        tunnel_close(tunnel);
        return;
    }
    tunnel->state = TUNNEL_RELAYING;
    conn_limits(tunnel->conn, HELLO_INPUT_MAX, 0);
    fronting_init(&tunnel->fronting, &tunnel->host);
    relay_start(tunnel->plane, tunnel->conn, upstream, check_first, on_relayed, tunnel);
}

/* ---- opened ---- */

static void hand_over(struct tunnel *tunnel, enum target_scheme scheme)
{
    struct origin origin = {.scheme = scheme, .host = tunnel->host, .port = tunnel->port};
    struct stream *stream = conn_stream(tunnel->conn);
    const char *alpn = stream ? stream_alpn(stream) : NULL;
    conn_deadline(tunnel->conn, 0);
    conn_limits(tunnel->conn, CONN_IN_BYTES, 0);
    if (tunnel->own)
        api_start(tunnel->plane, tunnel->conn, false);
    else if (alpn && strcmp(alpn, "h2") == 0)
        mux_start(tunnel->plane, tunnel->conn, &origin, tunnel->way == TUNNEL_CAPTURED,
                  tunnel->refused ? &tunnel->denial : NULL);
    else if (tunnel->refused)
        exchange_refuse(tunnel->plane, tunnel->conn, &tunnel->denial);
    else
        exchange_start(tunnel->plane, tunnel->conn, &origin, tunnel->way == TUNNEL_CAPTURED, true);
    tunnel_free(tunnel);
}

static void secure(struct tunnel *tunnel)
{
    struct err err;
    struct stream *stream = NULL;
    struct stream_io io = conn_stream_io(tunnel->conn);
    struct leaf *leaf = ca_leaf(tunnel->plane->ca, tunnel->host.name, &err);
    if (leaf)
        stream = stream_server(tunnel->own ? tunnel->plane->server_api : tunnel->plane->server, leaf, &io, &err);
    leaf_unref(leaf);
    if (!stream) {
        record(tunnel, "deny", "intercept", NULL, &err);
        tunnel_close(tunnel);
        return;
    }
    tunnel->state = TUNNEL_SECURING;
    conn_secure(tunnel->conn, stream, FIRST_BYTES_MS);
}

/* E08: only TLS, or plain HTTP where the port is not HTTPS's. */
static void look(struct tunnel *tunnel)
{
    struct span input = conn_peek(tunnel->conn);
    struct hello hello;
    struct err err;
    switch (input.len ? tls_hello_parse((const uint8_t *)input.p, input.len, &hello) : HELLO_MORE) {
    case HELLO_MORE:
        if (conn_eof(tunnel->conn))
            tunnel_close(tunnel);
        return; /* the conn's deadline and HELLO_INPUT_MAX bound the wait */
    case HELLO_OK:
        if (fronting_check(&tunnel->host, &hello, &err)) {
            secure(tunnel);
            return;
        }
        break;
    case HELLO_NOT_TLS:
        if (tunnel->port != 443 && !tunnel->own) {
            hand_over(tunnel, TARGET_HTTP);
            return;
        }
        err_set(&err, ERR_DENIED, "only TLS passes to %s on port %u", tunnel->host.name, tunnel->port);
        break;
    case HELLO_BAD:
        err_set(&err, ERR_DENIED, "the client's TLS hello for %s is malformed", tunnel->host.name);
        break;
    }
    record(tunnel, "deny", "intercept", NULL, &err);
    tunnel_close(tunnel);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
    struct tunnel *tunnel = arg;
    struct err err;
    switch (event) {
    case CONN_READABLE:
        if (tunnel->state == TUNNEL_FIRST)
            look(tunnel);
        return;
    case CONN_SECURED:
        hand_over(tunnel, TARGET_HTTPS);
        return;
    case CONN_FAILED:
        if (tunnel->state == TUNNEL_SECURING) { /* most often: a client that does not trust the session's CA */
            err = *conn_error(conn);
            record(tunnel, "deny", "intercept", NULL, &err);
        }
        tunnel_close(tunnel);
        return;
    case CONN_EOF:
    case CONN_TIMED_OUT:
        if (tunnel->state == TUNNEL_FIRST)
            tunnel_close(tunnel);
        return;
    case CONN_DRAINED:
    case CONN_CONNECTED:
        return;
    }
}

/* ---- the beginning ---- */

static void open_inside(struct tunnel *tunnel)
{
    tunnel->state = TUNNEL_FIRST;
    /* Refused: one that does not speak first is to see the end soon. */
    conn_deadline(tunnel->conn, tunnel->refused ? REFUSED_BYTES_MS : FIRST_BYTES_MS);
    conn_within(tunnel->conn, FIRST_BYTES_MS); /* all of a hello, not a byte of it now and then */
    /* A ClientHello may be larger than the usual input buffer. */
    conn_limits(tunnel->conn, HELLO_INPUT_MAX, 0);
    if (established(tunnel))
        look(tunnel);
    else
        tunnel_close(tunnel);
}

static void begin(void *arg)
{
    struct tunnel *tunnel = arg;
    struct match_query query = {.host = span_of(tunnel->host.name), .port = tunnel->port};
    struct decision decision;
    struct err err;
    if (!plane_calm(tunnel->plane, &tunnel->calm, &tunnel->begin))
        return;
    if (tunnel->own) {
        open_inside(tunnel);
        return;
    }
    /* Ports of plain HTTP are read as such: every request on them is decided and recorded by itself. */
    if (tunnel->port == 80 ||
        snapshot_needs_inside(tunnel->epoch->snapshot, query.host, query.port)) {
        open_inside(tunnel);
        return;
    }
    if (!plane_may_begin(tunnel->plane, &err)) {
        make_denial(tunnel, NULL, &err, 0);
        denial_record(&tunnel->denial, tunnel->plane);
        refuse(tunnel);
        return;
    }
    snapshot_decide(tunnel->epoch->snapshot, &query, &decision);
    if (decision.action == POLICY_ALLOW) {
        record(tunnel, "allow", "tunnel", &decision, NULL);
        tunnel->state = TUNNEL_DIALING;
        struct dial_request request = {.host = &tunnel->host, .port = tunnel->port, .fresh = true};
        tunnel->dial = dial_start(tunnel->plane, tunnel->epoch, &request, on_dialed, tunnel);
        return;
    }
    err_set(&err, ERR_DENIED, "access to %s is denied by policy", tunnel->host.name);
    err_hint(&err, "This is policy, not a network fault: another way to the same host is denied too. Ask "
                   "the user to change policy.yaml");
    record(tunnel, "deny", "tunnel", &decision, &err);
    make_denial(tunnel, &decision, &err, 403);
    refuse(tunnel);
}

void tunnel_start(struct plane *plane, struct conn *conn, const struct target_host *host, uint16_t port,
                  enum tunnel_way way)
{
    struct tunnel *tunnel = mem_alloc(sizeof(*tunnel));
    *tunnel = (struct tunnel){.plane = plane, .epoch = epoch_ref(plane->epoch), .conn = conn, .host = *host,
                              .port = port, .way = way, .id = id_new(""),
                              .began_ms = clock_mono_ms()};
    tunnel->own = strcmp(host->name, TUNNEL_OWN_NAME) == 0;
    tunnel->state = TUNNEL_DIALING;
    conn_set_handler(conn, on_conn, tunnel);
    task_init(&tunnel->begin, plane->loop, begin, tunnel);
    task_post(&tunnel->begin);
}
