/* Any bytes as JSON: what is accepted has one canonical text, which is accepted again as the same tree; what is
 * refused is refused with the document's name in front. */
#include <stdlib.h>

#include "core/data/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

/* The typed access that every document goes through, over every member that is there. */
static void look(const struct json_at *at, unsigned depth)
{
    static const char *const words[] = {"a", "b"}, *const keys[] = {"a", "b", NULL};
    struct err err;
    const char *text = NULL;
    int64_t number = 0;
    uint64_t big = 0;
    size_t count = 0;
    int word = 0;
    bool flag = false;
    struct json_at below;
    require(depth <= JSON_DEPTH_MAX);
    if (json_is_array(at->node)) {
        for (size_t i = 0; i < json_array_size(at->node); i++) {
            below = json_element(at, i);
            look(&below, depth + 1);
        }
    }
    if (json_text_of(at, 64, &text, &err))
        require(*text && strlen(text) <= 64);
    if (!json_is_object(at->node))
        return;
    (void)!json_only(at, keys, &err);
    const char *key;
    json_t *value;
    json_object_foreach(at->node, key, value)
    {
        if (json_get_text(at, key, JSON_NEED, 64, &text, &err))
            require(strlen(text) <= 64);
        (void)!json_get_raw(at, key, JSON_NEED, 64, &text, &err);
        if (json_get_int(at, key, JSON_NEED, -5, 5, &number, &err))
            require(number >= -5 && number <= 5);
        (void)!json_get_bool(at, key, JSON_NEED, &flag, &err);
        if (json_get_word(at, key, JSON_NEED, words, COUNT(words), &word, &err))
            require(word >= 0 && word < (int)COUNT(words));
        (void)!json_get_duration(at, key, JSON_NEED, &big, &err);
        (void)!json_get_bytes(at, key, JSON_NEED, &big, &err);
        if (json_get_list(at, key, JSON_NEED, 3, &below, &count, &err))
            require(count <= 3);
        if (json_member(at, key, &below))
            look(&below, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct doc doc, again;
    struct err err = {0};
    if (!json_parse(data, size, JSON_FILE_MAX, "fuzz.json", ERR_DATA, &doc, &err)) {
        require(err.code == ERR_DATA && strncmp(err.message, "fuzz.json", 9) == 0);
        return 0;
    }
    struct json_at root = json_root(&doc);
    look(&root, 0);
    AUTOFREE char *text = json_canonical(doc.root);
    /* Escapes and numbers may be longer than they were. */
    require(json_parse(text, strlen(text), 8 * (size_t)JSON_FILE_MAX, "again", ERR_DATA, &again, &err));
    AUTOFREE char *same = json_canonical(again.root);
    require(strcmp(text, same) == 0 && json_equal(doc.root, again.root));
    doc_clear(&again);
    doc_clear(&doc);
    return 0;
}
