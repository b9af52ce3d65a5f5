/* A blob: immutable bytes with an atomic reference count. Payloads (inputs, outputs, states, texts)
 * are blobs, so that engine, batch and effect share one copy, also across threads.
 *
 * NULL is a valid blob pointer and means "absent"; an empty blob means "present and empty".
 * The bytes are followed by a NUL (not counted), so a text blob is also a C string. */
#ifndef BASE_BLOB_H
#define BASE_BLOB_H

#include "base/slice.h"
#include <stdatomic.h>

struct blob {
    atomic_uint refs;
    uint32_t len;
    uint8_t data[];
};

#define BLOB_BYTES_MAX 64000000u

/* Copies. Returns owned (one reference), or NULL when out of memory or longer than BLOB_BYTES_MAX. */
struct blob *blob_create(struct slice bytes);
/* One more reference; returns its argument; accepts NULL. Any thread. */
struct blob *blob_ref(struct blob *blob);
/* One reference less, frees at zero; accepts NULL. Any thread. */
void blob_unref(struct blob *blob);
/* Borrowed view; the empty slice for NULL. */
struct slice blob_slice(const struct blob *blob);
/* C string; "" for NULL. Borrowed. */
const char *blob_text(const struct blob *blob);
/* Replaces *target by `blob` (takes that reference) and releases what was there. */
void blob_set(struct blob **target, struct blob *blob);

#endif
