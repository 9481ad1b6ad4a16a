/* Messages between the monitor and a session worker: what travels over core/loop/ipc.
 *
 * A message is {type, flags, id} and a payload. `id` is chosen by the asking side (the worker; counting up
 * from 1) and comes back in every message that belongs to the question; 0 where nothing is asked. Payloads
 * are one JSON object unless the row says otherwise; what travels for each request is flat (core/data/flat.h). The
 * monitor treats all that it reads from a worker as hostile: every field is checked for its type and bound, an unknown
 * type or a malformed payload ends the worker. The worker trusts the monitor.
 *
 * Authority stays in the monitor: a worker cannot name a session (the monitor knows which worker a channel
 * belongs to), and each credential is decided anew from the monitor's own snapshot (threat C13). */
#ifndef AILERON_DATA_MESSAGE_H
#define AILERON_DATA_MESSAGE_H

#include "core/data/flat.h"

enum message_type {
    /* ---- monitor to worker ---- */
    /* No payload; one descriptor: a sealed memfd with the snapshot document (core/data/config.h). The first message to
     * a new worker, and again after each reload; used from each connection's next request. With the flag MESSAGE_KEPT a
     * second descriptor: the session's journal (core/data/journal.h), and the id is the last serial in it. One more
     * where the sandbox is on another machine: the session's TLS listener. */
    MESSAGE_SNAPSHOT = 1,
    /* Answers to a ROUND's questions, or to UPSTREAM_ASK. Flag MESSAGE_SECRET; id 0. Payload: one or more flat objects
     * of the kind MESSAGE_FLAT_ANSWER: the question's id, the secret, and the user name where the scheme has one. */
    MESSAGE_CREDENTIAL = 2,
    /* Negative answer to a question for a credential, UPSTREAM_ASK, OP_RUN, OP_GET and OP_ACK:
     * {"code": "denied", "message": "...", "hint": "...", "rule": "..."?, "id": "op_..."?} */
    MESSAGE_REFUSED = 3,
    /* Answer to OP_RUN where the operation is to be sent now (it is recorded and `running`); unasked, with an id from
     * MESSAGE_UNASKED on, where a person has approved one that waited:
     * {"id": "op_...", "method": "GET", "host": "api.github.com", "port": 443, "path": "/repos/a/b",
     *  "query": "per_page=5"?, "headers": {"Accept": "application/json"}, "body": "text"?,
     *  "binding": "user/github"?, "rule": "..."?} */
    MESSAGE_OP_START = 4,
    /* Answer to OP_GET, to OP_RUN of an idempotency key that is known already, and to OP_RUN of what waits for a
     * person: the operation as
     * GET /v1/operations/{id} shows it, with "result_bytes": N. N bytes follow in MESSAGE_OP_RESULT
     * messages with the same id (none where N is 0). */
    MESSAGE_OP_STATE = 5,
    /* Raw bytes of a kept result, in order, at most MESSAGE_CHUNK_BYTES each; flag MESSAGE_LAST on the last. */
    MESSAGE_OP_RESULT = 6,
    /* No payload: finish what is under way for at most limits.drain_ms, accept nothing new, exit 0. */
    MESSAGE_SHUTDOWN = 7,
    /* Answer to OP_LIST: {"operations": [...]}, newest first, at most 100. */
    MESSAGE_OP_LISTED = 8,
    /* Answer to OP_ACK: {"acked": N}. */
    MESSAGE_OP_ACKED = 9,

    /* Answer to APPROVAL_ASK: {"approval": "apr_..." or ""}: the request may go. */
    MESSAGE_APPROVED = 10,
    /* {"code", "message", "hint"}: nothing new is begun for the session, and requests are refused with that, until
     * this message comes with {}. What is under way goes on. Not answered. */
    MESSAGE_HALT = 11,

