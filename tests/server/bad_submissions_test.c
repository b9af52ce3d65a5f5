/* Wrong submissions of every kind we could think of. Each gets the right Connect code or a closed connection,
 * leaves nothing behind, and the server answers a good submission right after it. Reproduce one by hand with
 * curl: the tables hold what goes over the wire. */
#include "server/api_testing.h"

/* Every row of a table below is a kind of its own, whatever else is tested in a loop; the last test demands them. */
#define KINDS_MIN 60u
static size_t n_kinds;

#define CALL(fields) "{\"calls\":[{\"endpoint\":\"http://t\",\"function\":\"f\"," fields "}]}"

static int set_up(void **state)
{
    struct api_fixture *fixture = mem_must_alloc(sizeof(*fixture));
    api_fixture_start(fixture, NULL);
    *state = fixture;
    return 0;
}

/* A call that was recorded by a refused submit would be found here; good ones go to TEST_ENDPOINT. */
static void assert_nothing_was_recorded(const struct api_fixture *fixture)
{
    struct api_answer answer =
        api_ask(fixture, "POST", PATH_LIST, HEADERS_JSON, "{\"endpoint\":\"http://t\",\"pageSize\":1}");
    if (!slice_equal(answer.body, slice_text("{\"calls\":[]}")))
        fail_msg("recorded: %.*s", (int)answer.body.len, answer.body.data);
}

static int tear_down(void **state)
{
    api_fixture_stop(*state);
    mem_free(*state);
    return 0;
}

static void assert_still_serving(const struct api_fixture *fixture)
{
    struct api_answer answer = api_ask(fixture, "POST", PATH_DISPATCH, HEADERS_JSON, ONE_CALL_JSON);
    if (answer.status != 200)
        fail_msg("not serving any more: %d %.*s", answer.status, (int)answer.body.len, answer.body.data);
}

/* `code` DR_OK stands for a submission that only looks wrong. */
static void assert_answer(const struct api_fixture *fixture, size_t row, struct api_answer answer, int status,
                          dr_code code)
{
    struct dr_error error = {0};
    if (code != DR_OK)
        error = api_answer_error(answer);
    n_kinds++;
    if (answer.status != status || error.code != code)
        fail_msg("row %zu: %d %s: %s", row, answer.status, dr_code_name(error.code), error.message);
    assert_still_serving(fixture);
}

/* ---- Headers ---- */

