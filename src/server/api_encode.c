#include "server/api_encode.h"

#include "base/mem.h"
#include <pthread.h>
#include <signal.h>

struct api_encoder {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list jobs;
    bool is_stopping;
};

static void *encode(void *arg)
{
    struct api_encoder *encoder = arg;
    (void)pthread_setname_np(pthread_self(), "api-encode");
    pthread_mutex_lock(&encoder->lock);
    for (;;) {
        struct list *node = list_pop_front(&encoder->jobs);
        if (!node && encoder->is_stopping)
            break;
        if (!node) {
            pthread_cond_wait(&encoder->wake, &encoder->lock);
            continue;
        }
        pthread_mutex_unlock(&encoder->lock);
        struct api_job *job = container_of(node, struct api_job, node);
        job->run(job);
        pthread_mutex_lock(&encoder->lock);
    }
    pthread_mutex_unlock(&encoder->lock);
    return NULL;
}

dr_code api_encoder_create(struct api_encoder **ret_encoder, struct dr_error *error)
{
    struct api_encoder *encoder = mem_zalloc(sizeof *encoder);
    if (!encoder)
        return error_set(error, DR_NO_MEMORY, "%s", dr_code_text(DR_NO_MEMORY));
    list_init(&encoder->jobs);
    (void)pthread_mutex_init(&encoder->lock, NULL);
    (void)pthread_cond_init(&encoder->wake, NULL);
    sigset_t all, before; /* the application's signals are not ours */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&encoder->thread, NULL, encode, encoder);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        pthread_mutex_destroy(&encoder->lock);
        pthread_cond_destroy(&encoder->wake);
        mem_free(encoder);
        return error_set(error, DR_RESOURCE_EXHAUSTED, "API: cannot start a thread");
    }
    *ret_encoder = encoder;
    return DR_OK;
}

void api_encoder_post(struct api_encoder *encoder, struct api_job *job)
{
    pthread_mutex_lock(&encoder->lock);
    list_push_back(&encoder->jobs, &job->node);
    pthread_cond_signal(&encoder->wake);
    pthread_mutex_unlock(&encoder->lock);
}

void api_encoder_destroy(struct api_encoder *encoder)
{
    if (!encoder)
        return;
    pthread_mutex_lock(&encoder->lock);
    encoder->is_stopping = true;
    pthread_cond_signal(&encoder->wake);
    pthread_mutex_unlock(&encoder->lock);
    (void)pthread_join(encoder->thread, NULL);
    pthread_mutex_destroy(&encoder->lock);
    pthread_cond_destroy(&encoder->wake);
    mem_free(encoder);
}

/* ---- answers about one call ---- */

struct call_job {
    struct api_job job;
    struct api_request request;
    api_respond_fn *respond;
    struct driver_call call;
    struct call_record record;
};

static void run_call(struct api_job *job)
{
    struct call_job *call_job = container_of(job, struct call_job, job);
    const struct api_request *request = &call_job->request;
    size_t n_bytes = store_record_bytes(&call_job->record);
    if (http_exchange_has_room(request->exchange, request->is_json ? n_bytes / 3 * 4 : n_bytes))
        call_job->respond(request, &call_job->call);
    else
        api_respond_error(request, DR_RESOURCE_EXHAUSTED,
                          "too many bytes of answers are on their way to slow readers, try again later");
    record_deinit(&call_job->record);
    mem_free(call_job);
}

void api_respond_with(const struct api_request *request, const struct driver_call *call, api_respond_fn *respond)
{
    bool is_large = store_record_bytes(call->record) > API_ENCODE_INLINE_BYTES;
    struct call_job *job = is_large ? mem_zalloc(sizeof *job) : NULL;
    if (!job) {
        respond(request, call);
        return;
    }
    list_init(&job->job.node);
    job->job.run = run_call;
    job->request = *request;
    job->respond = respond;
    job->call = *call;
    record_copy(&job->record, call->record);
    job->call.record = &job->record;
    api_encoder_post(request->api->encoder, &job->job);
}