    /* ---- worker to monitor ---- */
    /* The first message, after the snapshot was taken and the jail entered: {"version": "0.1.0"} */
    MESSAGE_READY = 64,
    /* What one round of the worker's loop gave rise to: 1 to MESSAGE_ROUND_MAX flat objects, in order. Each is a line
     * for the record (core/data/audit.h; the monitor adds the session), or a question for a credential, of the kind
     * MESSAGE_FLAT_ASK, with an id of its own: answered by CREDENTIAL or REFUSED, after its own line and all before it
     * were written. id 0. With the flag MESSAGE_KEPT it is a sheet of the journal, and its serial is the id. An
     * object of the kind MESSAGE_FLAT_USED says that a credential was used that was lent before. */
    MESSAGE_ROUND = 66,
    /* POST /v1/connector-operations/run: {"connector_fqn"?: "...", "tool": "github", "operation": "get-repo",
     *  "args": {...}, "idempotency_key"?: "..."}. Answered by OP_START, OP_STATE or REFUSED. */
    MESSAGE_OP_RUN = 67,
    /* Raw bytes of the answer's body as they pass, same id as the OP_RUN. The monitor keeps the first MiB. */
    MESSAGE_OP_BODY = 68,
    /* {"id": "op_...", "status": 200 (upstream's, 0 where none came), "content_type"?: "...",
     *  "state": "succeeded" | "failed" | "unknown", "error"?: {"code", "message", "hint"}}; same id. */
    MESSAGE_OP_DONE = 69,
    /* {"id": "op_...", "wait_ms": 0..600000}. Answered when the state is final, or when the time is up. */
    MESSAGE_OP_GET = 70,
    /* Same id as the OP_GET whose client went away; no answer is wanted any more. No payload. */
    MESSAGE_CANCEL = 71,
    /* {"state"?: "succeeded", "uncollected"?: true} */
    MESSAGE_OP_LIST = 72,
    /* {"ids": ["op_...", ...]}: the session has collected these results. */
    MESSAGE_OP_ACK = 73,
    /* A request that the rules let a person decide about, with its whole body. Payload: a JSON object, one NUL byte,
     * the body (at most MESSAGE_APPROVAL_BYTES): {"method", "override"?, "scheme", "host", "port", "path", "query"?,
     * "type"?, "own"?, "fields"?: ["name: value", ...], "request"}; override: another method that a field asks for;
     * own: the SHA-256 of a token of the agent's own, with which it goes in place of a credential. Answered by
     * APPROVED, or by REFUSED, with the code "pending" where nobody has decided in approvals.hold. */
    MESSAGE_APPROVAL_ASK = 74,
    /* What a connection needs before any request is on it: {"for": "proxy" | "certificate", "host": "...",
     * "port": 443}, the upstream's. Answered by CREDENTIAL or REFUSED, after the record line was written: for the
     * proxy {"username": "x"} and the password; for a certificate {} and PEM, the chain and its key. */
    MESSAGE_UPSTREAM_ASK = 75
};

/* Ids of what the monitor begins; those of a worker's questions stay below. */
#define MESSAGE_UNASKED 0x80000000U

/* Flags of the header. */
enum { MESSAGE_SECRET = 1, MESSAGE_LAST = 2, MESSAGE_KEPT = 4 };

enum {
    MESSAGE_APPROVAL_BYTES = 64 * 1024, /* of the body of a request that a person decides about */
    MESSAGE_CHUNK_BYTES = 64 * 1024,   /* of OP_RESULT and OP_BODY */
    MESSAGE_RESULT_BYTES = 1024 * 1024, /* of a result that is kept */
    MESSAGE_ERROR_BYTES = 8 * 1024,     /* of OP_DONE's error: holds every denial, however much of it is escaped */
    MESSAGE_ROUND_MAX = 64             /* objects in one ROUND: the monitor looks at other workers between them */
};

/* Kinds of flat objects beside the record's events. */
enum { MESSAGE_FLAT_USED = 253, MESSAGE_FLAT_ANSWER = 254, MESSAGE_FLAT_ASK = 255 };
/* "id", "binding", "host", "port", "method", "path"; maybe "rule", "operation" and "request" (the ULID of the request's
 * lines on the record). A use has no "id" but the "grant" of the answer that lent it. */
extern const char *const message_ask_names[];
/* "id", "secret" (bytes); maybe "binding" and "username"; "grant" where it is lent: it may be used again for the same
 * binding, host and port while the journal's grant is that number. */
extern const char *const message_answer_names[];

#endif
