/* Opens and locks the files of the operations, and creates the temporary files that replace them. No file is opened by
 * the path that the client gave: the plugin host has checked the directory and opened it, this library opens the file
 * in that directory, and HDF5 opens the descriptor through /proc. So a program that renames files or changes links in
 * the meantime cannot lead an operation out of the allowed directories. */
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

/* An unlocked temporary file that is older than this was left behind by a process that was killed. A younger one may
 * have been created just now, before its process could lock it. */
#define STALE_S 60

void
hdf5_file_init(hdf5_file_t *file, alch_call_t *call, const char *path)
{
    memset(file, 0, sizeof(*file));
    file->call = call;
    file->path = path;
    file->dir = file->fd = -1;
    file->id = H5I_INVALID_HID;
}

static int
code_of_errno(int error)
{
    return error == EACCES || error == EPERM || error == EROFS ? ALCH_EPERM : ALCH_ESYSTEM;
}

/* A reader opens the file on all ranks. To write, only rank 0 opens it at first, and the file may be missing: fd is -1
 * then. */
static int
open_regular_file(hdf5_file_t *file, bool for_writing)
{
    alch_call_t *call = file->call;
    struct stat status;
    int code = call->host->data_file(call, file->path, for_writing, &file->dir, file->name);

    if (code || (for_writing && call->rank != 0))
        return code;
    /* O_NONBLOCK: if the file has become a pipe since the host checked it, a rank must not wait for the other end. */
    file->fd = openat(file->dir, file->name, (for_writing ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file->fd < 0 && errno == ENOENT && for_writing)
        return ALCH_OK;
    if (file->fd < 0)
        return call->host->fail(call, code_of_errno(errno), "file '%s' cannot be opened for %s: %s", file->path,
                                for_writing ? "writing" : "reading", strerror(errno));
    if (fstat(file->fd, &status) || !S_ISREG(status.st_mode))
        return call->host->fail(call, ALCH_EINVAL, "file '%s' is not a regular file", file->path);
    return ALCH_OK;
}

/* Rank 0 holds the lock for all ranks. On a file system that has no locks the operation continues without one. */
static int
lock_file(const hdf5_file_t *file, bool exclusive)
{
    alch_call_t *call = file->call;

    if (call->rank == 0 && file->fd >= 0 && flock(file->fd, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB) &&
        errno == EWOULDBLOCK)
        return call->host->fail(call, ALCH_EBUSY, "file '%s' is being %s by another process", file->path,
                                exclusive ? "used" : "written");
    return ALCH_OK;
}

/* Check that all ranks have opened the same file. On another host the path can lead to another file, and another
 * process can replace the file while the ranks open it. */
static int
check_same_file(const hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    struct stat dir = {0}, status = {0};
    int64_t inodes[2];

    (void)!fstat(file->dir, &dir);
    if (file->fd >= 0)
        (void)!fstat(file->fd, &status);
    inodes[0] = (int64_t)dir.st_ino;
    inodes[1] = (int64_t)status.st_ino;
    MPI_Bcast(inodes, 2, MPI_INT64_T, 0, call->comm);
    if (inodes[0] != (int64_t)dir.st_ino)
        return call->host->fail(call, ALCH_ENOENT,
                                "file '%s' is not the same file on all workers' hosts: it must be on a file system "
                                "that the hosts share",
                                file->path);
    if (file->fd >= 0 && inodes[1] != (int64_t)status.st_ino)
        return call->host->fail(call, ALCH_EBUSY,
                                "file '%s' was replaced by another process while the workers opened it", file->path);
    return ALCH_OK;
}

static int
open_and_lock(hdf5_file_t *file, bool for_writing)
{
    const alch_host_t *host = file->call->host;
    int code;

    if ((code = host->agree(file->call, open_regular_file(file, for_writing), NULL)) ||
        (code = host->agree(file->call, check_same_file(file), NULL)))
        return code;
    return host->agree(file->call, lock_file(file, for_writing), NULL);
}

int
hdf5_file_open_for_reading(hdf5_file_t *file)
{
    return open_and_lock(file, false);
}

int
hdf5_file_inspect(hdf5_file_t *file, const char *dataset, hdf5_dataset_info_t *info)
{
    alch_call_t *call = file->call;
    int code = hdf5_file_open_for_reading(file);
    hid_t id;

    if (code)
        return code;
    memset(info, 0, sizeof(*info));
    if (call->rank == 0 && !(code = hdf5_open_checked(file, false, &id))) {
        code = hdf5_inspect(call, id, file->path, dataset, info);
        H5Fclose(id);
    }
    return hdf5_agree_and_broadcast(call, code, info, sizeof(*info));
}

int
hdf5_file_open_for_writing(hdf5_file_t *file, bool *exists_p)
{
    int code = open_and_lock(file, true);

    *exists_p = file->fd >= 0;
    return code ? code : hdf5_agree_and_broadcast(file->call, ALCH_OK, exists_p, sizeof(*exists_p));
}

/* HDF5 opens files only by a path: this one leads to the descriptor. */
static void
descriptor_path(const hdf5_file_t *file, char path[32])
{
    snprintf(path, 32, "/proc/self/fd/%d", file->fd);
}

bool
hdf5_file_is_other_format(const hdf5_file_t *file)
{
    char path[32];

    descriptor_path(file, path);
    return H5Fis_hdf5(path) == 0;
}

hid_t
hdf5_open_id(const hdf5_file_t *file, unsigned flags)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), id;
    char path[32];

    descriptor_path(file, path);
    /* HDF5 must not lock the file itself: rank 0 holds a lock for all ranks. */
    H5Pset_file_locking(access, false, true);
    id = flags & H5F_ACC_TRUNC ? H5Fcreate(path, flags, H5P_DEFAULT, access) : H5Fopen(path, flags, access);
    H5Pclose(access);
    return id;
}

