#include "wire/testing.h"

#include <jansson.h>

static void assert_encodes(dr_code code, const char *message, const char *expected)
{
    struct buf buf;
    buf_init(&buf, 10000);
    assert_int_equal(wire_connect_error_encode(code, message, &buf), DR_OK);
    assert_string_equal(buf_text(&buf), expected);
    json_t *json = json_loadb((const char *)buf.data, buf.len, 0, NULL);
    assert_non_null(json);
    json_decref(json);
    buf_deinit(&buf);
}

static void writes_valid_json_whatever_the_message(void **state)
{
    (void)state;
    assert_encodes(DR_NOT_FOUND, "no call", "{\"code\":\"not_found\",\"message\":\"no call\"}");
    assert_encodes(DR_INTERNAL, NULL, "{\"code\":\"internal\",\"message\":\"\"}");
    assert_encodes(DR_INTERNAL, "\"a\\b\"\n\x01\x7f",
                   "{\"code\":\"internal\",\"message\":\"\\\"a\\\\b\\\"\\n\\u0001\\u007f\"}");
    assert_encodes(DR_INTERNAL, "\xc3\xa9", "{\"code\":\"internal\",\"message\":\"\xc3\xa9\"}");
    assert_encodes(DR_INTERNAL, "a\xff\xc3",
                   "{\"code\":\"internal\",\"message\":\"a\xef\xbf\xbd\xef\xbf\xbd\"}");
}

static void leaves_a_full_buffer_as_it_was(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 30);
    assert_int_equal(wire_connect_error_encode(DR_INTERNAL, "long enough to not fit", &buf),
                     DR_RESOURCE_EXHAUSTED);
    assert_int_equal(buf.len, 0);
    buf_deinit(&buf);
}

static void assert_decodes(const char *body, int http_status, dr_code code, const char *message)
{
    struct dr_error error = {0};
    wire_connect_error_decode(slice_text(body), http_status, &error);
    assert_int_equal(error.code, code);
    assert_string_equal(error.message, message);
}

static void reads_the_errors_of_connect(void **state)
{
    (void)state;
    assert_decodes("{\"code\":\"not_found\",\"message\":\"no \\\"x\\\"\",\"details\":[]}", 404, DR_NOT_FOUND,
                   "no \"x\"");
    assert_decodes("{\"code\":\"unknown\",\"message\":\"m\"}", 500, DR_UNKNOWN, "m");
    assert_decodes("{\"code\":\"unavailable\"}", 503, DR_UNAVAILABLE, dr_code_text(DR_UNAVAILABLE));
}

static void reads_the_broken_json_of_python_endpoints(void **state)
{
    (void)state;
    assert_decodes(
        "{\"code\":\"permission_denied\",\"message\":\"Expected \"Signature-Input\" header field\"}", 403,
        DR_PERMISSION_DENIED, "Expected \"Signature-Input\" header field");
}

static void falls_back_to_the_http_status(void **state)
{
    (void)state;
    assert_decodes("", 502, DR_UNAVAILABLE, "HTTP 502");
    assert_decodes("<html>\nbad gateway", 502, DR_UNAVAILABLE, "HTTP 502: <html>?bad gateway");
    assert_decodes("[1]", 400, DR_INTERNAL, "HTTP 400: [1]");
    assert_decodes("{\"code\":\"ok\"}", 401, DR_UNAUTHENTICATED, "HTTP 401: {\"code\":\"ok\"}");
    assert_decodes("{\"code\":\"nonsense\",\"message\":\"m\"}", 404, DR_UNIMPLEMENTED,
                   "HTTP 404: {\"code\":\"nonsense\",\"message\":\"m\"}");
    assert_decodes("{\"code\":\"not_found\",\"message\":\"", 500, DR_UNKNOWN,
                   "HTTP 500: {\"code\":\"not_found\",\"message\":\"");
    assert_decodes("a\xff", 418, DR_UNKNOWN, "HTTP 418: a?");
}

static void an_error_always_has_a_text(void **state)
{
    (void)state;
    static const char body[] = "{\"code\":\"not_found\",\"message\":\"\0no\nsuch call\"}";
    struct dr_error error = {0};
    wire_connect_error_decode(slice_of(body, sizeof(body) - 1), 404, &error);
    assert_int_equal(error.code, DR_NOT_FOUND);
    assert_string_equal(error.message, "?no?such call");
}

static void survives_every_cut(void **state)
{
    (void)state;
    const char *bodies[] = {
        "{\"code\":\"permission_denied\",\"message\":\"Expected \"Signature-Input\" field\"}",
        "{\"code\":\"not_found\",\"message\":\"\xc3\xa9\"}"};
    for (int i = 0; i < 2; i++)
        for (size_t len = 0; len <= strlen(bodies[i]); len++) {
            uint8_t *copy = mem_alloc(len);
            memcpy(copy, bodies[i], len);
            struct dr_error error = {0};
            wire_connect_error_decode(slice_of(copy, len), 500, &error);
            assert_int_not_equal(error.code, DR_OK);
            mem_free(copy);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_valid_json_whatever_the_message),
        cmocka_unit_test(leaves_a_full_buffer_as_it_was),
        cmocka_unit_test(reads_the_errors_of_connect),
        cmocka_unit_test(reads_the_broken_json_of_python_endpoints),
        cmocka_unit_test(falls_back_to_the_http_status),
        cmocka_unit_test(an_error_always_has_a_text),
        cmocka_unit_test(survives_every_cut),
    };
    return cmocka_run_group_tests_name("wire connect error", tests, NULL, NULL);
}
