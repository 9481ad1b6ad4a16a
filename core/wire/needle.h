/* Finding known texts (secrets, stand-ins) in bytes that stream by, in the forms in which they are met: as they are, in
 * base64 at each of its three alignments (plain and URL alphabet), both as JSON has them, percent-encoded. Used to keep
 * a stand-in from leaving (threat C02) and a credential from coming back (C06). Wu and Manber's search with blocks of
 * two bytes: most bytes of a long body are never looked at. No I/O; what a set or a scan holds is wiped. */
#ifndef AILERON_WIRE_NEEDLE_H
#define AILERON_WIRE_NEEDLE_H

#include "core/base/mem.h"
#include "core/base/text.h"

enum {
    NEEDLE_MIN_BYTES = 8,     /* shorter ones would be found where they do not stand */
    NEEDLE_PIECE_BYTES = 1024, /* longer ones are looked for in pieces: what a scan holds back is below this */
    NEEDLE_SHOWN_MAX = 3       /* of what is held back, what needle_scan_show gives */
};

struct needles;
struct needles *needles_new(void) MUSTUSE;
void needles_free(struct needles *needles); /* NULL is fine */
/* Adds a text in all its forms. tag comes back with what is found. False: it is too short to be looked for. */
bool needles_add(struct needles *needles, struct span text, unsigned tag) NONNULL;
size_t needles_count(const struct needles *needles) NONNULL;

struct needle_hit {
    size_t at, len; /* in what was searched */
    unsigned tag;
};
/* The first one in data. */
bool needles_find(const struct needles *needles, struct span data, struct needle_hit *hit) MUSTUSE NONNULL_AT(1, 3);
/* Overwrites each with asterisks, length kept; returns how many there were. */
size_t needles_mask(const struct needles *needles, char *data, size_t len) NONNULL;

/* A stream: what could be the beginning of a needle at the end of a piece is held back until more is known. */
struct needle_scan {
    const struct needles *needles; /* borrowed */
    struct buf held, ready;
    size_t shown; /* of what is held: given already, and still a beginning of what may come */
    size_t found; /* so far */
    unsigned tag;  /* of the last one found */
};
void needle_scan_init(struct needle_scan *scan, const struct needles *needles) NONNULL;
void needle_scan_clear(struct needle_scan *scan) NONNULL; /* wipes */
size_t needle_scan_held(const struct needle_scan *scan) NONNULL;
/* The bytes that may go on now: held ones and data, masked, without a new held tail. *out is borrowed from data or the
 * scan until its next call. At most needle_scan_held + data.len bytes. */
void needle_scan_next(struct needle_scan *scan, struct span data, struct span *out) NONNULL;
/* When nothing more comes for now: what is held is mostly there by chance, and whoever waits for it (a call's message,
 * an event) would wait for ever. So few bytes may go on, and are remembered: should they begin a needle after all, the
 * rest of it is masked. More than NEEDLE_SHOWN_MAX are no chance. */
bool needle_scan_can_show(const struct needle_scan *scan) MUSTUSE NONNULL;
void needle_scan_show(struct needle_scan *scan, struct span *out) NONNULL;
/* At the stream's end: what is still held. */
void needle_scan_end(struct needle_scan *scan, struct span *out) NONNULL;

#endif
