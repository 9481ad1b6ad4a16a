/* DNS messages for the sandbox's own responder: one query in, one answer out. UDP and TCP alike; the two bytes
 * of length that TCP puts in front are the caller's. No names are ever looked up here. Pure. */
#ifndef AILERON_WIRE_DNS_H
#define AILERON_WIRE_DNS_H

#include "core/base/text.h"

enum {
    DNS_MESSAGE_BYTES = 512, /* the largest query that is read and the room that an answer needs */
    DNS_NAME_BYTES = 254,    /* 253 and the NUL */
    DNS_TTL_S = 60
};

enum dns_kind {
    DNS_A,      /* answer it with an address, or with none where the name is not canonical */
    DNS_EMPTY,  /* another type: a well-formed empty answer */
    DNS_REFUSE, /* malformed, or an operation, class or transfer that is not offered: answer with rcode */
    DNS_DROP    /* not a query at all (too short, or itself an answer): say nothing */
};

struct dns_query {
    enum dns_kind kind;
    uint16_t id;
    uint16_t flags;            /* of the query's header */
    uint16_t type, class;
    uint8_t rcode;             /* of the answer: 0 NOERROR, 1 FORMERR, 4 NOTIMP */
    bool has_edns;             /* the query carried an OPT record, so the answer does */
    char name[DNS_NAME_BYTES]; /* dotted, lower-case, without trailing dot; "" is the root. Bytes that a host
                                  name cannot hold become '?' and clear canonical */
    bool canonical;            /* the name can be a host's name: letters, digits, '-' and '_' alone */
    size_t question_len;       /* bytes of the question section, behind the 12 of the header; 0: unreadable */
};

/* Reads one message of len bytes. Always fills *out. */
void dns_parse(const uint8_t *data, size_t len, struct dns_query *out) NONNULL;
/* Writes the answer to `out` (DNS_MESSAGE_BYTES at least). data is the message that was parsed into query. v4
 * is the address (4 bytes, network order) of a DNS_A answer; NULL: an empty answer. Returns its length; 0 for
 * DNS_DROP. */
size_t dns_answer(const uint8_t *data, const struct dns_query *query, const uint8_t *v4,
                  uint8_t out[DNS_MESSAGE_BYTES]) MUSTUSE NONNULL_AT(1, 2, 4);

#endif
