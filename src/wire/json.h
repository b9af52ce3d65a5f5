/* JSON helpers: what the JSON files of src/wire share, and the server's API for the messages that are its
 * own. */
#ifndef WIRE_JSON_H
#define WIRE_JSON_H

#include "wire/codec.h"

#include <jansson.h>

/* Values of one JSON text. A parsed value costs up to 300 bytes, so the text alone is no bound. */
#define WIRE_JSON_VALUES_MAX 1000000u

/* ---- json_text.c: scalars that JSON writes as text ---- */

#define WIRE_TIME_TEXT_SIZE 40

/* "1.5s", "-0.000000001s": 0, 3, 6 or 9 digits behind the point; reading takes 1 to 9. */
void wire_duration_format(struct wire_time duration, char text[WIRE_TIME_TEXT_SIZE]);
bool wire_duration_parse(struct slice text, struct wire_time *ret_duration);
/* RFC 3339, written in UTC with Z, read with any offset. */
void wire_timestamp_format(struct wire_time timestamp, char text[WIRE_TIME_TEXT_SIZE]);
bool wire_timestamp_parse(struct slice text, struct wire_time *ret_timestamp);
/* Appends the standard alphabet with padding; reads both alphabets, padding optional (DR_INVALID_ARGUMENT).
 */
dr_code wire_base64_encode(struct slice bytes, struct buf *buf);
dr_code wire_base64_decode(struct slice text, struct buf *buf);

/* The field `name` (as in the schema, "max_wait") or its lowerCamelCase twin ("maxWait"), which wins; NULL
 * when absent or null. Borrowed. */
const json_t *wire_json_get(const json_t *object, const char *name);
/* A status by its name ("STATUS_OK") or number; false when it is neither. */
bool wire_json_status(const json_t *json, int32_t *ret_status);
/* Integers as numbers or as decimal text. */
bool wire_json_signed(const json_t *json, int64_t *ret_number);
bool wire_json_unsigned(const json_t *json, uint64_t *ret_number);

/* ---- json_value.c, json_any.c: payloads ---- */

enum wire_value_form { WIRE_FORM_VALUE, WIRE_FORM_STRUCT, WIRE_FORM_LIST };

/* google.protobuf.Value, Struct or ListValue as JSON. Returns owned; NULL when the bytes are malformed, hold
 * what JSON cannot (NaN), nest deeper than WIRE_DEPTH_MAX, or memory ran out. */
json_t *wire_value_to_json(enum wire_value_form form, struct slice bytes);
/* Appends the message. DR_INVALID_ARGUMENT when the JSON has another form. */
dr_code wire_value_from_json(enum wire_value_form form, const json_t *json, struct buf *buf);

/* A serialized Any as JSON. Returns owned; NULL when out of memory or when `any` is malformed. A payload that
 * is not what its type URL says is shown as {"@type": url, "@bytes": "<base64>"}, which wire_any_from_json
 * takes back. */
json_t *wire_any_to_json(struct slice any);
/* Appends the serialized Any. */
dr_code wire_any_from_json(const json_t *json, struct buf *buf, struct dr_error *error);

/* ---- json_load.c: whole texts ---- */

/* Parses a text of at most WIRE_MESSAGE_BYTES_MAX bytes that is an object. *ret_json is owned (json_decref).
 */
dr_code wire_json_load(struct slice bytes, json_t **ret_json, struct dr_error *error);
/* Appends the text. Takes `json`; NULL gives DR_NO_MEMORY. The buffer is as before on failure. */
dr_code wire_json_dump(json_t *json, struct buf *buf, struct dr_error *error);

#endif
