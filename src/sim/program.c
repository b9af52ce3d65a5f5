/* Inputs, results, and what a seed means. program_run.c is the function's body. */
#include "sim/program_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "wire/wire.h"
#include <stdio.h>

#define BYTES_URL "type.googleapis.com/google.protobuf.BytesValue"
enum {
    SALT_KIND = 1,
    SALT_VALUE,
    SALT_ROUNDS,
    SALT_CALLS,
    SALT_CHILD,
    SALT_TAIL,
    SALT_WAIT,
    SALT_TERMS,
    SALT_ODD,
    SALT_PADDING
};
enum { TAIL_CALLS_MAX = 3, INPUT_BYTES = 11, VALUE_BYTES = 10, WIDE = 24 };

static const char *const NAMES[PROGRAM_KIND_COUNT] = {
    "returns",    "raises",     "sleeps", "tail_calls", "waits_for_nothing",
    "is_refused", "ends_oddly", "races",  "gathers"};

const char *program_name(enum program_kind kind)
{
    return NAMES[kind];
}

enum program_kind program_kind_of(struct program_input input)
{
    static const uint8_t below[PROGRAM_KIND_COUNT] = {26, 32, 40, 48, 52, 57, 61, 69, 100};
    uint64_t lot = dice_mix(input.seed, SALT_KIND) % 100;
    enum program_kind kind = PROGRAM_RETURNS;
    while (lot >= below[kind])
        kind++;
    bool is_deep = input.depth >= PROGRAM_DEPTH_MAX && (kind == PROGRAM_RACES || kind == PROGRAM_GATHERS);
    bool is_long = kind == PROGRAM_TAIL_CALLS && input.n_tail_calls >= TAIL_CALLS_MAX;
    return is_deep || is_long ? PROGRAM_RETURNS : kind;
}

static struct program_input last_of(struct program_input input)
{
    while (program_kind_of(input) == PROGRAM_TAIL_CALLS)
        input = program_tail(input);
    return input;
}

enum program_oddity program_oddity(struct program_input input)
{
    return (enum program_oddity)(dice_mix(input.seed, SALT_ODD) % ODDITY_COUNT);
}

dr_status program_odd_status(struct program_input input)
{
    struct program_input last = last_of(input);
    if (program_kind_of(last) != PROGRAM_ENDS_ODDLY)
        return 0;
    switch (program_oddity(last)) {
    case ODD_NO_ERROR:
        return DR_STATUS_NOT_FOUND;
    case ODD_POLL:
        return DR_STATUS_PERMISSION_DENIED;
    default:
        return DR_STATUS_INVALID_RESPONSE;
    }
}

unsigned program_rounds(struct program_input input)
{
    return program_kind_of(input) == PROGRAM_GATHERS ? 1 + (unsigned)(dice_mix(input.seed, SALT_ROUNDS) % 2)
                                                     : 1;
}

unsigned program_calls(struct program_input input, unsigned round)
{
    uint64_t lot = dice_mix(dice_mix(input.seed, SALT_CALLS), round);
    if (lot % 40 == 0 && input.depth == 0)
        return WIDE;
    return 1 + (unsigned)(lot / 40 % 4);
}

struct program_input program_child(struct program_input input, unsigned number)
{
    uint64_t seed = dice_mix(dice_mix(input.seed, SALT_CHILD), number);
    return (struct program_input){.seed = seed, .depth = (uint8_t)(input.depth + 1)};
}

struct program_input program_tail(struct program_input input)
{
    uint64_t seed = dice_mix(input.seed, SALT_TAIL);
    return (struct program_input){
        .seed = seed, .depth = input.depth, .n_tail_calls = (uint8_t)(input.n_tail_calls + 1)};
}

int64_t program_sleep_ns(struct program_input input)
{
    static const int64_t most_ns[] = {NS_PER_MS, NS_PER_S, 60 * NS_PER_S, 3600 * NS_PER_S};
    uint64_t lot = dice_mix(input.seed, SALT_WAIT);
    return 1 + (int64_t)(lot / 4 % (uint64_t)most_ns[lot % 4]);
}

