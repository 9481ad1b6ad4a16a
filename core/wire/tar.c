/* A header is a block of 512 bytes; what an archive says about the next entry beforehand (pax records, GNU's long
 * names) is collected and laid over that header. What is known and cannot be kept (sparse files) is an error, so that
 * no file comes out with other bytes than it had. */
#include "core/wire/tar.h"

#include "core/base/mem.h"

#include <stdlib.h>
#include <string.h>

enum state { HEADER, EXTENSION, CONTENT, PADDING, ENDED };

struct tar {
    enum state state;
    uint8_t block[TAR_BLOCK];
    size_t have;         /* of the block */
    uint64_t left;       /* of an extension or of content */
    size_t padding;
    unsigned extensions; /* since the last entry */
    char kind;           /* of the extension */
    struct buf extension;
    char *path, *link;   /* what extensions said; NULL: nothing */
    bool has_size, has_mtime;
    uint64_t size;
    int64_t mtime;
    char *name, *target; /* of the entry that was reported */
};

struct tar *tar_new(void)
{
    struct tar *tar = mem_alloc(sizeof(*tar));

    buf_init(&tar->extension, TAR_EXTENSION_MAX);
    return tar;
}

static void set(char **slot, char *text)
{
    free(*slot);
    *slot = text;
}

static void forget_extensions(struct tar *tar)
{
    set(&tar->path, NULL);
    set(&tar->link, NULL);
    tar->has_size = tar->has_mtime = false;
    tar->extensions = 0;
}

void tar_free(struct tar *tar)
{
    if (tar == NULL)
        return;
    forget_extensions(tar);
    set(&tar->name, NULL);
    set(&tar->target, NULL);
    buf_clear(&tar->extension);
    free(tar);
}

static bool bad(struct err *err, const char *why)
{
    return err_set(err, ERR_DATA, "the archive is damaged or no tar: %s", why);
}

/* Octal with blanks around it, or, where the first bit is set, a number of the remaining bytes. */
static bool number(const uint8_t *field, size_t len, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    size_t i = 0;

    if (field[0] & 0x80) {
        for (i = 0; i < len; i++) {
            unsigned digit = i == 0 ? field[0] & 0x7f : field[i];
            if (value > max >> 8)
                return false;
            value = value << 8 | digit;
        }
        *out = value;
        return value <= max;
    }
    while (i < len && field[i] == ' ')
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
        if (value > max >> 3)
            return false;
        value = value << 3 | (unsigned)(field[i] - '0');
    }
    *out = value;
    return value <= max && (i == len || field[i] == ' ' || field[i] == '\0');
}

static bool checksum_good(const uint8_t *block)
{
    uint64_t said, sum = 0;

    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : block[i];
    return number(block + 148, 8, UINT32_MAX, &said) && said == sum;
}

/* "./usr//bin/" is "usr/bin". NULL: absolute, with "..", too long. */
static char *canonical(struct span text)
{
    struct span part;
    struct buf out;
    bool good = text.len <= TAR_NAME_MAX && (text.len == 0 || text.p[0] != '/');

    buf_init(&out, TAR_NAME_MAX + 1);
    while (good && span_cut(&text, '/', &part)) {
        if (part.len == 0 || span_eqs(part, "."))
            continue;
        good = !span_eqs(part, "..") && (out.len == 0 || buf_add(&out, "/", 1)) && buf_add(&out, part.p, part.len);
    }
    char *name = good ? mem_strndup(buf_cstr(&out), out.len) : NULL;
    buf_clear(&out);
    return name;
}

static bool add_record(struct tar *tar, struct span key, struct span value, struct err *err)
{
    bool cut = memchr(value.p, '\0', value.len) != NULL;

    if (span_eqs(key, "path") || span_eqs(key, "linkpath")) {
        if (cut || value.len > TAR_NAME_MAX)
            return bad(err, "a name is too long, or holds a NUL");
        set(span_eqs(key, "path") ? &tar->path : &tar->link, mem_strndup(value.p, value.len));
    } else if (span_eqs(key, "size")) {
        tar->has_size = text_u64(value, INT64_MAX, &tar->size);
        return tar->has_size || bad(err, "a size is no number");
    } else if (span_eqs(key, "mtime")) {
        struct span whole;
        uint64_t seconds;
        tar->has_mtime = span_cut(&value, '.', &whole) && text_u64(whole, INT64_MAX, &seconds);
        tar->mtime = tar->has_mtime ? (int64_t)seconds : 0;
    } else if (span_starts(key, "GNU.sparse.")) {
        return err_set(err, ERR_DATA, "the archive has sparse files, which are not unpacked here");
    }
    return true;
}

