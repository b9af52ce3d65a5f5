#include "wire/testing.h"

#include <stdio.h>

static const char *refusal(struct wire_call call, bool is_endpoint_required)
{
    static struct dr_error error;
    error = (struct dr_error){0};
    dr_code code = wire_call_validate(&call, is_endpoint_required, &error);
    assert_int_equal(code, error.code);
    return code == DR_OK ? "" : error.message;
}

static const char *refusal_of_endpoint(const char *endpoint)
{
    return refusal((struct wire_call){.endpoint = slice_text(endpoint), .function = SLICE("f")}, true);
}

#define BAD_SCHEME "Call endpoint must be a http, https or a bridge URL or an AWS Lambda ARN"

static void takes_the_four_kinds_of_endpoint(void **state)
{
    (void)state;
    assert_string_equal(refusal_of_endpoint("http://localhost:8000"), "");
    assert_string_equal(refusal_of_endpoint("https://example.com/path"), "");
    assert_string_equal(refusal_of_endpoint("bridge://session"), "");
    assert_string_equal(refusal_of_endpoint("arn:aws:lambda:us-west-2:123456789012:function:my:v1"), "");
}

static void refuses_other_endpoints_in_the_words_of_the_original(void **state)
{
    (void)state;
    assert_string_equal(refusal_of_endpoint(""), "Call endpoint cannot be empty");
    assert_string_equal(refusal_of_endpoint("ftp://x"), BAD_SCHEME);
    assert_string_equal(refusal_of_endpoint("localhost:8000"), BAD_SCHEME);
    assert_string_equal(refusal_of_endpoint("http:/x"), BAD_SCHEME);
    assert_string_equal(refusal_of_endpoint("http://"), BAD_SCHEME);
    assert_string_equal(refusal_of_endpoint(" http://x"), BAD_SCHEME);
    assert_string_equal(refusal_of_endpoint("http://a b"),
                        "Call endpoint holds a character that a URL cannot hold; percent-encode it");
    assert_string_equal(refusal_of_endpoint("http://a\r\nHost: b"),
                        "Call endpoint holds a character that a URL cannot hold; percent-encode it");
}

static void refuses_a_query_or_fragment_behind_which_the_path_would_be_put(void **state)
{
    (void)state;
    const char *message =
        "Call endpoint cannot have a query or a fragment: the path of the service is put behind it";
    assert_string_equal(refusal_of_endpoint("https://example.com/path?x=1"), message);
    assert_string_equal(refusal_of_endpoint("https://example.com#part"), message);
}

static void leaves_out_the_endpoint_in_a_poll(void **state)
{
    (void)state;
    assert_string_equal(refusal((struct wire_call){.function = SLICE("f")}, false), "");
    assert_string_equal(refusal((struct wire_call){.function = SLICE("f"), .endpoint = SLICE("x")}, false),
                        BAD_SCHEME);
}

static void takes_any_text_as_function_name(void **state)
{
    (void)state;
    struct wire_call call = {.endpoint = SLICE("http://h")};
    call.function = SLICE("main.<locals>.f");
    assert_string_equal(refusal(call, true), "");
    call.function = SLICE("double-repeat"); /* Q24 */
    assert_string_equal(refusal(call, true), "");
    call.function = SLICE("gr\xc3\xbc\xc3\x9f dich");
    assert_string_equal(refusal(call, true), "");
    call.function = SLICE("");
    assert_string_equal(refusal(call, true), "Call function cannot be empty");
    call.function = SLICE("a\xff");
    assert_string_equal(refusal(call, true), "Call function is not UTF-8");
    call.function = SLICE("a\0b");
    assert_string_equal(refusal(call, true), "Call function holds a NUL");
}

static void bounds_the_length_of_texts(void **state)
{
    (void)state;
    static uint8_t text[5000];
    memset(text, 'a', sizeof(text));
    struct wire_call call = {.endpoint = SLICE("http://h"),
                             .function = slice_of(text, WIRE_FUNCTION_BYTES_MAX)};
    assert_string_equal(refusal(call, true), "");
    call.function.len++;
    assert_string_equal(refusal(call, true), "Call function has 1025 bytes, the limit is 1024");
    call.function.len = 1;
    call.version = slice_of(text, WIRE_VERSION_BYTES_MAX + 1);
    assert_string_equal(refusal(call, true), "Call version has 1025 bytes, the limit is 1024");
    call.version.len = 0;
    call.endpoint = slice_of(text, WIRE_ENDPOINT_BYTES_MAX + 1);
    assert_string_equal(refusal(call, true), "Call endpoint has 4097 bytes, the limit is 4096");
}

static void refuses_a_negative_expiration(void **state)
{
    (void)state;
    struct wire_call call = {.endpoint = SLICE("http://h"), .function = SLICE("f"), .expiration_ns = -1};
    assert_string_equal(refusal(call, true), "Call expiration cannot be negative");
    call.expiration_ns = 0;
    assert_string_equal(refusal(call, true), "");
}

static const char *shown(const char *endpoint)
{
    static char text[WIRE_ENDPOINT_SHOWN_SIZE];
    static char copy[WIRE_ENDPOINT_SHOWN_SIZE];
    struct slice bytes = wire_endpoint_shown(slice_text(endpoint), text);
    (void)snprintf(copy, sizeof(copy), "%.*s", (int)bytes.len, (const char *)bytes.data);
    return copy;
}

static void shows_no_user_information_of_an_endpoint(void **state)
{
    (void)state;
    assert_string_equal(shown("http://user:secret@host:8000/path"), "http://***@host:8000/path");
    assert_string_equal(shown("https://token@host"), "https://***@host");
    assert_string_equal(shown("http://u:p@ss@word@host/a@b"), "http://***@host/a@b");
    assert_string_equal(shown("http://@host"), "http://***@host");
    assert_string_equal(shown("http://host/a@b"), "http://host/a@b");
    assert_string_equal(shown("bridge://session"), "bridge://session");
    assert_string_equal(shown("arn:aws:lambda:a@b"), "arn:aws:lambda:a@b");
    assert_string_equal(shown("://@"), "://***@");
    assert_string_equal(shown(""), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_four_kinds_of_endpoint),
        cmocka_unit_test(refuses_other_endpoints_in_the_words_of_the_original),
        cmocka_unit_test(refuses_a_query_or_fragment_behind_which_the_path_would_be_put),
        cmocka_unit_test(leaves_out_the_endpoint_in_a_poll),
        cmocka_unit_test(shows_no_user_information_of_an_endpoint),
        cmocka_unit_test(takes_any_text_as_function_name),
        cmocka_unit_test(bounds_the_length_of_texts),
        cmocka_unit_test(refuses_a_negative_expiration),
    };
    return cmocka_run_group_tests_name("wire call", tests, NULL, NULL);
}
