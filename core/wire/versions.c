/* What this room links. llhttp has no function that says it; its header is of the same release. */
#include "core/wire/versions.h"

#include "core/wire/http2.h"

#include <llhttp.h>

bool wire_versions(struct buf *out)
{
    return buf_printf(out, "llhttp %d.%d.%d, nghttp2 %s", LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
                      LLHTTP_VERSION_PATCH, http2_version());
}
