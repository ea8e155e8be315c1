/* Files: found, locked, opened by all ranks, and made beside the one whose place they take. Nothing is opened by its
 * path: the host has opened the directory, and HDF5 opens anew what this process has open already. */
#define _GNU_SOURCE /* renameat2() */
#include "h5.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define STALE_S 60 /* an unlocked file of our making that is older was left behind by a process that was killed */

void
hdf5_file_init(hdf5_file_t *file, alch_call_t *call, const char *asked)
{
    memset(file, 0, sizeof(*file));
    file->call = call;
    file->asked = asked;
    file->dir = file->fd = -1;
    file->id = H5I_INVALID_HID;
}

static int
system_code(int error)
{
    return error == EACCES || error == EPERM || error == EROFS ? ALCH_EPERM : ALCH_ESYSTEM;
}

/* A missing one is no error when it may be made. What is written rank 0 opens alone, until it is there. */
static int
open_file(hdf5_file_t *file, bool for_writing)
{
    alch_call_t *call = file->call;
    struct stat status;
    int code = call->host->data_file(call, file->asked, for_writing, &file->dir, file->name);

    if (code || (for_writing && call->rank != 0))
        return code;
    /* What became a pipe meanwhile shall not make a rank wait. */
    file->fd = openat(file->dir, file->name, (for_writing ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file->fd < 0 && errno == ENOENT && for_writing)
        return ALCH_OK;
    if (file->fd < 0)
        return call->host->fail(call, system_code(errno), "file '%s' cannot be opened for %s: %s", file->asked,
                                for_writing ? "writing" : "reading", strerror(errno));
    if (fstat(file->fd, &status) || !S_ISREG(status.st_mode))
        return call->host->fail(call, ALCH_EINVAL, "file '%s': it is no regular file", file->asked);
    return ALCH_OK;
}

/* Rank 0 speaks for all. File systems without locks do without. */
static int
take_lock(const hdf5_file_t *file, bool exclusive)
{
    alch_call_t *call = file->call;

    if (call->rank == 0 && file->fd >= 0 && flock(file->fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) &&
        errno == EWOULDBLOCK)
        return call->host->fail(call, ALCH_EBUSY, "file '%s' is being %s by somebody else", file->asked,
                                exclusive ? "used" : "written");
    return ALCH_OK;
}

/* On other hosts the same path may mean another file; and somebody may replace it while the ranks open it. */
static int
check_same(const hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    struct stat dir = {0}, status = {0};
    int64_t facts[2];

    (void)!fstat(file->dir, &dir);
    if (file->fd >= 0)
        (void)!fstat(file->fd, &status);
    facts[0] = (int64_t)dir.st_ino;
    facts[1] = (int64_t)status.st_ino;
    MPI_Bcast(facts, 2, MPI_INT64_T, 0, call->comm);
    if (facts[0] != (int64_t)dir.st_ino)
        return call->host->fail(call, ALCH_ENOENT,
                                "file '%s' is not the same on all workers' hosts: it must be on a shared file system",
                                file->asked);
    if (file->fd >= 0 && facts[1] != (int64_t)status.st_ino)
        return call->host->fail(call, ALCH_EBUSY, "file '%s' is being replaced by somebody else", file->asked);
    return ALCH_OK;
}

static int
find(hdf5_file_t *file, bool for_writing)
{
    const alch_host_t *host = file->call->host;
    int code;

    if ((code = host->agree(file->call, open_file(file, for_writing), NULL)) ||
        (code = host->agree(file->call, check_same(file), NULL)))
        return code;
    return host->agree(file->call, take_lock(file, for_writing), NULL);
}

int
hdf5_file_find(hdf5_file_t *file)
{
    return find(file, false);
}

int
hdf5_file_inspect(hdf5_file_t *file, const char *dataset, hdf5_facts_t *facts)
{
    alch_call_t *call = file->call;
    int code = hdf5_file_find(file);
    hid_t id;

    if (code)
        return code;
    memset(facts, 0, sizeof(*facts));
    if (call->rank == 0 && !(code = hdf5_open_alone(file, false, &id))) {
        code = hdf5_inspect(call, id, file->asked, dataset, facts);
        H5Fclose(id);
    }
    return hdf5_share(call, code, facts, sizeof(*facts));
}

int
hdf5_file_claim(hdf5_file_t *file, bool *there_p)
{
    int code = find(file, true);

    *there_p = file->fd >= 0;
    return code ? code : hdf5_share(file->call, ALCH_OK, there_p, sizeof(*there_p));
}

/* For HDF5, which knows files by their paths. */
static void
own_path(const hdf5_file_t *file, char path[32])
{
    snprintf(path, 32, "/proc/self/fd/%d", file->fd);
}

bool
hdf5_file_foreign(const hdf5_file_t *file)
{
    char path[32];

    own_path(file, path);
    return H5Fis_hdf5(path) == 0;
}

hid_t
hdf5_file_open(const hdf5_file_t *file, unsigned flags)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), id;
    char path[32];

    own_path(file, path);
    /* Rank 0 has locked the file for all. */
    H5Pset_file_locking(access, false, true);
    id = flags & H5F_ACC_TRUNC ? H5Fcreate(path, flags, H5P_DEFAULT, access) : H5Fopen(path, flags, access);
    H5Pclose(access);
    return id;
}

int
hdf5_file_room(const hdf5_file_t *file, int64_t bytes)
{
    struct statvfs room;
    double free_bytes;

    if (fstatvfs(file->dir, &room))
        return ALCH_OK;
    free_bytes = (double)room.f_bavail * (double)room.f_frsize;
    if ((double)bytes <= free_bytes)
        return ALCH_OK;
    return file->call->host->fail(file->call, ALCH_ESYSTEM,
                                  "no room for file '%s': %.1f MB are to be written, %.1f MB are free", file->asked,
                                  (double)bytes / 1e6, free_bytes / 1e6);
}

