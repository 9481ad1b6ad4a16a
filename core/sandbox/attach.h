/* The terminal's side of a detached sandbox (keeper.h): raw mode, keys and sizes out, output in, and the keys that
 * leave the sandbox to itself again. */
#ifndef AILERON_SANDBOX_ATTACH_H
#define AILERON_SANDBOX_ATTACH_H

#include "core/base/err.h"
#include "core/base/text.h"

enum { ATTACH_KEYS_MAX = 8 };

/* Keys one after another that detach. */
struct attach_keys {
    uint8_t bytes[ATTACH_KEYS_MAX];
    size_t count; /* 0: none do */
};
#define ATTACH_KEYS_DEFAULT "ctrl-\\,ctrl-\\"

/* "ctrl-p,ctrl-q,x": single characters, and ctrl- with one of a-z @ [ \ ] ^ _. "" is none. */
bool attach_keys_parse(const char *text, struct attach_keys *out, struct err *err) MUSTUSE NONNULL;
/* Stays until the sandbox ends (its exit status), the keys come (0) or a signal does (128 and its number). -1 and err:
 * the keeper has gone without a word. Standard input need not be a terminal; its end is not the sandbox's. */
int attach_run(int fd, const struct attach_keys *keys, struct err *err) MUSTUSE NONNULL;

#endif
