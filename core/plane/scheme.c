/* The table of schemes, and the one function that strips and writes. It asks for no credential and checks
 * no rule: that was done before. */
#include "core/plane/scheme.h"
#include "core/base/secret.h"

#include <string.h>

/* Name and colon are no secrets; the bytes that are go from one wiped buffer to the next. */
static bool write_template(const struct binding *binding, const char *username, struct span secret,
                           struct buf *value)
{
    (void)username;
    return buf_adds(value, binding->before) && buf_add(value, secret.p, secret.len) &&
           buf_adds(value, binding->after);
}

/* RFC 7617: user-id and password joined by one colon, so the user name may not hold one. */
bool scheme_write_basic(const char *user, struct span secret, struct buf *value)
{
    struct buf pair CLEANUP(buf_wipe);
    buf_init(&pair, SCHEME_VALUE_BYTES / 2);
    if (strchr(user, ':') || !buf_adds(&pair, user) || !buf_adds(&pair, ":") ||
        !buf_add(&pair, secret.p, secret.len) || !buf_adds(value, "Basic "))
        return false;
    uint8_t *text = buf_reserve(value, text_base64_len(pair.len));
    if (!text)
        return false;
    text_base64(pair.data, pair.len, (char *)text);
    value->len += strlen((const char *)text);
    return true;
}

static bool write_basic(const struct binding *binding, const char *username, struct span secret,
                        struct buf *value)
{
    return scheme_write_basic(binding->username ? binding->username : username, secret, value);
}

static const struct scheme_row {
    const char *slots[3]; /* fields that this scheme could be said in, besides the binding's own; all are emptied */
    bool (*write)(const struct binding *, const char *username, struct span secret, struct buf *value);
} schemes[] = {
    [BINDING_BEARER] = {{"Authorization"}, write_template},
    [BINDING_BASIC] = {{"Authorization"}, write_basic},
    [BINDING_HEADER] = {{"Authorization"}, write_template},
};

bool scheme_apply(const struct binding *binding, const char *username, struct span secret,
                  struct msg *msg, struct buf *value, struct err *err)
{
    const struct scheme_row *row = &schemes[binding->scheme];
    buf_init(value, SCHEME_VALUE_BYTES);
    for (size_t i = 0; i < COUNT(row->slots) && row->slots[i]; i++)
        msg_remove(msg, row->slots[i]);
    msg_remove(msg, binding->header);
    msg_remove_doubles(msg, binding->header); /* C03 */
    if (!row->write(binding, username, secret, value)) {
        err_set(err, ERR_DENIED, "the credential %s cannot be written as %s", binding->name,
                binding_scheme_word(binding->scheme));
        return err_hint(err, "Check its entry: it is too long, or its user name holds a colon");
    }
    struct span text = {(const char *)value->data, value->len};
    if (!msg_value_valid(text)) {
        err_set(err, ERR_DENIED, "the credential %s holds bytes that no header field can", binding->name);
        return err_hint(err, "Store it again: aileron vault put %s", binding->entry);
    }
    return msg_set_borrowed(msg, binding->header, text, err);
}
