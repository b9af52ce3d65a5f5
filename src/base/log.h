/* Log lines on stderr, for people or as JSON. Only src/server and src/cli log; libraries return errors.
 * Any thread; one line is one write. Fields are key, text pairs that end with NULL:
 *     log_write(LOG_INFO, "listening", "url", url, NULL);
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Once, before threads start. */
void log_init(enum log_level level, bool is_json);
void log_write(enum log_level level, const char *message, ...) __attribute__((sentinel));

#endif
