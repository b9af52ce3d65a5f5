/* What a strange server answers to the client of the SDK: ids, results, calls as JSON, Connect errors. The first byte
 * says with which HTTP status and to which question; the rest is the body. Every question must end, with what it asked
 * for or an error that says why. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "sdk/client.h"
#include <dispatchrun.h>

#include <string.h>

enum { EXCHANGES_MAX = 1000 };

struct replier {
    struct client_transport base;
    int http_status;
    struct slice body;
    int64_t now_ns;
    unsigned n_exchanges;
};

static dr_code exchange(struct client_transport *transport, const struct client_exchange *question,
                        int *ret_http_status, struct buf *body, struct dr_error *error)
{
    struct replier *replier = (struct replier *)transport;
    (void)question;
    CHECK(++replier->n_exchanges < EXCHANGES_MAX);
    replier->now_ns += NS_PER_S;
    *ret_http_status = replier->http_status;
    dr_code code = buf_append(body, replier->body);
    return code ? error_set(error, code, "%s", dr_code_text(code)) : DR_OK;
}

static int64_t now_ns(struct client_transport *transport) { return ((struct replier *)transport)->now_ns; }

static void pause_for(struct client_transport *transport, int64_t ns)
{
    CHECK(ns >= 0);
    ((struct replier *)transport)->now_ns += ns;
}

static void destroy(struct client_transport *transport) { (void)transport; }

static const struct client_transport_methods methods = {
    .exchange = exchange, .now_ns = now_ns, .pause = pause_for, .destroy = destroy};

static void submit(dr_client *client, size_t n, struct dr_error *error)
{
    struct dr_call_options call = {.function = "f", .endpoint = "http://a"};
    const struct dr_call_options *calls[] = {&call, &call, &call};
    char ids[3][DR_ID_SIZE];
    memset(ids, 'x', sizeof ids);
    dr_code code = dr_client_submit_batch(client, calls, n, ids, error);
    CHECK(code == error->code);
    for (size_t i = 0; i < n && !code; i++)
        CHECK(memchr(ids[i], '\0', DR_ID_SIZE) && ids[i][0]);
    CHECK(!code || ids[0][0] == 'x');
}

static void wait_for(dr_client *client, struct dr_error *error)
{
    char text[100];
    dr_result *result = NULL;
    dr_code code = dr_client_wait(client, "00000000000000000000000000000012", 90 * NS_PER_S, &result, error);
    CHECK((code == DR_OK) == (result != NULL));
    if (!result)
        return;
    (void)dr_value_format(dr_result_output(result), text, sizeof text);
    CHECK(strlen(dr_result_error_type(result)) < SIZE_MAX && strlen(dr_result_error_message(result)) < SIZE_MAX);
    CHECK(dr_result_dispatch_id(result)[0]);
    dr_result_unref(result);
}

static void get(dr_client *client, struct dr_error *error)
{
    char text[100];
    dr_value *call = NULL;
    dr_code code = dr_client_get(client, "00000000000000000000000000000012", &call, error);
    CHECK((code == DR_OK) == (dr_value_kind(call) == DR_KIND_MAP));
    (void)dr_value_format(call, text, sizeof text);
    dr_value_unref(call);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 400, 401, 404, 429, 500, 503, 504};
    struct dr_error error = {0};
    dr_client *client = NULL;
    uint8_t selector = size > 0 ? data[0] : 0;
    struct replier replier = {.base.methods = &methods, .http_status = statuses[selector & 7]};
    if (size > 1)
        replier.body = slice_of(data + 1, size - 1);
    CHECK(client_create(&replier.base, "DISPATCH_API_KEY: abc***", &client, NULL) == DR_OK);
    switch (selector >> 3 & 3) {
    case 0:
        submit(client, 1 + (selector >> 5) % 3, &error);
        break;
    case 1:
        wait_for(client, &error);
        break;
    case 2:
        get(client, &error);
        break;
    default:
        (void)dr_client_cancel(client, "00000000000000000000000000000012", &error);
        break;
    }
    CHECK((error.code == DR_OK) == (error.message[0] == '\0'));
    dr_client_close(client);
    return 0;
}
