/* One block a head, and before it one or two entries more where a name does not fit. */
#include "core/wire/tar_write.h"

#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 100 };

struct header { /* ustar, as POSIX has it */
    char name[NAME_BYTES], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, target[NAME_BYTES], magic[6],
        version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == TAR_BLOCK, "a block is a header");

/* Octal digits and a NUL, as many as there is room for; what is larger is in base 256, as GNU's tar has it. */
static void number(char *field, size_t len, uint64_t value)
{
    if (value >> (3 * (len - 1)) == 0) {
        for (size_t i = len - 1; i-- > 0; value >>= 3)
            field[i] = (char)('0' + (value & 7));
        return;
    }
    for (size_t i = len; i-- > 1; value >>= 8)
        field[i] = (char)(value & 0xff);
    field[0] = (char)0x80;
}

static bool add_header(struct buf *out, struct header *header)
{
    const uint8_t *bytes = (const uint8_t *)header;
    unsigned sum = 0;

    memcpy(header->magic, "ustar", 6);
    memcpy(header->version, "00", 2);
    memset(header->sum, ' ', sizeof(header->sum));
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += bytes[i];
    number(header->sum, 7, sum);
    header->sum[6] = '\0';
    header->sum[7] = ' ';
    return buf_add(out, header, sizeof(*header));
}

/* A name that goes before its entry: 'L' for its own, 'K' for a link's target. */
static bool add_long(struct buf *out, char type, const char *text)
{
    static const char zeros[TAR_BLOCK];
    struct header header = {.name = "././@LongLink", .type = type};
    size_t len = strlen(text) + 1;

    number(header.size, sizeof(header.size), len);
    return add_header(out, &header) && buf_add(out, text, len) && buf_add(out, zeros, tar_write_padding(len));
}

bool tar_write_head(struct buf *out, const struct tar_entry *entry, struct tar_owner owner)
{
    static const char types[] = {[TAR_FILE] = '0', [TAR_DIRECTORY] = '5', [TAR_SYMLINK] = '2', [TAR_HARDLINK] = '1'};
    const char *target = entry->target != NULL ? entry->target : "";
    size_t name_len = strlen(entry->name), target_len = strlen(target), before = out->len;
    uint64_t size = entry->type == TAR_FILE ? entry->size : 0;
    struct header header = {.type = types[entry->type]};

    if (name_len > TAR_NAME_MAX || target_len > TAR_NAME_MAX || size >= TAR_WRITE_SIZE_MAX)
        return false;
    memcpy(header.name, entry->name, name_len < NAME_BYTES ? name_len : NAME_BYTES);
    memcpy(header.target, target, target_len < NAME_BYTES ? target_len : NAME_BYTES);
    number(header.mode, sizeof(header.mode), entry->mode & 07777);
    number(header.uid, sizeof(header.uid), owner.uid);
    number(header.gid, sizeof(header.gid), owner.gid);
    number(header.size, sizeof(header.size), size);
    number(header.mtime, sizeof(header.mtime), entry->mtime > 0 ? (uint64_t)entry->mtime : 0);
    bool good = (name_len <= NAME_BYTES || add_long(out, 'L', entry->name)) &&
                (target_len <= NAME_BYTES || add_long(out, 'K', target)) && add_header(out, &header);
    if (!good)
        out->len = before;
    return good;
}

size_t tar_write_padding(uint64_t size)
{
    return (size_t)(-size % TAR_BLOCK);
}

bool tar_write_end(struct buf *out)
{
    static const char zeros[2 * TAR_BLOCK];

    return buf_add(out, zeros, sizeof(zeros));
}
