/* Values: what functions take and return, and what the protocol carries in an Any.
 *
 * A value is immutable and reference counted; any thread may read, reference and release one.
 * The pointer's type tells who owns it:
 *     dr_value *          an owned reference. Release it with dr_value_unref, or give it to a function
 *                         that *takes* it (a list, a map, dr_value_of).
 *     const dr_value *    borrowed: somebody else keeps it alive. dr_value_ref makes an owned one of it.
 *
 *     dr_value *list = dr_value_list((dr_value *[]){dr_value_int(1), dr_value_text("a")}, 2);
 *     if (!list)
 *         return DR_NO_MEMORY;
 *     puts(dr_text(dr_value_at(list, 1)));
 *     dr_value_unref(list);
 *
 * Accessors never fail: a NULL pointer is the null value, and a value of another kind gives the result
 * that is stated with the accessor. What they return is borrowed from the value.
 */
#ifndef DISPATCHRUN_VALUE_H
#define DISPATCHRUN_VALUE_H

#include <dispatchrun/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dr_value dr_value;

/* Nesting: a scalar is 1 deep, a list of scalars 2. */
#define DR_VALUE_DEPTH_MAX 1000
/* Weight: one for each value inside a value, and one for each byte of text, bytes and keys. */
#define DR_VALUE_WEIGHT_MAX 64000000
/* The longest packed value; the protocol's limit for one message. */
#define DR_VALUE_PACKED_BYTES_MAX 16000000

typedef enum dr_kind {
    DR_KIND_NULL,
    DR_KIND_BOOL,
    DR_KIND_INT,       /* int64_t */
    DR_KIND_UINT,      /* uint64_t; from unsigned C and Go types */
    DR_KIND_FLOAT,     /* double */
    DR_KIND_TEXT,      /* UTF-8, may hold NUL bytes */
    DR_KIND_BYTES,
    DR_KIND_LIST,
    DR_KIND_MAP,       /* from text to values, in the order of insertion */
    DR_KIND_TIMESTAMP, /* seconds and nanoseconds since 1970-01-01T00:00:00Z */
    DR_KIND_DURATION,
    DR_KIND_MESSAGE    /* any other protobuf message: type URL and bytes */
} dr_kind;

/* ---- Life ---- */

/* One more reference, owned by the caller; accepts NULL. */
DR_API dr_value *dr_value_ref(const dr_value *value);
/* One reference less; frees at zero; accepts NULL. */
DR_API void dr_value_unref(dr_value *value);

/* ---- Construction: returns owned; NULL when out of memory, and where a limit above says so ---- */

DR_API dr_value *dr_value_null(void);
DR_API dr_value *dr_value_bool(bool value);
DR_API dr_value *dr_value_int(int64_t value);
DR_API dr_value *dr_value_uint(uint64_t value);
DR_API dr_value *dr_value_float(double value);
/* Copies. A NULL pointer gives the null value. Whether it is UTF-8 is checked when it is packed. */
DR_API dr_value *dr_value_text(const char *text);
DR_API dr_value *dr_value_text_n(const char *text, size_t len);
DR_API dr_value *dr_value_text_printf(const char *format, ...) DR_PRINTF(1, 2);
DR_API dr_value *dr_value_bytes(const void *bytes, size_t len);
/* Nanoseconds since 1970, or a length in nanoseconds. */
DR_API dr_value *dr_value_timestamp(int64_t ns);
DR_API dr_value *dr_value_duration(int64_t ns);
/* The full range of the protocol; nanos count forward (timestamp) or have the sign of seconds (duration)
 * and are brought into range. */
DR_API dr_value *dr_value_timestamp_parts(int64_t seconds, int32_t nanos);
DR_API dr_value *dr_value_duration_parts(int64_t seconds, int32_t nanos);
/* Copies both. type_url is "type.googleapis.com/package.Message" or the like, at most 1,024 bytes. */
DR_API dr_value *dr_value_message(const char *type_url, const void *bytes, size_t len);

/* Takes the n items, also when it fails. An item that is NULL (it could not be made) makes the list NULL,
 * so that constructors nest without a check at each. NULL also past a limit. */
DR_API dr_value *dr_value_list(dr_value *const *items, size_t n);
/* Copies the keys, takes the values, also when it fails; as dr_value_list. Of equal keys the last value wins. */
DR_API dr_value *dr_value_map(const char *const *keys, dr_value *const *values, size_t n);

