/* A database that can only be read: at the start, because of the disk or of the file alone, and when the disk becomes so under
 * a running server, as Linux does after errors. It is said which file and why; nothing is touched, and nothing is lost. */
#include "base/testing.h"

#include "rig.h"
#include "shim.h"
#include "small_disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WAIT_PATH "/dispatch.sdk.v1.DispatchService/Wait"

static bool has_disks; /* that can be mounted */

/* Names, sizes and bytes of all files of a directory, as one number. */
static uint64_t fingerprint(const char *directory)
{
    uint64_t sum = 0;
    DIR *files = opendir(directory);
    assert_non_null(files);
    for (struct dirent *entry; (entry = readdir(files));) {
        uint64_t hash = 14695981039346656037u;
        uint8_t bytes[4096];
        for (const char *c = entry->d_name; *c; c++)
            hash = (hash ^ (uint8_t)*c) * 1099511628211u;
        int file = entry->d_name[0] == '.' ? -1 : openat(dirfd(files), entry->d_name, O_RDONLY | O_CLOEXEC);
        for (ssize_t n; file >= 0 && (n = read(file, bytes, sizeof bytes)) > 0;) {
            for (ssize_t i = 0; i < n; i++)
                hash = (hash ^ bytes[i]) * 1099511628211u;
        }
        if (file >= 0)
            close(file);
        sum += hash; /* in any order */
    }
    closedir(files);
    return sum;
}

static void open_on_small_disk(struct rig *rig)
{
    directory_make(rig->directory, sizeof rig->directory);
    small_disk_mount(rig->directory, 16u << 20);
    rig_open(rig);
}

static void close_on_small_disk(struct rig *rig)
{
    char directory[sizeof rig->directory];
    memcpy(directory, rig->directory, sizeof directory);
    rig_close(rig);
    small_disk_unmount(directory);
}

static void is_refused_and_untouched(struct rig *rig, const char *cause)
{
    char errors[PROCESS_TEXT_SIZE];
    uint64_t before = fingerprint(rig->directory);
    assert_false(rig_try_server(rig, errors));
    assert_int_equal(rig->server.status, 1);
    if (!strstr(errors, rig->db) || !strstr(errors, cause) || !strstr(errors, "--db names"))
        fail_msg("\"%s\" is missing: %s", cause, errors);
    assert_true(fingerprint(rig->directory) == before);
}

static void a_database_on_a_read_only_disk_is_refused_and_not_touched(void **state)
{
    (void)state;
    if (!has_disks)
        skip();
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_on_small_disk(rig);
    assert_int_equal(rig_submit(rig, 100), 200);
    rig_kill_server(rig); /* its log is left, and would have to be taken over */
    small_disk_set_read_only(rig->directory, true);
    is_refused_and_untouched(rig, "cannot be written: Read-only file system");
    small_disk_set_read_only(rig->directory, false);
    rig_start_server(rig);
    close_on_small_disk(rig);
    mem_free(rig);
}

static void a_new_database_on_a_read_only_disk_is_refused_with_the_true_cause(void **state)
{
    (void)state;
    if (!has_disks)
        skip();
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    directory_make(rig->directory, sizeof rig->directory);
    small_disk_mount(rig->directory, 1u << 20);
    small_disk_set_read_only(rig->directory, true);
    snprintf(rig->db, sizeof rig->db, "%s/dispatch.db", rig->directory);
    is_refused_and_untouched(rig, "Read-only file system");
    small_disk_unmount(rig->directory);
    mem_free(rig);
}

static void a_file_that_is_read_only_by_itself_is_refused_and_not_touched(void **state)
{
    (void)state;
    if (!has_disks)
        skip();
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    open_on_small_disk(rig);
    assert_int_equal(rig_submit(rig, 100), 200);
    rig_check_results(rig);
    rig_kill_server(rig);
    small_disk_make_file_read_only(rig->db);
    is_refused_and_untouched(rig, "cannot be written: Read-only file system");
    assert_int_equal(program_end(&rig->program), 0);
    small_disk_unmount(rig->directory);
    mem_free(rig);
}

static void a_disk_that_becomes_read_only_loses_nothing_and_the_server_goes_on_when_it_is_writable(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    rig_put_shim(rig);
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 50), 200);
    rig_check_results(rig);
    struct rig_client *client = rig_client_start(rig);
    rig_wait_for_metric(rig, "calls_done_total", 100); /* in the middle of its work */
    atomic_store(&rig->shim->disk_errno, EROFS);
    rig_wait_for_log(rig, "the store fails");
    rig_wait_for_log(rig, "Read-only file system");
    assert_true(atomic_load(&rig->shim->n_disk_failures) > 0);
    assert_int_equal(rig_submit(rig, 5), 503);
    for (uint64_t n = 0; n < 50; n++) {
        assert_true(rig_shows(rig, n, "\"state\":\"done\""));
        assert_int_equal(rig_post(rig, WAIT_PATH, "application/proto", rig->ids[n]), 200);
    }
    assert_int_equal(rig_metric(rig, "store_failing"), 1);
    atomic_store(&rig->shim->disk_errno, 0);
    rig_wait_for_log(rig, "the store works again");
    rig_client_join(client);
    rig_client_end(client, rig);
    assert_int_equal(rig_submit(rig, 50), 200);
    rig_close(rig);
    mem_free(rig);
}

static void a_server_killed_on_a_disk_that_gives_errors_loses_nothing_acknowledged(void **state)
{
    (void)state;
    struct rig *rig = mem_must_zalloc(sizeof *rig);
    rig_put_shim(rig);
    rig_open(rig);
    assert_int_equal(rig_submit(rig, 50), 200);
    struct rig_client *client = rig_client_start(rig);
    rig_wait_for_metric(rig, "calls_done_total", 50);
    atomic_store(&rig->shim->disk_errno, EIO);
    rig_wait_for_log(rig, "the store fails");
    rig_kill_server(rig);
    rig_client_join(client);
    atomic_store(&rig->shim->disk_errno, 0);
    rig_start_server(rig);
    rig_client_end(client, rig);
    rig_close(rig);
    mem_free(rig);
}

int main(int argc, char **argv)
{
    program_main(argc, argv);
    has_disks = small_disk_enter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_on_a_read_only_disk_is_refused_and_not_touched),
        cmocka_unit_test(a_new_database_on_a_read_only_disk_is_refused_with_the_true_cause),
        cmocka_unit_test(a_file_that_is_read_only_by_itself_is_refused_and_not_touched),
        cmocka_unit_test(a_disk_that_becomes_read_only_loses_nothing_and_the_server_goes_on_when_it_is_writable),
        cmocka_unit_test(a_server_killed_on_a_disk_that_gives_errors_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
