/* Tests of functions: each test is a coroutine in a Dispatch server of its own, the production engine with a store in
 * memory and a virtual clock. Retries with backoff, sleeps of a week and expirations take no time.
 *
 *     #include <dispatchrun.h>
 *
 *     DR_FUNCTION(greet)
 *     {
 *         return dr_return(call, dr_format(call, "Hello %s!", dr_text(dr_input(call))));
 *     }
 *
 *     DR_TEST(greets_by_name)
 *     {
 *         dr_check_equal(dr_await(&greet, "World"), "Hello World!");
 *     }
 *
 *     DR_TEST_MAIN()
 *
 * Inside a test, dr_begin, dr_await, dr_gather, ... submit calls and wait for them; the clock moves only while the test
 * waits and nothing else can run, straight to the next deadline. A check that fails ends the test and shows the tree of
 * calls. A call that fails ends the test that awaits it, too. */
#ifndef DISPATCHRUN_TEST_H
#define DISPATCHRUN_TEST_H

#include <dispatchrun/endpoint.h>
#include <dispatchrun/function.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The original's constants (protocol 10.12). */
#define DR_TEST_ENDPOINT_URL "http://127.0.0.1:0"
#define DR_TEST_API_URL "http://127.0.0.1:0"
#define DR_TEST_API_KEY "916CC3D280BB46DDBDA984B3DD10059A"

typedef enum dr_test_transport { DR_TEST_LOCAL = 0, DR_TEST_HTTP } dr_test_transport;

struct dr_test_options {
    size_t size;                  /* sizeof(struct dr_test_options), or 0 for its first version */
    dr_test_transport transport;  /* DR_TEST_LOCAL: in this process; DR_TEST_HTTP: over loopback, by production's code */
    dr_registry *registry;        /* what is served; NULL: every open registry */
    uint64_t seed;                /* of ids and backoff; 0 = 1 */
    /* Faults on purpose, so that the functions are tested against lost, repeated and late attempts:
     * "seed=42,drop=5%,duplicate=5%,delay=50ms,crash-endpoint=1%,fail=1%" (docs/guide/chaos.md). NULL: what the
     * environment variable DISPATCH_CHAOS says; "": none. Without a seed one is drawn; the trace shows it. */
    const char *chaos;
    dr_run_handler *on_run; /* NULL, or who is given every run instead of the functions of a registry (raw.h) */
    void *on_run_arg;
    /* In process, with on_run: what dr_test_server_submit, dr_run_respond and dr_run_refuse give the server to do is done
     * before they return, on the thread that calls them, unless another one is at it. Callbacks and on_run then come from
     * inside of these: hold no lock that they take. It saves two changes of threads for each run. */
    bool is_inline;
};

/* ---- Running ---- */

/* Creates a local server, runs body(arg) in it, takes it down. Any number at once, on different threads. options may be
 * NULL. DR_OK when the test passed; DR_ABORTED when a check failed or an awaited call did: error says which. The trace of
 * the call tree goes to *ret_trace (owned, dr_test_trace_free) if that is not NULL. Others: no server could be made. */
DR_API dr_code dr_test_run(const struct dr_test_options *options, void (*body)(void *arg), void *arg, char **ret_trace,
                           struct dr_error *error);
DR_API void dr_test_trace_free(char *trace);
/* A main for tests: no argument runs all, names run those, --list lists. Prints to stdout; returns an exit status. */
DR_API int dr_test_main(int argc, char **argv);

typedef struct dr_test {
    const char *name;
    void (*body)(void);
    struct dr_test *next;
} dr_test;
DR_API void dr_test_register(dr_test *test);

