/* The body of an error answer: a Connect error, broken JSON, a proxy's HTML. There is always a code to act on. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int http_statuses[] = {200, 400, 404, 500, 503, 0};
    for (size_t i = 0; i < sizeof(http_statuses) / sizeof(http_statuses[0]); i++) {
        struct dr_error error = {0};
        wire_connect_error_decode(slice_of(data, size), http_statuses[i], &error);
        CHECK(error.code != DR_OK);
        CHECK(memchr(error.message, '\0', sizeof(error.message)));
        CHECK(!strchr(error.message, '\n'));
        struct buf again;
        buf_init(&again, 10000);
        CHECK(wire_connect_error_encode(error.code, error.message, &again) == DR_OK);
        buf_deinit(&again);
    }
    return 0;
}
