/* Values <-> bytes, for client and endpoint. Any thread; nothing is kept between calls. A value as deep as the limit
 * takes about half a megabyte of stack (more under a sanitizer): encode and decode on the stacks of threads, not on
 * those of coroutines.
 *
 * google.protobuf.Value is encoded by hand (value_struct.c): generated code would lose what follows a NUL byte in
 * a text, and would recurse as deep as the sender likes. */
#ifndef SDK_VALUE_WIRE_H
#define SDK_VALUE_WIRE_H

#include "base/buf.h"
#include <dispatchrun/value.h>

#define VALUE_TYPE_PREFIX "type.googleapis.com/"

/* The name behind the last '/' of a type URL. Borrowed. */
const char *value_type_name(const char *type_url);

/* Appends the serialized Any of a value: what struct wire_call.input and struct wire_result.output hold. Errors as
 * dr_value_pack; the buffer may then hold a part. */
dr_code value_encode_any(const dr_value *value, struct buf *buf, struct dr_error *error);
/* Returns owned. A slice with data == NULL (no Any) gives null. Errors as dr_value_unpack. */
dr_code value_decode_any(struct slice any, dr_value **ret_value, struct dr_error *error);

/* A list or map as the message google.protobuf.Value, as a message value. Returns owned. */
dr_code value_encode_struct(const dr_value *value, dr_value **ret_message, struct dr_error *error);

enum value_struct_form { VALUE_FORM_VALUE, VALUE_FORM_STRUCT, VALUE_FORM_LIST };
/* google.protobuf.Value, Struct or ListValue. Returns owned. */
dr_code value_decode_struct(enum value_struct_form form, struct slice bytes, dr_value **ret_value,
                            struct dr_error *error);

#endif
