/* The session API's parts among themselves. */
#ifndef AILERON_PLANE_API_PRIVATE_H
#define AILERON_PLANE_API_PRIVATE_H

#include "core/loop/service.h"
#include "core/plane/denial.h"
#include "core/plane/plane.h"

void api_refuse(struct service_request *req, struct plane *plane, const struct err *err, int status) NONNULL;
void api_reply_json(struct service_request *req, int status, const json_t *value) NONNULL;
/* POST /v1/connector-operations/run (api_run.c). */
void api_run(struct plane *plane, struct service_request *req) NONNULL;

#endif
