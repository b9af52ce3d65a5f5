/* Mail: results of children on their way to their parent (E6, E7). */
#include "engine/engine_private.h"

struct mail *mail_create(const struct call_record *child, uint64_t after_batch)
{
    struct mail *mail = mem_must_zalloc(sizeof *mail);
    list_init(&mail->node);
    mail->child = child->id;
    mail->generation = child->parent_generation;
    mail->correlation_id = child->correlation_id;
    mail->done_sequence = child->done_sequence;
    mail->after_batch = after_batch;
    mail->output = blob_ref(child->output);
    error_record_copy(&mail->error, &child->error);
    return mail;
}

static size_t mail_bytes(const struct mail *mail)
{
    return blob_slice(mail->output).len + blob_slice(mail->error.message).len + blob_slice(mail->error.value).len +
           blob_slice(mail->error.traceback).len;
}

static void mail_destroy(struct call *call, struct mail *mail)
{
    call->mail_bytes -= mail_bytes(mail);
    list_remove(&mail->node);
    blob_unref(mail->output);
    error_record_deinit(&mail->error);
    mem_free(mail);
}

void mail_add(struct engine *engine, struct call *call, struct mail *mail)
{
    /* never among what is being delivered: a clock set back over a restart gives a later completion a lower number */
    uint32_t n_behind = call->n_mail - call->n_delivering;
    struct list *place = &call->mail;
    while (n_behind-- > 0 &&
           container_of(place->prev, struct mail, node)->done_sequence > mail->done_sequence)
        place = place->prev;
    list_insert_before(place, &mail->node);
    call->n_mail++;
    call->mail_bytes += mail_bytes(mail);
    resident_grow(engine, call, mail_bytes(mail));
}

void mail_drop(struct call *call, uint32_t n)
{
    CHECK(n <= call->n_mail);
    for (uint32_t i = 0; i < n; i++)
        mail_destroy(call, container_of(call->mail.next, struct mail, node));
    call->n_mail -= n;
    call->n_delivering = 0;
    call->is_delivery_fixed = false;
}

void mail_drop_foreign(struct call *call)
{
    struct list *next;
    for (struct list *node = call->mail.next; node != &call->mail; node = next) {
        struct mail *mail = container_of(node, struct mail, node);
        next = node->next;
        if (mail->generation != call->record.generation) {
            mail_destroy(call, mail);
            call->n_mail--;
        }
    }
}

void mail_consume(struct engine *engine, struct call *call, uint32_t n)
{
    struct list *node = call->mail.next;
    for (uint32_t i = 0; i < n; i++, node = node->next) {
        struct call_record child = {.id = container_of(node, struct mail, node)->child};
        output_write(engine, BATCH_CONSUME, 0, &child);
    }
    mail_drop(call, n);
}

void mail_fix_delivery(struct engine *engine, struct call *call)
{
    if (call->is_delivery_fixed)
        return; /* a retry sends the same request again */
    size_t bytes = 0;
    uint32_t n = 0;
    for (struct list *node = call->mail.next; node != &call->mail; node = node->next) {
        const struct mail *mail = container_of(node, struct mail, node);
        bytes += mail_bytes(mail);
        bool is_full = n >= (uint32_t)call->record.max_results || (n > 0 && bytes > ENGINE_RESULT_BYTES_MAX);
        if (is_full || mail->after_batch > engine->durable)
            break;
        n++;
    }
    call->n_delivering = n;
    call->is_delivery_fixed = true;
}

bool mail_satisfies_poll(const struct call *call)
{
    const struct call_record *record = &call->record;
    CHECK(record->state == CALL_SUSPENDED);
    uint64_t n_possible = call->n_mail + call->n_outstanding;
    uint64_t n_wanted = (uint64_t)record->min_results < n_possible ? (uint64_t)record->min_results : n_possible;
    return n_possible > 0 && call->n_mail >= n_wanted; /* Q5: wanting more than can come is wanting all */
}
