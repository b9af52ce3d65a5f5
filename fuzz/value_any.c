/* An Any of a stranger as a value of the C library. What decodes must encode again, and a second round must give the
 * same bytes. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "sdk/value_wire.h"

static void encode(const dr_value *value, struct buf *buf)
{
    struct dr_error error = {0};
    dr_code code = value_encode_any(value, buf, &error);
    /* What a Value of protobuf carries, a double for example, may have no place in the other direction. */
    if (code != DR_OK)
        buf_clear(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dr_value *value = NULL, *again = NULL;
    struct buf first, second;
    buf_init(&first, DR_VALUE_PACKED_BYTES_MAX);
    buf_init(&second, DR_VALUE_PACKED_BYTES_MAX);
    if (value_decode_any(slice_of(data, size), &value, NULL) == DR_OK) {
        char text[200];
        (void)dr_value_format(value, text, sizeof(text));
        encode(value, &first);
        if (first.len > 0) {
            CHECK(value_decode_any(buf_slice(&first), &again, NULL) == DR_OK);
            encode(again, &second);
            CHECK(slice_equal(buf_slice(&first), buf_slice(&second)));
        }
    }
    dr_value_unref(value);
    dr_value_unref(again);
    buf_deinit(&first);
    buf_deinit(&second);
    return 0;
}
