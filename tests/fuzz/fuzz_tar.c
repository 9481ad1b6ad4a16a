/* Whatever an archive holds: names come out canonical, contents as long as was said, and the pieces in which it comes
 * make no difference. */
#include "core/wire/tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void require_canonical(const char *name)
{
    require(strlen(name) <= TAR_NAME_MAX && name[0] != '/' && strstr(name, "//") == NULL);
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        size_t len = strcspn(part, "/");
        require(name[0] == '\0' || (len > 0 && !(len == 1 && part[0] == '.')));
        require(!(len == 2 && part[0] == '.' && part[1] == '.'));
    }
}

/* A number that stands for all that came out. */
static uint64_t read_by(const uint8_t *data, size_t size, size_t piece)
{
    struct tar *tar = tar_new();
    struct tar_entry entry = {0};
    struct span content;
    struct err err;
    enum tar_event event = TAR_NEED_MORE;
    uint64_t sum = 0, left = 0;

    for (size_t at = 0; at < size && event != TAR_END && event != TAR_ERROR; at += piece) {
        struct span input = {(const char *)data + at, size - at < piece ? size - at : piece};
        do {
            event = tar_next(tar, &input, &entry, &content, &err);
            if (event == TAR_ENTRY) {
                require(left == 0);
                require_canonical(entry.name);
                if (entry.type == TAR_HARDLINK)
                    require_canonical(entry.target);
                require((entry.target != NULL) == (entry.type == TAR_SYMLINK || entry.type == TAR_HARDLINK));
                left = entry.size;
                sum = sum * 31 + strlen(entry.name) + entry.mode + entry.size;
            } else if (event == TAR_DATA) {
                require(content.len > 0 && content.len <= left);
                left -= content.len;
                for (size_t i = 0; i < content.len; i++)
                    sum = sum * 31 + (uint8_t)content.p[i];
            } else {
                require(event != TAR_NEED_MORE || input.len == 0);
            }
        } while (event == TAR_ENTRY || event == TAR_DATA);
    }
    sum = sum * 31 + (event == TAR_ERROR || !tar_eof(tar, &err));
    tar_free(tar);
    return sum;
}

/* A fuzzer does not guess checksums. */
static void mend(uint8_t *data, size_t size)
{
    for (; size >= TAR_BLOCK; data += TAR_BLOCK, size -= TAR_BLOCK) {
        unsigned sum = 0;
        if (memcmp(data + 257, "ustar", 5) != 0)
            continue;
        memset(data + 148, ' ', 8);
        for (size_t i = 0; i < TAR_BLOCK; i++)
            sum += data[i];
        snprintf((char *)data + 148, 8, "%06o", sum);
    }
}

static void read_all(const uint8_t *data, size_t size)
{
    uint64_t whole = read_by(data, size, size + 1);

    require(read_by(data, size, 1) == whole);
    require(read_by(data, size, 512) == whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *mended = malloc(size + 1);

    read_all(data, size);
    memcpy(mended, data, size);
    mend(mended, size);
    read_all(mended, size);
    free(mended);
    return 0;
}