static void refuses_wrong_methods_paths_and_headers(void **state)
{
    static const struct {
        const char *method, *path, *headers;
        int status;
        dr_code code;
        const char *header; /* part of the answer's head */
    } rows[] = {
        {"GET", PATH_DISPATCH, HEADERS_JSON, 405, DR_UNIMPLEMENTED, "Allow: POST"},
        {"PUT", PATH_DISPATCH, HEADERS_JSON, 405, DR_UNIMPLEMENTED, "Allow: POST"},
        {"DELETE", PATH_WAIT, HEADERS_JSON, 405, DR_UNIMPLEMENTED, "Allow: POST"},
        {"PATCH", PATH_LIST, HEADERS_JSON, 405, DR_UNIMPLEMENTED, "Allow: POST"},
        {"OPTIONS", PATH_GET, "", 405, DR_UNIMPLEMENTED, "Allow: POST"},
        {"POST", "/healthz", "", 405, DR_UNIMPLEMENTED, "Allow: GET, HEAD"},
        {"POST", "/", HEADERS_JSON, 404, DR_UNIMPLEMENTED, ""},
        {"POST", PATH_DISPATCH "/", HEADERS_JSON, 404, DR_UNIMPLEMENTED, ""},
        {"POST", PATH_DISPATCH "x", HEADERS_JSON, 404, DR_UNIMPLEMENTED, ""},
        {"POST", "/dispatch.sdk.v1.DispatchService/dispatch", HEADERS_JSON, 404, DR_UNIMPLEMENTED, ""},
        {"POST", "/dispatch.sdk.v1.FunctionService/Run", HEADERS_JSON, 404, DR_UNIMPLEMENTED, ""},
        {"POST", "/%64ispatch.sdk.v1.DispatchService/Dispatch", HEADERS_JSON, 404, DR_UNIMPLEMENTED, ""},
        {"POST", PATH_DISPATCH, "Content-Type: application/json\r\n", 401, DR_UNAUTHENTICATED, ""},
        {"POST", PATH_DISPATCH, "Authorization: \r\nContent-Type: application/json\r\n", 401,
         DR_UNAUTHENTICATED, ""},
        {"POST", PATH_DISPATCH, "Authorization: Bearer \r\nContent-Type: application/json\r\n", 401,
         DR_UNAUTHENTICATED, ""},
        {"POST", PATH_DISPATCH, "Authorization: Bearer x\r\nContent-Type: application/json\r\n", 401,
         DR_UNAUTHENTICATED, ""},
        {"POST", PATH_DISPATCH, "Authorization: Bearer " TEST_KEY " x\r\nContent-Type: application/json\r\n",
         401, DR_UNAUTHENTICATED, ""},
        {"POST", PATH_DISPATCH, AUTH, 415, DR_UNIMPLEMENTED,
         "Accept-Post: application/proto, application/json"},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: \r\n", 415, DR_UNIMPLEMENTED, "Accept-Post"},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: text/plain\r\n", 415, DR_UNIMPLEMENTED, "Accept-Post"},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: application/jsonx\r\n", 415, DR_UNIMPLEMENTED,
         "Accept-Post"},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: application/connect+proto\r\n", 415, DR_UNIMPLEMENTED,
         "Accept-Post"},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: application/grpc\r\n", 415, DR_UNIMPLEMENTED,
         "Accept-Post"},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: application/x-www-form-urlencoded\r\n", 415,
         DR_UNIMPLEMENTED, "Accept-Post"},
        {"POST", PATH_LIST, AUTH "Content-Type: text/plain\r\n", 415, DR_UNIMPLEMENTED,
         "Accept-Post: application/proto"},
        {"POST", PATH_DISPATCH, HEADERS_JSON "Connect-Timeout-Ms: \r\n", 400, DR_INVALID_ARGUMENT, ""},
        {"POST", PATH_DISPATCH, HEADERS_JSON "Connect-Timeout-Ms: -1\r\n", 400, DR_INVALID_ARGUMENT, ""},
        {"POST", PATH_DISPATCH, HEADERS_JSON "Connect-Timeout-Ms: 5s\r\n", 400, DR_INVALID_ARGUMENT, ""},
        {"POST", PATH_DISPATCH, HEADERS_JSON "Connect-Timeout-Ms: 0x10\r\n", 400, DR_INVALID_ARGUMENT, ""},
        {"POST", PATH_DISPATCH, HEADERS_JSON "Connect-Timeout-Ms: 12345678901\r\n", 400, DR_INVALID_ARGUMENT,
         ""},
        {"POST", PATH_DISPATCH, HEADERS_JSON "Content-Encoding: gzip\r\n", 501, DR_UNIMPLEMENTED, ""},
        {"POST", PATH_DISPATCH, HEADERS_JSON "Content-Encoding: br\r\n", 501, DR_UNIMPLEMENTED, ""},
        {"POST", PATH_DISPATCH, HEADERS_JSON "Content-Encoding: identity, gzip\r\n", 501, DR_UNIMPLEMENTED,
         ""},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: application/json\r\nConnect-Protocol-Version: 2\r\n", 400,
         DR_INVALID_ARGUMENT, ""},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: application/json\r\nConnect-Protocol-Version: \r\n", 400,
         DR_INVALID_ARGUMENT, ""},
        {"POST", PATH_DISPATCH, AUTH "Content-Type: application/json\r\nConnect-Protocol-Version: 1.0\r\n",
         400, DR_INVALID_ARGUMENT, ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct api_answer answer =
            api_ask(*state, rows[i].method, rows[i].path, rows[i].headers, ONE_CALL_JSON);
        if (!strstr(answer.head, rows[i].header))
            fail_msg("row %zu: no %s in %s", i, rows[i].header, answer.head);
        assert_answer(*state, i, answer, rows[i].status, rows[i].code);
    }
}

/* ---- JSON ---- */

