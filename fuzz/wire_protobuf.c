/* Bytes from a client or an endpoint as each of the protocol's messages. What decodes must encode again, and a second
 * round must give the same bytes. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "wire/wire.h"

/* One target for each message: decode, encode, decode what was encoded, encode again. */
#define ROUND_TRIP(name)                                                                       \
    static void round_trip_##name(struct slice bytes)                                          \
    {                                                                                          \
        struct arena arena;                                                                    \
        struct buf first, second;                                                              \
        struct wire_##name message;                                                            \
        struct dr_error error = {0};                                                           \
        arena_init(&arena, 0);                                                                 \
        buf_init(&first, WIRE_MESSAGE_BYTES_MAX);                                              \
        buf_init(&second, WIRE_MESSAGE_BYTES_MAX);                                             \
        dr_code code = wire_##name##_decode(bytes, &arena, &message, &error);                  \
        CHECK(code == error.code);                                                             \
        CHECK((code == DR_OK) == (error.message[0] == '\0'));                                  \
        if (code == DR_OK) {                                                                   \
            CHECK(wire_##name##_encode(&message, &first, &error) == DR_OK);                    \
            CHECK(wire_##name##_decode(buf_slice(&first), &arena, &message, &error) == DR_OK); \
            CHECK(wire_##name##_encode(&message, &second, &error) == DR_OK);                   \
            CHECK(slice_equal(buf_slice(&first), buf_slice(&second)));                         \
        }                                                                                      \
        buf_deinit(&first);                                                                    \
        buf_deinit(&second);                                                                   \
        arena_deinit(&arena);                                                                  \
    }

ROUND_TRIP(dispatch_request)
ROUND_TRIP(dispatch_response)
ROUND_TRIP(run_request)
ROUND_TRIP(run_response)
ROUND_TRIP(result)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    round_trip_dispatch_request(bytes);
    round_trip_dispatch_response(bytes);
    round_trip_run_request(bytes);
    round_trip_run_response(bytes);
    round_trip_result(bytes);
    return 0;
}
