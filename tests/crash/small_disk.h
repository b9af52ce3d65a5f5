/* A file system of a few MiB in memory, which really becomes full and really is read-only. It is mounted in a mount
 * namespace of the test's own: nobody else sees it, and it ends with the test. For one thread. */
#ifndef TESTS_CRASH_SMALL_DISK_H
#define TESTS_CRASH_SMALL_DISK_H

#include <stdbool.h>
#include <stddef.h>

/* Enters the namespace; first thing in main(), while there is one thread. False, with a line on stdout that says why, when
 * this machine does not let us mount. */
bool small_disk_enter(void);

void small_disk_mount(const char *directory, size_t bytes);
/* Refused by the kernel, and then a failure of the test, while a process has a file open for writing. */
void small_disk_set_read_only(const char *directory, bool is_read_only);
/* One file only, which must be there; until the disk is unmounted. */
void small_disk_make_file_read_only(const char *path);
/* With all that is in it. Removes the directory too. */
void small_disk_unmount(const char *directory);

size_t small_disk_free_bytes(const char *directory);
/* A file "filler" that leaves about so many bytes, and its end. */
void small_disk_fill(const char *directory, size_t bytes_left);
void small_disk_make_room(const char *directory);

#endif
