#include "sdk/result.h"
#include "sdk/value_wire.h"

#include "base/check.h"
#include "base/error.h"
#include "base/mem.h"
#include <stdatomic.h>
#include <string.h>

struct dr_result {
    atomic_uint refs;
    bool is_ok;
    dr_status status;
    uint64_t correlation_id;
    dr_value *output; /* NULL: absent */
    /* inside `bytes`, each with a NUL behind */
    const char *dispatch_id;
    const char *error_type;
    const char *error_message;
    const char *traceback;
    const char *error_value;
    size_t error_value_len;
    char bytes[];
};

static const char *result_copy(char **place, struct slice text)
{
    char *copy = *place;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = 0;
    *place += text.len + 1;
    return copy;
}

dr_code result_create(const struct wire_result *wire, dr_status status, dr_result **ret_result, struct dr_error *error)
{
    const struct wire_error none = {0};
    const struct wire_error *failure = wire->has_error ? &wire->error : &none;
    dr_value *output = NULL;
    if (wire->output.data) {
        dr_code code = value_decode_any(wire->output, &output, error);
        if (code)
            return code;
    }
    size_t len = wire->dispatch_id.len + failure->type.len + failure->message.len + failure->traceback.len +
                 failure->value.len + 5;
    dr_result *result = mem_zalloc(sizeof *result + len);
    if (!result) {
        dr_value_unref(output);
        return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    }
    char *place = result->bytes;
    atomic_init(&result->refs, 1);
    result->is_ok = !wire->has_error;
    result->status = wire->has_error ? status : DR_STATUS_OK;
    result->correlation_id = wire->correlation_id;
    result->output = output;
    result->dispatch_id = result_copy(&place, wire->dispatch_id);
    result->error_type = result_copy(&place, failure->type);
    result->error_message = result_copy(&place, failure->message);
    result->traceback = result_copy(&place, failure->traceback);
    result->error_value = result_copy(&place, failure->value);
    result->error_value_len = failure->value.len;
    *ret_result = result;
    return DR_OK;
}

dr_result *dr_result_ref(const dr_result *result)
{
    dr_result *owned = (dr_result *)result;
    if (owned)
        CHECK(atomic_fetch_add_explicit(&owned->refs, 1, memory_order_relaxed) > 0);
    return owned;
}

void dr_result_unref(dr_result *result)
{
    if (!result)
        return;
    unsigned refs = atomic_fetch_sub_explicit(&result->refs, 1, memory_order_acq_rel);
    CHECK(refs > 0);
    if (refs > 1)
        return;
    dr_value_unref(result->output);
    mem_free(result);
}

bool dr_result_is_ok(const dr_result *result) { return !result || result->is_ok; }

dr_status dr_result_status(const dr_result *result) { return result ? result->status : DR_STATUS_OK; }

const dr_value *dr_result_output(const dr_result *result) { return result ? result->output : NULL; }

const char *dr_result_error_type(const dr_result *result) { return result ? result->error_type : ""; }

const char *dr_result_error_message(const dr_result *result) { return result ? result->error_message : ""; }

const char *dr_result_traceback(const dr_result *result) { return result ? result->traceback : ""; }

const char *dr_result_dispatch_id(const dr_result *result) { return result ? result->dispatch_id : ""; }

uint64_t dr_result_correlation_id(const dr_result *result) { return result ? result->correlation_id : 0; }

const void *dr_result_error_value(const dr_result *result, size_t *ret_len)
{
    size_t len = result ? result->error_value_len : 0;
    if (ret_len)
        *ret_len = len;
    return len > 0 ? result->error_value : NULL;
}

struct dr_call_options call_options_read(const struct dr_call_options *options)
{
    struct dr_call_options known = {0};
    size_t size = options->size == 0 || options->size > sizeof known ? sizeof known : options->size;
    memcpy(&known, options, size);
    return known;
}
