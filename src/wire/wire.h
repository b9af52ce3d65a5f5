/* The protocol's messages to bytes and back: protobuf, JSON, Connect errors.
 *
 * Callers: HTTP services, the run client, the SDK's endpoint and client. Everything here is a pure function
 * of its arguments: no I/O, no globals, any thread.
 *
 *     struct arena arena;
 *     arena_init(&arena, 0);
 *     struct wire_dispatch_request request;
 *     if (wire_dispatch_request_decode(body, &arena, &request, &error))
 *         ... error.message is "unmarshal message: ..."
 *     ... request.calls[0].endpoint lives as long as `body` and the arena
 *     arena_deinit(&arena);
 *
 * Encoders append to `buf` and leave it as it was when they fail (DR_RESOURCE_EXHAUSTED past buf->max,
 * DR_NO_MEMORY, DR_INVALID_ARGUMENT for a negative duration or text that is not UTF-8).
 *
 * Decoders check everything they hand out: texts are valid UTF-8 (they may hold NUL), any fields are well-formed
 * Anys, durations are not negative (past 292 years they become TIME_NEVER), there are at most WIRE_FIELDS_MAX
 * fields. Their errors are DR_INVALID_ARGUMENT "unmarshal message: ...", DR_NO_MEMORY, or DR_RESOURCE_EXHAUSTED for
 * more than WIRE_MESSAGE_BYTES_MAX bytes. The decoded struct borrows from the bytes and the arena. Out parameters
 * are untouched on failure (the arena may have grown). `error` may be NULL. */
#ifndef WIRE_WIRE_H
#define WIRE_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "wire/types.h"

/* Fields of one message, nested ones included. Bounds the memory that a small hostile message can claim. */
#define WIRE_FIELDS_MAX 400000u
/* Longest function name, endpoint and version, in bytes. */
#define WIRE_FUNCTION_BYTES_MAX 1024u
#define WIRE_ENDPOINT_BYTES_MAX 4096u
#define WIRE_VERSION_BYTES_MAX 1024u

/* ---- protobuf
 * --------------------------------------------------------------------------------------------------- */

dr_code wire_dispatch_request_encode(const struct wire_dispatch_request *message, struct buf *buf,
                                     struct dr_error *error);
dr_code wire_dispatch_response_encode(const struct wire_dispatch_response *message, struct buf *buf,
                                      struct dr_error *error);
dr_code wire_run_request_encode(const struct wire_run_request *message, struct buf *buf,
                                struct dr_error *error);
dr_code wire_run_response_encode(const struct wire_run_response *message, struct buf *buf,
                                 struct dr_error *error);
dr_code wire_result_encode(const struct wire_result *message, struct buf *buf, struct dr_error *error);

/* More than WIRE_CALLS_MAX calls: DR_INVALID_ARGUMENT that names count and limit. The calls are not validated
 * otherwise (wire_call_validate). */
dr_code wire_dispatch_request_decode(struct slice bytes, struct arena *arena,
                                     struct wire_dispatch_request *ret_message, struct dr_error *error);
dr_code wire_dispatch_response_decode(struct slice bytes, struct arena *arena,
                                      struct wire_dispatch_response *ret_message, struct dr_error *error);
dr_code wire_run_request_decode(struct slice bytes, struct arena *arena, struct wire_run_request *ret_message,
                                struct dr_error *error);
dr_code wire_run_response_decode(struct slice bytes, struct arena *arena,
                                 struct wire_run_response *ret_message, struct dr_error *error);
dr_code wire_result_decode(struct slice bytes, struct arena *arena, struct wire_result *ret_message,
                           struct dr_error *error);

/* ---- JSON (the protobuf JSON mapping)
 * --------------------------------------------------------------------------- */

/* The same messages, same contracts as above. Field names in lowerCamelCase or as in the schema; unknown
 * fields are ignored; 64-bit integers as text or numbers; Duration "1.5s"; Timestamp RFC 3339; bytes base64
 * (standard or URL alphabet); enums by name or number. Any: {"@type": url, "value": ...} for the well-known
 * types (wrappers, Duration, Timestamp, Struct, Value, ListValue, Empty); for any other type {"@type": url,
 * "value": "<base64 of its bytes>"}, in both directions, because the server does not know the types of its
 * users. Nesting deeper than WIRE_DEPTH_MAX is DR_INVALID_ARGUMENT. */
dr_code wire_dispatch_request_json_encode(const struct wire_dispatch_request *message, struct buf *buf,
                                          struct dr_error *error);
dr_code wire_dispatch_response_json_encode(const struct wire_dispatch_response *message, struct buf *buf,
                                           struct dr_error *error);
