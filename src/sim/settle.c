/* After a start: which of the commits in doubt have happened? Then disk and shadow must say the same of every
 * call. */
#include "sim/sim_private.h"

static bool is_blob_equal(const struct blob *a, const struct blob *b)
{
    return !a == !b && slice_equal(blob_slice(a), blob_slice(b));
}

/* The first field that differs; NULL when none does. */
static const char *difference(const struct call_record *a, const struct call_record *b)
{
#define SAME(field)                                                                                          \
    if (a->field != b->field)                                                                                \
        return #field;
#define SAME_BLOB(field)                                                                                     \
    if (!is_blob_equal(a->field, b->field))                                                                  \
        return #field;
    SAME(project)
    SAME(parent_generation) SAME(depth) SAME(correlation_id) SAME(created_ns) SAME(expires_ns)
        SAME_BLOB(endpoint) SAME_BLOB(function) SAME_BLOB(version) SAME_BLOB(input) SAME(generation)
            SAME(state) SAME(mail) SAME(sweep_below) SAME(has_children) SAME(wake_ns) SAME(due_ns)
                SAME(attempts) SAME(failures) SAME(last_status) SAME_BLOB(last_error) SAME(state_arm)
                    SAME(is_resume) SAME_BLOB(poll_state) SAME_BLOB(poll_error) SAME(min_results)
                        SAME(max_results) SAME(status) SAME(done_ns) SAME(done_sequence) SAME_BLOB(output)
                            SAME_BLOB(error.type) SAME_BLOB(error.message) SAME_BLOB(error.value)
                                SAME_BLOB(error.traceback)
#undef SAME
#undef SAME_BLOB
                                    bool is_related =
                                        id_equal(a->parent, b->parent) && id_equal(a->root, b->root);
    return is_related ? NULL : "parent or root";
}

/* NULL when store and shadow say the same of a call. */
static const char *compare(struct sim *sim, struct id id)
{
    struct call_record found = {0}, expected;
    struct dr_error error = {0};
    dr_code code = store_read(sim->server.store, id, &found, &error);
    bool is_there = sim_shadow(sim, id, &expected);
    const char *what = NULL;
    if (code && code != DR_NOT_FOUND)
        what = "it cannot be read";
    else if ((code == DR_OK) != is_there)
        what = is_there ? "it is missing" : "it should not be there";
    else if (is_there)
        what = difference(&found, &expected);
    record_deinit(&found);
    record_deinit(&expected);
    return what;
}

void sim_store_compare(struct sim *sim)
{
    struct store_counts found = {0}, expected = {0};
    bool was_calm = sim->dice.is_calm;
    sim->dice.is_calm = true; /* a look from outside, not work of the server */
    for (size_t i = 0; i < sim->n_calls; i++) {
        const char *what = compare(sim, sim->call_list[i]->id);
        if (what)
            sim_violate(sim, "I4, I6: c%u on disk is not what was recorded: %s", sim->call_list[i]->number,
                        what);
    }
    bool is_counted = store_counts(sim->server.store, &found, NULL) == DR_OK &&
                      store_counts(sim->shadow, &expected, NULL) == DR_OK;
    if (!is_counted || found.n_live != expected.n_live || found.n_done != expected.n_done)
        sim_violate(sim, "I6: the disk counts %llu live and %llu done calls, recorded were %llu and %llu",
                    (unsigned long long)found.n_live, (unsigned long long)found.n_done,
                    (unsigned long long)expected.n_live, (unsigned long long)expected.n_done);
    sim->dice.is_calm = was_calm;
}

static bool is_behind(struct sim *sim)
{
    struct list *head = &sim->server.in_doubt;
    for (struct list *node = head->next; node != head; node = node->next) {
        const struct batch *batch = container_of(node, struct sim_job, node)->batch;
        for (size_t i = 0; i < batch->n_ops; i++) {
            if (compare(sim, batch->ops[i].record.id))
                return true;
        }
    }
    return false;
}

static void settle_purge(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    struct store_counts found = {0}, expected = {0};
    struct purge_result result;
    if (!server->is_purge_in_doubt)
        return;
    server->is_purge_in_doubt = false;
    (void)store_counts(server->store, &found, NULL);
    (void)store_counts(sim->shadow, &expected, NULL);
    if (found.n_done == expected.n_done)
        return;
    CHECK(store_purge(sim->shadow, &server->purge_in_doubt, &result, NULL) == DR_OK);
    sim_calls_see_purged(sim);
}

void sim_store_settle(struct sim *sim)
{
    struct sim_server *server = &sim->server;
    bool was_calm = sim->dice.is_calm;
    sim->dice.is_calm = true;
    if (!list_is_empty(&server->in_doubt))
        sim_did(sim, SIM_UNSURE_COMMITS);
    while (!list_is_empty(&server->in_doubt)) { /* in order, as far as the disk has got */
        bool is_there = is_behind(sim);
        struct sim_job *job = container_of(list_pop_front(&server->in_doubt), struct sim_job, node);
        if (is_there)
            sim_calls_commit(sim, job->batch);
        else
            sim_calls_lose(sim, job->batch);
        sim_job_free(job);
    }
    settle_purge(sim);
    sim->dice.is_calm = was_calm;
    sim_store_compare(sim);
}