static void refuses_wrong_json(void **state)
{
    static const char *const rows[] = {
        "",
        " ",
        "null",
        "[]",
        "\"calls\"",
        "42",
        "{",
        "}",
        "{\"calls\"}",
        "{\"calls\":[}",
        "{\"calls\":[{]}",
        "{calls:[]}",
        "{'calls':[]}",
        "{\"calls\":[],}",
        "{\"calls\":[]}{\"calls\":[]}",
        "{\"calls\":[],\"calls\":[]}",
        "{\"calls\":\"\\ud800\"}",
        "{\"calls\":\"\xff\"}",
        "{\"calls\":1}",
        "{\"calls\":true}",
        "{\"calls\":\"x\"}",
        "{\"calls\":{}}",
        "{\"calls\":[1]}",
        "{\"calls\":[null]}",
        "{\"calls\":[[]]}",
        "{\"calls\":[\"f\"]}",
        "{\"calls\":[{}]}",
        "{\"calls\":[{\"endpoint\":\"http://t\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://t\",\"function\":\"\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://t\",\"function\":7}]}",
        "{\"calls\":[{\"endpoint\":\"http://t\",\"function\":[\"f\"]}]}",
        "{\"calls\":[{\"endpoint\":\"http://t\",\"function\":\"a\\u0000b\"}]}",
        "{\"calls\":[{\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":8000,\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"t:8000\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"ftp://t\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"file:///etc/passwd\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"HTTP:t\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://t\\r\\nX: y\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://t t\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"gopher://t\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"unix:///run/t.sock\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"/run/t.sock\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"javascript:alert(1)\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://t?x=1\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://t#x\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\" http://t\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://t\",\"endpoint\":\"http://u\",\"function\":\"f\"}]}",
        "{\"calls\":[{\"endpoint\":\"http://t\\u0000\",\"function\":\"f\"}]}",
        CALL("\"expiration\":5"),
        CALL("\"expiration\":\"5\""),
        CALL("\"expiration\":\"-5s\""),
        CALL("\"expiration\":\"1m\""),
        CALL("\"expiration\":\"999999999999s\""),
        CALL("\"expiration\":{\"seconds\":5}"),
        CALL("\"correlationId\":-1"),
        CALL("\"correlationId\":1.5"),
        CALL("\"correlationId\":\"x\""),
        CALL("\"correlationId\":\"18446744073709551616\""),
        CALL("\"correlationId\":99999999999999999999"),
        CALL("\"correlationId\":1,\"correlation_id\":2"),
        CALL("\"version\":1"),
        CALL("\"input\":5"),
        CALL("\"input\":\"hi\""),
        CALL("\"input\":[1]"),
        CALL("\"input\":{\"value\":1}"),
        CALL("\"input\":{\"@type\":\"\"}"),
        CALL("\"input\":{\"@type\":null,\"value\":1}"),
        CALL("\"input\":{\"@type\":\"x/google.protobuf.StringValue\",\"value\":1}"),
        CALL("\"input\":{\"@type\":\"x/google.protobuf.Int32Value\",\"value\":4294967296}"),
        CALL("\"input\":{\"@type\":\"x/google.protobuf.UInt64Value\",\"value\":\"-1\"}"),
        CALL("\"input\":{\"@type\":\"x/google.protobuf.BoolValue\",\"value\":\"true\"}"),
        CALL("\"input\":{\"@type\":\"x/google.protobuf.BytesValue\",\"value\":\"%\"}"),
        CALL("\"input\":{\"@type\":\"x/google.protobuf.Timestamp\",\"value\":\"yesterday\"}"),
        CALL("\"input\":{\"@type\":\"x/google.protobuf.Struct\",\"value\":[]}"),
        CALL("\"input\":{\"@type\":\"x/Y\",\"value\":{}}"),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_answer(*state, i, api_ask(*state, "POST", PATH_DISPATCH, HEADERS_JSON, rows[i]), 400,
                      DR_INVALID_ARGUMENT);
}

static struct slice repeat(struct buf *buf, const char *before, const char *unit, size_t n, const char *after)
{
    buf_clear(buf);
    assert_int_equal(buf_append_text(buf, before), DR_OK);
    assert_int_equal(buf_reserve(buf, strlen(unit) * n), DR_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_append_text(buf, unit), DR_OK);
    assert_int_equal(buf_append_text(buf, after), DR_OK);
    return buf_slice(buf);
}

static void refuses_bombs_of_json(void **state)
{
    struct buf buf;
    buf_init(&buf, 40000000);
    const struct {
        const char *before, *unit;
        size_t n;
        const char *after;
        int status;
        dr_code code;
    } rows[] = {
        {"", "[", 1000000, "", 400, DR_INVALID_ARGUMENT},
        {"{\"a\":", "[", 1001, "", 400, DR_INVALID_ARGUMENT},
        {"", "{\"a\":", 100000, "1", 400, DR_INVALID_ARGUMENT},
        {"{\"a\":[0", ",[]", 1100000, "]}", 400, DR_INVALID_ARGUMENT},
        {"{\"calls\":[{}", ",{}", 10000, "]}", 400, DR_INVALID_ARGUMENT},
        {"{\"calls\":[{\"endpoint\":\"http://t\",\"function\":\"", "f", 1025, "\"}]}", 400,
         DR_INVALID_ARGUMENT},
        {"{\"calls\":[{\"function\":\"f\",\"endpoint\":\"http://", "t", 4096, "\"}]}", 400,
         DR_INVALID_ARGUMENT},
        {"{\"a\":\"", "x", 16000000, "\"}", 413, DR_RESOURCE_EXHAUSTED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct slice body = repeat(&buf, rows[i].before, rows[i].unit, rows[i].n, rows[i].after);
        struct api_answer answer = api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_JSON, body);
        assert_answer(*state, i, answer, rows[i].status, rows[i].code);
    }
    buf_deinit(&buf);
}

static void refuses_a_whole_submit_for_one_wrong_call_at_its_end(void **state)
{
    struct buf buf;
    buf_init(&buf, 1000000);
    struct slice body =
        repeat(&buf, "{\"calls\":[", "{\"endpoint\":\"http://t\",\"function\":\"f\"},", 5000, "{}]}");
    assert_answer(*state, 0, api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_JSON, body), 400,
                  DR_INVALID_ARGUMENT);
    assert_nothing_was_recorded(*state);
    body = repeat(&buf, "",
                  "\x0a\x0d\x12\x08http://t\x1a\x01"
                  "f",
                  10001, "");
    struct api_answer answer = api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, body);
    assert_string_equal(api_answer_error(answer).message, "10001 calls in one request, the limit is 10000");
    assert_answer(*state, 1, answer, 400, DR_INVALID_ARGUMENT);
    buf_deinit(&buf);
}