dr_code wire_run_request_json_encode(const struct wire_run_request *message, struct buf *buf,
                                     struct dr_error *error);
dr_code wire_run_response_json_encode(const struct wire_run_response *message, struct buf *buf,
                                      struct dr_error *error);
dr_code wire_result_json_encode(const struct wire_result *message, struct buf *buf, struct dr_error *error);

dr_code wire_dispatch_request_json_decode(struct slice bytes, struct arena *arena,
                                          struct wire_dispatch_request *ret_message, struct dr_error *error);
dr_code wire_dispatch_response_json_decode(struct slice bytes, struct arena *arena,
                                           struct wire_dispatch_response *ret_message,
                                           struct dr_error *error);
dr_code wire_run_request_json_decode(struct slice bytes, struct arena *arena,
                                     struct wire_run_request *ret_message, struct dr_error *error);
dr_code wire_run_response_json_decode(struct slice bytes, struct arena *arena,
                                      struct wire_run_response *ret_message, struct dr_error *error);
dr_code wire_result_json_decode(struct slice bytes, struct arena *arena, struct wire_result *ret_message,
                                struct dr_error *error);

/* ---- any
 * -------------------------------------------------------------------------------------------------------- */

/* Splits a serialized Any into its type URL and value, both borrowed from `any`. Fails with
 * DR_INVALID_ARGUMENT unless it is a well-formed Any (field 1 text, field 2 bytes; other fields are skipped,
 * of repeated ones the last counts). */
dr_code wire_any_split(struct slice any, struct slice *ret_type_url, struct slice *ret_value,
                       struct dr_error *error);
/* Appends a serialized Any. */
dr_code wire_any_encode(struct slice type_url, struct slice value, struct buf *buf);

/* ---- any protobuf message, by its protobuf-c descriptor
 * --------------------------------------------------------- */

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;

/* Unpacks `bytes` into the arena (never freed singly: do not call ..__free_unpacked). Unlike protobuf-c's own
 * unpack it is safe on hostile bytes: nesting deeper than WIRE_DEPTH_MAX, more than WIRE_FIELDS_MAX fields,
 * and text that is not UTF-8 or holds NUL (which a char pointer cannot carry) are refused. Errors as the
 * decoders. */
dr_code wire_unpack(const struct ProtobufCMessageDescriptor *descriptor, struct slice bytes,
                    struct arena *arena, struct ProtobufCMessage **ret_message, struct dr_error *error);
/* Appends the packed message. */
dr_code wire_pack(const struct ProtobufCMessage *message, struct buf *buf, struct dr_error *error);

/* ---- validation
 * ------------------------------------------------------------------------------------------------- */

/* Whether a server may accept this call: function not empty and at most WIRE_FUNCTION_BYTES_MAX (any text: Go
 * names break the original's pattern, Q24), endpoint with one of the schemes http, https, bridge or an AWS
 * Lambda ARN, at most WIRE_ENDPOINT_BYTES_MAX; expiration not negative. An empty endpoint is refused only
 * when it is required: calls of a poll inherit their parent's. DR_INVALID_ARGUMENT with the original's
 * messages where it had one. */
dr_code wire_call_validate(const struct wire_call *call, bool is_endpoint_required, struct dr_error *error);

/* An endpoint as people may see it: user information in a URL, which may be a password, is "***". Borrows the endpoint
 * when there is none, else `text`, which is cut at its end. Never for a request: there the endpoint is what it is. */
#define WIRE_ENDPOINT_SHOWN_SIZE (WIRE_ENDPOINT_BYTES_MAX + 4)
struct slice wire_endpoint_shown(struct slice endpoint, char text[WIRE_ENDPOINT_SHOWN_SIZE]);

/* Whether the bytes are UTF-8 (no overlong forms, no surrogates). */
bool wire_is_utf8(struct slice bytes);
/* The longest beginning that is UTF-8 and has at most `max` bytes: no character is cut in two. Borrows. */
struct slice wire_utf8_prefix(struct slice bytes, size_t max);

/* ---- Connect errors
 * --------------------------------------------------------------------------------------------- */

/* Appends {"code": "...", "message": "..."}: always valid JSON, bytes that are not UTF-8 become U+FFFD.
 * `message` may be NULL. */
dr_code wire_connect_error_encode(dr_code code, const char *message, struct buf *buf);
/* Reads an error body. A body that is not the JSON of a Connect error (Python's can be broken JSON, Q14;
 * proxies send HTML) gives the code of the HTTP status (protocol 2.4) and as message the text of the
 * body, or the quoted message when one can be made out. Never fails; ret_error->code is never DR_OK. */
void wire_connect_error_decode(struct slice body, int http_status, struct dr_error *ret_error);

#endif
