#include "base/testing.h"

#include "small_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool write_text(const char *path, const char *text)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = file >= 0 ? write(file, text, strlen(text)) : -1;
    if (file >= 0)
        close(file);
    return n == (ssize_t)strlen(text);
}

/* Without root: as root of a user namespace, in which this user is the only one. */
static bool enter_namespaces(void)
{
    char users[64], groups[64];
    snprintf(users, sizeof users, "0 %u 1", (unsigned)geteuid());
    snprintf(groups, sizeof groups, "0 %u 1", (unsigned)getegid());
    if (geteuid() == 0)
        return unshare(CLONE_NEWNS) == 0;
    return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_text("/proc/self/setgroups", "deny") &&
           write_text("/proc/self/uid_map", users) && write_text("/proc/self/gid_map", groups);
}

bool small_disk_enter(void)
{
    /* what is mounted from here on stays here; then a try, because a container may allow the one and not the other */
    bool is_possible = enter_namespaces() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                       mount("tmpfs", "/proc", "tmpfs", 0, "size=64k") == 0 && umount("/proc") == 0;
    if (!is_possible)
        printf("SKIPPED: no small disk can be mounted here (%s); limits_test has a limit of file size in its place\n",
               strerror(errno));
    return is_possible;
}

void small_disk_mount(const char *directory, size_t bytes)
{
    char options[64];
    snprintf(options, sizeof options, "size=%zu,mode=0700", bytes);
    assert_int_equal(mount("tmpfs", directory, "tmpfs", 0, options), 0);
}

void small_disk_set_read_only(const char *directory, bool is_read_only)
{
    if (mount(NULL, directory, NULL, MS_REMOUNT | (is_read_only ? MS_RDONLY : 0), NULL) != 0)
        fail_msg("remount %s: %s", directory, strerror(errno));
}

void small_disk_make_file_read_only(const char *path)
{
    assert_int_equal(mount(path, path, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
}

void small_disk_unmount(const char *directory)
{
    /* lazily, because files may be mounted in it */
    assert_int_equal(umount2(directory, MNT_DETACH), 0);
    (void)rmdir(directory);
}

size_t small_disk_free_bytes(const char *directory)
{
    struct statvfs disk;
    assert_int_equal(statvfs(directory, &disk), 0);
    return (size_t)disk.f_bavail * disk.f_frsize;
}

static void filler_path(const char *directory, char path[300])
{
    snprintf(path, 300, "%s/filler", directory);
}

void small_disk_fill(const char *directory, size_t bytes_left)
{
    char path[300];
    filler_path(directory, path);
    size_t room = small_disk_free_bytes(directory);
    assert_true(room > bytes_left);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_int_equal(posix_fallocate(file, 0, (off_t)(room - bytes_left)), 0);
    close(file);
}

void small_disk_make_room(const char *directory)
{
    char path[300];
    filler_path(directory, path);
    assert_int_equal(unlink(path), 0);
}
