/* protobuf-c on an arena, made safe for bytes from outside by a scan that comes first. */
#include "wire/codec.h"
#include "wire/reader.h"

#include <protobuf-c/protobuf-c.h>

/* ---- The scan: what protobuf-c does not bound or check itself ---- */

struct scan {
    size_t n_fields;
    struct dr_error *error;
};

static dr_code scan_message(struct scan *scan, const ProtobufCMessageDescriptor *type, struct slice bytes,
                            unsigned depth);

static dr_code scan_field(struct scan *scan, const ProtobufCMessageDescriptor *type,
                          const struct wire_field *field, unsigned depth)
{
    if (field->type != WIRE_BYTES)
        return DR_OK;
    const ProtobufCFieldDescriptor *known = protobuf_c_message_descriptor_get_field(type, field->number);
    if (!known)
        return DR_OK;
    if (known->type == PROTOBUF_C_TYPE_MESSAGE)
        return scan_message(scan, known->descriptor, field->bytes, depth + 1);
    if (known->type != PROTOBUF_C_TYPE_STRING)
        return DR_OK;
    if (!wire_is_utf8(field->bytes))
        return error_set(scan->error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "%s.%s is not UTF-8", type->name,
                         known->name);
    if (field->bytes.len > 0 && memchr(field->bytes.data, 0, field->bytes.len))
        return error_set(scan->error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "%s.%s holds a NUL", type->name,
                         known->name);
    return DR_OK;
}

static dr_code scan_message(struct scan *scan, const ProtobufCMessageDescriptor *type, struct slice bytes,
                            unsigned depth)
{
    if (depth > WIRE_DEPTH_MAX)
        return error_set(scan->error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "nested deeper than %u",
                         WIRE_DEPTH_MAX);
    for (;;) {
        struct wire_field field;
        enum wire_read read = wire_read_field(&bytes, &field);
        if (read == WIRE_READ_END)
            return DR_OK;
        if (read != WIRE_READ_FIELD)
            return error_set(scan->error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "%s: %s", type->name,
                             read == WIRE_READ_CUT ? "the message is cut off" : "malformed field");
        if (++scan->n_fields > WIRE_FIELDS_MAX)
            return error_set(scan->error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "more than %u fields",
                             WIRE_FIELDS_MAX);
        dr_code code = scan_field(scan, type, &field, depth);
        if (code != DR_OK)
            return code;
    }
}

/* ---- The arena as protobuf-c's allocator ---- */

struct arena_allocator {
    struct arena *arena;
    bool is_exhausted;
};

static void *allocator_alloc(void *arg, size_t size)
{
    struct arena_allocator *allocator = arg;
    void *data = arena_alloc(allocator->arena, size);
    if (!data)
        allocator->is_exhausted = true;
    return data;
}

static void allocator_free(void *arg, void *data)
{
    (void)arg;
    (void)data;
}

dr_code wire_unpack(const struct ProtobufCMessageDescriptor *descriptor, struct slice bytes,
                    struct arena *arena, struct ProtobufCMessage **ret_message, struct dr_error *error)
{
    if (bytes.len > WIRE_MESSAGE_BYTES_MAX)
        return error_set(error, DR_RESOURCE_EXHAUSTED,
                         WIRE_UNMARSHAL "the message has %zu bytes, the limit is %u", bytes.len,
                         WIRE_MESSAGE_BYTES_MAX);
    struct scan scan = {.error = error};
    dr_code code = scan_message(&scan, descriptor, bytes, 1);
    if (code != DR_OK)
        return code;

    struct arena_allocator memory = {.arena = arena};
    ProtobufCAllocator allocator = {
        .alloc = allocator_alloc, .free = allocator_free, .allocator_data = &memory};
    const uint8_t *data = bytes.data ? bytes.data : (const uint8_t *)"";
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, bytes.len, data);
    if (memory.is_exhausted)
        return wire_no_memory(error);
    if (!message)
        return error_set(error, DR_INVALID_ARGUMENT, WIRE_UNMARSHAL "%s: a field has the wrong type",
                         descriptor->name);
    *ret_message = message;
    return DR_OK;
}

dr_code wire_pack(const struct ProtobufCMessage *message, struct buf *buf, struct dr_error *error)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    dr_code code = buf_reserve(buf, size);
    if (code == DR_NO_MEMORY)
        return wire_no_memory(error);
    if (code != DR_OK)
        return error_set(error, code, "the message has %zu bytes, the limit is %zu", size, buf->max);
    if (size > 0)
        buf->len += protobuf_c_message_pack(message, buf->data + buf->len);
    return DR_OK;
}

dr_code wire_no_memory(struct dr_error *error)
{
    return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
}
