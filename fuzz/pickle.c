/* A pickle of a stranger as a value or as arguments. What is read must be written again, and a second round must give
 * the same bytes. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "sdk/pickle.h"

static void write_twice(const dr_value *value)
{
    struct buf first, second;
    buf_init(&first, DR_VALUE_PACKED_BYTES_MAX);
    buf_init(&second, DR_VALUE_PACKED_BYTES_MAX);
    dr_value *again = NULL;
    if (pickle_write_value(&first, value, NULL) == DR_OK) {
        CHECK(pickle_read_value(buf_slice(&first), &again, NULL) == DR_OK);
        CHECK(pickle_write_value(&second, again, NULL) == DR_OK);
        CHECK(slice_equal(buf_slice(&first), buf_slice(&second)));
    }
    dr_value_unref(again);
    buf_deinit(&first);
    buf_deinit(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dr_error error = {0};
    dr_value *value = NULL, *args = NULL, *kwargs = NULL;
    dr_code code = pickle_read_value(slice_of(data, size), &value, &error);
    CHECK(code == error.code);
    if (code == DR_OK)
        write_twice(value);
    (void)pickle_read_arguments(slice_of(data, size), &args, &kwargs, NULL);
    dr_value_unref(value);
    dr_value_unref(args);
    dr_value_unref(kwargs);
    return 0;
}
