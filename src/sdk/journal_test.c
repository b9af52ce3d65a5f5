#include "base/testing.h"

#include "sdk/journal.h"
#include "wire/wire.h"

#include <stdio.h>

struct fixture {
    struct arena arena;
    struct journal journal;
    struct buf buf;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_must_zalloc(sizeof *fixture);
    arena_init(&fixture->arena, 0);
    buf_init(&fixture->buf, WIRE_MESSAGE_BYTES_MAX);
    fixture->journal.pending.poll_error = "";
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_deinit(&fixture->arena);
    buf_deinit(&fixture->buf);
    mem_free(fixture);
    return 0;
}

static void add(struct fixture *fixture, int n)
{
    static const char *functions[] = {"a", "b"};
    static struct slice results[] = {{(const uint8_t *)"one", 3}, {(const uint8_t *)"", 0}, {(const uint8_t *)"\0\1", 2}};
    for (int i = 0; i < n; i++) {
        struct journal_resume *resume = journal_add(&fixture->journal, &fixture->arena);
        assert_non_null(resume);
        *resume = (struct journal_resume){.now_ns = i, .n_calls = 2, .functions = functions, .n_functions = 2,
                                          .n_unsent = 1, .results = results, .n_results = 3,
                                          .poll_error = i == 1 ? "refused" : ""};
    }
}

static void what_is_encoded_is_decoded(void **state)
{
    struct fixture *fixture = *state;
    struct journal read;
    fixture->journal.fingerprint = UINT64_MAX;
    fixture->journal.input = slice_text("input");
    add(fixture, 9);
    fixture->journal.pending = (struct journal_resume){
        .n_calls = 7, .functions = (const char *[]){"c"}, .n_functions = 1, .n_unsent = 3, .poll_error = ""};
    assert_int_equal(journal_encode(&fixture->journal, &fixture->buf, NULL), DR_OK);
    assert_true(fixture->buf.len <= journal_bytes_max(&fixture->journal));
    assert_int_equal(journal_decode(buf_slice(&fixture->buf), &fixture->arena, &read, NULL), DR_OK);
    assert_true(read.fingerprint == UINT64_MAX);
    assert_true(slice_equal(read.input, slice_text("input")));
    assert_int_equal(read.n_resumes, 9);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(read.resumes[i].now_ns, i);
        assert_int_equal(read.resumes[i].n_calls, 2);
        assert_int_equal(read.resumes[i].n_functions, 2);
        assert_string_equal(read.resumes[i].functions[1], "b");
        assert_int_equal(read.resumes[i].n_unsent, 1);
        assert_int_equal(read.resumes[i].n_results, 3);
        assert_true(slice_equal(read.resumes[i].results[2], slice_of("\0\1", 2)));
        assert_string_equal(read.resumes[i].poll_error, i == 1 ? "refused" : "");
    }
    assert_int_equal(read.pending.n_calls, 7);
    assert_int_equal(read.pending.n_functions, 1);
    assert_string_equal(read.pending.functions[0], "c");
    assert_int_equal(read.pending.n_unsent, 3);
}

static void no_input_and_an_empty_one_are_two_things(void **state)
{
    struct fixture *fixture = *state;
    struct journal read;
    assert_int_equal(journal_encode(&fixture->journal, &fixture->buf, NULL), DR_OK);
    assert_int_equal(journal_decode(buf_slice(&fixture->buf), &fixture->arena, &read, NULL), DR_OK);
    assert_null(read.input.data);
    buf_clear(&fixture->buf);
    fixture->journal.input = slice_text("");
    assert_int_equal(journal_encode(&fixture->journal, &fixture->buf, NULL), DR_OK);
    assert_int_equal(journal_decode(buf_slice(&fixture->buf), &fixture->arena, &read, NULL), DR_OK);
    assert_non_null(read.input.data);
}

static void a_journal_that_could_not_be_read_back_is_not_written(void **state)
{
    struct fixture *fixture = *state;
    struct journal read;
    struct dr_error error = {0};
    add(fixture, (int)(WIRE_FIELDS_MAX / 10) - 1);
    assert_int_equal(journal_encode(&fixture->journal, &fixture->buf, &error), DR_OK);
    assert_int_equal(journal_decode(buf_slice(&fixture->buf), &fixture->arena, &read, &error), DR_OK);
    add(fixture, 2);
    assert_int_equal(journal_encode(&fixture->journal, &fixture->buf, &error), DR_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(error.message, "too long"));
}

static void other_states_do_not_fit(void **state)
{
    struct fixture *fixture = *state;
    struct journal read;
    assert_int_equal(journal_decode(slice_of("", 0), &fixture->arena, &read, NULL), DR_FAILED_PRECONDITION);
    assert_int_equal(journal_decode(slice_text("garbage"), &fixture->arena, &read, NULL), DR_FAILED_PRECONDITION);
    assert_int_equal(wire_any_encode(slice_text(JOURNAL_TYPE_URL), slice_text("\xff"), &fixture->buf), DR_OK);
    assert_int_equal(journal_decode(buf_slice(&fixture->buf), &fixture->arena, &read, NULL), DR_FAILED_PRECONDITION);
    buf_clear(&fixture->buf);
    assert_int_equal(wire_any_encode(slice_text(JOURNAL_TYPE_URL), slice_of("", 0), &fixture->buf), DR_OK);
    assert_int_equal(journal_decode(buf_slice(&fixture->buf), &fixture->arena, &read, NULL), DR_FAILED_PRECONDITION);
    buf_clear(&fixture->buf); /* the right version, but no suspension */
    assert_int_equal(wire_any_encode(slice_text(JOURNAL_TYPE_URL), slice_text("\x08\x02"), &fixture->buf), DR_OK);
    assert_int_equal(journal_decode(buf_slice(&fixture->buf), &fixture->arena, &read, NULL), DR_FAILED_PRECONDITION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_encoded_is_decoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_input_and_an_empty_one_are_two_things, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_journal_that_could_not_be_read_back_is_not_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_states_do_not_fit, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