/* ---- Protobuf ---- */

#define ROW(literal)                                                                                         \
    {                                                                                                        \
        (const uint8_t *)(literal), sizeof(literal) - 1                                                      \
    }
/* endpoint "http://t", function "f", then `rest` of `n` bytes */
#define PROTO_CALL(length, rest)                                                                             \
    ROW("\x0a" length "\x12\x08http://t\x1a\x01"                                                             \
        "f" rest)

static void refuses_wrong_protobuf(void **state)
{
    static const struct slice rows[] = {
        ROW("\x0a"),
        ROW("\x0a\x05"),
        ROW("\x0a\xff\xff\xff\xff\x0f"),
        ROW("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ROW("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ROW("\x00\x00"),
        ROW("\x08\x01"), /* calls as a number */
        ROW("\x0b\x0c"), /* a group */
        ROW("\x0e\x00"), /* wire type 6 */
        ROW("{\"calls\":[]}"), /* JSON under the wrong type */
        ROW("\x00\x00\x00\x00\x05\x0a\x03\x1a\x01"
            "f"), /* a gRPC frame */
        ROW("\x1f\x8b\x08\x00\x00\x00\x00\x00"), /* gzip */
        ROW("\x0a\x00"), /* an empty call */
        ROW("\x0a\x03\x1a\x01"
            "f"), /* no endpoint */
        ROW("\x0a\x0a\x12\x08http://t"), /* no function */
        ROW("\x0a\x02\x18\x01"), /* function as a number */
        ROW("\x0a\x0d\x12\x08http://t\x1a\x01\xff"), /* not UTF-8 */
        ROW("\x0a\x0d\x12\x08http://\x00\x1a\x01"
            "f"),
        PROTO_CALL("\x11", "\x22\x02zz"), /* input is no Any */
        PROTO_CALL("\x11", "\x22\x02\x08\x01"),
        PROTO_CALL("\x12", "\x22\x03\x0a\x01\xff"),
        PROTO_CALL("\x1a", "\x2a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* expiration -1 s */
        PROTO_CALL("\x15", "\x2a\x06\x10\x80\x94\xeb\xdc\x03"), /* 1e9 ns */
        PROTO_CALL("\x10", "\x2a\x01\x08"), /* a duration that is cut */
        PROTO_CALL("\x10", "\x32\x01\xff"), /* version is not UTF-8 */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_answer(*state, i, api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, rows[i]), 400,
                      DR_INVALID_ARGUMENT);
}

static void refuses_bombs_of_protobuf(void **state)
{
    struct buf buf;
    buf_init(&buf, 20000000);
    struct slice body = repeat(&buf, "", "\x0a\x01x", 5000000, ""); /* the calls are cut off inside */
    assert_answer(*state, 0, api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, body), 400,
                  DR_INVALID_ARGUMENT);
    body = repeat(&buf, "", "\xa2\x06\x01x", 3900000, ""); /* unknown fields */
    assert_answer(*state, 1, api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, body), 400,
                  DR_INVALID_ARGUMENT);
    body = repeat(&buf, "", "x", 16000001, "");
    assert_answer(*state, 2, api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, body), 413,
                  DR_RESOURCE_EXHAUSTED);
    buf_deinit(&buf);
}

