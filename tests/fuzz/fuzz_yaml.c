/* Any bytes as YAML: what is accepted is a tree within the bounds of any document, the same one each time, and one
 * that JSON can say; what is refused is refused with the document's name in front. */
#include <stdlib.h>

#include "core/data/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static size_t nodes_of(const json_t *node, unsigned depth)
{
    size_t count = 1;
    const char *key;
    json_t *value;
    require(depth <= JSON_DEPTH_MAX);
    for (size_t i = 0; i < json_array_size(node); i++)
        count += nodes_of(json_array_get(node, i), depth + 1);
    json_object_foreach((json_t *)(uintptr_t)node, key, value)
    {
        require(strlen(key) <= JSON_KEY_MAX);
        count += nodes_of(value, depth + 1);
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct doc doc, again;
    struct err err = {0};
    if (!yaml_parse(data, size, "fuzz.yaml", &doc, &err)) {
        require(err.code == ERR_CONFIG && strncmp(err.message, "fuzz.yaml", 9) == 0);
        return 0;
    }
    require(nodes_of(doc.root, 0) <= JSON_NODES_MAX);
    /* Wherever an error is found later, it has a place. */
    struct json_at root = json_root(&doc);
    json_fail(&root, &err, "is at fault");
    require(strncmp(err.message, "fuzz.yaml", 9) == 0);
    AUTOFREE char *text = json_canonical(doc.root);
    require(yaml_parse(data, size, "fuzz.yaml", &again, &err) && json_equal(doc.root, again.root));
    doc_clear(&again);
    require(json_parse(text, strlen(text), 8 * (size_t)JSON_FILE_MAX, "again", ERR_DATA, &again, &err));
    require(json_equal(doc.root, again.root));
    doc_clear(&again);
    doc_clear(&doc);
    return 0;
}
