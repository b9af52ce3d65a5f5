#include "base/testing.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char captured[65536];
static int saved_stderr;
static FILE *capture_file;

static void capture_start(void)
{
    capture_file = tmpfile();
    assert_non_null(capture_file);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fileno(capture_file), STDERR_FILENO) >= 0);
}

static const char *capture_end(void)
{
    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    close(saved_stderr);
    rewind(capture_file);
    captured[fread(captured, 1, sizeof(captured) - 1, capture_file)] = '\0';
    (void)fclose(capture_file);
    return captured;
}

/* The text behind the time stamp, "2024-01-01T00:00:00.000Z". */
static const char *after_time(const char *line) { return line + 24; }

static void writes_fields_for_people(void **state)
{
    (void)state;
    log_init(LOG_INFO, false);
    capture_start();
    log_write(LOG_INFO, "listening", "url", "http://127.0.0.1:1", "note", "two words", "none", "", NULL);
    const char *line = capture_end();
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[23], 'Z');
    assert_string_equal(after_time(line), " INFO  listening url=http://127.0.0.1:1 note=\"two words\" none=\"\"\n");
}

static void leaves_out_what_is_below_the_level(void **state)
{
    (void)state;
    log_init(LOG_WARN, false);
    capture_start();
    log_write(LOG_INFO, "hidden", NULL);
    log_write(LOG_ERROR, "shown", NULL);
    assert_string_equal(after_time(capture_end()), " ERROR shown\n");
}

static void writes_json_with_everything_escaped(void **state)
{
    (void)state;
    log_init(LOG_DEBUG, true);
    capture_start();
    log_write(LOG_DEBUG, "odd \"text\"", "bytes", "a\\b\n\x01 \xc3\xa4 \xff", "absent", (const char *)NULL, NULL);
    const char *line = capture_end();
    assert_memory_equal(line, "{\"time\":\"", 9);
    assert_string_equal(line + 9 + 24,
                        "\",\"level\":\"debug\",\"message\":\"odd \\\"text\\\"\","
                        "\"bytes\":\"a\\\\b\\n\\u0001 \xc3\xa4 \xef\xbf\xbd\",\"absent\":\"\"}\n");
}

static void keeps_a_field_from_forging_a_line(void **state)
{
    (void)state;
    log_init(LOG_INFO, false);
    capture_start();
    log_write(LOG_INFO, "request", "path", "/x\nINFO forged=1", NULL);
    assert_string_equal(after_time(capture_end()), " INFO  request path=\"/x\\nINFO forged=1\"\n");
}

static void cuts_long_lines_and_closes_them_well(void **state)
{
    (void)state;
    static char text[100001];
    memset(text, '"', sizeof(text) - 1);
    for (int is_json = 0; is_json < 2; is_json++) {
        log_init(LOG_INFO, is_json);
        capture_start();
        log_write(LOG_INFO, "long", "a", text, "b", text, "c", "x", "d", "y", NULL);
        const char *line = capture_end();
        size_t len = strlen(line);
        assert_in_range(len, 3900, 4000);
        assert_string_equal(line + len - (is_json ? 5 : 4), is_json ? "\\\"\"}\n" : "\\\"\"\n");
        assert_ptr_equal(strchr(line, '\n'), line + len - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_fields_for_people),
        cmocka_unit_test(leaves_out_what_is_below_the_level),
        cmocka_unit_test(writes_json_with_everything_escaped),
        cmocka_unit_test(keeps_a_field_from_forging_a_line),
        cmocka_unit_test(cuts_long_lines_and_closes_them_well),
    };
    return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