/* Records "LENGTH KEY=VALUE\n"; LENGTH counts all of it. */
static bool take_pax(struct tar *tar, struct err *err)
{
    struct span rest = {buf_cstr(&tar->extension), tar->extension.len};

    while (rest.len > 0) {
        const char *space = memchr(rest.p, ' ', rest.len);
        size_t digits = space != NULL ? (size_t)(space - rest.p) : 0;
        uint64_t len;
        if (space == NULL || !text_u64((struct span){rest.p, digits}, rest.len, &len) || len < digits + 2 ||
            rest.p[len - 1] != '\n')
            return bad(err, "a pax record has a wrong length");
        struct span value = {space + 1, (size_t)len - digits - 2}, key;
        if (memchr(value.p, '=', value.len) == NULL || !span_cut(&value, '=', &key))
            return bad(err, "a pax record has no value");
        if (!add_record(tar, key, value, err))
            return false;
        rest = (struct span){rest.p + len, rest.len - (size_t)len};
    }
    return true;
}

static bool take_extension(struct tar *tar, struct err *err)
{
    const char *text = buf_cstr(&tar->extension);

    if (tar->kind == 'x')
        return take_pax(tar, err);
    if (tar->kind == 'L' || tar->kind == 'K') { /* with a NUL at its end */
        if (strlen(text) > TAR_NAME_MAX)
            return bad(err, "a name is too long, or holds a NUL");
        set(tar->kind == 'L' ? &tar->path : &tar->link, mem_strdup(text));
    }
    return true; /* g: of all entries to come; nothing that we ask for stands there */
}

static bool begin_extension(struct tar *tar, uint64_t size, struct err *err)
{
    if (size > TAR_EXTENSION_MAX || ++tar->extensions > TAR_EXTENSIONS_MAX)
        return bad(err, "too much is said about one entry");
    tar->kind = (char)tar->block[156];
    tar->left = size;
    buf_clear(&tar->extension);
    tar->state = EXTENSION;
    return true;
}

static bool type_of(char flag, bool slash, enum tar_type *type, struct err *err)
{
    switch (flag) {
    case '0': case '\0': case '7':
        *type = slash ? TAR_DIRECTORY : TAR_FILE; /* a slash: before there was a flag for them */
        return true;
    case '1': *type = TAR_HARDLINK; return true;
    case '2': *type = TAR_SYMLINK; return true;
    case '5': *type = TAR_DIRECTORY; return true;
    case '3': case '4': case '6': *type = TAR_OTHER; return true;
    default:
        return err_set(err, ERR_DATA, "the archive has an entry of a kind (%02x) that is not unpacked here",
                       (unsigned)(unsigned char)flag);
    }
}

/* The name as the header has it. */
static struct span header_name(const uint8_t *block, char *room)
{
    const char *name = (const char *)block, *prefix = (const char *)block + 345;
    size_t len = strnlen(name, 100), prefix_len = 0;

    if (memcmp(block + 257, "ustar", 6) == 0 && prefix[0] != '\0') {
        prefix_len = strnlen(prefix, 155);
        memcpy(room, prefix, prefix_len);
        room[prefix_len++] = '/';
    }
    memcpy(room + prefix_len, name, len);
    return (struct span){room, prefix_len + len};
}