/* One call with every field: correlation id, endpoint, function, input, expiration, version. */
static const char whole_call[] = "\x0a\x48\x08\x07\x12\x08http://t\x1a\x01"
                                 "f\x22\x33\x0a\x2dtype.googleapis.com/"
                                 "google.protobuf.BoolValue\x12\x02\x08\x01\x2a\x02\x08\x05";

static void refuses_a_message_cut_at_any_byte(void **state)
{
    struct slice whole = slice_of(whole_call, sizeof(whole_call) - 1);
    for (size_t len = 1; len < whole.len; len++) {
        struct slice cut = slice_of(whole.data, len);
        assert_answer(*state, len, api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, cut), 400,
                      DR_INVALID_ARGUMENT);
    }
    n_kinds -= whole.len - 2; /* one kind */
}

/* A flipped bit may give another good call (200), or one to refuse; never anything else. */
static void answers_a_message_with_any_bit_flipped(void **state)
{
    uint8_t copy[sizeof(whole_call) - 1];
    struct slice whole = slice_of(whole_call, sizeof(copy));
    assert_int_equal(api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, whole).status, 200);
    for (size_t bit = 0; bit < sizeof(copy) * 8; bit++) {
        memcpy(copy, whole_call, sizeof(copy));
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct api_answer answer =
            api_ask_bytes(*state, "POST", PATH_DISPATCH, HEADERS_PROTO, slice_of(copy, sizeof(copy)));
        if (answer.status != 200)
            assert_refusal(answer, 400, DR_INVALID_ARGUMENT);
        if (bit % 16 == 0)
            assert_still_serving(*state);
    }
}

/* ---- HTTP ---- */

/* Answered with a Connect error or closed; nothing hangs. */
static void survives_broken_http(void **state)
{
    static const char *const rows[] = {
        "\r\n\r\n",
        "POST\r\n\r\n",
        "POST " PATH_DISPATCH "\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/9.9\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\nHost h\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON "Content-Length: 99999999999999999999\r\n\r\n{}",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON "Content-Length: 16000001\r\n\r\n{}",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Content-Length: 50\r\n\r\n{}", /* the rest never comes */
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON "Transfer-Encoding: gzip\r\n\r\n{}",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Transfer-Encoding : chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n", /* no CR LF behind the chunk */
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON
        "Transfer-Encoding: chunked\r\n , identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n", /* folded */
        "POST " PATH_DISPATCH " HTTP/1.1\n" HEADERS_JSON "Content-Length: 2\n\n{}", /* bare LF */
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON "A: \x01\r\nContent-Length: 2\r\n\r\n{}",
        "POST " PATH_DISPATCH " HTTP/1.1\r\n" HEADERS_JSON "Expect: a-miracle\r\nContent-Length: 2\r\n\r\n{}",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/0.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", /* TLS */
        "SSH-2.0-x\r\n",
        "\x80\x81\x82\x83",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct api_answer answer = api_ask_raw(*state, slice_text(rows[i]));
        bool is_closed = answer.status == 0;
        if (!is_closed && (answer.status < 400 || answer.status >= 600))
            fail_msg("row %zu: %d", i, answer.status);
        if (!is_closed)
            assert_int_not_equal(api_answer_error(answer).code, DR_OK);
        n_kinds++;
        assert_still_serving(*state);
    }
}

static void survives_a_client_that_leaves_in_the_middle(void **state)
{
    static const char request[] =
        "POST " PATH_DISPATCH " HTTP/1.1\r\nHost: h\r\n" HEADERS_JSON "Content-Length: 48\r\n\r\n"
        "{\"calls\":[{\"endpoint\":\"http://t\",\"function\":\"f\"";
    for (size_t len = 0; len < sizeof(request); len += 7) {
        int fd = api_connect(*state);
        api_send(fd, slice_of(request, len));
        close(fd);
    }
    assert_still_serving(*state);
}

/* ---- The other services ---- */

