/* Writes refusals as JSON and as HTTP answers. It decides nothing. */
#include "core/plane/denial.h"
#include "core/data/json.h"
#include "core/wire/http1.h"

#include <stdio.h>

void denial_from_err(struct denial *denial, const struct err *err, int status)
{
    *denial = (struct denial){.status = status ? status : err_http(err->code), .id = id_new("")};
    snprintf(denial->code, sizeof(denial->code), "%s", err_word(err->code));
    snprintf(denial->message, sizeof(denial->message), "%s", err->message);
    snprintf(denial->next, sizeof(denial->next), "%s", err->hint);
}

bool denial_body(const struct denial *denial, struct buf *out)
{
    json_t *root JSON_AUTO = json_object(), *error = json_object();
    json_put(error, "code", denial->code);
    json_put(error, "message", denial->message);
    json_put(error, "reason", denial->reason[0] ? denial->reason : NULL);
    json_put(error, "rule", denial->rule[0] ? denial->rule : NULL);
    json_put(error, "next", denial->next[0] ? denial->next : NULL);
    json_put(error, "id", denial->id.text);
    json_object_set_new(root, "error", error);
    return json_write(root, out) && buf_adds(out, "\n");
}

bool denial_answer(const struct denial *denial, bool close, struct buf *out)
{
    struct buf body CLEANUP(buf_clear);
    buf_init(&body, DENIAL_BODY_BYTES);
    if (!denial_body(denial, &body))
        return false;
    const char *challenge = denial->status == 407 ? "Proxy-Authenticate: Basic realm=\"aileron\"\r\n" : "";
    return buf_printf(out,
                      "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                      "X-Aileron-Denied: %s\r\n%s%s\r\n",
                      denial->status, http1_reason((unsigned)denial->status), body.len, denial->code,
                      challenge, close ? "Connection: close\r\n" : "") &&
           buf_add(out, body.data, body.len);
}
