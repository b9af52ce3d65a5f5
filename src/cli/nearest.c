/* The name somebody probably meant: edit distance with swapped neighbours. */
#include "cli/options.h"

#include <string.h>

#define NAME_LENGTH_MAX 32

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a);
    size_t m = strlen(b);
    size_t cost[NAME_LENGTH_MAX + 1][NAME_LENGTH_MAX + 1];
    if (n > NAME_LENGTH_MAX || m > NAME_LENGTH_MAX)
        return NAME_LENGTH_MAX;
    for (size_t i = 0; i <= n; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= m; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            size_t replaced = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            cost[i][j] = min3(cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced);
            bool is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (is_swap && cost[i - 2][j - 2] + 1 < cost[i][j])
                cost[i][j] = cost[i - 2][j - 2] + 1;
        }
    }
    return cost[n][m];
}

const char *nearest_name(const char *text, const char *const *names, size_t n)
{
    const char *best = NULL;
    size_t best_distance = strlen(text) / 3 + 1; /* farther is no typing mistake */
    for (size_t i = 0; i < n; i++) {
        size_t d = distance(text, names[i]);
        if (d < best_distance || (d == best_distance && !best)) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