int
hdf5_file_check_space(const hdf5_file_t *file, int64_t bytes)
{
    struct statvfs room;
    double free_bytes;

    if (fstatvfs(file->dir, &room))
        return ALCH_OK;
    free_bytes = (double)room.f_bavail * (double)room.f_frsize;
    if ((double)bytes <= free_bytes)
        return ALCH_OK;
    return file->call->host->fail(file->call, ALCH_ESYSTEM,
                                  "file '%s' needs %.1f MB, but its file system has only %.1f MB free", file->path,
                                  (double)bytes / 1e6, free_bytes / 1e6);
}

/* Remove temporary files of processes that were killed. A running process holds a lock on its temporary file. */
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

/* Give the temporary file the permissions of the file that it replaces, or those of a new file. */
static void
set_permissions(const hdf5_file_t *file, int fd)
{
    struct stat status;
    mode_t mask = umask(0); /* umask() can only be read by setting it */

    umask(mask);
    (void)!fchmod(fd, file->fd >= 0 && fstat(file->fd, &status) == 0 ? status.st_mode & 0777 : 0666 & ~mask);
}

static int
create_temporary(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    char prefix[ALCH_DATA_NAME_MAX], path[ALCH_DATA_NAME_MAX + 32];
    int fd;

    /* The temporary files of data.h5 are named ".data.h5.alchemist-XXXXXX": hidden, and in the same directory, because
     * a file cannot be renamed into another file system. */
    snprintf(prefix, sizeof(prefix), ".%.200s.alchemist-", file->name);
    remove_stale(file, prefix);
    snprintf(path, sizeof(path), "/proc/self/fd/%d/%.240sXXXXXX", file->dir, prefix);
    if ((fd = mkostemp(path, O_CLOEXEC)) < 0)
        return call->host->fail(call, code_of_errno(errno),
                                "a temporary file for '%s' cannot be created in its directory: %s", file->path,
                                strerror(errno));
    snprintf(file->temporary_name, sizeof(file->temporary_name), "%.255s", strrchr(path, '/') + 1);
    set_permissions(file, fd);
    if (file->fd >= 0)
        close(file->fd);
    file->fd = fd;
    flock(fd, LOCK_EX | LOCK_NB);
    if ((file->id = hdf5_open_id(file, H5F_ACC_TRUNC)) < 0)
        return hdf5_fail(call, ALCH_ESYSTEM, "file '%s' cannot be created", file->path);
    return ALCH_OK;
}

