/* A field `_method` in a form: Rack, Laravel, Symfony and others take its value for the method of a POST (C08). Found
 * in the query, and in a body that streams by, in the forms and spellings in which they read it:
 * application/x-www-form-urlencoded (WHATWG URL 5.1), multipart
 * (RFC 7578), JSON (RFC 8259). No I/O; it keeps no body. */
#ifndef AILERON_WIRE_FORM_H
#define AILERON_WIRE_FORM_H

#include "core/wire/msg.h"

enum { /* a set */
    FORM_URLENCODED = 1,
    FORM_MULTIPART = 2,
    FORM_JSON = 4
};
/* What a request's body may be read as; 0: as none. Of several Content-Types each may be the one that counts. */
unsigned form_kinds(const struct msg *request) MUSTUSE NONNULL;

enum { FORM_FIELDS = 2 /* that a part has its name from */ };
struct form_scan {
    unsigned kinds;
    bool found;
    /* How much of a text was there, each: */
    unsigned key, escape, byte;        /* urlencoded: of the name; digits of %XX that are to come, and what they say */
    unsigned field[FORM_FIELDS], part; /* multipart: of the field's name; within it, of the name */
    unsigned ends;                     /* of the line that ends a part's head */
    bool named, in_word;               /* such a field was met; the byte before is a word's */
    unsigned word, slash, unit;        /* JSON: of the name; of an escape, and what it says */
    bool quoted;                       /* within a string */
};
void form_scan_init(struct form_scan *scan, unsigned kinds) NONNULL;
/* True once it was found; data may be cut anywhere. */
bool form_scan_next(struct form_scan *scan, struct span data) MUSTUSE NONNULL;
bool form_scan_end(struct form_scan *scan) MUSTUSE NONNULL;

bool form_in_query(const char *query) MUSTUSE NONNULL; /* without the question mark */

#endif
