/* Python pickles (version 4) of plain data, so that C and Python functions can call each other (protocol 6.4).
 *
 * A pickle is a program. We read it as data: a closed set of opcodes, no imports, no calls; the one class that is known
 * is dispatch.proto.Arguments, and it becomes a list and a map. What else there is answers DR_UNIMPLEMENTED, and the
 * caller keeps the message as it is.
 *
 * Any thread; nothing is kept between calls. */
#ifndef SDK_PICKLE_H
#define SDK_PICKLE_H

#include "base/buf.h"
#include <dispatchrun/value.h>

/* Appends a whole pickle. Errors as dr_value_pickle_arguments; the buffer may then hold a part. */
dr_code pickle_write_value(struct buf *buf, const dr_value *value, struct dr_error *error);
/* Arguments(tuple(args), kwargs). NULL means none. */
dr_code pickle_write_arguments(struct buf *buf, const dr_value *args, const dr_value *kwargs, struct dr_error *error);

/* Returns owned. Errors as dr_value_unpickle. */
dr_code pickle_read_value(struct slice pickle, dr_value **ret_value, struct dr_error *error);
/* Returns both owned. */
dr_code pickle_read_arguments(struct slice pickle, dr_value **ret_args, dr_value **ret_kwargs, struct dr_error *error);

#endif
