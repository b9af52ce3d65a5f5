/* Durations as people write them: 500ms, 10s, 1h30m, 7d. */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One or more numbers (a decimal fraction allowed) each with a unit ns us ms s m h d; "0" needs no unit. False for
 * anything else and for what does not fit. */
bool duration_parse(const char *text, int64_t *ret_ns);
/* The shortest exact form in which duration_parse reads it back; returns `text`. */
char *duration_format(int64_t duration_ns, char *text, size_t size);

#endif
