/* The command line: words separated by NUL as arguments to a table with every kind of option, and each word as a
 * duration. A refusal names what is wrong; a duration that was read is written so that it is read again. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/duration.h"
#include "cli/options.h"

#include <string.h>

enum { WORDS_MAX = 200 };

struct target {
    bool is_quiet;
    const char *listen;
    struct option_list keys;
    int64_t timeout_ns;
    uint32_t count;
    int color;
};

static const char *const colors[] = {"never", "auto", "always", NULL};

static const struct option options[] = {
    {.name = "quiet", .environment = "", .type = OPTION_SWITCH, .offset = offsetof(struct target, is_quiet), .help = "?"},
    {.name = "listen", .environment = "", .value = "ADDRESS", .type = OPTION_TEXT,
     .offset = offsetof(struct target, listen), .initial = "127.0.0.1:7117", .help = "?"},
    {.name = "api-key", .environment = "", .value = "KEY", .type = OPTION_LIST,
     .offset = offsetof(struct target, keys), .help = "?"},
    {.name = "timeout", .environment = "", .value = "DURATION", .type = OPTION_DURATION,
     .offset = offsetof(struct target, timeout_ns), .initial = "10s", .help = "?"},
    {.name = "count", .environment = "", .value = "N", .type = OPTION_COUNT, .offset = offsetof(struct target, count),
     .initial = "7", .count_min = 1, .count_max = 1000, .help = "?"},
    {.name = "color", .environment = "", .value = "WHEN", .type = OPTION_CHOICE,
     .offset = offsetof(struct target, color), .initial = "auto", .choices = colors, .help = "?"},
    {.name = NULL}};

static void check_duration(const char *word)
{
    int64_t ns = 0, again = 0;
    char text[64];
    if (!duration_parse(word, &ns))
        return;
    CHECK(ns >= 0);
    CHECK(duration_parse(duration_format(ns, text, sizeof text), &again));
    CHECK(again == ns);
}

static void check_options(int argc, char **argv)
{
    struct target target = {0};
    struct option_arguments rest = {0};
    struct dr_error error = {0};
    dr_code code = options_parse(options, &target, argc, argv, &rest, &error);
    CHECK(code == DR_OK || code == DR_INVALID_ARGUMENT);
    CHECK((code == DR_OK) == (error.message[0] == '\0'));
    if (code || rest.is_help_wanted)
        return;
    CHECK(rest.n <= OPTION_ARGUMENTS_MAX && target.keys.n <= OPTION_LIST_MAX);
    CHECK(target.count >= 1 && target.count <= 1000);
    CHECK(target.color >= 0 && target.color <= 2);
    CHECK(target.timeout_ns >= 0 && target.listen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAX + 1] = {0};
    int n = 0;
    char *text = mem_strndup((const char *)data, size);
    CHECK(text != NULL);
    for (size_t at = 0; at < size && n < WORDS_MAX; at += strlen(text + at) + 1) {
        words[n++] = text + at;
        check_duration(text + at);
        (void)nearest_name(text + at, colors, 3);
    }
    check_options(n, words);
    mem_free(text);
    return 0;
}
