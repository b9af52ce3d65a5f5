/* Waits while commits fail. The engine's load of a call that is not in memory stands behind the commit that fails (D4), so
 * that a Wait for a call that is done would get no answer, and not even its deadline. What is on disk may be shown at any
 * time (D3): the record is read in front of the queue, as for people. A Wait whose call is not seen done is refused, because
 * nothing ends before commits work again; if the call is in memory, it goes on waiting like any other. */
#include "server/driver_private.h"

struct wait_look {
    struct driver_read read;
    uint64_t token;
    uint32_t project;
    struct id id;
    dr_code code;
    struct call_record record;
};

static bool is_troubled(struct driver *driver)
{
    pthread_mutex_lock(&driver->lock);
    bool is_troubled = driver->is_store_troubled;
    pthread_mutex_unlock(&driver->lock);
    return is_troubled;
}

static void read_call(struct driver_read *read, struct store *store)
{
    struct wait_look *look = container_of(read, struct wait_look, read);
    look->code = store_read(store, look->id, &look->record, NULL);
}

static void answer(struct driver *driver, struct driver_read *read)
{
    struct wait_look *look = container_of(read, struct wait_look, read);
    bool is_ours = look->code == DR_OK && (look->project == 0 || look->project == look->record.project);
    if (is_ours && look->record.state == CALL_DONE)
        driver_wait_end(driver, look->token, DR_OK, NULL, &look->record);
    else if (!driver->is_closed && !engine_peek(driver->engine, look->id) && is_troubled(driver))
        driver_wait_end(driver, look->token, DR_UNAVAILABLE, "the store fails, nothing ends now; try again later", NULL);
    if (look->code == DR_OK)
        record_deinit(&look->record);
    mem_free(look);
}

void driver_wait_look(struct driver *driver, uint64_t token, const struct driver_wait *wait)
{
    if (driver->is_closing || engine_peek(driver->engine, wait->id) || !is_troubled(driver))
        return;
    struct wait_look *look = mem_must_zalloc(sizeof *look);
    look->read = (struct driver_read){.driver = driver, .read = read_call, .answer = answer};
    look->token = token;
    look->project = wait->project;
    look->id = wait->id;
    driver_read_handle(driver, &look->read.event);
}
