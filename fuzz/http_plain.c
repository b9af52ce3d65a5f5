/* HTTP replies to the client that sends Run requests to http URLs. */
#include "fuzz/fuzz.h"
#include "fuzz/http_reply.h"

#include "base/check.h"
#include "http/http_plain.h"

static struct http_plain *client;

static void create(const struct http_client_config *config)
{
    CHECK(http_plain_create(config, &client, NULL) == DR_OK);
}

static void post(const struct http_post *what) { CHECK(http_plain_post(client, what, NULL) == DR_OK); }

static void destroy(void) { http_plain_destroy(client); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_reply_client subject = {.create = create, .post = post, .destroy = destroy};
    http_reply_feed(&subject, slice_of(data, size));
    return 0;
}
