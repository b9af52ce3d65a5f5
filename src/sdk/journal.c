#include "sdk/journal.h"

#include "base/error.h"
#include "wire/wire.h"

#include <dispatch/c/v1/journal.pb-c.h>

#define FORMAT_VERSION 1

struct journal_resume *journal_add(struct journal *journal, struct arena *arena)
{
    if (journal->n_resumes == journal->cap_resumes) {
        size_t cap = journal->cap_resumes ? journal->cap_resumes * 2 : 4;
        struct journal_resume *grown = arena_zalloc(arena, cap * sizeof *grown);
        if (!grown)
            return NULL;
        if (journal->n_resumes)
            memcpy(grown, journal->resumes, journal->n_resumes * sizeof *grown);
        journal->resumes = grown;
        journal->cap_resumes = cap;
    }
    struct journal_resume *resume = &journal->resumes[journal->n_resumes++];
    *resume = (struct journal_resume){.poll_error = ""};
    return resume;
}

static ProtobufCBinaryData binary(struct slice bytes)
{
    return (ProtobufCBinaryData){.len = bytes.len, .data = (uint8_t *)(uintptr_t)bytes.data};
}

static bool fill_resume(const struct journal_resume *from, Dispatch__C__V1__Resume *to, struct arena *arena)
{
    dispatch__c__v1__resume__init(to);
    to->now_ns = from->now_ns;
    to->calls = from->n_calls;
    to->functions = (char **)(uintptr_t)from->functions;
    to->n_functions = from->n_functions;
    to->results = arena_alloc(arena, (from->n_results + 1) * sizeof *to->results);
    if (!to->results)
        return false;
    to->n_results = from->n_results;
    for (size_t i = 0; i < from->n_results; i++)
        to->results[i] = binary(from->results[i]);
    to->poll_error = (char *)(uintptr_t)from->poll_error;
    return true;
}

/* What cannot be read back must not be sent. */
static dr_code check_size(const struct journal *journal, struct dr_error *error)
{
    size_t n_fields = 3;
    for (size_t i = 0; i < journal->n_resumes; i++)
        n_fields += 4 + journal->resumes[i].n_functions + journal->resumes[i].n_results;
    if (n_fields <= WIRE_FIELDS_MAX)
        return DR_OK;
    return error_set(error, DR_RESOURCE_EXHAUSTED,
                     "the journal of this run is too long (%zu resumes): split its work into calls of their own",
                     journal->n_resumes);
}

static dr_code pack(const struct journal *journal, struct arena *arena, struct buf *buf, struct dr_error *error)
{
    Dispatch__C__V1__Journal message = DISPATCH__C__V1__JOURNAL__INIT;
    message.version = FORMAT_VERSION;
    message.fingerprint = journal->fingerprint;
    message.has_input = journal->input.data != NULL;
    message.input = binary(journal->input);
    message.n_resumes = journal->n_resumes;
    message.resumes = arena_alloc(arena, (journal->n_resumes + 1) * sizeof *message.resumes);
    Dispatch__C__V1__Resume *resumes = arena_alloc(arena, (journal->n_resumes + 1) * sizeof *resumes);
    if (!message.resumes || !resumes)
        return error_set(error, DR_NO_MEMORY, "save the journal: out of memory");
    for (size_t i = 0; i < journal->n_resumes; i++) {
        message.resumes[i] = &resumes[i];
        if (!fill_resume(&journal->resumes[i], &resumes[i], arena))
            return error_set(error, DR_NO_MEMORY, "save the journal: out of memory");
    }
    return wire_pack(&message.base, buf, error);
}

dr_code journal_encode(const struct journal *journal, struct buf *buf, struct dr_error *error)
{
    struct arena arena;
    struct buf packed;
    arena_init(&arena, 0);
    buf_init(&packed, WIRE_MESSAGE_BYTES_MAX);
    dr_code code = check_size(journal, error);
    if (!code)
        code = pack(journal, &arena, &packed, error);
    if (!code)
        code = wire_any_encode(slice_text(JOURNAL_TYPE_URL), buf_slice(&packed), buf);
    buf_deinit(&packed);
    arena_deinit(&arena);
    return code;
}

static dr_code read_resume(const Dispatch__C__V1__Resume *from, struct arena *arena, struct journal *journal)
{
    struct journal_resume *to = journal_add(journal, arena);
    if (!to)
        return DR_NO_MEMORY;
    to->now_ns = from->now_ns;
    to->n_calls = from->calls;
    to->functions = (const char **)(uintptr_t)from->functions; /* strings of the same arena */
    to->n_functions = from->n_functions;
    to->poll_error = from->poll_error;
    to->n_results = from->n_results;
    to->results = arena_alloc(arena, (from->n_results + 1) * sizeof *to->results);
    if (!to->results)
        return DR_NO_MEMORY;
    for (size_t i = 0; i < from->n_results; i++)
        to->results[i] = slice_of(from->results[i].data, from->results[i].len);
    return DR_OK;
}

dr_code journal_decode(struct slice any, struct arena *arena, struct journal *ret_journal, struct dr_error *error)
{
    struct slice type_url, bytes;
    struct ProtobufCMessage *message;
    dr_code code = wire_any_split(any, &type_url, &bytes, error);
    if (code || !slice_equal(type_url, slice_text(JOURNAL_TYPE_URL)))
        return error_set(error, DR_FAILED_PRECONDITION, "the state is not a journal of a C function");
    code = wire_unpack(&dispatch__c__v1__journal__descriptor, bytes, arena, &message, error);
    if (code == DR_NO_MEMORY)
        return error_set(error, code, "read the journal: out of memory");
    const Dispatch__C__V1__Journal *from = code ? NULL : (const Dispatch__C__V1__Journal *)message;
    if (!from || from->version != FORMAT_VERSION)
        return error_set(error, DR_FAILED_PRECONDITION, "the journal is of an unknown format");
    struct journal journal = {.fingerprint = from->fingerprint};
    if (from->has_input)
        journal.input = slice_of(from->input.data ? from->input.data : (const uint8_t *)"", from->input.len);
    for (size_t i = 0; i < from->n_resumes && !code; i++)
        code = read_resume(from->resumes[i], arena, &journal);
    if (code)
        return error_set(error, code, "read the journal: out of memory");
    *ret_journal = journal;
    return DR_OK;
}
