#include "base/blob.h"

#include "base/check.h"
#include "base/mem.h"

struct blob *blob_create(struct slice bytes)
{
    if (bytes.len > BLOB_BYTES_MAX)
        return NULL;
    struct blob *blob = mem_alloc(sizeof(*blob) + bytes.len + 1);
    if (!blob)
        return NULL;
    atomic_init(&blob->refs, 1);
    blob->len = (uint32_t)bytes.len;
    if (bytes.len > 0)
        memcpy(blob->data, bytes.data, bytes.len);
    blob->data[bytes.len] = '\0';
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    if (blob) {
        unsigned before = atomic_fetch_add_explicit(&blob->refs, 1, memory_order_relaxed);
        CHECK(before > 0 && before < UINT32_MAX);
    }
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (!blob)
        return;
    unsigned before = atomic_fetch_sub_explicit(&blob->refs, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1)
        mem_free(blob);
}

struct slice blob_slice(const struct blob *blob)
{
    return blob ? slice_of(blob->data, blob->len) : (struct slice){0};
}

const char *blob_text(const struct blob *blob) { return blob ? (const char *)blob->data : ""; }

void blob_set(struct blob **target, struct blob *blob)
{
    struct blob *before = *target;
    *target = blob;
    blob_unref(before);
}