/* Lists and maps of unknown length. Additions remember the first failure, so that only the end is checked:
 *
 *     dr_builder *builder = dr_list_begin();
 *     for (...)
 *         dr_list_add(builder, dr_value_int(i));
 *     code = dr_builder_end(builder, &list, &error);
 */
typedef struct dr_builder dr_builder;

/* NULL when out of memory, which all functions below accept: the end then reports it. */
DR_API dr_builder *dr_list_begin(void);
DR_API dr_builder *dr_map_begin(void);
/* Takes the item, always. NULL counts as out of memory. */
DR_API void dr_list_add(dr_builder *builder, dr_value *item);
/* Copies the key, takes the value. A key that was there keeps its place and gets the new value. */
DR_API void dr_map_add(dr_builder *builder, const char *key, dr_value *value);
DR_API void dr_map_add_n(dr_builder *builder, const char *key, size_t key_len, dr_value *value);
/* Takes the builder. DR_NO_MEMORY; DR_RESOURCE_EXHAUSTED past DR_VALUE_DEPTH_MAX or DR_VALUE_WEIGHT_MAX;
 * DR_INVALID_ARGUMENT when an item was added to a map or a key to a list. */
DR_API dr_code dr_builder_end(dr_builder *builder, dr_value **ret_value, struct dr_error *error);
/* Gives up without a value; accepts NULL. */
DR_API void dr_builder_cancel(dr_builder *builder);

/* ---- Reading ---- */

DR_API dr_kind dr_value_kind(const dr_value *value);
/* "null", "bool", "integer", "unsigned integer", "float", "text", ... Static. */
DR_API const char *dr_kind_name(dr_kind kind);
DR_API bool dr_is_null(const dr_value *value);

/* A number of another kind is converted: floats are cut towards zero, what does not fit is clamped,
 * NaN gives 0. Not a number (a bool is none): 0. */
DR_API int64_t dr_int(const dr_value *value);
DR_API uint64_t dr_uint(const dr_value *value);
DR_API double dr_float(const dr_value *value);
/* Not a bool: false. */
DR_API bool dr_bool(const dr_value *value);
/* C string, with a NUL behind its last byte; not a text: "". dr_value_len tells the length. */
DR_API const char *dr_text(const dr_value *value);
/* The bytes of bytes, a text or a message; else an empty array. Never NULL. */
DR_API const void *dr_bytes(const dr_value *value);
/* Bytes of a text, bytes or message; items of a list; entries of a map; else 0. */
DR_API size_t dr_value_len(const dr_value *value);
/* Nanoseconds of a timestamp or duration, clamped to int64_t; else 0. */
DR_API int64_t dr_timestamp(const dr_value *value);
DR_API int64_t dr_duration(const dr_value *value);
/* False, and nothing written, unless it is a timestamp or duration. */
DR_API bool dr_time_parts(const dr_value *value, int64_t *ret_seconds, int32_t *ret_nanos);
/* Type URL of a message; else "". */
DR_API const char *dr_type_url(const dr_value *value);
/* The i-th item of a list or value of a map; NULL past the end or of another kind. */
DR_API const dr_value *dr_value_at(const dr_value *value, size_t i);
/* The i-th key of a map; "" past the end or of another kind. */
DR_API const char *dr_key_at(const dr_value *value, size_t i);
DR_API size_t dr_key_len_at(const dr_value *value, size_t i);
/* The value of a key in a map; NULL when there is none or it is no map. */
DR_API const dr_value *dr_value_get(const dr_value *value, const char *key);

/* True when both are the same thing: numbers by their value whatever their kind (1 equals 1.0; NaN equals
 * nothing), maps whatever their order, messages byte for byte. NULL equals the null value. */
DR_API bool dr_value_equal(const dr_value *a, const dr_value *b);

/* Text for people ({"k": [1, true]}, 1h30m0s, bytes(abcd...)), not for parsing. Writes at most `size` bytes with
 * the final NUL, always ended by one if size > 0, and returns the length that the whole text has, as snprintf. */
DR_API size_t dr_value_format(const dr_value *value, char *text, size_t size);

/* ---- The wire: google.protobuf.Any, exactly as the Python and Go SDKs fill it ---- */

