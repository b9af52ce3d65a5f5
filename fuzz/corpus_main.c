/* Runs a fuzz target on its seeds and on mutations of them: corpus_main CORPUS [MUTATIONS [SEED]]. With --seconds N
 * CORPUS [SEED] it goes on with mutations so long. With --write DIR CORPUS it writes each seed to a file of its own, as
 * libFuzzer wants them.
 *
 * A corpus is text, so that people can read and review it. A line is a seed: `hex:` and digits, or `text:` and the text
 * itself, in which \n, \r, \t, \0 and \\ are escapes; lines that start with # are comments. When the target crashes,
 * the input is printed as such a line: put it into the corpus, under a comment that names the bug. */
#include "fuzz/fuzz.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEEDS_MAX = 1000, INPUT_BYTES_MAX = 65536, MUTATIONS_DEFAULT = 2000, STEPS_MAX = 6, AT_A_TIME = 20 };

struct input {
    uint8_t *data;
    size_t len;
};

static struct input seeds[SEEDS_MAX];
static size_t n_seeds;
static unsigned long long n_runs;
static struct input current; /* what the target has got, for the report of a crash */

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void report_input(void)
{
    (void)fprintf(stderr, "the input was\nhex:");
    for (size_t i = 0; i < current.len; i++)
        (void)fprintf(stderr, "%02x", current.data[i]);
    (void)fprintf(stderr, "\n");
}

static void on_abort(int number)
{
    report_input();
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static struct input input_copy(struct slice bytes)
{
    /* Exactly as many bytes as there are, so that the sanitizer sees a read past the end. */
    struct input copy = {.data = mem_must_alloc(bytes.len), .len = bytes.len};
    if (bytes.len > 0)
        memcpy(copy.data, bytes.data, bytes.len);
    return copy;
}

static void run(struct slice bytes)
{
    current = input_copy(bytes);
    n_runs++;
    (void)LLVMFuzzerTestOneInput(current.data, current.len);
    mem_free(current.data);
    current = (struct input){0};
}

/* ---- the corpus ---- */

static size_t parse_hex(const char *line, uint8_t *out)
{
    size_t len = 0;
    unsigned byte;
    while (len < INPUT_BYTES_MAX && sscanf(line + 2 * len, "%2x", &byte) == 1)
        out[len++] = (uint8_t)byte;
    return len;
}

static size_t parse_text(const char *line, uint8_t *out)
{
    static const char names[] = "nrt0\\", values[] = "\n\r\t\0\\";
    size_t len = 0;
    for (; *line && len < INPUT_BYTES_MAX; line++) {
        const char *name = *line == '\\' && line[1] ? strchr(names, line[1]) : NULL;
        out[len++] = (uint8_t)(name ? values[name - names] : *line);
        line += name != NULL;
    }
    return len;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        perror(path);
        exit(2);
    }
    static char line[4 * INPUT_BYTES_MAX];
    static uint8_t bytes[INPUT_BYTES_MAX];
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        size_t len;
        if (strncmp(line, "hex:", 4) == 0)
            len = parse_hex(line + 4, bytes);
        else if (strncmp(line, "text:", 5) == 0)
            len = parse_text(line + 5, bytes);
        else
            continue;
        CHECK(n_seeds < SEEDS_MAX);
        seeds[n_seeds++] = input_copy(slice_of(bytes, len));
    }
    (void)fclose(file);
}

/* ---- mutations ---- */

static struct random source;

static size_t below(size_t bound) { return (size_t)random_below(&source, bound); }

static size_t insert_at(uint8_t *data, size_t len, size_t place, const uint8_t *what, size_t n)
{
    if (len + n > INPUT_BYTES_MAX)
        return len;
    memmove(data + place + n, data + place, len - place);
    memcpy(data + place, what, n);
    return len + n;
}

static size_t erase_some(uint8_t *data, size_t len)
{
    size_t place = below(len), n = 1 + below(len - place < 16 ? len - place : 16);
    memmove(data + place, data + place + n, len - place - n);
    return len - n;
}

static size_t repeat_some(uint8_t *data, size_t len)
{
    uint8_t piece[64];
    size_t from = below(len), n = 1 + below(sizeof(piece));
    if (n > len - from)
        n = len - from;
    memcpy(piece, data + from, n);
    for (size_t times = 1 + below(8); times > 0; times--)
        len = insert_at(data, len, from, piece, n);
    return len;
}