/* ".data.h5.alchemist-": hidden, and in the same directory, so that it can be renamed. */
static void
made_prefix(const hdf5_file_t *file, char prefix[ALCH_DATA_NAME_MAX])
{
    snprintf(prefix, ALCH_DATA_NAME_MAX, ".%.200s.alchemist-", file->name);
}

/* Files that nobody has locked, although their makers keep a lock while they live. */
static void
remove_stale(const hdf5_file_t *file, const char *prefix)
{
    int list = openat(file->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = list < 0 ? NULL : fdopendir(list);
    struct dirent *entry;

    while (entries && (entry = readdir(entries))) {
        struct stat status;
        int fd;

        if (strncmp(entry->d_name, prefix, strlen(prefix)) ||
            (fd = openat(list, entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) < 0)
            continue;
        if (fstat(fd, &status) == 0 && status.st_mtime + STALE_S < time(NULL) && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(list, entry->d_name, 0);
        close(fd);
    }
    if (entries)
        closedir(entries);
    else if (list >= 0)
        close(list);
}

/* The permissions of the file that it replaces, or those that a new file gets. */
static void
set_permissions(const hdf5_file_t *file, int fd)
{
    struct stat status;
    mode_t mask = umask(0);

    umask(mask);
    (void)!fchmod(fd, file->fd >= 0 && fstat(file->fd, &status) == 0 ? status.st_mode & 0777 : 0666 & ~mask);
}

static int
make_beside(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    char prefix[ALCH_DATA_NAME_MAX], path[ALCH_DATA_NAME_MAX + 32];
    int fd;

    made_prefix(file, prefix);
    remove_stale(file, prefix);
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%.240sXXXXXX", file->dir, prefix);
    if ((fd = mkostemp(path, O_CLOEXEC)) < 0)
        return call->host->fail(call, system_code(errno), "no file can be made in the directory of '%s': %s",
                                file->asked, strerror(errno));
    snprintf(file->made, sizeof(file->made), "%.255s", strrchr(path, '/') + 1);
    set_permissions(file, fd);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = fd;
    flock(fd, LOCK_EX | LOCK_NB);
    if ((file->id = hdf5_file_open(file, H5F_ACC_TRUNC)) < 0)
        return hdf5_fail(call, ALCH_ESYSTEM, "file '%s' cannot be made", file->asked);
    return ALCH_OK;
}

int
hdf5_file_create(hdf5_file_t *file, int64_t bytes)
{
    int code = ALCH_OK;

    if (file->call->rank == 0 && !(code = hdf5_file_room(file, bytes)))
        code = make_beside(file);
    return hdf5_share(file->call, code, file->made, sizeof(file->made));
}

static int
end_hdf5(hdf5_file_t *file)
{
    hid_t id = file->id;

    file->id = H5I_INVALID_HID;
    if (id >= 0 && H5Fclose(id) < 0)
        return hdf5_fail(file->call, ALCH_ESYSTEM, "file '%s' was not written to its end", file->asked);
    return ALCH_OK;
}

int
hdf5_file_settle(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    int code = call->host->agree(call, end_hdf5(file), NULL);

    if (code)
        return code;
    if (call->rank != 0) {
        file->fd = openat(file->dir, file->made[0] ? file->made : file->name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        if (file->fd < 0)
            code = call->host->fail(call, system_code(errno), "file '%s' cannot be opened: %s", file->asked,
                                    strerror(errno));
    }
    if ((code = call->host->agree(call, code, NULL)))
        return code;
    return call->host->agree(call, check_same(file), NULL);
}

int
hdf5_file_sync(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    int code = ALCH_OK;

    if (fsync(file->fd))
        code = call->host->fail(call, ALCH_ESYSTEM, "file '%s' was not written to its end: %s", file->asked,
                                strerror(errno));
    return call->host->agree(call, code, NULL);
}

static int
put_in_place(hdf5_file_t *file, bool replace)
{
    alch_call_t *call = file->call;
    int dir = file->dir, failed = replace ? renameat(dir, file->made, dir, file->name)
                                          : renameat2(dir, file->made, dir, file->name, RENAME_NOREPLACE);

    /* Not every file system knows how to rename like that. */
    if (failed && !replace && (errno == EINVAL || errno == ENOSYS) &&
        !(failed = linkat(dir, file->made, dir, file->name, 0)))
        unlinkat(dir, file->made, 0);
    if (failed && errno == EEXIST)
        return call->host->fail(call, ALCH_ESTATE, "file '%s' was made by somebody else meanwhile", file->asked);
    if (failed)
        return call->host->fail(call, ALCH_ESYSTEM, "file '%s' cannot be put in its place: %s", file->asked,
                                strerror(errno));
    file->made[0] = '\0';
    return ALCH_OK;
}

int
hdf5_file_commit(hdf5_file_t *file, bool replace)
{
    alch_call_t *call = file->call;

    return call->host->agree(call, call->rank == 0 ? put_in_place(file, replace) : ALCH_OK, NULL);
}

void
hdf5_file_close(hdf5_file_t *file)
{
    (void)end_hdf5(file);
    if (file->call->rank == 0 && file->made[0])
        unlinkat(file->dir, file->made, 0);
    file->made[0] = '\0';
    if (file->fd >= 0)
        close(file->fd);
    if (file->dir >= 0)
        close(file->dir);
    file->fd = file->dir = -1;
}