/* A test, known by its name. */
#define DR_TEST(test_name)                                               \
    static void test_name(void);                                         \
    static dr_test test_name##_test = {#test_name, test_name, 0};        \
    __attribute__((constructor)) static void test_name##_register(void)  \
    {                                                                    \
        dr_test_register(&test_name##_test);                             \
    }                                                                    \
    static void test_name(void)

/* A test with a `self`: a zeroed object of `type`, new for each test, given to `type`_setup and `type`_teardown (which
 * the file defines before, as void (type *self)). */
#define DR_TEST_METHOD(type, test_name)                                  \
    static void test_name##_method(type *self);                          \
    static void test_name##_teardown(void *self)                         \
    {                                                                    \
        type##_teardown((type *)self);                                   \
    }                                                                    \
    DR_TEST(test_name)                                                   \
    {                                                                    \
        type *self = (type *)dr_test_alloc(sizeof(type));                \
        dr_test_defer(test_name##_teardown, self);                       \
        type##_setup(self);                                              \
        test_name##_method(self);                                        \
    }                                                                    \
    static void test_name##_method(type *self)

#define DR_TEST_MAIN()              \
    int main(int argc, char **argv) \
    {                               \
        return dr_test_main(argc, argv); \
    }

/* ---- The server alone, for bindings: requests and results as bytes (raw.h) ----
 *
 * The clock jumps while at least one dr_test_server_wait is pending, nobody holds it, and nothing can run. */

typedef struct dr_test_server dr_test_server;

/* options may be NULL; on_run is usual. Returns owned. */
DR_API dr_code dr_test_server_open(const struct dr_test_options *options, dr_test_server **ret_server,
                                   struct dr_error *error);
/* What is pending is answered with DR_UNAVAILABLE before it returns. Not from a callback. Accepts NULL. */
DR_API void dr_test_server_close(dr_test_server *server);
/* Where calls are to go: the endpoint that on_run or the functions stand behind. Borrowed. */
DR_API const char *dr_test_server_endpoint(const dr_test_server *server);
/* Of its API with DR_TEST_HTTP, whose key is DR_TEST_API_KEY; "" in process. Borrowed. */
DR_API const char *dr_test_server_url(const dr_test_server *server);

/* Callbacks come exactly once for each function that returned DR_OK, on a thread of the server (or see is_inline), maybe
 * before it has returned; they must not block, and may call submit, wait, abandon, cancel, hold and release. What they are given is
 * borrowed until they return; message is NULL with DR_OK. */
typedef void dr_test_ids_fn(void *arg, dr_code code, const char *message, const char *const *ids, size_t n_ids);
typedef void dr_test_result_fn(void *arg, dr_code code, const char *message, const void *result, size_t len);
typedef void dr_test_done_fn(void *arg, dr_code code, const char *message);

/* An encoded DispatchRequest; copied. Validated as by the API: DR_INVALID_ARGUMENT. */
DR_API dr_code dr_test_server_submit(dr_test_server *server, const void *request, size_t len, dr_test_ids_fn *on_ids,
                                     void *arg, struct dr_error *error);
/* The result is an encoded CallResult. DR_NOT_FOUND. ret_token (may be NULL) is written before the callback can come. */
DR_API dr_code dr_test_server_wait(dr_test_server *server, const char *id, dr_test_result_fn *on_result, void *arg,
                                   uint64_t *ret_token, struct dr_error *error);
/* The waiter left: its callback comes with DR_CANCELED, unless the answer was quicker. */
DR_API void dr_test_server_abandon(dr_test_server *server, uint64_t token);
/* DR_FAILED_PRECONDITION: it was done before; DR_NOT_FOUND. */
DR_API dr_code dr_test_server_cancel(dr_test_server *server, const char *id, dr_test_done_fn *on_done, void *arg,
                                     struct dr_error *error);
/* Between the two the clock does not jump: the test has something to do first. They nest. */
DR_API void dr_test_server_hold(dr_test_server *server);
DR_API void dr_test_server_release(dr_test_server *server);
/* Moves the clock by hand; what becomes due on the way happens. with_runs: before each move waits until no run is in
 * flight. Blocks; not from a callback. */
DR_API void dr_test_server_advance(dr_test_server *server, int64_t ns, bool with_runs);
/* The virtual time, ns since 1970. */
DR_API int64_t dr_test_server_now(const dr_test_server *server);
/* The tree of all calls, a line each (owned, dr_test_trace_free). Blocks; not from a callback. NULL without memory. */
DR_API char *dr_test_server_trace(dr_test_server *server);

/* ---- Inside a test ---- */

/* Moves the virtual clock by hand; what becomes due on the way happens. */
DR_API void dr_test_advance(int64_t ns);
/* The virtual time, ns since 1970. */
DR_API int64_t dr_test_now(void);
/* Zeroed memory that lives until the test has ended and what was deferred has run. Never NULL inside a test. */
DR_API void *dr_test_alloc(size_t size);
/* Runs fn(arg) when the test ends, passed or failed; last in, first out. The server is still there, so it may call functions
 * and check; a failure there fails the test. The body's own variables may be gone: give it memory of dr_test_alloc. */
DR_API void dr_test_defer(void (*fn)(void *arg), void *arg);
/* Drops all suspended stacks, as if the program had been started anew: functions go on from their journals. */
DR_API void dr_test_forget_stacks(void);
/* Submits without waiting; id has room for DR_ID_SIZE. Takes the input. */
DR_API void dr_test_submit_value(const dr_function *function, dr_value *input, char *ret_id);

/* ---- Checks: a failure ends the test ---- */

DR_API void dr_check_failed(const char *file, int line, const char *format, ...) DR_PRINTF(3, 4);
/* Takes both. */
DR_API void dr_check_equal_values(const char *file, int line, const char *what, dr_value *got, dr_value *wanted);

#define dr_check(condition)                                                                     \
    do {                                                                                        \
        if (!(condition))                                                                       \
            dr_check_failed(__FILE__, __LINE__, "%s is not true", #condition);                  \
    } while (0)

#ifdef __cplusplus
}
#else
/* Compares as dr_value_equal does, and shows both. */
#define dr_check_equal(got, wanted)                                                             \
    do {                                                                                        \
        dr_value *dr_check_got = dr_value_of(got); /* first: an await that fails leaves here */ \
        dr_check_equal_values(__FILE__, __LINE__, #got, dr_check_got, dr_value_of(wanted));     \
    } while (0)
#define dr_test_submit(function, x, ret_id) dr_test_submit_value((function), dr_value_of(x), (ret_id))
#endif
#endif