int
hdf5_file_create(hdf5_file_t *file, int64_t bytes)
{
    int code = ALCH_OK;

    if (file->call->rank == 0 && !(code = hdf5_file_check_space(file, bytes)))
        code = create_temporary(file);
    return hdf5_agree_and_broadcast(file->call, code, file->temporary_name, sizeof(file->temporary_name));
}

static int
close_id(hdf5_file_t *file)
{
    hid_t id = file->id;

    file->id = H5I_INVALID_HID;
    if (id >= 0 && H5Fclose(id) < 0)
        return hdf5_fail(file->call, ALCH_ESYSTEM, "file '%s' was not written completely", file->path);
    return ALCH_OK;
}

int
hdf5_file_open_on_all_ranks(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    int code = call->host->agree(call, close_id(file), NULL);

    if (code)
        return code;
    if (call->rank != 0) {
        file->fd = openat(file->dir, file->temporary_name[0] ? file->temporary_name : file->name,
                          O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
        if (file->fd < 0)
            code = call->host->fail(call, code_of_errno(errno), "file '%s' cannot be opened: %s", file->path,
                                    strerror(errno));
    }
    if ((code = call->host->agree(call, code, NULL)))
        return code;
    return call->host->agree(call, check_same_file(file), NULL);
}

int
hdf5_file_sync(hdf5_file_t *file)
{
    alch_call_t *call = file->call;
    int code = ALCH_OK;

    if (fsync(file->fd))
        code = call->host->fail(call, ALCH_ESYSTEM, "file '%s' was not written completely: %s", file->path,
                                strerror(errno));
    return call->host->agree(call, code, NULL);
}

static int
rename_temporary(hdf5_file_t *file, bool replace)
{
    alch_call_t *call = file->call;
    int dir = file->dir, failed = replace ? renameat(dir, file->temporary_name, dir, file->name)
                                          : renameat2(dir, file->temporary_name, dir, file->name, RENAME_NOREPLACE);

    /* Some file systems do not support RENAME_NOREPLACE. */
    if (failed && !replace && (errno == EINVAL || errno == ENOSYS) &&
        !(failed = linkat(dir, file->temporary_name, dir, file->name, 0)))
        unlinkat(dir, file->temporary_name, 0);
    if (failed && errno == EEXIST)
        return call->host->fail(call, ALCH_ESTATE, "file '%s' was created by another process in the meantime",
                                file->path);
    if (failed)
        return call->host->fail(call, ALCH_ESYSTEM, "the new file cannot be renamed to '%s': %s", file->path,
                                strerror(errno));
    file->temporary_name[0] = '\0';
    return ALCH_OK;
}

int
hdf5_file_commit(hdf5_file_t *file, bool replace)
{
    alch_call_t *call = file->call;

    return call->host->agree(call, call->rank == 0 ? rename_temporary(file, replace) : ALCH_OK, NULL);
}

void
hdf5_file_close(hdf5_file_t *file)
{
    (void)close_id(file);
    if (file->call->rank == 0 && file->temporary_name[0])
        unlinkat(file->dir, file->temporary_name, 0);
    file->temporary_name[0] = '\0';
    if (file->fd >= 0)
        close(file->fd);
    if (file->dir >= 0)
        close(file->dir);
    file->fd = file->dir = -1;
}