static bool begin_entry(struct tar *tar, uint64_t size, struct tar_entry *entry, struct err *err)
{
    const uint8_t *block = tar->block;
    char room[100 + 155 + 1], shown[128];
    struct span name = tar->path != NULL ? span_of(tar->path) : header_name(block, room);
    struct span link = tar->link != NULL ? span_of(tar->link)
                                         : (struct span){(const char *)block + 157,
                                                         strnlen((const char *)block + 157, 100)};
    uint64_t mode, mtime = 0;

    *entry = (struct tar_entry){0};
    if (!number(block + 100, 8, UINT32_MAX, &mode))
        return bad(err, "a mode is no number");
    if (!number(block + 136, 12, INT64_MAX, &mtime))
        mtime = 0; /* before 1970 */
    if (!type_of((char)block[156], span_ends(name, "/"), &entry->type, err))
        return false;
    text_display(name, shown, sizeof(shown));
    set(&tar->name, canonical(name));
    if (tar->name == NULL)
        return err_set(err, ERR_DATA, "the archive names %s, which is absolute, too long, or leads up (..)", shown);
    bool hard = entry->type == TAR_HARDLINK, soft = entry->type == TAR_SYMLINK;
    set(&tar->target, hard ? canonical(link) : soft ? mem_strndup(link.p, link.len) : NULL);
    if ((hard || soft) && (tar->target == NULL || tar->target[0] == '\0'))
        return err_set(err, ERR_DATA, "the archive links %s to what is absolute, too long, empty, or leads up (..)",
                       shown);
    entry->name = tar->name;
    entry->target = tar->target;
    entry->mode = (unsigned)mode & 07777;
    entry->size = entry->type == TAR_FILE ? size : 0;
    entry->mtime = tar->has_mtime ? tar->mtime : (int64_t)mtime;
    forget_extensions(tar);
    tar->left = entry->size;
    tar->padding = (size_t)(-tar->left % TAR_BLOCK);
    tar->state = tar->left > 0 ? CONTENT : HEADER;
    return true;
}

/* A whole header is there. */
static enum tar_event take_header(struct tar *tar, struct tar_entry *entry, struct err *err)
{
    static const uint8_t zero[TAR_BLOCK];
    uint64_t size;

    tar->have = 0;
    if (memcmp(tar->block, zero, TAR_BLOCK) == 0) {
        tar->state = ENDED;
        if (tar->extensions == 0)
            return TAR_END;
        bad(err, "it ends before an entry that it has begun");
        return TAR_ERROR;
    }
    if (!checksum_good(tar->block)) {
        bad(err, "a header's checksum is wrong");
        return TAR_ERROR;
    }
    if (!number(tar->block + 124, 12, INT64_MAX, &size)) {
        bad(err, "a size is no number");
        return TAR_ERROR;
    }
    if (memchr("xgLK", tar->block[156], 4) != NULL) {
        tar->padding = (size_t)(-size % TAR_BLOCK);
        return begin_extension(tar, size, err) ? TAR_NEED_MORE : TAR_ERROR;
    }
    return begin_entry(tar, tar->has_size ? tar->size : size, entry, err) ? TAR_ENTRY : TAR_ERROR;
}

static struct span take(struct span *input, uint64_t most)
{
    struct span head = {input->p, most < input->len ? (size_t)most : input->len};

    input->p += head.len;
    input->len -= head.len;
    return head;
}

/* One step; TAR_NEED_MORE with input left: on to the next. */
static enum tar_event step(struct tar *tar, struct span *input, struct tar_entry *entry, struct span *data,
                           struct err *err)
{
    struct span head;

    switch (tar->state) {
    case HEADER:
        head = take(input, TAR_BLOCK - tar->have);
        memcpy(tar->block + tar->have, head.p, head.len);
        tar->have += head.len;
        return tar->have == TAR_BLOCK ? take_header(tar, entry, err) : TAR_NEED_MORE;
    case EXTENSION:
        head = take(input, tar->left);
        tar->left -= head.len;
        if (!buf_add(&tar->extension, head.p, head.len))
            return TAR_ERROR; /* cannot be: its size was looked at */
        if (tar->left > 0)
            return TAR_NEED_MORE;
        tar->state = PADDING;
        return take_extension(tar, err) ? TAR_NEED_MORE : TAR_ERROR;
    case CONTENT:
        *data = take(input, tar->left);
        tar->left -= data->len;
        if (tar->left == 0)
            tar->state = PADDING;
        return TAR_DATA;
    case PADDING:
        tar->padding -= take(input, tar->padding).len;
        if (tar->padding == 0)
            tar->state = HEADER;
        return TAR_NEED_MORE;
    case ENDED:
        break;
    }
    return TAR_END;
}

enum tar_event tar_next(struct tar *tar, struct span *input, struct tar_entry *entry, struct span *data,
                        struct err *err)
{
    enum tar_event event = TAR_NEED_MORE;

    *data = (struct span){"", 0};
    while (event == TAR_NEED_MORE && (input->len > 0 || tar->state == ENDED))
        event = step(tar, input, entry, data, err);
    return event;
}

bool tar_eof(const struct tar *tar, struct err *err)
{
    bool whole = tar->state == ENDED || (tar->state == HEADER && tar->have == 0 && tar->extensions == 0) ||
                 (tar->state == PADDING && tar->padding == 0 && tar->extensions == 0);

    return whole || bad(err, "it is cut off");
}
