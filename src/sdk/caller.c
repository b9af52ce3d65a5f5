#include "sdk/caller.h"

#include "base/check.h"
#include "base/mem.h"
#include "sdk/value_wire.h"

struct caller_defer {
    struct caller_defer *next;
    void (*fn)(void *arg);
    void *arg;
};

static _Thread_local struct caller *current;

__attribute__((noinline)) struct caller *caller_current(void)
{
    __asm__ volatile("" ::: "memory");
    return current;
}

__attribute__((noinline)) struct caller *caller_set_current(struct caller *caller)
{
    __asm__ volatile("" ::: "memory");
    struct caller *before = current;
    current = caller;
    return before;
}

void caller_init(struct caller *caller, const struct caller_methods *methods)
{
    *caller = (struct caller){.methods = methods};
    arena_init(&caller->arena, 0);
}

void caller_run_defers(struct caller *caller)
{
    while (caller->defers) {
        struct caller_defer *defer = caller->defers; /* its memory is the arena's */
        caller->defers = defer->next;
        defer->fn(defer->arg);
    }
}

void caller_deinit(struct caller *caller)
{
    caller_run_defers(caller);
    for (size_t i = 0; i < caller->n_tasks; i++) {
        dr_value_unref(caller->tasks[i]->input);
        dr_result_unref(caller->tasks[i]->result);
    }
    for (size_t i = 0; i < caller->n_kept; i++)
        dr_value_unref(caller->kept[i]);
    mem_free(caller->tasks);
    mem_free(caller->kept);
    arena_deinit(&caller->arena);
}

dr_code caller_defer(struct caller *caller, void (*fn)(void *arg), void *arg)
{
    struct caller_defer *defer = arena_alloc(&caller->arena, sizeof *defer);
    if (!defer) {
        fn(arg);
        return DR_NO_MEMORY;
    }
    *defer = (struct caller_defer){.next = caller->defers, .fn = fn, .arg = arg};
    caller->defers = defer;
    return DR_OK;
}

/* Doubles an array of pointers when it is full. */
static bool grow(void ***pointers, size_t n, size_t *cap)
{
    if (n < *cap)
        return true;
    size_t more = *cap ? *cap * 2 : 8;
    void **grown = mem_realloc(*pointers, more * sizeof *grown);
    if (!grown)
        return false;
    *pointers = grown;
    *cap = more;
    return true;
}

const dr_value *caller_keep(struct caller *caller, dr_value *value)
{
    void **kept = (void **)caller->kept;
    if (!value)
        return NULL;
    if (!grow(&kept, caller->n_kept, &caller->cap_kept)) {
        dr_value_unref(value);
        return NULL;
    }
    caller->kept = (dr_value **)kept;
    caller->kept[caller->n_kept++] = value;
    return value;
}

bool caller_set_result(struct caller *caller, uint64_t number, dr_result *result)
{
    if (number < 1 || number > caller->n_tasks || caller->tasks[number - 1]->result) {
        dr_result_unref(result);
        return false;
    }
    caller->tasks[number - 1]->result = result;
    caller->n_done++;
    return true;
}

static bool is_pickled(const dr_value *value)
{
    return dr_value_kind(value) == DR_KIND_MESSAGE &&
           strcmp(value_type_name(dr_type_url(value)), value_type_name(DR_TYPE_URL_PICKLED)) == 0;
}

dr_code caller_pack_input(const dr_value *input, bool is_python, dr_value **ret_packed, struct dr_error *error)
{
    if (!is_python || is_pickled(input)) {
        *ret_packed = dr_value_ref(input);
        return DR_OK;
    }
    dr_value *arguments = NULL;
    dr_builder *builder = dr_list_begin();
    if (!dr_is_null(input))
        dr_list_add(builder, dr_value_ref(input));
    dr_code code = dr_builder_end(builder, &arguments, error);
    if (!code)
        code = dr_value_pickle_arguments(arguments, NULL, ret_packed, error);
    dr_value_unref(arguments);
    return code;
}

static struct dr_task *add_task(struct caller *caller, const struct dr_call_options *call, bool is_python,
                                dr_value *input)
{
    void **tasks = (void **)caller->tasks;
    struct dr_task *task = arena_zalloc(&caller->arena, sizeof *task);
    if (!task || !grow(&tasks, caller->n_tasks, &caller->cap_tasks)) {
        dr_value_unref(input);
        return NULL;
    }
    caller->tasks = (struct dr_task **)tasks;
    task->number = caller->n_tasks + 1;
    task->function = arena_copy(&caller->arena, slice_text(call->function ? call->function : ""));
    task->endpoint = call->endpoint ? arena_copy(&caller->arena, slice_text(call->endpoint)) : NULL;
    task->version = call->version ? arena_copy(&caller->arena, slice_text(call->version)) : NULL;
    task->expiration_ns = call->expiration_ns;
    bool is_complete = task->function && (!call->endpoint || task->endpoint) && (!call->version || task->version);
    if (!is_complete) {
        dr_value_unref(input);
        return NULL;
    }
    task->input = input;
    task->is_python = is_python;
    caller->tasks[caller->n_tasks++] = task;
    return task;
}

