/* Looks at containers by their labels. It removes nothing. */
#include "core/sandbox/docker_left.h"

#include "core/base/id.h"
#include "core/data/json.h"
#include "core/sandbox/docker_api.h"

#include <stdlib.h>

enum { CONTAINERS_MAX = 4096 };

static bool ask(const char *path, int *status, struct doc *doc, struct err *err)
{
    CLEANUP(buf_clear) struct buf answer;
    AUTOFREE char *socket_path = docker_socket(err);

    buf_init(&answer, 0);
    return socket_path != NULL && docker_call(socket_path, "GET", path, status, &answer, err) &&
           json_parse(answer.data, answer.len, DOCKER_ANSWER_BYTES, "docker", ERR_UNAVAILABLE, doc, err);
}

bool docker_left(const char *home_id, engine_left_fn found, void *arg, struct err *err)
{
    CLEANUP(doc_clear) struct doc doc = {0};
    /* {"label":["dev.aileron.home=ID"]}, as a query has it */
    AUTOFREE char *path = mem_printf("/containers/json?all=1&filters="
                                     "%%7B%%22label%%22%%3A%%5B%%22dev.aileron.home%%3D%s%%22%%5D%%7D", home_id);
    int status = 0;

    if (!ask(path, &status, &doc, err))
        return false;
    if (status != 200 || !json_is_array(doc.root))
        return err_set(err, ERR_UNAVAILABLE, "the docker engine does not list its containers (status %d)", status);
    for (size_t i = 0; i < json_array_size(doc.root) && i < CONTAINERS_MAX; i++) {
        const json_t *labels = json_object_get(json_array_get(doc.root, i), "Labels");
        const char *session = json_string_value(json_object_get(labels, "dev.aileron.session"));
        /* What it lists is what we asked for, and looked at again: a filter not understood lists everything. */
        const char *home = json_string_value(json_object_get(labels, "dev.aileron.home"));
        if (session != NULL && id_valid(session, "") && home != NULL && strcmp(home, home_id) == 0)
            found(session, arg);
    }
    return true;
}
