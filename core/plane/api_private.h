/* What the files of the session API share among themselves: refusals and JSON answers. */
#ifndef AILERON_PLANE_API_PRIVATE_H
#define AILERON_PLANE_API_PRIVATE_H

#include "core/loop/service.h"
#include "core/plane/denial.h"
#include "core/plane/plane.h"

/* Bounds of what a call may say; the monitor's own are no smaller. */
enum { API_NAME_BYTES = 128, API_KEY_BYTES = 128, API_ACK_IDS = 1000 };

void api_refuse(struct service_request *req, struct plane *plane, const struct err *err, int status) NONNULL;
void api_reply_json(struct service_request *req, int status, const json_t *value) NONNULL;
/* POST /v1/connector-operations/run (api_run.c). */
void api_run(struct plane *plane, struct service_request *req) NONNULL;

#endif
