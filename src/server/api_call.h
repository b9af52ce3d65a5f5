/* A call as people see it (proto/dispatch/v1/call.proto), in JSON and protobuf: for CallService and whoever
 * else shows calls. Reads what the driver gives; any thread. */
#ifndef SERVER_API_CALL_H
#define SERVER_API_CALL_H

#include "base/arena.h"
#include "server/driver.h"
#include <jansson.h>

/* DESIGN section 4; `running` is the engine's knowledge, the others are stored. */
enum api_call_state {
    API_CALL_ANY = 0,
    API_CALL_SCHEDULED,
    API_CALL_RUNNING,
    API_CALL_SUSPENDED,
    API_CALL_DONE
};

enum api_call_state api_call_state(const struct driver_call *call);
const char *api_call_state_name(enum api_call_state state); /* "scheduled"; static */
bool api_call_state_parse(struct slice text, enum api_call_state *ret_state);

/* How much of a call is shown; each with all before it. */
enum api_call_detail {
    API_CALL_HEAD = 0,
    API_CALL_PAYLOADS, /* input, output, the error's bytes */
    API_CALL_WITH_STATE /* what a suspended function goes on from */
};

/* Whether it has a state to go on from: it is suspended, or was and has not answered since. */
bool api_call_is_resumable(const struct call_record *record);

/* Returns owned; NULL when out of memory. */
json_t *api_call_to_json(const struct driver_call *call, enum api_call_detail detail);

/* The same as a protobuf message in the arena, borrowing from the call; NULL when out of memory. */
struct Dispatch__V1__Call *api_call_to_proto(const struct driver_call *call, enum api_call_detail detail,
                                             struct arena *arena);

/* The done call's result as the protocol's message; borrowed from the record and `id_text`. */
struct wire_result;
void api_result_of_record(const struct call_record *record, char id_text[ID_TEXT_SIZE],
                          struct wire_result *ret_result);

#endif