static size_t splice_other(uint8_t *data, size_t len)
{
    struct input other = seeds[below(n_seeds)];
    if (other.len == 0)
        return len;
    size_t from = below(other.len);
    size_t n = other.len - from < 200 ? other.len - from : 200;
    return insert_at(data, len, below(len + 1), other.data + from, n);
}

static size_t mutate_once(uint8_t *data, size_t len)
{
    static const uint8_t odd_bytes[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '[', '\\', '\r', '\n', ':', '-', '.'};
    if (len == 0)
        return insert_at(data, len, 0, odd_bytes + below(sizeof(odd_bytes)), 1);
    switch (below(8)) {
    case 0:
        data[below(len)] ^= (uint8_t)(1u << below(8));
        return len;
    case 1:
        data[below(len)] = odd_bytes[below(sizeof(odd_bytes))];
        return len;
    case 2:
        data[below(len)] = (uint8_t)random_next(&source);
        return len;
    case 3:
        return insert_at(data, len, below(len + 1), odd_bytes + below(sizeof(odd_bytes)), 1);
    case 4:
        return erase_some(data, len);
    case 5:
        return repeat_some(data, len);
    case 6:
        return below(len + 1); /* cut off */
    default:
        return splice_other(data, len);
    }
}

static void run_mutations_of(struct input seed, size_t n_mutations)
{
    static uint8_t data[INPUT_BYTES_MAX];
    for (size_t i = 0; i < n_mutations; i++) {
        size_t len = seed.len;
        if (len > 0)
            memcpy(data, seed.data, len);
        for (size_t steps = 1 + below(STEPS_MAX); steps > 0; steps--)
            len = mutate_once(data, len);
        run(slice_of(data, len));
    }
}

static int write_seeds(const char *folder)
{
    for (size_t i = 0; i < n_seeds; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/seed-%03zu", folder, i);
        FILE *file = fopen(path, "wb");
        if (!file) {
            perror(path);
            return 1;
        }
        (void)fwrite(seeds[i].data, 1, seeds[i].len, file);
        (void)fclose(file);
    }
    return 0;
}

static void forget_seeds(void)
{
    for (size_t i = 0; i < n_seeds; i++)
        mem_free(seeds[i].data);
    n_seeds = 0;
}

static void run_seeds(void)
{
    run(slice_of(NULL, 0));
    for (size_t i = 0; i < n_seeds; i++)
        run(slice_of(seeds[i].data, seeds[i].len));
}

static void run_for(int64_t duration_ns)
{
    int64_t end_ns = clock_monotonic_ns() + duration_ns;
    for (size_t i = 0; n_seeds > 0 && clock_monotonic_ns() < end_ns; i = (i + 1) % n_seeds)
        run_mutations_of(seeds[i], AT_A_TIME);
}

static int usage(const char *name)
{
    (void)fprintf(stderr, "usage: %s CORPUS [MUTATIONS [SEED]] | --seconds N CORPUS [SEED] | --write DIR CORPUS\n", name);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 2 || (argv[1][0] == '-' && argc < 4))
        return usage(argv[0]);
    bool is_write = strcmp(argv[1], "--write") == 0, is_timed = strcmp(argv[1], "--seconds") == 0;
    load(argv[is_write || is_timed ? 3 : 1]);
    int exit_code = n_seeds > 0 ? 0 : 1;
    if (is_write) {
        exit_code = write_seeds(argv[2]);
        forget_seeds();
        return exit_code;
    }
    size_t n_mutations = argc > 2 ? strtoul(argv[2], NULL, 10) : MUTATIONS_DEFAULT;
    uint64_t seed = argc > (is_timed ? 4 : 3) ? strtoull(argv[is_timed ? 4 : 3], NULL, 10) : 1;
    (void)signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(report_input);
    random_init(&source, seed);
    run_seeds();
    if (is_timed)
        run_for((int64_t)n_mutations * NS_PER_S);
    for (size_t i = 0; i < n_seeds && !is_timed; i++)
        run_mutations_of(seeds[i], n_mutations);
    (void)printf("%zu seeds, %llu runs, seed %llu\n", n_seeds, n_runs, (unsigned long long)seed);
    forget_seeds();
    return exit_code;
}
