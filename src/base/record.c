#include "base/record.h"

#include "base/check.h"
#include "base/mem.h"

enum { BATCH_FIRST_CAP = 4, RECORD_ALL = RECORD_CODE | RECORD_PROGRESS | RECORD_POLL | RECORD_RESULT };

/* Every blob of a record and the group it belongs to. A new blob field belongs here, or it leaks. */
static const struct {
    size_t offset;
    unsigned group;
} blob_fields[] = {
    {offsetof(struct call_record, endpoint), RECORD_CODE},
    {offsetof(struct call_record, function), RECORD_CODE},
    {offsetof(struct call_record, version), RECORD_CODE},
    {offsetof(struct call_record, input), RECORD_CODE},
    {offsetof(struct call_record, last_error), RECORD_PROGRESS},
    {offsetof(struct call_record, poll_state), RECORD_POLL},
    {offsetof(struct call_record, poll_error), RECORD_POLL},
    {offsetof(struct call_record, output), RECORD_RESULT},
    {offsetof(struct call_record, error.type), RECORD_RESULT},
    {offsetof(struct call_record, error.message), RECORD_RESULT},
    {offsetof(struct call_record, error.value), RECORD_RESULT},
    {offsetof(struct call_record, error.traceback), RECORD_RESULT},
};

enum { N_BLOB_FIELDS = sizeof(blob_fields) / sizeof(blob_fields[0]) };

static struct blob **blob_at(struct call_record *record, size_t index)
{
    return (struct blob **)((char *)record + blob_fields[index].offset);
}

static struct blob *blob_of(const struct call_record *record, size_t index)
{
    return *(struct blob *const *)((const char *)record + blob_fields[index].offset);
}

void record_copy(struct call_record *target, const struct call_record *source)
{
    *target = *source;
    for (size_t i = 0; i < N_BLOB_FIELDS; i++)
        (void)blob_ref(blob_of(target, i));
}

void record_deinit(struct call_record *record)
{
    for (size_t i = 0; i < N_BLOB_FIELDS; i++)
        blob_unref(blob_of(record, i));
    *record = (struct call_record){0};
}

void error_record_copy(struct error_record *target, const struct error_record *source)
{
    target->type = blob_ref(source->type);
    target->message = blob_ref(source->message);
    target->value = blob_ref(source->value);
    target->traceback = blob_ref(source->traceback);
}

void error_record_deinit(struct error_record *error)
{
    blob_unref(error->type);
    blob_unref(error->message);
    blob_unref(error->value);
    blob_unref(error->traceback);
    *error = (struct error_record){0};
}

static void apply_progress(struct call_record *target, const struct call_record *source)
{
    target->state = source->state;
    target->mail = source->mail;
    target->sweep_below = source->sweep_below;
    target->has_children = source->has_children;
    target->wake_ns = source->wake_ns;
    target->due_ns = source->due_ns;
    target->attempts = source->attempts;
    target->failures = source->failures;
    target->last_status = source->last_status;
}

static void apply_poll(struct call_record *target, const struct call_record *source)
{
    target->state_arm = source->state_arm;
    target->is_resume = source->is_resume;
    target->min_results = source->min_results;
    target->max_results = source->max_results;
}

static void apply_result(struct call_record *target, const struct call_record *source)
{
    target->status = source->status;
    target->done_ns = source->done_ns;
    target->done_sequence = source->done_sequence;
}

void record_apply(struct call_record *target, const struct call_record *source, unsigned fields)
{
    CHECK((fields & ~(unsigned)RECORD_ALL) == 0);
    if (target == source)
        return;
    for (size_t i = 0; i < N_BLOB_FIELDS; i++)
        if (fields & blob_fields[i].group)
            blob_set(blob_at(target, i), blob_ref(blob_of(source, i)));
    if (fields & RECORD_CODE)
        target->generation = source->generation;
    if (fields & RECORD_PROGRESS)
        apply_progress(target, source);
    if (fields & RECORD_POLL)
        apply_poll(target, source);
    if (fields & RECORD_RESULT)
        apply_result(target, source);
}

struct batch *batch_create(uint64_t sequence)
{
    struct batch *batch = mem_must_zalloc(sizeof(*batch));
    batch->sequence = sequence;
    return batch;
}

void batch_destroy(struct batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->n_ops; i++)
        record_deinit(&batch->ops[i].record);
    mem_free(batch->ops);
    mem_free(batch);
}

void batch_add(struct batch *batch, enum batch_op_kind kind, unsigned fields, const struct call_record *record)
{
    if (batch->n_ops == batch->cap_ops) {
        batch->cap_ops = batch->cap_ops ? batch->cap_ops * 2 : BATCH_FIRST_CAP;
        batch->ops = mem_must_realloc(batch->ops, batch->cap_ops * sizeof(*batch->ops));
    }
    struct batch_op *op = &batch->ops[batch->n_ops++];
    *op = (struct batch_op){.kind = (uint8_t)kind, .record.id = record->id};
    if (kind == BATCH_INSERT) {
        op->fields = RECORD_ALL;
        record_copy(&op->record, record);
    } else if (kind == BATCH_UPDATE) {
        op->fields = (uint8_t)fields;
        record_apply(&op->record, record, fields);
    }
}
