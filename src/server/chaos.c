#include "server/chaos.h"

#include "base/duration.h"
#include "base/error.h"
#include "base/random.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1000000u
#define ALLOWED "seed=N, drop=P%, duplicate=P%, delay=TIME[@P%], crash-endpoint=P%, fail=P%"

static const char *const NAMES[] = {
#define X(name, text) text,
    CHAOS_TABLE(X)
#undef X
};

const char *chaos_kind_name(enum chaos_kind kind) { return NAMES[kind]; }

/* ---- the text ---- */

static dr_code refuse(struct dr_error *error, const char *item, const char *why)
{
    return error_set(error, DR_INVALID_ARGUMENT, "chaos: \"%.60s\" %s; allowed are %s", item, why, ALLOWED);
}

/* "1%", "0.5%", "100%" */
static bool parse_percent(const char *text, uint32_t *ret_ppm)
{
    uint64_t ppm = 0;
    size_t n = strspn(text, "0123456789"), at = n;
    if (n == 0 || n > 3)
        return false;
    for (size_t i = 0; i < n; i++)
        ppm = ppm * 10 + (uint64_t)(text[i] - '0') * (MILLION / 100);
    if (text[at] == '.') {
        uint32_t place = MILLION / 100;
        for (at++; text[at] >= '0' && text[at] <= '9'; at++) {
            place /= 10;
            ppm += (uint64_t)(text[at] - '0') * place;
        }
        if (text[at - 1] == '.')
            return false;
    }
    *ret_ppm = (uint32_t)ppm;
    return ppm <= MILLION && strcmp(text + at, "%") == 0;
}

static bool parse_seed(const char *text, uint64_t *ret_seed)
{
    char *end;
    *ret_seed = strtoull(text, &end, 10);
    return strspn(text, "0123456789") == strlen(text) && *text && strlen(text) < 20 && !*end;
}

static bool parse_delay(char *text, struct chaos_options *options)
{
    char *share = strchr(text, '@');
    options->delay_ppm = MILLION;
    if (share) {
        *share++ = '\0';
        if (!parse_percent(share, &options->delay_ppm))
            return false;
    }
    return duration_parse(text, &options->delay_ns) && options->delay_ns > 0;
}

static dr_code parse_item(const char *item, struct chaos_options *options, bool *has_seed, struct dr_error *error)
{
    char text[64];
    char *value;
    if (strlen(item) >= sizeof text)
        return refuse(error, item, "is too long");
    memcpy(text, item, strlen(item) + 1);
    value = strchr(text, '=');
    if (!value)
        return refuse(error, item, "has no value");
    *value++ = '\0';
    bool is_good;
    if (strcmp(text, "seed") == 0)
        is_good = *has_seed = parse_seed(value, &options->seed);
    else if (strcmp(text, "drop") == 0)
        is_good = parse_percent(value, &options->drop_ppm);
    else if (strcmp(text, "duplicate") == 0)
        is_good = parse_percent(value, &options->duplicate_ppm);
    else if (strcmp(text, "crash-endpoint") == 0)
        is_good = parse_percent(value, &options->crash_ppm);
    else if (strcmp(text, "fail") == 0)
        is_good = parse_percent(value, &options->fail_ppm);
    else if (strcmp(text, "delay") == 0)
        is_good = parse_delay(value, options);
    else
        return refuse(error, item, "is not known");
    return is_good ? DR_OK : refuse(error, item, "has a value that is none");
}

dr_code chaos_parse(const char *text, struct chaos_options *ret_options, struct dr_error *error)
{
    bool has_seed = false;
    char item[CHAOS_TEXT_SIZE];
    *ret_options = (struct chaos_options){0};
    if (!text || !*text)
        return DR_OK;
    for (;;) {
        size_t len = strcspn(text, ",");
        snprintf(item, sizeof item, "%.*s", (int)(len < sizeof item ? len : sizeof item - 1), text);
        dr_code code = parse_item(item, ret_options, &has_seed, error);
        if (code)
            return code;
        if (!text[len])
            break;
        text += len + 1;
    }
    ret_options->is_on = true;
    if (has_seed)
        return DR_OK;
    struct random random;
    random_init_from_system(&random);
    ret_options->seed = random_below(&random, UINT32_MAX); /* to be typed again */
    return DR_OK;
}

static void add_percent(char *text, const char *name, uint32_t ppm)
{
    size_t used = strlen(text);
    if (ppm > 0)
        snprintf(text + used, CHAOS_TEXT_SIZE - used, "%s%u.%04u%%", name, ppm / (MILLION / 100), ppm % (MILLION / 100));
}

const char *chaos_format(const struct chaos_options *options, char text[CHAOS_TEXT_SIZE])
{
    char delay[40];
    snprintf(text, CHAOS_TEXT_SIZE, "seed=%llu", (unsigned long long)options->seed);
    add_percent(text, ",drop=", options->drop_ppm);
    add_percent(text, ",duplicate=", options->duplicate_ppm);
    add_percent(text, ",crash-endpoint=", options->crash_ppm);
    add_percent(text, ",fail=", options->fail_ppm);
    size_t used = strlen(text);
    if (options->delay_ppm > 0)
        snprintf(text + used, CHAOS_TEXT_SIZE - used, ",delay=%s", duration_format(options->delay_ns, delay, sizeof delay));
    if (options->delay_ppm < MILLION)
        add_percent(text, "@", options->delay_ppm);
    return text;
}

/* ---- the plans ---- */

void chaos_init(struct chaos *chaos, const struct chaos_options *options)
{
    *chaos = (struct chaos){.options = *options};
}

/* FNV-1a */
static uint64_t hash_of(struct slice text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ text.data[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Each kind draws whether it is wanted or not, so that one percentage does not change what the others do. */
static bool happens(struct random *random, uint32_t ppm) { return random_below(random, MILLION) < ppm; }

void chaos_draw(struct chaos *chaos, struct slice function, struct chaos_plan *ret_plan)
{
    const struct chaos_options *options = &chaos->options;
    struct random random;
    uint64_t hash = hash_of(function);
    uint32_t number = chaos->attempts[hash % (sizeof chaos->attempts / sizeof chaos->attempts[0])]++;
    random_init(&random, options->seed ^ hash ^ ((uint64_t)number << 32 | number));
    *ret_plan = (struct chaos_plan){0};
    if (!options->is_on)
        return;
    bool is_dropped = happens(&random, options->drop_ppm);
    bool is_request = random_below(&random, 2);
    ret_plan->has[CHAOS_REQUEST_LOST] = is_dropped && is_request;
    ret_plan->has[CHAOS_ANSWER_LOST] = is_dropped && !is_request;
    ret_plan->has[CHAOS_DUPLICATE] = happens(&random, options->duplicate_ppm);
    ret_plan->has[CHAOS_CRASH] = happens(&random, options->crash_ppm);
    ret_plan->has[CHAOS_FAIL] = happens(&random, options->fail_ppm);
    ret_plan->has[CHAOS_DELAY] = happens(&random, options->delay_ppm);
    ret_plan->delay_ns = ret_plan->has[CHAOS_DELAY] ? 1 + (int64_t)random_below(&random, (uint64_t)options->delay_ns) : 0;
}
