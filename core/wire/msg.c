/* Message heads as ordered fields: looking up, changing, and taking off what is for one connection alone. Every
 * string that enters is checked, so that no head can be built that would be read as another one. */
#include "core/wire/msg.h"

enum {
    FIELD_OVERHEAD = 4, /* ": " and CRLF */
    FIELDS_FIRST = 16   /* room to begin with */
};

void msg_init(struct msg *msg, struct arena *arena)
{
    *msg = (struct msg){.arena = arena, .minor = 1, .keep_alive = true, .framing = MSG_NONE};
}

/* ---- what may stand in a head ---- */

bool msg_value_valid(struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool field_valid(struct span name, struct span value, struct err *err)
{
    char shown[64];
    if (!text_is_token(name)) {
        text_display(name, shown, sizeof(shown));
        return err_set(err, ERR_DATA, "\"%s\" is no field name", shown);
    }
    if (!msg_value_valid(value)) /* the value is not shown: it may be a secret */
        return err_set(err, ERR_DATA, "the field %.*s holds a control character",
                       (int)(name.len < 64 ? name.len : 64), name.p);
    return true;
}

/* ---- looking up ---- */

struct span msg_get(const struct msg *msg, const char *name)
{
    struct span wanted = span_of(name);
    for (size_t i = 0; i < msg->fields.count; i++)
        if (span_eqi(msg->fields.items[i].name, wanted))
            return msg->fields.items[i].value;
    return (struct span){NULL, 0};
}

size_t msg_count(const struct msg *msg, const char *name)
{
    struct span wanted = span_of(name);
    size_t count = 0;
    for (size_t i = 0; i < msg->fields.count; i++)
        count += span_eqi(msg->fields.items[i].name, wanted);
    return count;
}

bool msg_name_alike(struct span name, const char *wanted)
{
    struct span text = span_of(wanted);
    if (name.len != text.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        struct span a = {name.p + i, 1}, b = {text.p + i, 1};
        if (!span_eqi(a, b) && !(*a.p == '_' && *b.p == '-'))
            return false;
    }
    return true;
}

static bool is_double(struct span name, const char *wanted)
{
    return msg_name_alike(name, wanted) && !span_eqis(name, wanted);
}

bool msg_has_double(const struct msg *msg, const char *name)
{
    for (size_t i = 0; i < msg->fields.count; i++)
        if (is_double(msg->fields.items[i].name, name))
            return true;
    return false;
}

bool msg_list_next(struct span *rest, struct span *item)
{
    while (span_cut(rest, ',', item)) {
        *item = span_trim(*item);
        if (item->len)
            return true;
    }
    return false;
}

bool msg_has_token(const struct msg *msg, const char *name, const char *token)
{
    struct span wanted = span_of(name), item;
    for (size_t i = 0; i < msg->fields.count; i++) {
        struct span rest = msg->fields.items[i].value;
        if (!span_eqi(msg->fields.items[i].name, wanted))
            continue;
        while (msg_list_next(&rest, &item))
            if (span_eqis(item, token))
                return true;
    }
    return false;
}

/* ---- changing ---- */

static bool fits(const struct msg *msg, struct span name, struct span value, struct err *err)
{
    size_t room = MSG_HEAD_BYTES - msg->bytes;
    if (name.len > room || value.len > room || name.len + value.len + FIELD_OVERHEAD > room)
        return err_set(err, ERR_LIMIT, "the head is larger than %d bytes", MSG_HEAD_BYTES);
    return true;
}

static bool append(struct msg *msg, struct msg_fields *fields, size_t max, struct span name,
                   struct span value, struct err *err)
{
    if (fields->count == max)
        return err_set(err, ERR_LIMIT, "more than %zu fields", max);
    if (fields->count == fields->cap) {
        size_t cap = fields->cap ? 2 * fields->cap : FIELDS_FIRST;
        struct msg_field *items = arena_alloc(msg->arena, cap * sizeof(*items));
        if (!items)
            return err_set(err, ERR_LIMIT, "the message's strings are larger than their bound");
        if (fields->count)
            memcpy(items, fields->items, fields->count * sizeof(*items));
        fields->items = items;
        fields->cap = cap;
    }
    fields->items[fields->count++] = (struct msg_field){name, value};
    msg->bytes += name.len + value.len + FIELD_OVERHEAD;
    return true;
}

bool msg_add_borrowed(struct msg *msg, struct span name, struct span value, struct err *err)
{
    value = span_trim(value);
    return field_valid(name, value, err) && fits(msg, name, value, err) &&
           append(msg, &msg->fields, MSG_FIELDS_MAX, name, value, err);
}

bool msg_trailer_allowed(struct span name)
{
    static const char *const names[] = {
        "transfer-encoding", "content-length",   "trailer",       "host",
        "connection",        "keep-alive",       "te",            "upgrade",
        "authorization",     "www-authenticate", "cookie",        "set-cookie",
        "content-encoding",  "content-type",     "content-range", "authentication-info",
        "expect",            "max-forwards",
    };
    for (size_t i = 0; i < COUNT(names); i++)
        if (span_eqis(name, names[i]))
            return false;
    return name.len < 6 || !span_eqi((struct span){name.p, 6}, SPAN("proxy-"));
}

bool msg_add_trailer(struct msg *msg, struct span name, struct span value, struct err *err)
{
    value = span_trim(value);
    if (!msg_trailer_allowed(name))
        return err_set(err, ERR_DATA, "the field %.*s cannot be a trailer",
                       (int)(name.len < 64 ? name.len : 64), name.p);
    return field_valid(name, value, err) && fits(msg, name, value, err) &&
           append(msg, &msg->trailers, MSG_TRAILERS_MAX, name, value, err);
}

static bool copy(struct msg *msg, struct span *text, struct err *err)
{
    const char *made = arena_strndup(msg->arena, text->len ? text->p : "", text->len);
    if (!made)
        return err_set(err, ERR_LIMIT, "the message's strings are larger than their bound");
    text->p = made;
    return true;
}

bool msg_add(struct msg *msg, struct span name, struct span value, struct err *err)
{
    value = span_trim(value);
    return field_valid(name, value, err) && fits(msg, name, value, err) && copy(msg, &name, err) &&
           copy(msg, &value, err) && append(msg, &msg->fields, MSG_FIELDS_MAX, name, value, err);
}

/* Takes out the fields that have this name, from index on. */
static size_t remove_from(struct msg *msg, struct span name, size_t from)
{
    struct msg_fields *fields = &msg->fields;
    size_t kept = from;
    for (size_t i = from; i < fields->count; i++) {
        struct msg_field *field = &fields->items[i];
        if (span_eqi(field->name, name))
            msg->bytes -= field->name.len + field->value.len + FIELD_OVERHEAD;
        else
            fields->items[kept++] = *field;
    }
    size_t removed = fields->count - kept;
    fields->count = kept;
    return removed;
}

size_t msg_remove(struct msg *msg, const char *name)
{
    return remove_from(msg, span_of(name), 0);
}

void msg_remove_doubles(struct msg *msg, const char *name)
{
    for (size_t i = 0; i < msg->fields.count;)
        if (is_double(msg->fields.items[i].name, name))
            remove_from(msg, msg->fields.items[i].name, i);
        else
            i++;
}

bool msg_set_borrowed(struct msg *msg, const char *name, struct span value, struct err *err)
{
    struct span wanted = span_of(name);
    size_t i = 0;
    value = span_trim(value);
    while (i < msg->fields.count && !span_eqi(msg->fields.items[i].name, wanted))
        i++;
    if (i == msg->fields.count)
        return msg_add_borrowed(msg, wanted, value, err);
    struct msg_field *field = &msg->fields.items[i];
    if (!field_valid(wanted, value, err))
        return false;
    /* What is replaced counts no more; the other fields of the name go only if the new one fits. */
    size_t before = msg->bytes;
    msg->bytes -= field->name.len + field->value.len + FIELD_OVERHEAD;
    if (!fits(msg, wanted, value, err)) {
        msg->bytes = before;
        return false;
    }
    msg->bytes += wanted.len + value.len + FIELD_OVERHEAD;
    *field = (struct msg_field){wanted, value};
    remove_from(msg, wanted, i + 1);
    return true;
}

bool msg_set(struct msg *msg, const char *name, struct span value, struct err *err)
{
    struct span wanted = span_of(name);
    value = span_trim(value);
    return field_valid(wanted, value, err) && copy(msg, &wanted, err) && copy(msg, &value, err) &&
           msg_set_borrowed(msg, wanted.p, value, err);
}

/* ---- start lines ---- */

bool msg_request(struct msg *msg, struct span method, struct span target, struct err *err)
{
    if (!text_is_token(method))
        return err_set(err, ERR_DATA, "the method is no token");
    for (size_t i = 0; i < target.len; i++)
        if (target.p[i] <= ' ' || target.p[i] >= 0x7f)
            return err_set(err, ERR_DATA, "the target holds a byte that must be percent-encoded");
    if (target.len == 0)
        return err_set(err, ERR_DATA, "the target is empty");
    if (method.len > MSG_HEAD_BYTES || target.len > MSG_HEAD_BYTES)
        return err_set(err, ERR_LIMIT, "the request line is too long");
    msg->method = method;
    msg->target = target;
    msg->status = 0;
    return copy(msg, &msg->method, err) && copy(msg, &msg->target, err);
}

bool msg_response(struct msg *msg, unsigned status, struct span reason, struct err *err)
{
    if (status < 100 || status > 599)
        return err_set(err, ERR_DATA, "%u is no HTTP status", status);
    if (!msg_value_valid(reason))
        return err_set(err, ERR_DATA, "the reason phrase holds a control character");
    if (reason.len > MSG_HEAD_BYTES)
        return err_set(err, ERR_LIMIT, "the reason phrase is too long");
    msg->status = status;
    msg->reason = reason;
    return copy(msg, &msg->reason, err);
}

/* ---- hop by hop ---- */

/* For this connection alone, named by Connection or not (RFC 9110 7.6.1). */
static bool is_hop_by_hop(struct span name)
{
    static const char *const names[] = {"connection", "keep-alive", "te", "transfer-encoding"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (span_eqis(name, names[i]))
            return true;
    return name.len > 6 && span_eqi((struct span){name.p, 6}, SPAN("proxy-"));
}

void msg_strip_hop_by_hop(struct msg *msg)
{
    struct span named[MSG_TOKENS_MAX];
    size_t named_count = 0, kept = 0;
    bool trailers = msg_has_token(msg, "te", "trailers");
    bool te_done = false;
    for (size_t i = 0; i < msg->fields.count; i++) {
        struct span rest = msg->fields.items[i].value, item;
        if (!span_eqis(msg->fields.items[i].name, "connection"))
            continue;
        while (named_count < MSG_TOKENS_MAX && msg_list_next(&rest, &item))
            named[named_count++] = item;
    }
    for (size_t i = 0; i < msg->fields.count; i++) {
        struct msg_field field = msg->fields.items[i];
        bool upgrade = span_eqis(field.name, "upgrade");
        bool drop = is_hop_by_hop(field.name) || (upgrade && !msg->upgrade);
        for (size_t n = 0; n < named_count && !drop; n++)
            drop = span_eqi(named[n], field.name) && !upgrade;
        if (drop && trailers && !te_done && span_eqis(field.name, "te")) {
            msg->bytes -= field.value.len;
            field.value = SPAN("trailers");
            msg->bytes += field.value.len;
            te_done = true;
            drop = false;
        }
        if (drop)
            msg->bytes -= field.name.len + field.value.len + FIELD_OVERHEAD;
        else
            msg->fields.items[kept++] = field;
    }
    msg->fields.count = kept;
}
