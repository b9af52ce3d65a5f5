/* A thread that makes large answers, so that the engine's does not: 16 MB as JSON take about a tenth of a second.
 * Whoever has an answer to make embeds an api_job, with references to the blobs it needs, and posts it.
 *
 * Limit: a job is an open exchange, so there are no more than those. Answers are made one after the other, and whether
 * one may be held in memory is asked before (http_exchange_has_room). Any thread may post. */
#ifndef SERVER_API_ENCODE_H
#define SERVER_API_ENCODE_H

#include "base/list.h"
#include "server/api_private.h"

/* Smaller answers are made where they are. */
#define API_ENCODE_INLINE_BYTES 32768u

struct api_job {
    struct list node;
    void (*run)(struct api_job *job); /* on the encoder's thread, once; owns the job */
};

/* DR_NO_MEMORY, DR_RESOURCE_EXHAUSTED (threads). */
dr_code api_encoder_create(struct api_encoder **ret_encoder, struct dr_error *error);
void api_encoder_post(struct api_encoder *encoder, struct api_job *job);
/* Runs what was posted, then ends the thread. Accepts NULL. */
void api_encoder_destroy(struct api_encoder *encoder);

/* The answer to a call that is in `call`; `respond` makes it and answers. At once when it is small, else by the
 * encoder, which gets a copy that shares the payloads. Refused with 429 when there is no room for it. */
typedef void api_respond_fn(const struct api_request *request, const struct driver_call *call);
void api_respond_with(const struct api_request *request, const struct driver_call *call, api_respond_fn *respond);

#endif