/* The Any of a value, as a message value: null is Empty, scalars are wrappers, lists and maps are
 * google.protobuf.Value, messages stay as they are. Returns owned.
 * DR_INVALID_ARGUMENT: text that is not UTF-8; a list or map that holds what Value cannot (bytes, timestamps,
 * durations, messages, integers that a double cannot hold); a timestamp or duration outside the range of
 * protobuf. DR_RESOURCE_EXHAUSTED past DR_VALUE_PACKED_BYTES_MAX. DR_NO_MEMORY. */
DR_API dr_code dr_value_pack(const dr_value *value, dr_value **ret_message, struct dr_error *error);
/* The value in an Any. Wrappers, Empty, Timestamp, Duration, Value, Struct and ListValue are converted; every other
 * message is kept as it is (so is a value that is no message), resolved by the text behind the last '/'.
 * Returns owned. DR_INVALID_ARGUMENT when the bytes are no such message; DR_RESOURCE_EXHAUSTED past a limit;
 * DR_NO_MEMORY. */
DR_API dr_code dr_value_unpack(const dr_value *message, dr_value **ret_value, struct dr_error *error);

/* ---- Python ---- */

/* The type URL of a pickled Python value. */
#define DR_TYPE_URL_PICKLED "buf.build/stealthrocket/dispatch-proto/dispatch.sdk.python.v1.Pickled"

/* The input of a Python function f(*args, **kwargs): a Pickled message. args is a list, kwargs a map; NULL means
 * none. DR_INVALID_ARGUMENT for what cannot be pickled (timestamp, duration, message, text that is not UTF-8) and for
 * an args or kwargs of another kind. Returns owned. */
DR_API dr_code dr_value_pickle_arguments(const dr_value *args, const dr_value *kwargs, dr_value **ret_message,
                                         struct dr_error *error);
/* The reverse, for a function that Python calls: a Pickled message (or bytes that are a pickle, as SDKs before 0.8
 * sent them) that holds arguments -> list and map, both owned.
 * Nothing is executed: a pickle is read as data. DR_UNIMPLEMENTED when it holds objects, or anything but numbers,
 * texts, bytes, lists, tuples, sets and dicts with text keys; DR_INVALID_ARGUMENT when it is damaged or holds no
 * arguments; DR_RESOURCE_EXHAUSTED past a limit; DR_NO_MEMORY. */
DR_API dr_code dr_value_unpickle_arguments(const dr_value *message, dr_value **ret_args, dr_value **ret_kwargs,
                                           struct dr_error *error);
/* Any other Python value (a tuple that a function returned) in a Pickled message. Tuples and sets become lists.
 * Returns owned; errors as above. */
DR_API dr_code dr_value_unpickle(const dr_value *message, dr_value **ret_value, struct dr_error *error);

#ifdef __cplusplus
}
#else

/* An owned value of any C value: dr_value_of("text"), dr_value_of(42), dr_value_of(NULL). A `dr_value *` is taken as
 * it is, a `const dr_value *` gets one more reference. Note that `true` and 'c' are of type int before C23: write
 * (bool)true. NULL when out of memory. */
#define dr_value_of(x)                         \
    _Generic((x),                              \
        const char *: dr_value_text,           \
        char *: dr_value_text,                 \
        bool: dr_value_bool,                   \
        char: dr_value_int,                    \
        signed char: dr_value_int,             \
        short: dr_value_int,                   \
        int: dr_value_int,                     \
        long: dr_value_int,                    \
        long long: dr_value_int,               \
        unsigned char: dr_value_uint,          \
        unsigned short: dr_value_uint,         \
        unsigned int: dr_value_uint,           \
        unsigned long: dr_value_uint,          \
        unsigned long long: dr_value_uint,     \
        float: dr_value_float,                 \
        double: dr_value_float,                \
        dr_value *: dr_value_of_owned,         \
        const dr_value *: dr_value_of_borrowed, \
        void *: dr_value_of_nothing)(x)

/* The arms of dr_value_of for pointers. A NULL that is owned stands for a value that could not be made and stays
 * NULL; a NULL that is borrowed, and NULL itself, are the null value. */
DR_API dr_value *dr_value_of_owned(dr_value *value);
DR_API dr_value *dr_value_of_borrowed(const dr_value *value);
DR_API dr_value *dr_value_of_nothing(const void *nothing);

#endif
#endif
