/* config.yaml (design section 3): every key, its default and its check; and the table of limits. */
#ifndef AILERON_DATA_CONFIG_H
#define AILERON_DATA_CONFIG_H

#include "core/data/config_cache.h"
#include "core/data/config_proxy.h"
#include "core/data/json.h"
#include "core/wire/addr.h"

enum { CONFIG_UPSTREAMS_MAX = 256, CONFIG_PORTS_MAX = 16, CONFIG_WORDS_MAX = 32 };

/* Every bound that a user may change. The rows (name, default, least, most) are in config.c. */
enum limit {
    LIMIT_CONNECTIONS,       /* connections of one session at a time */
    LIMIT_SESSIONS,          /* sessions at a time */
    LIMIT_OPERATIONS,        /* operations of one session that are not final */
    LIMIT_APPROVALS,         /* of one session that wait for a person */
    LIMIT_HEAD_BYTES,        /* of a request's or an answer's head */
    LIMIT_HEAD_FIELDS,
    LIMIT_BODY_BYTES,        /* of a request to the session API */
    LIMIT_IDLE_MS,           /* of a connection that moves nothing */
    LIMIT_HALF_CLOSED_MS,    /* of a client that has ended its side and gets nothing */
    LIMIT_HEAD_MS,           /* until a client's head is complete */
    LIMIT_CONNECT_MS,        /* to an upstream: TCP and TLS */
    LIMIT_FIRST_BYTE_MS,     /* until an upstream begins to answer */
    LIMIT_RESOLVE_MS,        /* until a name is resolved */
    LIMIT_DRAIN_MS,          /* of a worker that is asked to stop */
    LIMIT_POOL_IDLE_MS,      /* upstream connections kept for reuse */
    LIMIT_POOL_TOTAL,
    LIMIT_RESULT_BYTES,      /* of an operation's result that is kept */
    LIMIT_RESULT_DAYS,       /* until a collected result, or one of an ended session, is dropped */
    LIMIT_RECORD_BYTES,      /* that a session may add to the record at once */
    LIMIT_RECORD_RATE,       /* of them that come back each second */
    LIMIT_STORED_OPERATIONS, /* of a session in state.db */
    LIMIT_STORED_BYTES,      /* their arguments, results and errors */
    LIMIT_DISK_FREE,         /* that is kept for what is under way */
    LIMITS
};
struct limit_row {
    const char *name; /* "idle_ms" */
    uint64_t fallback, least, most;
};
/* A row of the table, for the manual and for tests. */
const struct limit_row *limit_row(enum limit limit) MUSTUSE;

struct config_upstream {
    char *host;        /* canonical */
    uint16_t port;     /* of address and client_cert; 0: any */
    char *ca_file;     /* absolute, NULL: none: added to the roots for this host */
    char *client_cert; /* a vault entry; NULL: none */
    bool has_address;  /* connect here instead of resolving; still checked as an address */
    struct addr address; /* port 0: the request's own */
};
struct config {
    struct {
        char *runtime; /* auto, docker, podman, bwrap, off */
        char *network; /* sealed, open */
        char *image;   /* "" : the default */
        char *rootfs;  /* absolute; NULL: none */
        /* Where sandboxes of an engine on another machine reach us; family ADDR_NONE: nowhere; port 0: any. */
        struct addr remote_listen;
        uint64_t memory_bytes;
        int64_t pids;
        bool read_only;
        struct config_caches caches;
    } sandbox;
    struct {
        char *ca_file; /* absolute; NULL: none */
        bool tls13_only;
    } tls;
    struct config_upstream *upstreams;
    size_t upstream_count;
    struct {
        struct config_proxy proxy;
        uint16_t capture_ports[CONFIG_PORTS_MAX];
        size_t capture_port_count;
        struct addr resolvers[4]; /* empty: the host's */
        size_t resolver_count;
    } network;
    struct {
        uint64_t hold_ms, expire_ms;
        char **notify; /* NULL-terminated command */
        bool notify_link; /* it gets a login link */
    } approvals;
    struct {
        bool cache_keyring;
        uint64_t cache_timeout_ms;
    } vault;
    struct {
        char **anchor; /* NULL-terminated command */
        int64_t retention_days; /* 0: for ever */
    } audit;
    struct {
        bool page;
        int64_t workers_per_session;
    } daemon;
    uint64_t limits[LIMITS];
    json_t *json; /* as written; {"version": 1} where there is no file */
};
/* dir: what relative files are relative to ($AILERON_HOME). With NULL at: the defaults. */
struct config *config_from(const struct json_at *at, const char *dir, struct err *err)
    MUSTUSE NONNULL_AT(2, 3);
void config_free(struct config *config);
/* The row for this host and port, or NULL. */
const struct config_upstream *config_upstream(const struct config *config, struct span host,
                                              uint16_t port) NONNULL;
/* The vault entry of the client certificate that goes with every connection to this host and port; NULL: none. */
const char *config_client_cert(const struct config *config, struct span host, uint16_t port) NONNULL;

#endif
