/* Filling in errors. The table itself is public: include/dispatchrun/error.h. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <dispatchrun/error.h>

/* Sets code and text (cut to fit) and returns the code. error may be NULL. */
dr_code error_set(struct dr_error *error, dr_code code, const char *format, ...) DR_PRINTF(3, 4);
/* Puts "context: " before the text that is there and returns its code: "open store: page 7: checksum mismatch".
 * Without an error to wrap (NULL) it returns DR_UNKNOWN: keep the code yourself where error may be NULL. */
dr_code error_wrap(struct dr_error *error, const char *format, ...) DR_PRINTF(2, 3);
/* HTTP status with which a server answers this code. */
int error_http_status(dr_code code);
/* Code of a Connect error name; DR_UNKNOWN when it is none. */
dr_code error_code_of_name(const char *name);

#endif