struct program_terms program_terms(struct program_input input, unsigned poll)
{
    uint64_t lot = dice_mix(dice_mix(input.seed, SALT_TERMS), poll);
    struct program_terms terms = {.min_results = 1 + (int32_t)(lot % 4),
                                  .max_results = 1 + (int32_t)(lot / 4 % 6)};
    if (terms.max_results < terms.min_results)
        terms.max_results = terms.min_results;
    if (lot / 32 % 4 == 0)
        terms.max_wait_ns = program_sleep_ns((struct program_input){.seed = lot});
    if (lot / 512 % 16 == 0)
        terms.min_results = 0; /* counts as 1 */
    terms.arm = lot / 128 % 2 ? WIRE_STATE_TYPED : WIRE_STATE_BYTES;
    return terms;
}

uint64_t program_value(struct program_input input)
{
    return dice_mix(input.seed, SALT_VALUE);
}

static bool is_root_alone(struct program_input input)
{
    return input.depth == 0 || input.n_tail_calls > 0;
}

static int64_t expiration_ns(struct program_input input)
{
    enum { SHORTEST_S = 1, SPREAD_S = 60, LONGEST_DAYS = 6 };
    if (program_kind_of(last_of(input)) == PROGRAM_WAITS_FOR_NOTHING) /* else more than is allowed, or no wish */
        return (int64_t)(SHORTEST_S + dice_mix(input.seed, SALT_WAIT) % SPREAD_S) * NS_PER_S;
    return input.seed & 1024 ? LONGEST_DAYS * INT64_C(86400) * NS_PER_S : 0;
}

static size_t padding_of(uint64_t number)
{
    static const size_t most[] = {100, 4000, 30000};
    uint64_t lot = dice_mix(number, SALT_PADDING);
    return lot % 8 ? 0 : lot / 32 % most[lot / 8 % 3];
}

static uint8_t padding_byte(uint64_t number, size_t i)
{
    return (uint8_t)(number >> i % 8 * 8) ^ (uint8_t)i;
}

struct slice program_pad(struct slice value, uint64_t number, struct arena *arena)
{
    size_t n = padding_of(number);
    uint8_t *bytes = arena_alloc(arena, value.len + n + 1);
    CHECK(bytes);
    memcpy(bytes, value.data, value.len);
    for (size_t i = 0; i < n; i++)
        bytes[value.len + i] = padding_byte(number, i);
    return slice_of(bytes, value.len + n);
}

bool program_unpad(struct slice padded, size_t len, uint64_t number, struct slice *ret_value)
{
    bool is_whole = padded.len == len + padding_of(number);
    for (size_t i = 0; is_whole && i < padded.len - len; i++)
        is_whole = padded.data[len + i] == padding_byte(number, i);
    *ret_value = slice_of(padded.data, len);
    return is_whole;
}

struct slice program_any(struct slice value, struct arena *arena)
{
    struct buf bytes;
    buf_init(&bytes, 65536);
    CHECK(wire_any_encode(slice_text(BYTES_URL), value, &bytes) == DR_OK);
    char *copy = arena_copy(arena, buf_slice(&bytes));
    CHECK(copy);
    struct slice any = slice_of(copy, bytes.len);
    buf_deinit(&bytes);
    return any;
}

bool program_any_value(struct slice any, struct slice *ret_value)
{
    struct slice url;
    return any.data && wire_any_split(any, &url, ret_value, NULL) == DR_OK &&
           slice_equal(url, slice_text(BYTES_URL));
}

void program_call(struct program_input input, struct arena *arena, struct wire_call *ret_call)
{
    uint8_t bytes[INPUT_BYTES] = {'P', input.depth, input.n_tail_calls};
    memcpy(bytes + 3, &input.seed, sizeof input.seed);
    char *endpoint = arena_printf(arena, "http://e%d", (int)(input.seed % PROGRAM_ENDPOINTS));
    CHECK(endpoint);
    bool inherits = !is_root_alone(input) && input.seed & 256;
    *ret_call = (struct wire_call){
        .endpoint = inherits ? (struct slice){0} : slice_text(endpoint),
        .function = slice_text(program_name(program_kind_of(input))),
        .input = program_any(program_pad(slice_of(bytes, sizeof bytes), input.seed, arena), arena),
        .version = input.seed & 2048 ? slice_text("v2") : (struct slice){0},
        .expiration_ns = expiration_ns(input),
    };
}

