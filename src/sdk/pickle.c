/* The message dispatch.sdk.python.v1.Pickled { bytes pickled_value = 1 } around pickles. Its bytes are those of
 * google.protobuf.BytesValue, so the code for that one serves. */
#include "sdk/pickle.h"
#include "sdk/value.h"
#include "sdk/value_wire.h"

#include "base/error.h"

#define BYTES_VALUE VALUE_TYPE_PREFIX "google.protobuf.BytesValue"

static dr_code pickled_of(struct slice pickle, dr_value **ret_message, struct dr_error *error)
{
    dr_value *bytes = dr_value_bytes(pickle.data, pickle.len);
    dr_value *packed = NULL;
    dr_value *message = NULL;
    dr_code code = bytes ? dr_value_pack(bytes, &packed, error) : DR_NO_MEMORY;
    if (!code) {
        message = dr_value_message(DR_TYPE_URL_PICKLED, packed->bytes.data, packed->bytes.len);
        code = message ? DR_OK : DR_NO_MEMORY;
    }
    if (!code)
        *ret_message = message;
    else if (code == DR_NO_MEMORY)
        (void)error_set(error, code, "%s", dr_code_text(code));
    dr_value_unref(packed);
    dr_value_unref(bytes);
    return code;
}

dr_code dr_value_pickle_arguments(const dr_value *args, const dr_value *kwargs, dr_value **ret_message,
                                  struct dr_error *error)
{
    struct buf buf;
    buf_init(&buf, DR_VALUE_PACKED_BYTES_MAX);
    dr_code code = pickle_write_arguments(&buf, args, kwargs, error);
    if (!code)
        code = pickled_of(buf_slice(&buf), ret_message, error);
    buf_deinit(&buf);
    return code;
}

/* The bytes value that holds the pickle. Returns owned. */
static dr_code pickle_of(const dr_value *message, dr_value **ret_bytes, struct dr_error *error)
{
    if (dr_value_kind(message) == DR_KIND_BYTES) {
        *ret_bytes = dr_value_ref(message);
        return DR_OK;
    }
    if (strcmp(value_type_name(dr_type_url(message)), value_type_name(DR_TYPE_URL_PICKLED)) != 0)
        return error_set(error, DR_INVALID_ARGUMENT, "not a pickled Python value but %s %s",
                         dr_kind_name(dr_value_kind(message)), dr_type_url(message));
    dr_value *packed = dr_value_message(BYTES_VALUE, message->bytes.data, message->bytes.len);
    if (!packed)
        return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    dr_code code = dr_value_unpack(packed, ret_bytes, error);
    dr_value_unref(packed);
    return code == DR_INVALID_ARGUMENT ? error_set(error, code, "damaged %s", DR_TYPE_URL_PICKLED) : code;
}

dr_code dr_value_unpickle_arguments(const dr_value *message, dr_value **ret_args, dr_value **ret_kwargs,
                                    struct dr_error *error)
{
    dr_value *bytes = NULL;
    dr_code code = pickle_of(message, &bytes, error);
    if (!code)
        code = pickle_read_arguments(value_slice(bytes), ret_args, ret_kwargs, error);
    dr_value_unref(bytes);
    return code;
}

dr_code dr_value_unpickle(const dr_value *message, dr_value **ret_value, struct dr_error *error)
{
    dr_value *bytes = NULL;
    dr_code code = pickle_of(message, &bytes, error);
    if (!code)
        code = pickle_read_value(value_slice(bytes), ret_value, error);
    dr_value_unref(bytes);
    return code;
}