static struct dr_task *begin(const struct dr_call_options *call, bool is_python, dr_value *input)
{
    struct caller *caller = caller_current();
    if (!caller) {
        dr_value_unref(input);
        return NULL;
    }
    struct dr_task *task = input ? add_task(caller, call, is_python, input) : NULL;
    if (!task) {
        caller->methods->give_up(caller, NULL);
        return NULL;
    }
    caller->methods->on_begin(caller, task);
    return task;
}

dr_task *dr_begin_value(const dr_function *function, dr_value *input)
{
    struct dr_call_options call = {.function = function->name, .endpoint = function->endpoint};
    return begin(&call, function->is_python, input);
}

dr_task *dr_begin_call(const struct dr_call_options *options)
{
    struct dr_call_options call = call_options_read(options);
    return begin(&call, false, call.input ? dr_value_ref(call.input) : dr_value_null());
}

/* ---- waiting ---- */

static size_t count_done(dr_task *const *tasks, size_t n)
{
    size_t n_done = 0;
    for (size_t i = 0; i < n; i++)
        n_done += tasks[i] && tasks[i]->result;
    return n_done;
}

static const struct dr_task *first_failure(dr_task *const *tasks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (tasks[i] && tasks[i]->result && !dr_result_is_ok(tasks[i]->result))
            return tasks[i];
    return NULL;
}

void dr_try_all(dr_task *const *tasks, size_t n)
{
    struct caller *caller = caller_current();
    size_t n_done;
    while (caller && (n_done = count_done(tasks, n)) < n) {
        caller->methods->wait_more(caller, n - n_done, -1);
        caller = caller_current();
    }
}

void dr_gather(dr_task *const *tasks, size_t n)
{
    struct caller *caller = caller_current();
    while (caller) {
        const struct dr_task *failed = first_failure(tasks, n);
        if (failed) {
            caller->methods->give_up(caller, failed);
            return;
        }
        size_t n_done = count_done(tasks, n);
        if (n_done == n)
            return;
        caller->methods->wait_more(caller, n - n_done, -1);
    }
}

size_t dr_any(dr_task *const *tasks, size_t n)
{
    struct caller *caller = caller_current();
    while (caller && n > 0) {
        for (size_t i = 0; i < n; i++)
            if (tasks[i]->result && dr_result_is_ok(tasks[i]->result))
                return i;
        if (count_done(tasks, n) == n) {
            caller->methods->give_up(caller, tasks[n - 1]);
            return 0;
        }
        caller->methods->wait_more(caller, 1, -1);
    }
    return 0;
}

size_t dr_race(dr_task *const *tasks, size_t n)
{
    struct caller *caller = caller_current();
    while (caller && n > 0) {
        for (size_t i = 0; i < n; i++) {
            if (!tasks[i]->result)
                continue;
            if (!dr_result_is_ok(tasks[i]->result))
                caller->methods->give_up(caller, tasks[i]);
            return i;
        }
        caller->methods->wait_more(caller, 1, -1);
    }
    return 0;
}

const dr_value *dr_task_value(const dr_task *task)
{
    return task && task->result ? dr_result_output(task->result) : NULL;
}

const dr_result *dr_task_result(const dr_task *task)
{
    return task ? task->result : NULL;
}

const dr_value *dr_await_value(const dr_function *function, dr_value *input)
{
    dr_task *task = dr_begin_value(function, input);
    if (!task)
        return NULL;
    dr_gather(&task, 1);
    return dr_task_value(task);
}

const dr_result *dr_try_value(const dr_function *function, dr_value *input)
{
    dr_task *task = dr_begin_value(function, input);
    if (!task)
        return NULL;
    dr_try_all(&task, 1);
    return dr_task_result(task);
}

void dr_sleep(int64_t ns)
{
    struct caller *caller = caller_current();
    if (!caller || ns <= 0)
        return;
    int64_t until_ns;
    if (__builtin_add_overflow(caller->methods->now_ns(caller), ns, &until_ns))
        until_ns = INT64_MAX;
    for (;;) {
        int64_t left_ns = until_ns - caller->methods->now_ns(caller);
        if (left_ns <= 0 || caller->methods->wait_more(caller, SIZE_MAX, left_ns))
            return;
    }
}
