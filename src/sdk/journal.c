#include "sdk/journal.h"

#include "base/error.h"
#include "wire/wire.h"

#include <dispatch/c/v1/journal.pb-c.h>

#define FORMAT_VERSION 2
/* Tags, lengths and numbers: upper bounds. */
#define JOURNAL_OVERHEAD_BYTES 200
#define RESUME_OVERHEAD_BYTES 50
#define ITEM_OVERHEAD_BYTES 8

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

static bool fill_resume(const struct journal_resume *from, Dispatch__C__V1__Suspension *to, struct arena *arena)
{
    dispatch__c__v1__suspension__init(to);
    to->now_ns = from->now_ns;
    to->calls = from->n_calls;
    to->functions = (char **)(uintptr_t)from->functions;
    to->n_functions = from->n_functions;
    to->unsent = from->n_unsent;
    to->results = arena_alloc(arena, (from->n_results + 1) * sizeof *to->results);
    if (!to->results)
        return false;
    to->n_results = from->n_results;
    for (size_t i = 0; i < from->n_results; i++)
        to->results[i] = binary(from->results[i]);
    to->poll_error = (char *)(uintptr_t)from->poll_error;
    return true;
}

static size_t resume_bytes_max(const struct journal_resume *resume)
{
    size_t bytes = RESUME_OVERHEAD_BYTES + strlen(resume->poll_error);
    for (size_t i = 0; i < resume->n_functions; i++)
        bytes += ITEM_OVERHEAD_BYTES + strlen(resume->functions[i]);
    for (size_t i = 0; i < resume->n_results; i++)
        bytes += ITEM_OVERHEAD_BYTES + resume->results[i].len;
    return bytes;
}

size_t journal_bytes_max(const struct journal *journal)
{
    size_t bytes = JOURNAL_OVERHEAD_BYTES + journal->input.len + resume_bytes_max(&journal->pending);
    for (size_t i = 0; i < journal->n_resumes; i++)
        bytes += resume_bytes_max(&journal->resumes[i]);
    return bytes;
}

static size_t n_fields_of(const struct journal_resume *resume)
{
    return 5 + resume->n_functions + resume->n_results;
}

/* What cannot be read back must not be sent. */
static dr_code check_size(const struct journal *journal, struct dr_error *error)
{
    size_t n_fields = 4 + n_fields_of(&journal->pending);
    for (size_t i = 0; i < journal->n_resumes; i++)
        n_fields += n_fields_of(&journal->resumes[i]);
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
    message.n_suspensions = journal->n_resumes + 1;
    message.suspensions = arena_alloc(arena, message.n_suspensions * sizeof *message.suspensions);
    Dispatch__C__V1__Suspension *suspensions = arena_alloc(arena, message.n_suspensions * sizeof *suspensions);
    if (!message.suspensions || !suspensions)
        return error_set(error, DR_NO_MEMORY, "save the journal: out of memory");
    for (size_t i = 0; i < message.n_suspensions; i++) {
        message.suspensions[i] = &suspensions[i];
        if (!fill_resume(i < journal->n_resumes ? &journal->resumes[i] : &journal->pending, &suspensions[i], arena))
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

static dr_code read_resume(const Dispatch__C__V1__Suspension *from, struct arena *arena, struct journal_resume *to)
{
    if (!to)
        return DR_NO_MEMORY;
    to->now_ns = from->now_ns;
    to->n_calls = from->calls;
    to->functions = (const char **)(uintptr_t)from->functions; /* strings of the same arena */
    to->n_functions = from->n_functions;
    to->n_unsent = from->unsent;
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
    if (!from || from->version != FORMAT_VERSION || from->n_suspensions == 0)
        return error_set(error, DR_FAILED_PRECONDITION, "the journal is of an unknown format");
    struct journal journal = {.fingerprint = from->fingerprint};
    if (from->has_input)
        journal.input = slice_of(from->input.data ? from->input.data : (const uint8_t *)"", from->input.len);
    size_t n_resumes = from->n_suspensions - 1;
    for (size_t i = 0; i < n_resumes && !code; i++)
        code = read_resume(from->suspensions[i], arena, journal_add(&journal, arena));
    if (!code)
        code = read_resume(from->suspensions[n_resumes], arena, &journal.pending);
    if (code)
        return error_set(error, code, "read the journal: out of memory");
    *ret_journal = journal;
    return DR_OK;
}
