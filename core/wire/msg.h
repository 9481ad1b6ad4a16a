/* One HTTP message head, request or response, of any HTTP version: start line, ordered fields, framing. The
 * strings live in an arena that the caller owns; the struct itself is embedded by the caller. What passes in
 * here can be written out again: names are tokens, values hold no CR, LF, NUL or other control but tab (C10). */
#ifndef AILERON_WIRE_MSG_H
#define AILERON_WIRE_MSG_H

#include "core/base/err.h"
#include "core/base/mem.h"
#include "core/base/text.h"

enum {
    MSG_FIELDS_MAX = 100,        /* of a head; of trailers MSG_TRAILERS_MAX */
    MSG_TRAILERS_MAX = 32,
    MSG_HEAD_BYTES = 64 * 1024,  /* of a head in all, as read and as built */
    MSG_TOKENS_MAX = 32,         /* in the Connection fields of one head */
    MSG_ARENA_BYTES = 320 * 1024 /* an arena of this size holds every legal head, its target, its changes */
};

struct msg_field {
    struct span name, value; /* value without leading and trailing blanks; may be empty */
};

struct msg_fields {
    struct msg_field *items;
    size_t count, cap;
};

enum msg_framing {
    MSG_NONE,       /* no body */
    MSG_LENGTH,     /* content_length bytes */
    MSG_CHUNKED,
    MSG_UNTIL_CLOSE /* responses alone */
};

struct msg {
    struct arena *arena;        /* borrowed */
    struct span method, target; /* request; empty in a response. target as it came */
    unsigned status;            /* response: 100..599; 0 in a request */
    struct span reason;
    unsigned minor;             /* HTTP/1.minor as it came: 0 or 1 */
    struct msg_fields fields;
    struct msg_fields trailers; /* filled when HTTP1_TRAILERS came */
    enum msg_framing framing;
    bool has_length;            /* content_length was said: also of a body that is not sent (HEAD, 304) */
    uint64_t content_length;
    bool keep_alive;            /* the sender allows another message after this one */
    bool upgrade;    /* request: asks for the protocol in Upgrade (never h2c). Response: what follows is no HTTP
                        any more (101, or 2xx to CONNECT) */
    bool expect_continue;
    size_t bytes;               /* of names and values, 4 more a field; kept below MSG_HEAD_BYTES */
};

/* Empty, keep_alive, HTTP/1.1, no body. */
void msg_init(struct msg *msg, struct arena *arena) NONNULL;

/* The first field of that name (any case); p is NULL where there is none. */
struct span msg_get(const struct msg *msg, const char *name) NONNULL;
size_t msg_count(const struct msg *msg, const char *name) NONNULL;
/* The same name, in any case, to servers that do not tell '_' from '-' (CGI, WSGI). */
bool msg_name_alike(struct span name, const char *wanted) NONNULL;
/* A field that is alike, and is not that one. */
bool msg_has_double(const struct msg *msg, const char *name) NONNULL;
/* Removes all fields of that name; returns how many there were. */
size_t msg_remove(struct msg *msg, const char *name) NONNULL;
void msg_remove_doubles(struct msg *msg, const char *name) NONNULL;
/* Appends a field; both strings are copied. ERR_DATA: a byte that no field can hold; ERR_LIMIT: a bound. */
bool msg_add(struct msg *msg, struct span name, struct span value, struct err *err) MUSTUSE NONNULL_AT(1, 4);
/* Replaces all fields of that name by one, at the place of the first (or the end). */
bool msg_set(struct msg *msg, const char *name, struct span value, struct err *err) MUSTUSE
    NONNULL_AT(1, 2, 4);
/* As msg_add and msg_set, but the strings are borrowed for as long as msg is used: for what lives in the arena
 * already, and for secrets, so that no copy of them stays behind in an arena. */
bool msg_add_borrowed(struct msg *msg, struct span name, struct span value, struct err *err) MUSTUSE
    NONNULL_AT(1, 4);
bool msg_set_borrowed(struct msg *msg, const char *name, struct span value, struct err *err) MUSTUSE
    NONNULL_AT(1, 2, 4);
/* What may not come after a body: what frames, routes or authorises a message, or changes how its content is
 * read (RFC 9110 6.5.1). */
bool msg_trailer_allowed(struct span name) MUSTUSE;
/* msg_add_borrowed for msg->trailers, where msg_trailer_allowed. */
bool msg_add_trailer(struct msg *msg, struct span name, struct span value, struct err *err) MUSTUSE
    NONNULL_AT(1, 4);
/* Start lines of messages that are built here: copies; ERR_DATA where they could not be written. */
bool msg_request(struct msg *msg, struct span method, struct span target, struct err *err) MUSTUSE
    NONNULL_AT(1, 4);
bool msg_response(struct msg *msg, unsigned status, struct span reason, struct err *err) MUSTUSE
    NONNULL_AT(1, 4);

/* The value holds only what a field value may: tab, space, visible ASCII, and bytes from 0x80 on. */
bool msg_value_valid(struct span value) MUSTUSE;
/* The next element of a comma-separated list, without blanks; empty ones are skipped. False at its end. */
bool msg_list_next(struct span *rest, struct span *item) MUSTUSE NONNULL;
/* Some field of that name has this element (any case). */
bool msg_has_token(const struct msg *msg, const char *name, const char *token) MUSTUSE NONNULL;

/* Removes what is for this connection alone (RFC 9110 7.6.1): Connection and the fields it names, Keep-Alive,
 * Proxy-*, Transfer-Encoding, TE (but "trailers" stays), and Upgrade unless msg->upgrade. framing, keep_alive
 * and content_length stay. Call it before anything is put in: a sender could name the field that was. */
void msg_strip_hop_by_hop(struct msg *msg) NONNULL;

#endif
