/* Reads one entry of a passwd file that an image has. Nothing of libc's is used: it would load modules. */
#include "core/sandbox/account.h"

#include "core/base/file.h"
#include "core/base/text.h"

#include <stdio.h>

enum { NAME, PASSWORD, ID, GROUP, COMMENT, HOME, FIELDS };

static bool take(struct span field, char *out, size_t cap)
{
    if (field.len == 0 || field.len >= cap)
        return false;
    memcpy(out, field.p, field.len);
    out[field.len] = '\0';
    return true;
}

bool account_parse(const char *passwd, const char *name, struct account *out)
{
    struct span rest = span_of(passwd), line;

    while (span_cut(&rest, '\n', &line)) {
        struct span fields[FIELDS] = {0};
        for (size_t i = 0; i < FIELDS && span_cut(&line, ':', &fields[i]); i++)
            ;
        if (!span_eqs(fields[NAME], name) && !span_eqs(fields[ID], name))
            continue;
        return fields[HOME].len > 1 && fields[HOME].p[0] == '/' && take(fields[NAME], out->name, sizeof(out->name)) &&
               take(fields[HOME], out->home, sizeof(out->home));
    }
    return false;
}

bool account_find(const char *path, const char *name, struct account *out, struct err *err)
{
    struct buf text;
    struct err reason = {0};
    bool there = file_read(path, ACCOUNT_FILE_BYTES, &text, &reason);
    bool found = there && account_parse(buf_cstr(&text), name, out);

    if (there)
        buf_clear(&text);
    if (found)
        return true;
    err_set(err, ERR_LAUNCH, "the image has no user %s with a home, which the project's dev container names", name);
    return err_hint(err, "Correct remoteUser, or make that user in the image");
}