bool program_read_input(struct slice any, struct program_input *ret_input)
{
    struct slice value;
    if (!program_any_value(any, &value) || value.len < INPUT_BYTES || value.data[0] != 'P')
        return false;
    *ret_input = (struct program_input){.depth = value.data[1], .n_tail_calls = value.data[2]};
    memcpy(&ret_input->seed, value.data + 3, sizeof ret_input->seed);
    return program_unpad(value, INPUT_BYTES, ret_input->seed, &value);
}

/* What a parent makes of a child's result. */
uint64_t program_fold(unsigned number, const struct program_result *result)
{
    uint64_t kind = result->is_lost ? 3 : result->is_error ? 2 : 1;
    return dice_mix(dice_mix(number, kind), result->is_lost ? 0 : result->value);
}

struct program_result program_expected(struct program_input input)
{
    enum program_kind kind = program_kind_of(input);
    struct program_result result = {.value = program_value(input), .is_error = kind == PROGRAM_RAISES};
    if (kind == PROGRAM_TAIL_CALLS)
        return program_expected(program_tail(input));
    if (kind == PROGRAM_WAITS_FOR_NOTHING || kind == PROGRAM_ENDS_ODDLY)
        return (struct program_result){.is_lost = true};
    unsigned number = 0;
    for (unsigned round = 0; kind == PROGRAM_GATHERS && round < program_rounds(input); round++) {
        for (unsigned n = program_calls(input, round); n > 0; n--) {
            number++;
            struct program_result child = program_expected(program_child(input, number));
            result.value += program_fold(number, &child);
        }
    }
    return result;
}

bool program_may_end(struct program_input input, const struct program_result *result)
{
    struct program_result expected = program_expected(input);
    if (result->is_lost)
        return true; /* somebody may have cancelled it; whether that is so, the caller knows */
    if (expected.is_lost || result->is_error != expected.is_error)
        return false;
    return result->is_tainted || result->value == expected.value;
}

struct slice program_output(const struct program_result *result, struct arena *arena)
{
    uint8_t bytes[VALUE_BYTES] = {'V', result->is_tainted};
    memcpy(bytes + 2, &result->value, sizeof result->value);
    return program_any(program_pad(slice_of(bytes, sizeof bytes), result->value, arena), arena);
}

static bool read_error(struct slice message, struct program_result *ret_result)
{
    char text[40];
    unsigned long long value;
    unsigned taint;
    if (message.len >= sizeof text)
        return false;
    memcpy(text, message.data, message.len);
    text[message.len] = '\0';
    if (sscanf(text, "E %16llx %1u", &value, &taint) != 2)
        return false;
    *ret_result = (struct program_result){.is_error = true, .value = value, .is_tainted = taint};
    return true;
}

static bool is_error_of_server(struct slice type)
{
    static const char *const types[] = {"TimeoutError", "CanceledError",
                                        "InvalidResponse" /* garbage came: server_run.c */,
                                        "InvalidResponseError", "PermanentError"};
    bool is_its = slice_equal(type, slice_text(dr_status_name(DR_STATUS_NOT_FOUND)));
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        is_its |= slice_equal(type, slice_text(types[i]));
    return is_its;
}

bool program_read_result(struct slice output, struct slice error_type, struct slice error_message,
                         struct program_result *ret_result)
{
    struct slice value;
    if (slice_equal(error_type, slice_text(PROGRAM_ERROR)))
        return read_error(error_message, ret_result);
    bool is_ended = is_error_of_server(error_type);
    *ret_result = (struct program_result){.is_lost = is_ended};
    if (error_type.len > 0 || error_message.len > 0)
        return is_ended;
    if (!program_any_value(output, &value) || value.len < VALUE_BYTES || value.data[0] != 'V')
        return false;
    ret_result->is_tainted = value.data[1];
    memcpy(&ret_result->value, value.data + 2, sizeof ret_result->value);
    return program_unpad(value, VALUE_BYTES, ret_result->value, &value);
}
