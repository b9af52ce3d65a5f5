/* Text of strangers on a terminal: function names, errors and payloads may hold anything. */
#ifndef CLI_PRINTABLE_H
#define CLI_PRINTABLE_H

#include <jansson.h>

/* Everywhere in `value` (keys apart, which are ours), what a terminal would obey (control characters, of Unicode too) or
 * what turns the direction of writing becomes \uXXXX. Out of memory: such a text becomes empty. */
void printable_make(json_t *value);

#endif