static void refuses_wrong_questions(void **state)
{
    static const struct {
        const char *path, *headers, *body;
        int status;
        dr_code code;
    } rows[] = {
        {PATH_WAIT, HEADERS_PROTO, "", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, AUTH, " \r\n", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, AUTH,
         "\x0a\x01"
         "f",
         404, DR_NOT_FOUND},
        {PATH_WAIT, AUTH, "0123456789abcdef0123456789abcdeg", 404, DR_NOT_FOUND},
        {PATH_WAIT, AUTH, "0123456789abcdef0123456789abcdef0", 404, DR_NOT_FOUND},
        {PATH_WAIT, HEADERS_JSON, "0123456789abcdef0123456789abcdef", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, HEADERS_JSON, "{}", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, HEADERS_JSON, "{\"dispatchId\":7}", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, HEADERS_JSON, "{\"dispatchId\":\"x\",\"timeout\":\"soon\"}", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, HEADERS_JSON, "{\"dispatchId\":\"x\",\"timeout\":-1}", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, HEADERS_JSON, "{\"dispatchId\":\"x\",\"timeout\":\"-1s\"}", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, HEADERS_JSON, "{\"dispatchId\":\"x\",\"timeout\":true}", 400, DR_INVALID_ARGUMENT},
        {PATH_WAIT, HEADERS_JSON, "{\"dispatchId\":\"x\",\"timeout\":1e300}", 400, DR_INVALID_ARGUMENT},
        {PATH_GET, HEADERS_JSON, "", 400, DR_INVALID_ARGUMENT},
        {PATH_GET, HEADERS_JSON, "{\"dispatchId\":[]}", 400, DR_INVALID_ARGUMENT},
        {PATH_GET, HEADERS_JSON, "{\"dispatchId\":\"\"}", 400, DR_INVALID_ARGUMENT},
        {PATH_CANCEL, HEADERS_JSON, "{}", 400, DR_INVALID_ARGUMENT},
        {PATH_CANCEL, HEADERS_JSON, "{\"dispatchId\":\"x\"}", 404, DR_NOT_FOUND},
        {PATH_GET, HEADERS_PROTO, "", 400, DR_INVALID_ARGUMENT},
        {PATH_GET, HEADERS_PROTO, "{}", 400, DR_INVALID_ARGUMENT},
        {PATH_GET, HEADERS_PROTO, "\x0a\x01x", 404, DR_NOT_FOUND},
        {PATH_CANCEL, HEADERS_PROTO, "\x0a\x05x", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_PROTO, "\x08\xe9\x07", 400, DR_INVALID_ARGUMENT}, /* page_size 1001 */
        {PATH_LIST, HEADERS_PROTO, "\x12\x01x", 400, DR_INVALID_ARGUMENT}, /* page_token */
        {PATH_LIST, HEADERS_PROTO, "\x2a\x01x", 400, DR_INVALID_ARGUMENT}, /* state */
        {PATH_LIST, HEADERS_JSON, "[]", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"pageSize\":1001}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"pageSize\":-1}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"pageSize\":\"many\"}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"pageToken\":\"x\"}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"state\":\"asleep\"}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"state\":\"any\"}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"state\":3}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"status\":\"OKAY\"}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"function\":{}}", 400, DR_INVALID_ARGUMENT},
        {PATH_LIST, HEADERS_JSON, "{\"rootDispatchId\":\"root\"}", 400, DR_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_answer(*state, i, api_ask(*state, "POST", rows[i].path, rows[i].headers, rows[i].body),
                      rows[i].status, rows[i].code);
}

static void there_are_at_least_sixty_kinds(void **state)
{
    (void)state;
    print_message("%zu kinds of wrong requests\n", n_kinds);
    assert_true(n_kinds >= KINDS_MIN);
}

static int tear_down_empty(void **state)
{
    assert_nothing_was_recorded(*state);
    return tear_down(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down_empty)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refuses_wrong_methods_paths_and_headers),
        TEST(refuses_wrong_json),
        TEST(refuses_bombs_of_json),
        TEST(refuses_a_whole_submit_for_one_wrong_call_at_its_end),
        TEST(refuses_wrong_protobuf),
        TEST(refuses_bombs_of_protobuf),
        TEST(refuses_a_message_cut_at_any_byte),
        cmocka_unit_test_setup_teardown(answers_a_message_with_any_bit_flipped, set_up, tear_down),
        TEST(survives_broken_http),
        TEST(survives_a_client_that_leaves_in_the_middle),
        cmocka_unit_test(there_are_at_least_sixty_kinds), /* of submissions: before the other services */
        TEST(refuses_wrong_questions),
    };
    return cmocka_run_group_tests_name("bad submissions", tests, NULL, NULL);
}
